"""How a search over policies judges its candidates: by whole episodes, side by side in a vectorised environment."""

from __future__ import annotations

from typing import Any

import numpy as np

from rlzoo.algos.base import TrainingHooks, VectorEnvironment
from rlzoo.algos.search.flat_policy import FlatPolicy
from rlzoo.protocols import State

WORST = float(np.finfo(np.float32).min)
"""What a return counts that is not finite: less than any other."""


class Trials:
    """Plays candidates, and counts what was played.

    The episodes of a generation are dealt out beforehand: episode k, of candidate k // n_eval_episodes, is played by
    environment k mod n_envs. So no short episode gets its candidate a place before others, and every return is that of
    an episode from its reset to its end. An environment that has played its share goes on with the last candidate until
    the others have; these steps count as steps of the training, and no return takes them. Then all are reset: at a
    boundary every environment stands at the start of an episode.

    Attributes:
        num_timesteps: environment steps taken so far, over all environments.
        n_episodes: whole episodes played so far, over all environments.
        recent: return and length of episodes that are not in the log yet.
    """

    def __init__(self, env: VectorEnvironment, policy: FlatPolicy, n_eval_episodes: int) -> None:
        self._env, self._policy, self._n_eval_episodes = env, policy, n_eval_episodes
        self.num_timesteps = self.n_episodes = 0
        self.recent: list[tuple[float, int]] = []
        self._observation: Any = None  # (n_envs, *observation_shape), of environments that were just reset

    def begin(self) -> None:
        """Reset the environments, unless they stand at the start of an episode already."""
        if self._observation is None:
            self._observation = self._env.reset()

    def play(self, candidates: np.ndarray, hooks: TrainingHooks, generator: np.random.Generator) -> np.ndarray | None:
        """The mean return of every candidate, (n_candidates,), or None if a callback ended the training on the way.

        Args:
            candidates: their weights, (n_candidates, n_weights).
            hooks: hears of every step.
            generator: where the chance in actions comes from.
        """
        n_envs, n_episodes = self._env.n_envs, len(candidates) * self._n_eval_episodes
        returns = np.zeros(n_episodes)
        playing = np.arange(n_envs)  # (n_envs,), the episode in each environment; n_episodes or more: through
        observation, self._observation = self._observation, None
        while True:
            counts = playing < n_episodes  # (n_envs,)
            weights = candidates[np.where(counts, playing // self._n_eval_episodes, -1)]  # (n_envs, n_weights)
            over = np.zeros(n_envs, dtype=bool)
            while not over.any():
                step = self._env.step(self._policy.train_act(weights, observation, generator))
                observation, over = step.observation, step.terminated | step.truncated
                returns[playing[counts]] += step.reward[counts]
                self.num_timesteps += n_envs
                self.n_episodes += len(step.episodes)
                self.recent += step.episodes
                hooks.log_episodes_of(step)
                if not hooks.step():
                    return None
            playing[over] += n_envs
            if playing.min() >= n_episodes:
                break
        self._observation = observation if over.all() else self._env.reset()
        means = returns.reshape(len(candidates), self._n_eval_episodes).mean(axis=1)
        return np.where(np.isfinite(means), means, WORST)

    def log(self, hooks: TrainingHooks, metrics: dict[str, float]) -> None:
        """Log the episodes since the last time, with other numbers by name."""
        if self.recent:
            hooks.log(self.recent, metrics)
            self.recent = []

    def begin_episodes(self, observation: Any, rows: np.ndarray) -> None:
        """Begin anew the episodes of environments that could not be put back: `rows` (n_envs,) says which."""
        self._observation[rows] = np.asarray(observation)[rows]

    def state(self) -> State:
        tensors = {} if self._observation is None else {"observation": np.array(self._observation)}
        values = {"num_timesteps": self.num_timesteps, "n_episodes": self.n_episodes, "recent": self.recent}
        return State(tensors, values)

    def restore(self, state: State) -> None:
        self.num_timesteps, self.n_episodes = int(state.values["num_timesteps"]), int(state.values["n_episodes"])
        self.recent = [(float(reward), int(length)) for reward, length in state.values["recent"]]
        observation = state.tensors.get("observation")
        self._observation = None if observation is None else np.array(observation)
