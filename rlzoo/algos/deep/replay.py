"""A replay memory that stores every observation once, and of stacked images every frame once.

Row t of its arrays is one step of every environment. The next observation of a step is the observation of row t + 1,
and an observation of stacked images is put together from the rows before it. Only the last observation of an episode
has no row: those are kept aside.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.vec_env import VecEnv, VecFrameStack, unwrap_vec_wrapper

from rlzoo.algos.sb3 import replay as replay_state
from rlzoo.algos.sb3.replay import ReplayBufferState
from rlzoo.protocols import EnvironmentStep, State

if TYPE_CHECKING:
    from gymnasium import Space

ALONE = ""
"""The name of an observation that is not a Dict, among its parts."""


@dataclass(frozen=True)
class Transitions:
    """A batch; observations are (n, *observation_shape) or a dict of these, all else is (n,).

    Attributes:
        returns: rewards of up to `n_steps` steps, discounted and summed.
        next_observations: those after these steps.
        discounts: of the value of the next observation; 0 where the episode terminated.
        weights: of each in the loss, 1 if all are drawn with the same chance.
        indices: what `set_priorities` takes.
    """

    observations: Any
    actions: np.ndarray
    returns: np.ndarray
    next_observations: Any
    discounts: np.ndarray
    weights: np.ndarray
    indices: np.ndarray


class Replay:
    """The last `capacity` steps of every environment.

    Attributes:
        capacity: steps of every environment that can be drawn once it is full.
        n_stack: frames of which an observation consists, 1 if it is not a stack.
        buffer_size: rows; besides the steps, the frames before the oldest and after the newest of them.
        pos: the row of the next step.
        full: whether every row has been written to.
        frames: (buffer_size, n_envs, *shape) for each part of an observation; of a stack its newest frame.
        tree: priorities by row * n_envs + environment, 0 where nothing can be drawn; None without priorities.
    """

    def __init__(
        self, observation_space: Space, capacity: int, n_envs: int, *, n_stack: int = 1, prioritized: bool = False
    ) -> None:
        self.capacity, self.n_envs, self.n_stack = capacity, n_envs, n_stack
        self.buffer_size = rows = capacity + n_stack
        self.pos, self.full = n_stack - 1, False  # the rows before hold the other frames of the very first stack
        parts = observation_space.spaces if isinstance(observation_space, spaces.Dict) else {ALONE: observation_space}
        self._depths = {name: n_stack if is_image_space(part) else 1 for name, part in parts.items()}
        self.frames: dict[str, np.ndarray] = {}
        for name, part in parts.items():
            shape = part.shape or ()
            if self._depths[name] > 1:
                shape = (shape[0] // n_stack, *shape[1:])
            self.frames[name] = np.zeros((rows, n_envs, *shape), part.dtype)
        self.actions = np.zeros((rows, n_envs), np.int32)
        self.rewards = np.zeros((rows, n_envs), np.float32)
        self.terminated = np.zeros((rows, n_envs), bool)
        self.truncated = np.zeros((rows, n_envs), bool)
        self.ages = np.zeros((rows, n_envs), np.uint8)  # frames of the same episode before this one, to n_stack - 1
        self.finals: dict[int, tuple[np.ndarray, ...]] = {}  # newest frames of last observations, by index
        self.tree = SumTree(rows * n_envs) if prioritized else None

    @property
    def size(self) -> int:
        """Steps of every environment that can be drawn."""
        return self.capacity if self.full else self.pos - (self.n_stack - 1)

    def add(self, observation: Any, actions: np.ndarray, step: EnvironmentStep, priority: float = 1.0) -> None:
        """Store one step of every environment, taken at `observation` (n_envs, *observation_shape)."""
        row, following = self.pos, (self.pos + 1) % self.buffer_size
        ended = step.terminated | step.truncated
        if self.size == 0:
            self._begin(observation)
        else:
            over = self.terminated[row - 1] | self.truncated[row - 1]
            self.ages[row] = np.where(over, 0, np.minimum(self.ages[row - 1] + 1, self.n_stack - 1))
        for name, part in self._newest(observation):
            self.frames[name][row] = part
        for name, part in self._newest(step.observation):
            self.frames[name][following] = part
        self.actions[row], self.rewards[row] = actions, step.reward
        self.terminated[row], self.truncated[row] = step.terminated, step.truncated
        if self.full:
            for environment in range(self.n_envs):
                self.finals.pop(row * self.n_envs + environment, None)
        for environment in np.flatnonzero(ended).tolist():
            self._keep_final(row, environment, step.final_observation)
        self.pos = following
        self.full = self.full or following == 0
        if self.tree is not None:
            lost = (row + self.n_stack) % self.buffer_size  # without the rows before it, it is not a whole observation
            rows, priorities = ([row, lost], [[priority], [0.0]]) if self.full else ([row], [[priority]])
            indices = np.array(rows)[:, None] * self.n_envs + np.arange(self.n_envs)
            self.tree.set(indices.ravel(), np.broadcast_to(priorities, indices.shape).ravel())

    def cut(self, observation: Any, rows: np.ndarray) -> None:
        """Episodes of some environments, `rows` (n_envs,), will not continue from `observation`: they are truncated."""
        last = (self.pos - 1) % self.buffer_size
        for environment in np.flatnonzero(rows).tolist():
            if self.size and not (self.terminated[last, environment] or self.truncated[last, environment]):
                self.truncated[last, environment] = True
                self._keep_final(last, environment, observation)

    def sample(self, n: int, n_steps: int, gamma: float, generator: np.random.Generator) -> Transitions:
        """Draw `n` transitions, every one with the same chance."""
        drawn = generator.integers(self.size * self.n_envs, size=n)
        rows = (self.pos - 1 - drawn // self.n_envs) % self.buffer_size
        return self._transitions(rows, drawn % self.n_envs, n_steps, gamma, np.ones(n))

    def sample_prioritized(
        self, n: int, n_steps: int, gamma: float, beta: float, generator: np.random.Generator
    ) -> Transitions:
        """Draw `n` transitions in proportion to their priorities, one from each n-th of the total.

        Schaul et al. 2016, equation (1) and appendix B.2.1; `beta` as in `importance_weights`.
        """
        assert self.tree is not None
        total = self.tree.total
        indices = self.tree.find((np.arange(n) + generator.random(n)) * (total / n))
        weights = importance_weights(self.tree.leaves[indices] / total, self.size * self.n_envs, beta)
        return self._transitions(indices // self.n_envs, indices % self.n_envs, n_steps, gamma, weights)

    def set_priorities(self, indices: np.ndarray, priorities: np.ndarray) -> None:
        """Give the transitions of a batch new priorities, both (n,)."""
        assert self.tree is not None
        self.tree.set(indices, priorities)

    def _transitions(
        self, rows: np.ndarray, envs: np.ndarray, n_steps: int, gamma: float, weights: np.ndarray
    ) -> Transitions:
        window = (rows[:, None] + np.arange(n_steps)) % self.buffer_size, envs[:, None]  # (n, n_steps)
        newest = (self.pos - 1) % self.buffer_size
        ends = self.terminated[window] | self.truncated[window] | (window[0] == newest)
        returns, lengths = n_step_returns(self.rewards[window], ends, gamma)
        last = (rows + lengths - 1) % self.buffer_size
        discounts = gamma**lengths * ~self.terminated[last, envs]
        return Transitions(
            self._observations(rows, envs, self.ages[rows, envs]),
            self.actions[rows, envs].astype(np.int64),
            returns.astype(np.float32),
            self._next_observations(last, envs),
            discounts.astype(np.float32),
            weights.astype(np.float32),
            rows * self.n_envs + envs,
        )

    def _next_observations(self, rows: np.ndarray, envs: np.ndarray) -> Any:
        ages = np.minimum(self.ages[rows, envs] + 1, self.n_stack - 1)
        observations = self._observations((rows + 1) % self.buffer_size, envs, ages)
        parts = list(observations.values()) if isinstance(observations, dict) else [observations]
        for index in np.flatnonzero(self.terminated[rows, envs] | self.truncated[rows, envs]):
            final = self.finals[int(rows[index] * self.n_envs + envs[index])]
            for part, frame, depth in zip(parts, final, self._depths.values(), strict=True):
                if depth == 1:
                    part[index] = frame
                else:
                    part[index, -len(frame) :] = frame
        return observations

    def _observations(self, rows: np.ndarray, envs: np.ndarray, ages: np.ndarray) -> Any:
        """The observations (n, ...) of these rows, with zeros for frames from before their episode began."""
        found = {}
        for name, frames in self.frames.items():
            if self._depths[name] == 1:
                found[name] = frames[rows, envs]
                continue
            back = np.arange(self.n_stack - 1, -1, -1)  # rows back, the oldest frame first
            stacks = frames[(rows[:, None] - back) % self.buffer_size, envs[:, None]]  # (n, n_stack, channels, ...)
            if ages.min(initial=self.n_stack) < self.n_stack - 1:
                stacks[back > ages[:, None]] = 0
            found[name] = stacks.reshape(len(rows), -1, *stacks.shape[3:])
        return found.get(ALONE, found)

    def _newest(self, observation: Any) -> Iterable[tuple[str, np.ndarray]]:
        """What is new in an observation (n_envs, *observation_shape), part by part: (n_envs, *shape)."""
        parts = observation if isinstance(observation, dict) else {ALONE: observation}
        for name, frames in self.frames.items():
            part = np.asarray(parts[name])
            yield name, part if self._depths[name] == 1 else part[:, -frames.shape[2] :]

    def _begin(self, observation: Any) -> None:
        """Store the older frames of the very first stack, which may be from the middle of an episode."""
        parts = observation if isinstance(observation, dict) else {ALONE: observation}
        for name, frames in self.frames.items():
            if self._depths[name] > 1:
                stacks = np.asarray(parts[name]).reshape(self.n_envs, self.n_stack, *frames.shape[2:])
                frames[: self.n_stack - 1] = stacks[:, :-1].swapaxes(0, 1)
        self.ages[self.pos] = self.n_stack - 1

    def _keep_final(self, row: int, environment: int, observation: Any) -> None:
        frames = tuple(part[environment].copy() for _, part in self._newest(observation))
        self.finals[row * self.n_envs + environment] = frames


def stacked_frames(env: VecEnv) -> int:
    """How many frames the images of an environment consist of, the newest in the last channels; 1 if not stacked."""
    stack = unwrap_vec_wrapper(env, VecFrameStack)
    return 1 if stack is None else int(stack.stacked_obs.n_stack)


class SumTree:
    """Draws an index in proportion to its priority: a binary tree of sums by pairs, fours, eights, ... up to the total.

    Schaul et al. 2016, appendix B.2.1. Every sum is that of its two children, added up again, so it depends on the
    priorities alone and not on how they came about.

    Attributes:
        nodes: node 1 is the total, node k the sum of nodes 2k and 2k + 1, index i is node `first + i`.
        first: where the indices begin.
    """

    def __init__(self, n: int) -> None:
        self.n = n
        self.depth = max(n - 1, 0).bit_length()
        self.first = 1 << self.depth
        self.nodes = np.zeros(2 * self.first)

    @property
    def total(self) -> float:
        return float(self.nodes[1])

    @property
    def leaves(self) -> np.ndarray:
        """The priorities, (n,): a view, after whose change `rebuild` is due."""
        return self.nodes[self.first : self.first + self.n]

    def set(self, indices: np.ndarray, priorities: np.ndarray | float) -> None:
        """Give indices (k,) these priorities (k,), none negative; of an index that is named twice the last counts."""
        nodes = self.nodes
        at = indices + self.first
        nodes[at] = priorities
        for _ in range(self.depth):
            at = at >> 1
            nodes[at] = nodes[2 * at] + nodes[2 * at + 1]

    def find(self, masses: np.ndarray) -> np.ndarray:
        """The indices (k,) at which the running sum of the priorities passes `masses` (k,), each 0 to the total.

        An index without priority is never found.
        """
        nodes, masses = self.nodes, masses.copy()
        at = np.ones(len(masses), dtype=np.int64)
        for _ in range(self.depth):
            at *= 2
            left = nodes[at]
            right = (masses >= left) & (nodes[at + 1] > 0)  # by rounding, a mass can lie beyond the last priority
            masses -= np.where(right, left, 0.0)
            at += right
        return at - self.first

    def rebuild(self) -> None:
        """Add up all sums from the priorities."""
        for level in range(self.depth - 1, -1, -1):
            start = 1 << level
            pairs = self.nodes[2 * start : 4 * start]
            self.nodes[start : 2 * start] = pairs[::2] + pairs[1::2]


def n_step_returns(rewards: np.ndarray, ends: np.ndarray, gamma: float) -> tuple[np.ndarray, np.ndarray]:
    """Discounted sums of rewards up to the first end, and how many rewards these are.

    Sutton and Barto, 2nd edition, equation (7.1) without its last term.

    Args:
        rewards: (n, n_steps), from the step of the transition on.
        ends: (n, n_steps), steps after which nothing is added: the last ones of episodes, and the last one stored.
        gamma: discount per step.

    Returns:
        Sums (n,) and lengths (n,) from 1 to n_steps.
    """
    counts = np.ones(rewards.shape, dtype=bool)
    counts[:, 1:] = ~np.logical_or.accumulate(ends[:, :-1], axis=1)
    discounts = gamma ** np.arange(rewards.shape[1])
    return (rewards * counts) @ discounts, counts.sum(axis=1)


def importance_weights(probabilities: np.ndarray, size: int, beta: float) -> np.ndarray:
    """(1 / (N P(i)))^beta, divided by the largest of the batch; all (n,). Schaul et al. 2016, section 3.4.

    Args:
        probabilities: P(i), with which each of the batch was drawn.
        size: N, the transitions there were to draw from.
        beta: 0 corrects nothing, 1 all of the bias.
    """
    weights = (size * probabilities) ** -beta
    return np.asarray(weights / weights.max())


class ReplayState(ReplayBufferState):
    """A `Replay` as parts of a checkpoint, like a replay buffer of Stable-Baselines3."""

    def __init__(self, replay: Replay) -> None:
        super().__init__(replay)  # type: ignore[arg-type]

    def segment(self, k: int) -> State:
        start, stop = k * replay_state.SEGMENT, min((k + 1) * replay_state.SEGMENT, self.n_rows)
        tensors = {name: array[start:stop].copy() for name, array in self.arrays()}
        finals = self._finals(start, stop)
        tensors["finals.indices"] = np.array(list(finals), dtype=np.int64)
        for part, frames in enumerate(zip(*finals.values(), strict=True)):
            tensors[f"finals.{part}"] = np.stack(frames)
        return State(tensors, {"rows": [start, stop]})

    def restore(self, counters: State, segments: Iterable[State]) -> None:
        segments = list(segments)
        rows = [{key: part for key, part in each.tensors.items() if not key.startswith("finals.")} for each in segments]
        super().restore(counters, [State(row, each.values) for row, each in zip(rows, segments, strict=True)])
        self.buffer.finals = {}
        for each in segments:
            indices = each.tensors["finals.indices"].tolist()
            parts = [each.tensors[f"finals.{part}"] for part in range(len(self.buffer.frames) if indices else 0)]
            self.buffer.finals |= dict(zip(indices, zip(*parts, strict=True), strict=True))
        if self.buffer.tree is not None:
            self.buffer.tree.leaves[:] = counters.tensors["priorities"]
            self.buffer.tree.rebuild()

    def counters(self) -> State:
        tree: SumTree | None = self.buffer.tree
        tensors = {} if tree is None else {"priorities": tree.leaves.copy()}
        return State(tensors, super().counters().values)

    def row(self, row: int) -> dict[str, Any]:
        return {**super().row(row), "finals": self._finals(row, row + 1)}

    def restore_row(self, row: int, before: dict[str, Any]) -> None:
        super().restore_row(row, {name: value for name, value in before.items() if name != "finals"})
        for index in self._finals(row, row + 1):
            del self.buffer.finals[index]
        self.buffer.finals |= before["finals"]

    def whole(self) -> dict[str, np.ndarray]:
        tree: SumTree | None = self.buffer.tree
        return {} if tree is None else {"priorities": tree.nodes}

    def _finals(self, start: int, stop: int) -> dict[int, tuple[np.ndarray, ...]]:
        """Last observations of episodes that ended in rows from `start` to `stop`."""
        n_envs, finals = self.buffer.n_envs, self.buffer.finals
        if stop - start == 1:
            found = range(start * n_envs, stop * n_envs)
            return {index: finals[index] for index in found if index in finals}
        return {index: final for index, final in finals.items() if start <= index // n_envs < stop}
