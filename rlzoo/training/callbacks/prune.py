"""Tells a search of every evaluation of a training, and ends the training at once if it is no use."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from rlzoo.protocols import Algorithm, Callback, Ended, Patience, Pruned

PASSING = ("optimizer", "adam", "observation", "states", "rollout")
"""Parts of the names of tensors that a training needs and the agent it makes does not."""


class Prune(Callback):
    """Hears of evaluations as a metric logger, and ends the training as a callback.

    Args:
        is_hopeless: gets the number of the evaluation (from 0) and its mean return; True ends the training.
        budget: environment steps up to which evaluations count: an algorithm that collects many steps for an update
            takes more.
        ends: whether the training ends there.

    Attributes:
        evaluations: step and mean return of every evaluation so far that counts.
        n_steps: environment steps so far, over all environments.
        size: numbers that were learned (weights, table entries), 0 before the end.
    """

    def __init__(
        self, is_hopeless: Callable[[int, float], bool], budget: float = math.inf, *, ends: bool = False
    ) -> None:
        self.evaluations: list[tuple[int, float]] = []
        self.n_steps = self.size = 0
        self._is_hopeless, self._budget, self._ends = is_hopeless, budget, ends
        self._told = 0

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        mean = metrics.get("eval/mean_reward")
        if mean is not None and step <= self._budget:
            self.evaluations.append((step, float(mean)))

    def close(self) -> None: ...

    def on_step(self, algorithm: Algorithm) -> bool:
        self.n_steps = algorithm.num_timesteps
        while self._told < len(self.evaluations):
            number, self._told = self._told, self._told + 1
            step, mean = self.evaluations[number]
            if self._is_hopeless(number, mean):
                raise Pruned(f"pruned at step {step:,}, at evaluation {number + 1} with a mean of {mean:.2f}")
        if self._ends and self.n_steps > self._budget:
            raise Ended  # not at the next boundary, which may be many steps on
        return True

    def patience(self, algorithm: Algorithm) -> Patience:
        """It has nothing to say between evaluations, after which every callback is asked, but where its budget ends."""
        return Patience(self._budget + 1 - algorithm.num_timesteps) if self._ends else Patience()

    def on_end(self, algorithm: Algorithm) -> None:
        self.n_steps = algorithm.num_timesteps
        tensors = algorithm.state().tensors
        learned = [tensor for name, tensor in tensors.items() if not any(part in name for part in PASSING)]
        self.size = sum(math.prod(tensor.shape) for tensor in learned if tensor.shape)
