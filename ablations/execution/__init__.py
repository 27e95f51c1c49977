"""Carrying runs out: one by one or side by side, in processes, on GPUs, with Ray or Slurm."""
