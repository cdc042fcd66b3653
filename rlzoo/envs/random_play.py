"""Plays an environment at random: what a score is worth is known beside that of random play, and faults show in it.

The policy is that of `rlzoo evaluate policy=random`: every action, of those that are valid, is equally likely. Episode
k starts from seed 10,000 + k, as in a final evaluation, and everything is drawn from generators of its own.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import repeat
from typing import Any, SupportsFloat

import gymnasium
import numpy as np
from gymnasium import spaces

from rlzoo.envs import baseline
from rlzoo.envs import wrappers as table
from rlzoo.envs.baseline import FIRST_SEED, RandomPlay
from rlzoo.envs.seeding import isolated
from rlzoo.envs.snapshot.replay import renew_world
from rlzoo.envs.spaces import sample

N_EPISODES = 20
MAX_STEPS = 4000
"""Steps of all episodes together."""
SECONDS = 20.0
"""After so many no more steps are taken: of an environment that takes a second for each, say."""
GAMMAS = (0.9, 0.99, 0.999, 1.0)
"""Discounts that returns are measured with."""
SHARES = (0.02, 0.1, 0.5)
"""Of the range of continuous actions."""
MIN_OTHERS = 8
"""Actions outside of a share that an episode has to have: one that is over at once tells nothing of the others."""
SHORT, LONG = 8, 64
"""Steps after which actions should show, and those that are played where they have not."""
LARGEST = 1000
"""Entries of an observation that are told apart; of one with more, an image say, only whether it changes."""
FEW = 5
"""Names of entries that are kept."""


def play(
    env: gymnasium.Env,
    wrappers: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    n_episodes: int = N_EPISODES,
    max_steps: int = MAX_STEPS,
    seconds: float | None = None,
) -> RandomPlay:
    """Play whole episodes at random, then the first steps of one again, to see whether they react to actions.

    Args:
        env: an environment as `make_raw` makes it; it can be played on afterwards, after a reset.
        wrappers: those of its configuration, which are put around it.
        n_episodes: whole games to play at most.
        max_steps: steps to take at most; a game that has not ended by then is not counted.
        seconds: after so many no further step is taken.

    Raises:
        NotFiniteError: if the environment gives NaN or infinity.
    """
    games = Games(env, math.inf if seconds is None else time.monotonic() + seconds)
    wrapped = table.apply(games, wrappers or {})
    seen = _Seen(wrapped.observation_space)
    space = wrapped.action_space
    masked = wrapped.has_wrapper_attr("action_masks")
    n_steps, ends = 0, list[tuple[int, bool]]()
    with isolated(FIRST_SEED, space):
        seen.begins(wrapped.reset(seed=FIRST_SEED)[0])
        begun = 0
        while len(games.returns) < n_episodes and n_steps < max_steps and not games.is_over_time:
            observation, reward, terminated, truncated, _ = wrapped.step(_sample(wrapped, masked))
            n_steps += 1
            seen.steps(observation, float(reward))
            if terminated or truncated:
                ends.append((n_steps - begun, not terminated))
                begun = n_steps
                seen.begins(wrapped.reset()[0])
        returns, lengths = tuple(games.returns[:n_episodes]), tuple(games.lengths[:n_episodes])
        games.seed = FIRST_SEED
        lives = "atari" in (wrappers or {})  # its reset continues the game that a life was lost in
        found = {} if lives else _faults(wrapped, masked)
    return RandomPlay(
        returns=returns,
        lengths=lengths,
        n_steps=n_steps,
        episode_steps=tuple(steps for steps, _ in ends),
        truncated=tuple(cut for _, cut in ends),
        **seen.facts(),
        **found,
    )


def score(env: Mapping[str, Any], max_steps: int | None = None) -> RandomPlay | None:
    """The random play of an environment: what is known of it, else it is played now and kept.

    Args:
        env: the values of a request's `env`.
        max_steps: a step limit instead of its own.

    Returns:
        None where the environment fails.
    """
    found = baseline.shape(env, max_steps)
    if (known := baseline.find(found)) is not None:
        return known
    from rlzoo.envs.check import Use, check_env  # which plays it in a process of its own, and keeps what that shows

    limited = {**env, "max_steps": found["max_steps"]}
    return check_env(limited, declared_holds=False, use=Use(plays=True)).play


class Games(gymnasium.Wrapper):
    """Directly around an environment: the raw score of every whole game, whatever wrappers make of it.

    It keeps what `monitor.EpisodeMonitor` keeps, which needs Stable-Baselines3; tests hold them together.
    """

    def __init__(self, env: gymnasium.Env, deadline: float) -> None:
        super().__init__(env)
        self._deadline = deadline
        self.returns: list[float] = []
        self.lengths: list[int] = []
        self.seed: int | None = None  # of the games from now on, if it is to be the same for all
        self._return, self._length = 0.0, 0

    @property
    def is_over_time(self) -> bool:
        return time.monotonic() > self._deadline

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        if self._length:  # a wrapper has cut the game
            self._keep()
        renew_world(self.unwrapped)
        return self.env.reset(seed=FIRST_SEED + len(self.returns) if self.seed is None else self.seed, options=options)

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        if self.seed is not None and self.is_over_time:
            raise _OverTimeError
        result = self.env.step(action)
        self._return += float(result[1])
        self._length += 1
        if result[2] or result[3]:
            self._keep()
        return result

    def _keep(self) -> None:
        self.returns.append(self._return)
        self.lengths.append(self._length)
        self._return, self._length = 0.0, 0


class NotFiniteError(Exception):
    """What the environment gave is NaN or infinite: its scores would say nothing."""


class _OverTimeError(Exception):
    """There is no time left to look for faults."""


class _Seen:
    """Sums over what the algorithm would see."""

    def __init__(self, space: spaces.Space) -> None:
        self._space = space
        self._n, self._rewards = 0, list[list[float]]()
        self._low: Any = None

    def begins(self, observation: Any) -> None:
        self._rewards.append([])
        self._observe(observation)

    def steps(self, observation: Any, reward: float) -> None:
        if not math.isfinite(reward):
            raise NotFiniteError(f"the reward is {reward} at step {sum(map(len, self._rewards)) + 1}")
        self._rewards[-1].append(reward)
        self._observe(observation)

    def _observe(self, observation: Any) -> None:
        entries = _entries(self._space, observation)
        if entries.dtype.kind == "f" and not np.isfinite(entries).all():
            index = int(np.argmin(np.isfinite(entries)))
            at = f"observation{_name(self._space, index)} is {entries[index]}"
            raise NotFiniteError(f"{at} at step {sum(map(len, self._rewards))}")
        if self._low is None:
            self._low, self._high = entries.copy(), entries.copy()
            self._sum = np.zeros(len(entries) if len(entries) <= LARGEST else 0)
            self._squares = self._sum.copy()
        np.minimum(self._low, entries, out=self._low)
        np.maximum(self._high, entries, out=self._high)
        if len(self._sum):
            self._sum += entries
            self._squares += np.square(entries, dtype=np.float64)
        self._n += 1

    def facts(self) -> dict[str, Any]:
        constant = np.flatnonzero(self._high.astype(np.float64) - self._low < 1e-9)
        largest, at = None, ""
        if len(self._sum):
            mean = self._sum / self._n
            size = np.abs(mean) + np.sqrt(np.maximum(self._squares / self._n - mean**2, 0))
            size *= _is_box(self._space)  # discrete numbers reach networks one-hot
            index = int(np.argmax(size))
            largest, at = float(size[index]), _name(self._space, index)
        rewarded = [sum(reward != 0 for reward in episode) for episode in self._rewards]
        return {
            "n_entries": len(self._low),
            "n_constant": len(constant),
            "constant": tuple(_name(self._space, int(index)) for index in constant[:FEW]),
            "largest": largest if largest is not None and np.isfinite(largest) else None,
            "largest_entry": at,
            "n_rewarded": sum(rewarded),
            "n_rewarded_episodes": sum(count > 0 for count in rewarded),
            "discounted": {str(gamma): self._discounted(gamma) for gamma in GAMMAS},
        }

    def _discounted(self, gamma: float) -> float:
        total, n = 0.0, 0
        for episode in self._rewards:
            value = 0.0
            for reward in reversed(episode):
                value = reward + gamma * value
                total, n = total + abs(value), n + 1
        return total / max(n, 1)


def _faults(env: gymnasium.Env, masked: bool) -> dict[str, Any]:
    """Whether the first steps of an episode are the same again, and others after other actions."""
    actions: list[Any] = []

    def drawn() -> Any:
        actions.append(_sample(env, masked))
        return actions[-1]

    found: dict[str, Any] = {}
    with suppress(_OverTimeError):
        first = _trace(env, drawn, LONG)
        found["reproducible"] = _alike(first, _trace(env, iter(actions).__next__, len(actions)))
        if found["reproducible"] and not masked:
            found["reacts"] = _reacts(env)
        if found.get("reacts") and isinstance(env.action_space, spaces.Box) and env.action_space.is_bounded():
            found["range_used"] = _range_used(env, env.action_space, actions, first)
    return found


def _reacts(env: gymnasium.Env) -> bool:
    """Whether any of some actions, each taken again and again, leads elsewhere than another."""
    constant = [_sample(env, masked=False) for _ in range(SHORT)]
    for n in (SHORT, LONG):
        first, *others = (_trace(env, repeat(action).__next__, n) for action in constant)
        if not all(_alike(first, other) for other in others):
            return True
    return False


def _range_used(env: gymnasium.Env, space: spaces.Box, actions: list[Any], first: list[Any]) -> float:
    """The least share of the range of actions that does the same as all of it."""
    middle, half = (space.low + space.high) / 2, (space.high - space.low) / 2
    for share in SHARES:
        inner = [
            np.clip(action, middle - share * half, middle + share * half).astype(space.dtype) for action in actions
        ]
        n_others = sum(not np.array_equal(one, other) for one, other in zip(actions, inner, strict=True))
        if n_others >= MIN_OTHERS and _alike(first, _trace(env, iter(inner).__next__, len(actions))):
            return share
    return 1.0


def _trace(env: gymnasium.Env, action: Callable[[], Any], n_steps: int) -> list[Any]:
    """The first steps of an episode, from the same seed each time."""
    observation, _ = env.reset()
    steps: list[Any] = [_entries(env.observation_space, observation).copy()]
    for _ in range(n_steps):
        observation, reward, terminated, truncated, _ = env.step(action())
        steps.append((_entries(env.observation_space, observation).copy(), float(reward), terminated, truncated))
        if terminated or truncated:
            break
    return steps


def _alike(first: list[Any], second: list[Any]) -> bool:
    return len(first) == len(second) and all(
        np.array_equal(np.hstack(one), np.hstack(other), equal_nan=True)
        for one, other in zip(first, second, strict=True)
    )


def _sample(env: gymnasium.Env, masked: bool) -> Any:
    masks = env.get_wrapper_attr("action_masks")() if masked else None
    return np.asarray(sample(env.action_space, masks))[()]  # a number is not an array to an environment


def _entries(space: spaces.Space, observation: Any) -> np.ndarray:
    """All numbers of an observation in one row."""
    if isinstance(space, spaces.Dict | spaces.Tuple):
        return np.concatenate([_entries(part, observation[key]) for key, part in _parts(space)])
    row = np.ravel(np.asarray(observation))
    return row.astype(np.uint8) if row.dtype == bool else row


def _is_box(space: spaces.Space) -> np.ndarray:
    """Whether each number of an observation is one of a Box."""
    if isinstance(space, spaces.Dict | spaces.Tuple):
        return np.concatenate([_is_box(part) for _, part in _parts(space)])
    is_image = len(space.shape or ()) == 3 and space.dtype == np.uint8  # which policies scale by themselves
    return np.full(_size(space), isinstance(space, spaces.Box) and not is_image)


def _name(space: spaces.Space, index: int) -> str:
    """What an author calls an entry: `[3]`, `goal[0]`."""
    if isinstance(space, spaces.Dict | spaces.Tuple):
        for key, part in _parts(space):
            size = _size(part)
            if index < size:
                return f"{key}{_name(part, index)}"
            index -= size
    shape = space.shape or ()
    return f"[{', '.join(map(str, np.unravel_index(index, shape)))}]" if shape else ""


def _size(space: spaces.Space) -> int:
    if isinstance(space, spaces.Dict | spaces.Tuple):
        return sum(_size(part) for _, part in _parts(space))
    return int(np.prod(space.shape or (), dtype=int))


def _parts(space: spaces.Dict | spaces.Tuple) -> list[tuple[Any, spaces.Space]]:
    return list(space.spaces.items()) if isinstance(space, spaces.Dict) else list(enumerate(space.spaces))
