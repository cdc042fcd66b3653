"""Algorithms with a table."""
