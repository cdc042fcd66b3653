"""Confidence intervals over a handful of training seeds, by Student's t: a bootstrap of five is too narrow.

Fewer than `evaluation.MIN_SEEDS` have none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from rlzoo.evaluation.evaluate import MIN_SEEDS

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
