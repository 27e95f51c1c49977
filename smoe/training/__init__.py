"""Training of networks: losses, the training step, the loop, checkpoints and memory."""
