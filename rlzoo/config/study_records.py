"""What study.yaml and the files of `final/` hold, and what is kept with a study and its trials: the types of it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field
from typing_extensions import TypedDict

from rlzoo.config.records import Count, Number, Words

Named = str | dict[str, dict[str, Any] | None]
Seeds = Annotated[int, Field(ge=1, le=10_000)]
"""Something is computed for each of them."""


class _Algo(TypedDict):
    name: str


class _Train(TypedDict):
    algo: _Algo
    env: dict[str, Any]
    total_timesteps: Count


class _Search(TypedDict):
    storage: str
    n_trials: Count
    sampler: Named
    pruner: Named
    objective: Literal["last", "best", "final", "area"]
    n_last: Count
    second_objective: Literal["wall_time", "size"] | None
    seeds_per_trial: Seeds
    final_seeds: Seeds


class Request(TypedDict):
    """What a study was begun with, or continued with."""

    train: _Train
    search_space: dict[str, Any]
    search: _Search


class StudyFile(Request):
    """study.yaml."""

    study: str
    seed: Count | None


class StudyAttributes(TypedDict, total=False):
    """What is kept with a study."""

    request: Request
    seed: Count
    queue: dict[str, dict[str, Any]]


class _Outcome(TypedDict, total=False):
    scores: list[float]
    seeds: list[Count]
    runs: Words
    steps: Count
    budget: Count
    seconds: Number
    cpu_seconds: Number
    size: Count


class TrialAttributes(TypedDict, total=False):
    """What is kept with a trial."""

    place: int
    attempt: Count
    drawn: bool
    enqueued: str
    exact: dict[str, Any]
    error: str
    infeasible: Words
    worker: dict[str, Any]
    outcome: _Outcome


class Finalist(TypedDict):
    """`final/finalist.json`: the trial that won the race."""

    trial: Count


class _Of(TypedDict, total=False):
    seed: Count
    objective: list[Any]


class _Scored(TypedDict):
    of: _Of
    score: Number


class FreshResult(_Scored, total=False):
    """A JSON of `final/`: what a candidate scored on a fresh seed."""

    second: Number | None
