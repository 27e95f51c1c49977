"""Runs on disk: what is to be done, who works on it, what is finished, and the time left."""
