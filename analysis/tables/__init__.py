"""The tables of a report, one file for each or for a few that belong together."""
