"""The grid of variants: planning, running, storing, tracking."""
