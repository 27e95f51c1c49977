"""What computes the network's layers faster on a processor or a GPU, with the same results."""
