"""Searches without a gradient."""
