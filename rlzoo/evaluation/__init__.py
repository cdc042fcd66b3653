"""Agents played, watched, filmed and plotted."""
