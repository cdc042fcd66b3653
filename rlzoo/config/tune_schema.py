"""The shape of a request to tune, besides what `rlzoo train` takes. Values and defaults are in `conf/tune.yaml`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rlzoo.config.schema import NonNegative, Options, Positive, Text

Named = str | dict[str, Options]
"""A name, or one with options: `{tpe: {n_startup_trials: 20}}`."""


@dataclass(frozen=True)
class TuneConfig:
    """What `rlzoo tune` takes besides a training's settings and `search_space.*`."""

    study: str | None
    studies_dir: str
    storage: str
    n_trials: Positive
    workers: Positive
    sampler: Named
    pruner: Named
    objective: Literal["last", "best", "final", "area"]
    n_last: Positive
    second_objective: Literal["wall_time", "size"] | None
    seeds_per_trial: Positive
    enqueue: tuple[Literal["tuned", "defaults"], ...]
    top_k: NonNegative
    final_seeds: Positive
    max_failures: Positive
    keep: NonNegative
    save: bool
    trust: bool


@dataclass(frozen=True)
class TuneReportConfig:
    """The words of `rlzoo tune report`."""

    study: Text
    studies_dir: Text
    storage: Text | None
    folder: Text | None
    n: Positive


@dataclass(frozen=True)
class TuneImportConfig:
    """The words of `rlzoo tune import` besides those of `rlzoo tune`."""

    storage: Text | None
    from_study: Text | None
    n_best: Positive
    into: str
