"""Speed, memory and scores, measured against named baselines; what was measured is in `results/`."""
