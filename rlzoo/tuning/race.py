"""Which of a study's best trials advances: seeds are added to the better half of them, round by round.

Successive halving (Jamieson and Talwalkar, 2016, https://arxiv.org/abs/1502.07943) over training seeds in place of
training steps. `benchmarks/tuning_choice.py` compares it with other rules.

Confidence intervals over a handful of training seeds are Student's t: a bootstrap of five is too narrow. Fewer than
`evaluation.MIN_SEEDS` have none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from rlzoo.evaluation.evaluate import MIN_SEEDS

T = TypeVar("T")


def rounds(n: int, budget: int) -> list[tuple[int, int]]:
    """The rounds of a race: how many are in it, and how many seeds each of them gets.

    Half of them (rounded up) reach the next round, until one is left. All rounds cost about the same, together at most
    `budget` trainings unless these are fewer than one for each.
    """
    found = []
    for left in range((n - 1).bit_length(), 0, -1):
        each = budget / (left * n)
        seeds = max(1, round(each) if left > 1 else math.floor(each))
        found.append((n, seeds))
        budget -= n * seeds
        n = math.ceil(n / 2)
    return found


def cost(n: int, n_seeds: int) -> int:
    """Trainings of a race of n, and of its winner and the defaults on `n_seeds` seeds: as many as of n + 1 on these."""
    return sum(size * seeds for size, seeds in rounds(n, budget_of(n, n_seeds))) + 2 * n_seeds if n else 0


def budget_of(n: int, n_seeds: int) -> int:
    """Trainings of a race of n before its winner and the defaults are compared on `n_seeds` seeds."""
    return (n - 1) * n_seeds


def race(
    names: Sequence[T], budget: int, play: Callable[[Sequence[T], range], Mapping[T, Sequence[float]]]
) -> dict[T, list[float]]:
    """Have candidates race.

    Args:
        names: of the candidates, the one that is to win a tie first.
        budget: as in `rounds`.
        play: gives the scores of these candidates on these seeds (numbers from 0); one that has none is out.

    Returns:
        Their scores, the winner's first. Of one candidate none is asked for.
    """
    scores: dict[T, list[float]] = {name: [] for name in names}
    running, first = list(names), 0
    out: list[T] = []
    for size, seeds in rounds(len(names), budget):
        played = play(running, range(first, first + seeds))
        first += seeds
        means = {}
        for name in running:
            scores[name] += played.get(name, ())
            means[name] = math.fsum(scores[name]) / first if played.get(name) else -math.inf
        ranked = sorted(running, key=lambda name: -means[name])
        running = ranked[: math.ceil(size / 2)]
        out = [*ranked[len(running) :], *out]
    return {name: scores[name] for name in [*running, *out]}


CONFIDENCE = 0.95


class Interval(NamedTuple):
    """A mean with its 95 % confidence interval."""

    mean: float
    low: float
    high: float


def of_mean(values: Sequence[float]) -> Interval | None:
    """The interval of a mean; None of too few values."""
    if len(values) < MIN_SEEDS:
        return None
    mean, variance = _moments(values)
    half = t_quantile(len(values) - 1) * math.sqrt(variance / len(values))
    return Interval(mean, mean - half, mean + half)


def of_difference(values: Sequence[float], others: Sequence[float]) -> Interval | None:
    """The interval of the difference of two means whose spreads may differ (Welch); None of too few values.

    The degrees of freedom are rounded down, which makes it a little wider.
    """
    if min(len(values), len(others)) < MIN_SEEDS:
        return None
    difference, error, freedom = _welch(values, others)
    half = t_quantile(freedom) * error
    return Interval(difference, difference - half, difference + half)


def p_value(values: Sequence[float], others: Sequence[float]) -> float:
    """How often chance alone makes a mean this much higher: Welch's one-sided test of two values or more each."""
    difference, error, freedom = _welch(values, others)
    if error == 0:
        return 0.0 if difference > 0 else 1.0
    within = _within(abs(difference) / error, freedom)
    return (1 - within) / 2 if difference > 0 else (1 + within) / 2


def _welch(values: Sequence[float], others: Sequence[float]) -> tuple[float, float, int]:
    """The difference of two means, its standard error, and its degrees of freedom rounded down."""
    (mean, variance), (other, other_variance) = _moments(values), _moments(others)
    a, b = variance / len(values), other_variance / len(others)
    if a + b == 0:
        return mean - other, 0.0, 1
    freedom = (a + b) ** 2 / (a**2 / (len(values) - 1) + b**2 / (len(others) - 1))
    return mean - other, math.sqrt(a + b), max(1, math.floor(freedom + 1e-9))


def t_quantile(freedom: int) -> float:
    """The number between whose negative and itself 95 % of Student's t with these degrees of freedom lie."""
    low, high = 0.0, 100.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, freedom) < CONFIDENCE else (low, middle)
    return high


def _within(t: float, freedom: int) -> float:
    """P(|T| < t), Abramowitz and Stegun, 26.7.3 and 26.7.4."""
    angle = math.atan(t / math.sqrt(freedom))
    cosine = math.cos(angle)
    odd = freedom % 2
    term, total = (cosine, cosine) if odd else (1.0, 1.0)
    for k in range(3 if odd else 2, freedom - 1, 2):
        term *= cosine**2 * (k - 1) / k
        total += term
    if not odd:
        return math.sin(angle) * total
    return 2 / math.pi * (angle + (math.sin(angle) * total if freedom > 1 else 0.0))


def _moments(values: Sequence[float]) -> tuple[float, float]:
    mean = math.fsum(values) / len(values)
    return mean, math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
