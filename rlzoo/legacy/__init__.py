"""Files of Stable-Baselines3, sb3-contrib and rl_zoo3, read without running what is in them."""
