"""The score of a training, out of its evaluations."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from rlzoo.errors import ExitCode, RlzooError

T = TypeVar("T")

NEEDS_EVALUATIONS = ("last", "best", "area")
"""Objectives that are made of the evaluations on the way."""


def score(objective: str, means: Sequence[float], final: float | None, *, n_last: int) -> float:
    """The score of one training; more is better.

    Args:
        objective: `last`, the mean of the last `n_last` evaluations; `best`, the best of them; `area`, the mean of all,
            which is the area under the curve but for its width; `final`, the evaluation at the end.
        means: the mean return of every evaluation on the way up to the budget, in order.
        final: that of the evaluation at the end, if there was one.
        n_last: how many evaluations count as the last ones.

    Raises:
        RlzooError: if there is none: no evaluation, or one that is no number.
    """
    if objective in NEEDS_EVALUATIONS and not means:
        raise RlzooError(
            "the training ended before its first evaluation",
            "evaluate more often: eval.freq=",
            ExitCode.TRAINING_FAILED,
        )
    counted = {"last": list(means[-n_last:]), "best": [max(means, default=0.0)], "area": list(means)}
    values = counted.get(objective, [math.nan if final is None else final])
    found = math.fsum(values) / len(values)
    if not math.isfinite(found):
        raise RlzooError(f"the score is {found}", "the returns are not finite", ExitCode.TRAINING_FAILED)
    return found


def overrun(outcome: Mapping[str, Any]) -> str:
    """What to say of a trial that took more steps than its budget; nothing otherwise."""
    steps, budget = outcome.get("steps", 0), outcome.get("budget", math.inf)
    return f"it took {steps:,} steps and is scored at {budget:,}" if steps > budget else ""


def reports_per_seed(total_timesteps: int, freq: int) -> int:
    """Places for the evaluations of one training among what a trial reports: the next seed's follow them."""
    return max(1, total_timesteps // freq) + 1 if freq else 1


def second_score(second: str | None, seconds: float, size: int) -> float | None:
    """The second score of a training, less is better; None if there is no second objective.

    Args:
        second: `wall_time` or `size`.
        seconds: that the training took.
        size: numbers that it learned: weights, or entries of a table.
    """
    return None if second is None else seconds if second == "wall_time" else float(size)


def pareto(items: Iterable[T], scores: Callable[[T], tuple[float, float]]) -> list[T]:
    """Those that no other one is better than in both of its scores (more of the first, less of the second).

    They come with the best in the first score first.
    """
    found: list[T] = []
    for item in sorted(items, key=lambda each: (-scores(each)[0], scores(each)[1])):
        if not found or scores(item)[1] < scores(found[-1])[1]:
            found.append(item)
    return found
