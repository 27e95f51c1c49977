"""A study's stored results as the reports know them, with their words and their parts."""
