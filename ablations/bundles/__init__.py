"""Bundles of finished studies: made from runs, stored without loss, and turned into runs again."""
