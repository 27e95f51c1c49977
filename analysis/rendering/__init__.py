"""Tables as data, and the files and forms in which they are stored."""
