"""Stored results that travel between machines: verified, put together, packed and unpacked."""
