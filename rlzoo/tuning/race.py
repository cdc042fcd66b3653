"""Which of a study's best trials goes on: seeds are added to the better half of them, round by round.

Successive halving (Jamieson and Talwalkar, 2016, https://arxiv.org/abs/1502.07943) over training seeds in place of
training steps. `benchmarks/tuning_choice.py` compares it with other rules.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

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
