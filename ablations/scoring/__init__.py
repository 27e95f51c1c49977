"""Scores added to stored studies: outside systems and further measures."""
