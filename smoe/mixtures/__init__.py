"""Mixtures of speech, noise and reverberation: batches to train on, and the test set."""
