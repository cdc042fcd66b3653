"""Vectorised environments, in this process and in others."""
