"""The dynamics of a small environment as arrays, for planning and for loops that are compiled.

Gymnasium's toy-text environments show theirs: `P[state][action]` lists (probability, next state, reward, terminated),
`initial_state_distrib` says where episodes begin.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from gymnasium.wrappers import OrderEnforcing, PassiveEnvChecker, TimeLimit

from rlzoo.algos.tabular.math import TransitionTable, draw, start
from rlzoo.errors import RlzooError

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv

TRANSPARENT = (TimeLimit, OrderEnforcing, PassiveEnvChecker)
"""Wrappers that change nothing but the length of episodes. Those of rlzoo say so: `transparent`."""

WHO_SHOWS = "FrozenLake, FrozenLake8x8, Taxi, CliffWalking and CheeseMaze do, and every one with `P` as these have it"

EPISODES = (*[10] * 20, 300)
"""Lengths at most of the episodes in which an environment has to do what its table says: many starts, a long one."""


class Dynamics(NamedTuple):
    """An environment's dynamics.

    Attributes:
        table: probabilities, next states, rewards, ends, starts.
        max_steps: after which an episode is truncated; 0 is never.
    """

    table: TransitionTable
    max_steps: int


def find_dynamics(env: VecEnv) -> Dynamics | None:
    """The dynamics of a single environment of this process that shows them, else None.

    They are believed after the environment has done what they say on equal random numbers; it is left as it was.
    """
    from stable_baselines3.common.monitor import Monitor
    from stable_baselines3.common.vec_env import DummyVecEnv

    venv: Any = env
    while getattr(type(venv), "transparent", False):
        venv = venv.venv
    if not isinstance(venv, DummyVecEnv) or venv.num_envs != 1:
        return None
    dynamics = shown_dynamics(venv.envs[0], Monitor)
    if dynamics is None:
        return None
    n_states, n_actions = dynamics.table.next_state.shape[:2]
    fits = n_states == getattr(env.observation_space, "n", None) and n_actions == getattr(env.action_space, "n", None)
    return dynamics if fits else None


def required_table(env: VecEnv) -> TransitionTable:
    """The table of `find_dynamics`.

    Raises:
        RlzooError: if the environment does not show its dynamics.
    """
    dynamics = find_dynamics(env)
    if dynamics is None:
        raise RlzooError("planning needs a single environment that shows its dynamics, without wrappers", WHO_SHOWS)
    return dynamics.table


def shown_dynamics(env: Any, *transparent: type) -> Dynamics | None:
    """As `find_dynamics`, for an environment alone; wrappers of the classes `transparent` change nothing either."""
    layer, limits = env, []
    while isinstance(layer, (*TRANSPARENT, *transparent)) or getattr(type(layer), "transparent", False):
        if getattr(layer, "kept_keywords", ()) or getattr(layer, "info_keywords", ()):
            return None  # what a step says of itself is in no table
        limits.append(getattr(layer, "_max_episode_steps", 0) if isinstance(layer, TimeLimit) else 0)
        layer = layer.env
    if not hasattr(layer, "P") or not hasattr(layer, "initial_state_distrib") or layer.unwrapped is not layer:
        return None
    try:
        table = read_table(layer)
    except (TypeError, ValueError, KeyError, IndexError):
        return None
    steps = [limit for limit in limits if limit]
    return Dynamics(table, min(steps, default=0)) if _does_what(layer, table) else None


def shows_dynamics(env: Any, _values: Mapping[str, Any]) -> bool:
    """Whether an environment shows dynamics that planning can use."""
    return shown_dynamics(env) is not None


def read_table(env: Any) -> TransitionTable:
    """`P` and `initial_state_distrib` of a toy-text environment as arrays.

    Raises:
        ValueError: if they lead to states that are not there, or are not probabilities.
    """
    n_states, n_actions = len(env.P), len(env.P[0])
    n_outcomes = max(len(env.P[state][action]) for state in range(n_states) for action in range(n_actions))
    shape = (n_states, n_actions, n_outcomes)
    probability, reward = np.zeros(shape), np.zeros(shape)
    next_state, terminated = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.bool_)
    for state in range(n_states):
        for action in range(n_actions):
            for k, (chance, following, gain, over) in enumerate(env.P[state][action]):
                probability[state, action, k], reward[state, action, k] = chance, gain
                next_state[state, action, k], terminated[state, action, k] = following, over
    start = np.asarray(env.initial_state_distrib, dtype=np.float64)
    if start.shape != (n_states,) or next_state.min() < 0 or next_state.max() >= n_states:
        raise ValueError("the dynamics lead to states that they do not have")  # compiled code would read beyond arrays
    if not (np.allclose(probability.sum(axis=2), 1) and np.isclose(start.sum(), 1) and np.isfinite(reward).all()):
        raise ValueError("the dynamics have probabilities that do not add up to 1, or rewards that are not numbers")
    return TransitionTable(probability, probability.cumsum(axis=2), next_state, reward, terminated, start.cumsum())


def _does_what(env: Any, table: TransitionTable) -> bool:
    """Whether the environment and the table agree on equal random numbers."""
    theirs, ours, chances = (np.random.Generator(np.random.PCG64(seed)) for seed in (1, 1, 2))
    n_states, n_actions = table.next_state.shape[:2]

    def take(state: int, action: int) -> tuple[int, bool] | None:
        """The state that follows and whether that is the end; None if the two do not agree."""
        outcome = (state, action, draw(table.cumulative, state, action, ours))
        observation, reward, terminated, truncated, _ = env.step(action)
        said = table.next_state[outcome], table.reward[outcome], table.terminated[outcome]
        return (
            (int(observation), bool(terminated))
            if said == (observation, reward, terminated) and not truncated
            else None
        )

    def plays(n_steps: int) -> bool:
        """Whether they agree in an episode of at most so many steps."""
        state, over = start(table.starts, ours), False
        if int(env.reset()[0]) != state:
            return False
        while n_steps and not over:
            after = take(state, int(chances.integers(n_actions)))
            if after is None:
                return False
            (state, over), n_steps = after, n_steps - 1
        return True

    def takes_every_action() -> bool:
        """Whether they agree in every state, where the environment can be put there, as Gymnasium's can."""
        for state in range(n_states if isinstance(getattr(env, "s", None), int | np.integer) else 0):
            for action in range(n_actions):
                env.s = state
                if take(state, action) is None:
                    return False
        return True

    before = dict(vars(env))
    env.np_random = theirs
    try:
        return all(plays(n_steps) for n_steps in EPISODES) and takes_every_action()
    finally:
        vars(env).clear()
        vars(env).update(before)
