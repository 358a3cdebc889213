"""Stores for write plans."""
