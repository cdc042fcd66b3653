"""What is asked of an algorithm, as the rules look at it, and what they answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rlzoo.algos.specs import AlgoSpec
from rlzoo.errors import Problem

if TYPE_CHECKING:
    from rlzoo.envs.spaces import Space


@dataclass(frozen=True)
class Notice:
    """Something that the user should hear about and that is not wrong."""

    text: str


@dataclass(frozen=True)
class Request:
    """What the rules look at.

    Attributes:
        spec: the algorithm.
        values: its keywords with valid values, and the defaults of the others; invalid ones are absent.
        policies: names of the algorithm's policies; empty if they are not known.
        observation: the observation space as the algorithm sees it, or None if it is not known.
        action: the action space, or None.
        n_envs: environments side by side.
        total_timesteps: environment steps of the training.
        normalized: whether `env.normalize` is on.
        stacked: whether observations are stacked.
        typed: whether the user wrote the value of a key, instead of a tuned set that came with rlzoo.
    """

    spec: AlgoSpec
    values: Mapping[str, Any]
    policies: Sequence[str]
    observation: Space | None
    action: Space | None
    n_envs: int
    total_timesteps: int
    typed: Callable[[str], bool]
    normalized: bool = False
    stacked: bool = False

    def get(self, key: str) -> Any:
        """A keyword's value, or None if the algorithm has no such keyword or its value is invalid."""
        return self.values.get(key)

    def nested(self, parent: str, key: str) -> Any:
        """A value inside a mapping such as `policy_kwargs`, or None."""
        return (self.values.get(parent) or {}).get(key)


Findings = Iterator[Problem | Notice]
