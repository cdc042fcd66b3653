"""Stable-Baselines3 and sb3-contrib behind the contract of `rlzoo.protocols`."""
