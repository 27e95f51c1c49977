"""What training and inference cost on this machine, measured against the literal source."""
