"""Tables of evaluations: of one run's checkpoints, and over the seeds of a sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

COLUMNS = ("checkpoint", "episodes", "mean ± std", "mean - std", "median", "IQM [95 % CI]", "min", "max", "length", "actions")


def print_results(entries: Sequence[Mapping[str, Any]]) -> None:
    """Print evaluations as a table: raw scores of whole episodes."""
    from rlzoo.console import print_table

    print_table(COLUMNS, [_row(entry) for entry in entries], title="evaluation: raw scores of whole episodes")
    print("The interval is over episodes of this one policy, not over training seeds.")


def _row(entry: Mapping[str, Any]) -> tuple[object, ...]:
    name = f"{entry['checkpoint']} ({entry['num_timesteps']:,} steps)"
    low, high = entry["iqm_ci"]
    return (
        name,
        entry["n_episodes"],
        f"{entry['mean_reward']:.2f} ± {entry['std_reward']:.2f}",
        entry["result"],
        entry["median_reward"],
        f"{entry['iqm']:.2f} [{low:.2f}, {high:.2f}]",
        entry["min_reward"],
        entry["max_reward"],
        entry["mean_length"],
        "deterministic" if entry["deterministic"] else "sampled",
    )
