"""What a reader of stored results is told."""


class BundleError(Exception):
    """Stored results that cannot be used: one sentence with the file and the remedy."""
