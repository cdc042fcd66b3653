"""Where trials lie."""
