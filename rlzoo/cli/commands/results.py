"""Tables of evaluations: of one run's checkpoints, and over the seeds of a sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

COLUMNS = (
    "checkpoint",
    "episodes",
    "mean ± std over episodes",
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
    print("Spread and interval are over episodes of this one policy, not over training seeds.")


def checkpoint_text(name: str, steps: int | None, trained: int | None = None) -> str:
    """A checkpoint with its steps and, where they differ, those of the whole training."""
    if steps is None:
        return name
    of = f" of {trained:,}" if trained is not None and trained != steps else ""
    return f"{name} ({steps:,}{of} steps)"


def _row(entry: Mapping[str, Any]) -> tuple[object, ...]:
    trained = entry.get("trained_timesteps")
    name = checkpoint_text(entry["checkpoint"], entry["num_timesteps"], trained if isinstance(trained, int) else None)
    by_steps = " in a number of steps" if entry.get("mode") == "timesteps" else ""
    return (
        f"{name}, ships" if entry.get("ships") else name,
        f"{entry['n_episodes']}{by_steps}",
        f"{number(entry['mean_reward'])} ± {number(entry['std_reward'])}",
        entry["result"],
        entry["median_reward"],
        f"{number(entry['iqm'])} [{', '.join(map(number, entry['iqm_ci']))}]",
        entry["min_reward"],
        entry["max_reward"],
        entry["mean_length"],
        "deterministic" if entry["deterministic"] else "sampled",
    )


def number(value: float | None) -> str:
    """Two decimals; what was not finite is stored as null."""
    return "not finite" if value is None else f"{value:.2f}"
