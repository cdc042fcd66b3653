"""Ends a training early: when it is good enough, has played its episodes, its time is up, or a search prunes it.

`Stop` ends it at the next boundary, from which it can be resumed exactly: after the update that follows the rollout,
which for most algorithms is a few steps away. `Prune` ends it at once.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping

from rlzoo import console
from rlzoo.config.schema import TrainConfig
from rlzoo.errors import RlzooError
from rlzoo.protocols import Algorithm, Callback, CountsEpisodes, Ended, Finishes, Patience, Pruned
from rlzoo.training.callbacks.evaluate import Evaluations

PASSING = ("optimizer", "adam", "observation", "states", "rollout")
"""Parts of the names of tensors that a training needs and the agent it makes does not."""


class Stop(Callback):
    """Ends the training once an evaluation's mean reaches `stop.reward`, after `stop.episodes` or `stop.minutes`.

    Attributes:
        reason: why it ended the training, empty if it did not.
    """

    def __init__(self, cfg: TrainConfig, evaluations: Evaluations) -> None:
        self.reason = ""
        self._cfg, self._evaluations = cfg.stop, evaluations
        self._started = time.monotonic()

    def on_start(self, algorithm: Algorithm) -> None:
        if self._cfg.episodes is not None and not isinstance(algorithm, CountsEpisodes):
            raise RlzooError(
                "stop.episodes: this algorithm does not count its episodes (n_episodes)", "stop.episodes=null"
            )
        self._started = time.monotonic()

    def on_boundary(self, algorithm: Algorithm) -> None:
        """One that is resumed after it has played its episodes takes no step."""
        if not self.reason and self._has_played(algorithm):
            raise Ended

    def on_step(self, algorithm: Algorithm) -> bool:
        if not self.reason:
            self._judge(algorithm)
        return not self.reason

    def on_end(self, algorithm: Algorithm) -> None:
        step = f"{algorithm.num_timesteps:,}"
        if self.reason:
            console.say(f"training ends at step {step}: {self.reason}")
        if isinstance(algorithm, Finishes) and algorithm.done:
            console.say(f"training is done at step {step}: {algorithm.done}")

    def patience(self, algorithm: Algorithm) -> Patience:
        """Evaluations end with steps that others ask for, minutes are looked at now and then anyway."""
        return (
            Patience() if self._cfg.episodes is None else Patience(episodes=self._cfg.episodes - algorithm.n_episodes)
        )

    def _judge(self, algorithm: Algorithm) -> None:
        reward, minutes, last = self._cfg.reward, self._cfg.minutes, self._evaluations.last
        if reward is not None and last is not None and last.mean_reward >= reward:
            self.reason = f"mean reward {last.mean_reward:.2f} has reached stop.reward={reward:g}"
        elif self._has_played(algorithm):
            self.reason = f"stop.episodes={self._cfg.episodes} have been played"
        elif minutes is not None and time.monotonic() - self._started >= 60 * minutes:
            self.reason = f"stop.minutes={minutes:g} have passed"

    def _has_played(self, algorithm: Algorithm) -> bool:
        return self._cfg.episodes is not None and algorithm.n_episodes >= self._cfg.episodes


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
