"""How an algorithm of rlzoo's own talks to the callbacks and the metric logger of its training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rlzoo.protocols import (
    Algorithm,
    Callback,
    Ended,
    EnvironmentStep,
    EpisodeLogger,
    EpisodeRecord,
    MetricLogger,
    Patience,
    least_patience,
)


class Watch:
    """Passes on what happens, and answers whether the training goes on: `goes_on` at a boundary, `step` after a step.

    Attributes:
        log_interval: whole episodes from one line of the log to the next.
        most_steps: environment steps after which the callbacks are asked at the latest, a few hundredths of a second.
    """

    log_interval = 100
    most_steps = 100_000

    def __init__(self, algorithm: Algorithm, callbacks: Sequence[Callback], logger: MetricLogger | None) -> None:
        self._algorithm, self._callbacks, self._logger = algorithm, callbacks, logger
        self._episode_logger: EpisodeLogger | None = logger if isinstance(logger, EpisodeLogger) else None
        self._is_cut = False  # a callback has ended the training, wherever it was

    def start(self) -> None:
        for callback in self._callbacks:
            callback.on_start(self._algorithm)

    def goes_on(self, total_timesteps: int) -> bool:
        """Nothing is half-done now; False if this is where the training ends."""
        if self._is_cut:
            return False
        try:
            for callback in self._callbacks:
                callback.on_boundary(self._algorithm)
        except Ended:
            return False
        return self._algorithm.num_timesteps < total_timesteps

    def step(self) -> bool:
        """The environments were stepped; False if the training is to end."""
        answers = [callback.on_step(self._algorithm) for callback in self._callbacks]  # all of them see every step
        self._is_cut = not all(answers)
        return not self._is_cut

    def patience(self) -> Patience:
        """How much may happen until `step` has to be called: a compiled loop takes it in one go."""
        steps, episodes = least_patience(self._callbacks, self._algorithm)
        return Patience(max(1, min(steps, self.most_steps)), max(1, episodes))

    def end(self) -> None:
        for callback in self._callbacks:
            callback.on_end(self._algorithm)

    def log_episodes(self, episodes: Sequence[EpisodeRecord]) -> None:
        """Hand on the record of whole episodes, in the order in which they ended."""
        if episodes and self._episode_logger is not None:
            self._episode_logger.log_episodes(episodes)

    def log_episodes_of(self, step: EnvironmentStep) -> None:
        """Hand on the episodes that ended with a step, which `num_timesteps` counts already."""
        if step.records:
            self.log_episodes([(self._algorithm.num_timesteps, record) for record in step.records])

    def log(self, episodes: Sequence[tuple[float, int]], metrics: Mapping[str, float]) -> None:
        """Log the mean return and length of `episodes`, and other numbers by name."""
        if self._logger is None:
            return
        means = {}
        if episodes:
            means["rollout/ep_rew_mean"] = sum(reward for reward, _ in episodes) / len(episodes)
            means["rollout/ep_len_mean"] = sum(length for _, length in episodes) / len(episodes)
        self._logger.log({**means, **metrics}, self._algorithm.num_timesteps)
