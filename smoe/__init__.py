"""The network, its training and its evaluation: everything that computes."""
