"""What the trials of a study amount to: how many are finished, which slot is free, and what has to be run again.

A study has `n_trials` slots, from 0. A slot is finished by a trial that is complete, or pruned by the pruner; until
then further trials take it: one that was drawn against a constraint is drawn again, as is one whose training failed,
and one whose worker was lost is run again with the same values. Seeds and proposals follow from the slot, so they are
the same whether or not something came between.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from optuna.trial import TrialState

from rlzoo.errors import ExitCode, RlzooError

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

PLACE, ATTEMPT, DRAWN, WORKER = "place", "attempt", "drawn", "worker"
INFEASIBLE, ERROR, OUTCOME, ENQUEUED, EXACT = "infeasible", "error", "outcome", "enqueued", "exact"
"""Names of what is kept with a trial in the storage."""

MAX_DRAWS = 200
"""Draws for one slot that may break a constraint one after another."""


def state(trial: FrozenTrial) -> str:
    """`waiting`, `running`, `complete`, `pruned`, `infeasible`, `failed`, or `lost`: its worker died or was stopped."""
    if INFEASIBLE in trial.user_attrs and trial.state.is_finished():
        return "infeasible"
    if trial.state == TrialState.FAIL:
        return "failed" if ERROR in trial.user_attrs else "lost"
    return trial.state.name.lower()


@dataclass(frozen=True)
class Slot:
    """What to run next.

    Attributes:
        number: the slot.
        attempt: how often something else was drawn for it.
        again: the trial whose values are to be run again, None to draw.
    """

    number: int
    attempt: int
    again: FrozenTrial | None


class StudyProgress:
    """The trials of a study in the order of their numbers, and the number of slots that the study is to have.

    Attributes:
        finished, running, waiting, failed, infeasible, lost: the trials by what became of them.
    """

    def __init__(self, trials: Sequence[FrozenTrial], n_trials: int) -> None:
        self.n_trials = n_trials
        self.trials = sorted(trials, key=lambda trial: trial.number)
        by_state: dict[str, list[FrozenTrial]] = {}
        for trial in self.trials:
            by_state.setdefault(state(trial), []).append(trial)
        self.complete, self.pruned = by_state.get("complete", []), by_state.get("pruned", [])
        self.finished = sorted([*self.complete, *self.pruned], key=lambda trial: trial.number)
        self.running, self.waiting = by_state.get("running", []), by_state.get("waiting", [])
        self.failed, self.infeasible = by_state.get("failed", []), by_state.get("infeasible", [])
        self.lost = by_state.get("lost", [])

    @property
    def done(self) -> bool:
        """Whether the study has all its trials."""
        return len(self.finished) >= self.n_trials

    @property
    def room(self) -> bool:
        """Whether another trial may start now."""
        return len(self.finished) + len(self.running) < self.n_trials

    def orphans(self) -> list[FrozenTrial]:
        """Lost trials whose values wait for being run again."""
        taken = self._taken()
        latest = {trial.user_attrs[PLACE]: trial for trial in self.trials if PLACE in trial.user_attrs}
        return [trial for slot, trial in sorted(latest.items()) if slot not in taken and state(trial) == "lost"]

    def free(self) -> Slot:
        """The lowest slot that no trial has."""
        taken = self._taken()
        number = next(slot for slot in range(len(taken) + 1) if slot not in taken)
        before = [trial for trial in self.trials if trial.user_attrs.get(PLACE) == number]
        attempts = sum(state(trial) in ("infeasible", "failed") for trial in before)
        again = before[-1] if before and state(before[-1]) == "lost" else None
        return Slot(number, attempts, again)

    def draws_in_vain(self, slot: int) -> list[FrozenTrial]:
        """The trials of a slot that broke a constraint, since the last that did not."""
        found: list[FrozenTrial] = []
        for trial in self.trials:
            if trial.user_attrs.get(PLACE) == slot:
                found = [*found, trial] if state(trial) == "infeasible" else []
        return found

    def failures_in_a_row(self, since: int = 0) -> list[FrozenTrial]:
        """The failed trials that ended last, one after another, of those numbered from `since`."""
        ended = [
            trial
            for trial in (*self.finished, *self.failed)
            if trial.number >= since and trial.datetime_complete is not None
        ]
        row: list[FrozenTrial] = []
        for trial in sorted(ended, key=lambda trial: (trial.datetime_complete, trial.number)):
            row = [*row, trial] if state(trial) == "failed" else []
        return row

    def best(self, k: int = 1) -> list[FrozenTrial]:
        """The k best complete trials, the first of equals first."""
        return sorted(self.complete, key=lambda trial: (-(trial.values or [0.0])[0], trial.number))[:k]

    def front(self) -> list[FrozenTrial]:
        """The complete trials of two scores that no other is better than in both, the best in the first one first."""
        return pareto(self.complete, lambda trial: (trial.values[0], trial.values[1]))

    def _taken(self) -> set[int]:
        holding = (*self.finished, *self.running, *self.waiting)
        return {trial.user_attrs[PLACE] for trial in holding if PLACE in trial.user_attrs}


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
        RlzooError: if there is none: no evaluation, or one that is not a number.
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
