"""What a corpus holds, and how its test set scores before any network has seen it."""
