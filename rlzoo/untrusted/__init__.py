"""Files that others made, read as data."""
