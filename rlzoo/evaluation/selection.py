"""Which checkpoint of a training ships: the last one, unless an earlier one is shown to be better.

The best of several noisy evaluations is mostly luck. So the evaluations on the way only nominate candidates; at the end
these play episodes that neither the training nor an evaluation has seen, paired with the last checkpoint's: the same
seeds. The candidates that play worst drop out (successive halving, Karnin et al. 2013,
http://proceedings.mlr.press/v28/karnin13.html), and the finalist ships if a one-sided sign-flip test of the paired
differences rejects "not better than the last" at 5 %, divided by the number of candidates (Bonferroni).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

N_CANDIDATES = 3
"""Checkpoints that the evaluations on the way nominate, those with the best means."""
ALPHA = 0.05
"""Chance at most that a candidate ships which is not better than the last checkpoint."""
SCREENING = 0.4
"""Share of the episodes in which the candidates play against each other."""
MAX_EXACT = 12
"""Pairs up to which every combination of signs is looked at; beyond it N_SIGNS random ones."""
N_SIGNS = 9_999

STREAM = 2**63
"""Of the seeds of these episodes; no training reaches that step, so no evaluation has them."""

Play = Callable[[int, int, int], Sequence[float]]
"""`play(k, first, n)`: returns of candidate k (-1 is the last checkpoint) in the n episodes from the first-th on."""


@dataclass(frozen=True)
class Choice:
    """What was played and what follows from it.

    Attributes:
        winner: the number of the candidate that ships, None if the last checkpoint does.
        finalist: the candidate that was tested, None if none was.
        p_value: of the test, uncorrected; 1 where nothing could be tested.
        level: the p-value below which a candidate ships.
        n_episodes: episodes played in all.
        returns: of every candidate, and under -1 of the last checkpoint; the k-th of each have the same seed.
    """

    winner: int | None
    finalist: int | None
    p_value: float
    level: float
    n_episodes: int
    returns: dict[int, list[float]]


def choose(play: Play, n_candidates: int, n_episodes: int) -> Choice:
    """Whether one of the candidates is better than the last checkpoint.

    Args:
        play: plays episodes; the same numbers are the same episodes for everybody.
        n_candidates: how many there are, a later checkpoint with a higher number.
        n_episodes: what all of it may cost at most.
    """
    level = ALPHA / max(n_candidates, 1)
    returns: dict[int, list[float]] = {k: [] for k in (-1, *range(n_candidates))}

    def played(finalist: int | None, p_value: float = 1.0) -> Choice:
        winner = finalist if p_value < level else None
        return Choice(winner, finalist, p_value, level, sum(map(len, returns.values())), returns)

    n_screened = int(SCREENING * n_episodes) // (n_candidates + 1) if n_candidates > 1 else 0
    n_tested = (n_episodes - n_screened * (n_candidates + 1)) // 2
    if not n_candidates or smallest_p(n_screened + n_tested) >= level:
        return played(None)
    for k in returns:
        returns[k].extend(play(k, 0, n_screened) if n_screened else ())
    finalist = max(range(n_candidates), key=lambda k: (math.fsum(returns[k]), k))
    if n_screened and math.fsum(returns[finalist]) < math.fsum(returns[-1]):
        return played(None)
    for k in (-1, finalist):
        returns[k].extend(play(k, n_screened, n_tested))
    return played(finalist, sign_flip_p(np.subtract(returns[finalist], returns[-1])))


def smallest_p(n_pairs: int) -> float:
    """The smallest p-value that this many pairs can have."""
    return 2.0**-n_pairs


def sign_flip_p(differences: Sequence[float] | np.ndarray) -> float:
    """One-sided p-value of paired differences, (n,): how often random signs give a sum at least as large.

    The permutation test of Fisher for paired samples (The Design of Experiments, 1935, section 21), exact up to
    `MAX_EXACT` pairs. It asks nothing of the distribution of the returns but that, if the two policies are equally
    good, each difference is as likely with the other sign.
    """
    values = np.asarray(differences, dtype=np.float64)
    n = len(values)
    if not np.isfinite(values).all():
        return 1.0
    if n <= MAX_EXACT:
        signs = 1 - 2 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)  # (2^n, n), the first row all +1
    else:
        signs = 1 - 2 * np.random.default_rng(0).integers(0, 2, size=(N_SIGNS, n))
        signs = np.concatenate([np.ones((1, n), dtype=signs.dtype), signs])
    sums = signs @ values
    slack = 1e-9 * float(np.abs(values).sum())  # the order of a sum is no difference
    return float(np.mean(sums >= sums[0] - slack))
