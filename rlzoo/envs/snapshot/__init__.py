"""The state of environments, taken and restored."""
