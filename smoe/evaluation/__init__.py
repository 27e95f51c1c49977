"""Trained networks at work: enhancing recordings, scoring the test set, other routing."""
