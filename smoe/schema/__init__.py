"""Stored bundles: what their files hold, how they are checked, and the one way to read them.

Torch-free and without MLflow; `ablations` writes and reads bundles through it, `analysis` reads.
"""
