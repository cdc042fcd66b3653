"""Tables of evaluations: of one run's checkpoints, and over the seeds of a sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

COLUMNS = (
    "checkpoint",
    "episodes",
    "mean ± std",
    "mean - std",
    "median",
    "IQM [95 % CI]",
    "min",
    "max",
    "length",
    "actions",
)


def print_results(entries: Sequence[Mapping[str, Any]]) -> None:
    """Print evaluations as a table: raw scores of whole episodes."""
    from rlzoo.console import print_table

    print_table(
        COLUMNS, [_row(entry) for entry in entries], title="evaluation: raw scores of whole episodes", turn=True
    )
    print("The interval is over episodes of this one policy, not over training seeds.")


def _row(entry: Mapping[str, Any]) -> tuple[object, ...]:
    name = f"{entry['checkpoint']} ({entry['num_timesteps']:,} steps)"
    return (
        name,
        entry["n_episodes"],
        f"{_number(entry['mean_reward'])} ± {_number(entry['std_reward'])}",
        entry["result"],
        entry["median_reward"],
        f"{_number(entry['iqm'])} [{', '.join(map(_number, entry['iqm_ci']))}]",
        entry["min_reward"],
        entry["max_reward"],
        entry["mean_length"],
        "deterministic" if entry["deterministic"] else "sampled",
    )


def _number(value: float | None) -> str:
    """Two decimals; what was not finite is stored as null."""
    return "not finite" if value is None else f"{value:.2f}"
