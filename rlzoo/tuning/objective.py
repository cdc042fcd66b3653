"""The score of a training, out of its evaluations."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rlzoo.errors import ExitCode, RlzooError

NEEDS_EVALUATIONS = ("last", "best", "area")
"""Objectives that are made of the evaluations on the way."""


def score(objective: str, means: Sequence[float], final: float, *, n_last: int) -> float:
    """The score of one training; more is better.

    Args:
        objective: `last`, the mean of the last `n_last` evaluations; `best`, the best of them; `area`, the mean of all,
            which is the area under the curve but for its width; `final`, the evaluation at the end.
        means: the mean return of every evaluation on the way, in order.
        final: that of the evaluation at the end.
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
    values = counted.get(objective, [final])
    found = math.fsum(values) / len(values)
    if not math.isfinite(found):
        raise RlzooError(f"the score is {found}", "the returns are not finite", ExitCode.TRAINING_FAILED)
    return found
