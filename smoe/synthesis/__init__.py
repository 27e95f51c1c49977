"""Sounds made here for the embedded corpus: sentences, voices, noises and rooms."""
