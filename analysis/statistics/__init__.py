"""Intervals, tests and effects on plain arrays of scores."""
