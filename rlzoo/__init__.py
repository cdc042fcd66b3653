"""rlzoo: a Hydra-driven training command line and experiment zoo for deep reinforcement learning."""

__version__ = "0.1.0"
