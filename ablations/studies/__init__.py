"""Studies: the grid of cells, the files that choose from it, and what a difference must show."""
