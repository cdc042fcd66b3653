"""What every in-repo algorithm stands on: its environments, its callbacks and logger, its own random numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

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

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv


class VectorEnvironment:
    """A Stable-Baselines3 `VecEnv` as `protocols.Environment`: its merged `dones` taken apart again."""

    def __init__(self, env: VecEnv) -> None:
        self.env = env
        self.n_envs = env.num_envs
        self.observation_space = env.observation_space
        self.action_space = env.action_space
        # asked of the class: a wrapper that changes observations would pass the question on to what it wraps
        self._apart: Any = env.step_apart if getattr(type(env), "steps_apart", None) and env.steps_apart else None  # type: ignore[attr-defined]

    def reset(self, seed: int | None = None) -> Any:
        """First observations, (n_envs, *observation_shape) or a dict of these; environment i starts from seed + i."""
        if seed is not None:
            self.env.seed(seed)
        return self.env.reset()

    def step(self, actions: Any) -> EnvironmentStep:
        """Step all environments, those that end are reset; an episode that ends in both ways has terminated."""
        if self._apart is not None:
            step: EnvironmentStep = self._apart(np.asarray(actions))
            return step
        observation, reward, done, infos = self.env.step(np.asarray(actions))
        cut = np.array([bool(info.get("TimeLimit.truncated", False)) for info in infos])  # (n_envs,)
        records = tuple(info["episode"] for info in infos if "episode" in info)
        finals = {index: infos[index]["terminal_observation"] for index, ended in enumerate(done) if ended}
        return EnvironmentStep(
            observation=observation,
            reward=reward,
            terminated=done & ~cut,
            truncated=done & cut,
            final_observation=_replaced(observation, finals),
            episodes=tuple((record["r"], record["l"]) for record in records),
            records=records,
        )


def _replaced(observation: Any, finals: dict[int, Any]) -> Any:
    if not finals:
        return observation
    if isinstance(observation, dict):
        return {
            key: _replaced(part, {index: final[key] for index, final in finals.items()})
            for key, part in observation.items()
        }
    replaced = observation.copy()
    for index, final in finals.items():
        replaced[index] = final
    return replaced


class TrainingHooks:
    """Tells callbacks and logger what happens; `continues`, at a boundary, and `step` say whether to train on.

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

    def continues(self, total_timesteps: int) -> bool:
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


def own_generator(seed: int | None) -> np.random.Generator:
    """A generator for a learner.

    Environment 0 draws from `default_rng(seed)`: with the same numbers, exploration and dynamics would go together.
    """
    return np.random.default_rng(None if seed is None else [seed, 1])


def generator_state(generator: np.random.Generator) -> dict[str, Any]:
    """The state of a PCG64 generator as JSON."""
    return dict(generator.bit_generator.state)


def restored_generator(state: dict[str, Any]) -> np.random.Generator:
    """A generator from a state of `generator_state`."""
    bits = np.random.PCG64()
    bits.state = state  # type: ignore[assignment]
    return np.random.Generator(bits)
