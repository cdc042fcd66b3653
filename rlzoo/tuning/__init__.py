"""Searches for hyperparameters: a space in YAML, trials that are runs, workers that share a study."""
