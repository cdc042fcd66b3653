"""Algorithms of our own with networks."""
