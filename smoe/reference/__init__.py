"""The source description carried out to the letter, for tests and the benchmark."""
