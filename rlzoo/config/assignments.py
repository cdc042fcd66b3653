"""The assignments of the Hugging Face Deep RL Course: what each asks for, and how it is trained here.

They are in `conf/course/assignments.yaml`. The number that the course compares with a bar is the result, mean - std of
the evaluation's returns.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from pathlib import Path

from rlzoo.config import yaml_file
from rlzoo.config.parse import check
from rlzoo.config.paths import root
from rlzoo.config.schema import Positive
from rlzoo.errors import ConfigError, Problem


@dataclass(frozen=True)
class Assignment:
    """One hands-on.

    Attributes:
        name: short and unique; that of the experiment in `conf/experiment` where there is one.
        unit: as the course counts them.
        title: the task, for people.
        algo: the algorithm that the course takes, by its name here where rlzoo has it.
        env: what `env=` takes; None where rlzoo cannot play it.
        env_ids: today's id first, then the ids of older versions and of the course's own models.
        bar: the least result that passes; None where a trained agent is all that is asked for.
        n_episodes: episodes of the evaluation.
        tags: all that a model on the Hub has to carry, besides one of `env_ids`.
        words: of `rlzoo train`; none where rlzoo cannot train it.
        any_of_sb3: whether any algorithm of Stable-Baselines3 and sb3-contrib counts, or only `algo`.
        certified: whether it is one of those that the certificate counts.
    """

    name: str
    unit: str
    title: str
    algo: str
    env: str | None
    env_ids: tuple[str, ...]
    bar: float | None
    n_episodes: Positive
    tags: tuple[str, ...]
    words: tuple[str, ...]
    any_of_sb3: bool
    certified: bool

    @property
    def asked_for(self) -> str:
        """The bar in words."""
        return "a trained agent" if self.bar is None else f"mean - std >= {self.bar:g}"


UNSAID = {"words": [], "any_of_sb3": False, "certified": True}
"""What an entry of the file stands for that says nothing else."""


def read(path: Path) -> tuple[tuple[Assignment, ...], list[Problem]]:
    """The assignments of a file, and what is wrong with the others."""
    found: list[Assignment] = []
    problems: list[Problem] = []
    for name, entry in yaml_file.read(path).values.items():
        assignment, wrong = check(Assignment, {"name": name, **UNSAID, **(entry if isinstance(entry, dict) else {})})
        problems += [problem._replace(key=f"{name}.{problem.key}") for problem in wrong]
        found += [assignment] if assignment is not None else []
    return tuple(found), problems


@lru_cache(maxsize=1)
def assignments() -> tuple[Assignment, ...]:
    """All of them, in the order of the units.

    Raises:
        ConfigError: if the file was changed, and has something else.
    """
    found, problems = read(root() / "conf" / "course" / "assignments.yaml")
    if problems:
        raise ConfigError(problems)
    return found


def certified() -> tuple[Assignment, ...]:
    """Those that the certificate counts."""
    return tuple(assignment for assignment in assignments() if assignment.certified)


@dataclass(frozen=True)
class Level:
    """What a share of the certified assignments earns."""

    name: str
    share: float

    @property
    def needed(self) -> int:
        """Assignments that have to be passed."""
        return ceil(self.share * len(certified()) - 1e-9)


LEVELS = (Level("excellence", 1.0), Level("completion", 0.8))
"""The highest first. The course calls the first one honors too."""


def find(name: str) -> Assignment:
    """The assignment of that name."""
    return next(assignment for assignment in assignments() if assignment.name == name)


def bar(name: str) -> float:
    """The least result that passes an assignment which has one."""
    found = find(name).bar
    assert found is not None
    return found


def level(n_passed: int) -> Level | None:
    """The highest level that so many passed assignments earn, or None."""
    return next((found for found in LEVELS if n_passed >= found.needed), None)
