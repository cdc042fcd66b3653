"""Simulated annealing: a random walk over policies that climbs, and goes down the less often the cooler it is.

Kirkpatrick, Gelatt and Vecchi, Optimization by Simulated Annealing, Science 220 (1983): the acceptance rule of
Metropolis et al. (1953) with the energy of a policy the negative of its return, and their schedule, a temperature that
falls by the same factor again and again. The formulas have no numbers there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import VecEnv

from rlzoo.algos.core.flat_policy import FlatPolicy
from rlzoo.algos.core.generator import generator_state, own_generator, restored_generator
from rlzoo.algos.trials import Trials
from rlzoo.algos.vector_environment import VectorEnvironment
from rlzoo.algos.watch import Watch
from rlzoo.protocols import Callback, MetricLogger, State


class SimulatedAnnealing:
    """Walks from policy to policy, and acts by the one where it stands.

    Returns are full of chance. So a candidate is judged against the policy that it would replace, which is played
    again each time beside it: no policy stays for the luck that it once had.

    It is here for the idea, not for its results: its steps never shrink, so that late improvements are rare finds, and
    a lucky episode can still move it to a worse policy. Of six trainings on CartPole (seeds 100 to 105, the tuned set,
    100 episodes of the last checkpoint) two ended at 500 and four between 9 and 113, where hill climbing, whose steps
    adapt, had 344 to 500.

    Attributes:
        weights: where the walk stands, (n_weights,); their layout is that of `core.flat_policy`.
        last_return: what the policy there returned when it was last played, the mean of its episodes.
        n_candidates: candidates judged so far.
    """

    def __init__(
        self,
        env: VecEnv,
        *,
        net_arch: list[int] = [],  # noqa: B006  never changed
        delta_std: float = 1.0,
        initial_temperature: float = 10.0,
        min_temperature: float = 0.1,
        cooling_rate: float = 0.98,
        n_eval_episodes: int = 1,
        sample_actions: bool = False,
        squash_output: bool = False,
        seed: int | None = None,
    ) -> None:
        """Begin with logits or actions of zero, whatever is observed.

        Args:
            env: its observations are a Box or finite, its actions Discrete or a Box.
            net_arch: sizes of the hidden layers, with tanh; none is a linear policy.
            delta_std: standard deviation of the changes of a weight.
            initial_temperature: the loss of return that is accepted once in e times at first, in units of return.
            min_temperature: what it cools down to at most.
            cooling_rate: what the temperature is multiplied by after every candidate, up to 1.
            n_eval_episodes: whole episodes for each candidate, and as many for the policy that it would replace.
            sample_actions: draw discrete actions by their softmax probability, instead of taking the best one.
            squash_output: continuous actions are squashed into their bounds by a tanh, instead of clipped.
            seed: of the candidates, and of actions that are drawn.
        """
        self.env = VectorEnvironment(env)
        self.policy = FlatPolicy(
            env.observation_space,
            env.action_space,
            net_arch,
            sample_actions=sample_actions,
            squash_output=squash_output,
        )
        self.delta_std = delta_std
        self.initial_temperature, self.min_temperature = initial_temperature, min_temperature
        self.cooling_rate = cooling_rate
        self._rng = own_generator(seed)
        self._trials = Trials(self.env, self.policy, n_eval_episodes)
        self.weights = self.policy.start(self._rng)
        self.last_return = 0.0
        self.n_candidates = 0

    @property
    def temperature(self) -> float:
        """The temperature at which the next candidate is judged, in units of return."""
        return temperature(self.initial_temperature, self.min_temperature, self.cooling_rate, self.n_candidates)

    @property
    def num_timesteps(self) -> int:
        """Environment steps taken so far, over all environments."""
        return self._trials.num_timesteps

    @property
    def n_episodes(self) -> int:
        """Whole episodes played so far, over all environments."""
        return self._trials.n_episodes

    def learn(
        self, total_timesteps: int, callbacks: Sequence[Callback] = (), logger: MetricLogger | None = None
    ) -> None:
        """Try candidates until `num_timesteps` has reached `total_timesteps`, or a callback says stop.

        A candidate that is cut off by a callback changes nothing.
        """
        watch = Watch(self, callbacks, logger)
        self._trials.begin()
        watch.start()
        while watch.goes_on(total_timesteps):
            candidate = self.weights + self.delta_std * self._rng.standard_normal(self.policy.n_weights)
            returns = self._trials.play(np.stack([self.weights, candidate]), watch, self._rng)  # (2,)
            if returns is None:
                break
            self._judge(candidate, float(returns[0]), float(returns[1]))
            if len(self._trials.recent) >= watch.log_interval:
                self._log(watch)
        self._log(watch)
        watch.end()

    def _judge(self, candidate: np.ndarray, standing: float, tried: float) -> None:
        """Go to a candidate whose return was `tried`, or stay at `standing`."""
        accepted = self._rng.random() < acceptance_probability(tried - standing, self.temperature)
        if accepted:
            self.weights = candidate
        self.last_return = tried if accepted else standing
        self.n_candidates += 1

    def _log(self, watch: Watch) -> None:
        self._trials.log(watch, {"train/temperature": self.temperature, "train/last_return": self.last_return})

    def predict(
        self,
        observation: Any,
        state: tuple[np.ndarray, ...] | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...] | None]:
        """Actions of the policy where the walk stands; see `rlzoo.protocols.Policy`.

        `deterministic=False` is as in training: it draws discrete actions with `sample_actions`, else there is no
        chance in them.
        """
        return self.policy.predict(self.weights, observation, deterministic=deterministic), state

    def state(self) -> State:
        """All there is: the policy, the counters, the generator, the first observations."""
        trials = self._trials.state()
        values = {"last_return": self.last_return, "n_candidates": self.n_candidates}
        return State(
            {"weights": self.weights.copy(), **trials.tensors},
            {**values, **trials.values, "generator": generator_state(self._rng)},
        )

    def restore(self, state: State) -> None:
        self.restore_weights(state)
        self._trials.restore(state)
        self.last_return, self.n_candidates = float(state.values["last_return"]), int(state.values["n_candidates"])
        self._rng = restored_generator(state.values["generator"])

    def restore_weights(self, state: State) -> None:
        """Take over the weights alone: the start of another training."""
        self.weights = self.policy.checked(state.tensors["weights"])

    def begin_episodes(self, observation: Any, rows: np.ndarray) -> None:
        """Begin anew the episodes of environments that could not be put back: `rows` (n_envs,) says which."""
        self._trials.begin_episodes(observation, rows)


def temperature(start: float, end: float, rate: float, n: int) -> float:
    """The temperature after `n` candidates: `start * rate^n`, but not below `end`."""
    return max(start * rate**n, end)


def acceptance_probability(change: float, temperature: float) -> float:
    """The chance to go to a policy whose return differs by `change`: 1 uphill, e^(change / temperature) downhill."""
    return math.exp(min(change, 0.0) / temperature)
