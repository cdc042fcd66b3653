"""The steps of unfinished episodes, for algorithms that learn from whole ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rlzoo.algos.tabular.math import restored_indices

PARTS = ("states", "actions", "rewards")
Steps = tuple[np.ndarray, np.ndarray, np.ndarray]
"""These parts of one episode, (length,) or longer each."""


class Episodes:
    """What every environment has seen so far of its episode, in arrays that grow.

    Attributes:
        lengths: (n_envs,), steps so far.
        states: (n_envs, capacity), int64, where each step was taken.
        actions: (n_envs, capacity), int64.
        rewards: (n_envs, capacity).
    """

    def __init__(self, n_envs: int) -> None:
        self.lengths = np.zeros(n_envs, dtype=np.int64)
        self.states, self.actions = (np.zeros((n_envs, 128), dtype=np.int64) for _ in range(2))
        self.rewards = np.zeros((n_envs, 128))

    def add(self, index: int, state: int, action: int, reward: float) -> None:
        """A step of environment `index`."""
        at = self.lengths[index]
        self.make_room(int(at) + 1)
        self.states[index, at], self.actions[index, at], self.rewards[index, at] = state, action, reward
        self.lengths[index] += 1

    def make_room(self, length: int) -> None:
        """Have room for episodes of so many steps."""
        capacity = self.states.shape[1]
        if length > capacity:
            more = ((0, 0), (0, max(length, 2 * capacity) - capacity))
            for part in PARTS:
                setattr(self, part, np.pad(getattr(self, part), more))

    def steps(self, index: int) -> Steps:
        """States, actions and rewards of environment `index`, (capacity,) each, in these arrays' own memory."""
        return self.states[index], self.actions[index], self.rewards[index]

    def tensors(self) -> dict[str, np.ndarray]:
        """What there is, as arrays for a checkpoint."""
        longest = int(self.lengths.max(initial=0))
        parts = {f"episode_{part}": getattr(self, part)[:, :longest].copy() for part in PARTS}
        for index, length in enumerate(self.lengths.tolist()):  # what is left of earlier episodes is no part of it
            for array in parts.values():
                array[index, length:] = 0
        return {**parts, "episode_lengths": self.lengths.copy()}

    def restore(self, tensors: Mapping[str, Any], n_envs: int, n_states: int, n_actions: int) -> None:
        """Resume from what `tensors` gave.

        Raises:
            ValueError: if they are not what it gives of so many environments, states and actions.
        """
        rewards = np.array(tensors["episode_rewards"])
        if rewards.ndim != 2 or rewards.dtype.kind != "f":
            raise ValueError(f"episode_rewards are {rewards.ndim}-dimensional {rewards.dtype}, not (n_envs, n) floats")
        longest = rewards.shape[1]
        self.lengths = restored_indices(tensors, "episode_lengths", (n_envs,), longest + 1)
        self.states = restored_indices(tensors, "episode_states", (n_envs, longest), n_states)
        self.actions = restored_indices(tensors, "episode_actions", (n_envs, longest), n_actions)
        self.rewards = rewards
