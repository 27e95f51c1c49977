"""What the results say: comparisons, claims, evidence, answers and robustness."""
