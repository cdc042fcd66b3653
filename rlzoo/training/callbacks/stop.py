"""Ends a training early: when it is good enough, has played its episodes, or its time is up.

It ends at the next boundary, from which it can be resumed exactly: after the update that follows the rollout, which for
most algorithms is a few steps away.
"""

from __future__ import annotations

import time

from rlzoo import console
from rlzoo.config.schema import TrainConfig
from rlzoo.errors import RlzooError
from rlzoo.protocols import Algorithm, Callback, CountsEpisodes, Ended, Finishes, Patience
from rlzoo.training.callbacks.evaluate import Evaluations


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
