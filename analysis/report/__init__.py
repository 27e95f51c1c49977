"""Reports of stored studies: files, pages, the overview, and what is behind an entry."""
