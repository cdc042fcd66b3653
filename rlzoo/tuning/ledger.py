"""What the trials of a study amount to: how many are finished, which place is free, and what has to be run again.

A study has `n_trials` places, from 0. A place is finished by a trial that is complete, or pruned by the pruner; until
then further trials take it: one that was drawn against a constraint is drawn anew, as is one whose training failed,
and one whose worker was lost is run again with the same values. Seeds and proposals follow from the place, so they are
the same whether or not something came between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optuna.trial import TrialState

from rlzoo.tuning.objective import pareto

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

PLACE, ATTEMPT, DRAWN, WORKER = "place", "attempt", "drawn", "worker"
INFEASIBLE, ERROR, OUTCOME, ENQUEUED, EXACT = "infeasible", "error", "outcome", "enqueued", "exact"
"""Names of what is kept with a trial in the storage."""

MAX_DRAWS = 200
"""Draws for one place that may break a constraint one after another."""


def state(trial: FrozenTrial) -> str:
    """`waiting`, `running`, `complete`, `pruned`, `infeasible`, `failed`, or `lost`: its worker died or was stopped."""
    if INFEASIBLE in trial.user_attrs and trial.state.is_finished():
        return "infeasible"
    if trial.state == TrialState.FAIL:
        return "failed" if ERROR in trial.user_attrs else "lost"
    return trial.state.name.lower()


@dataclass(frozen=True)
class Place:
    """What to run next.

    Attributes:
        number: the place.
        attempt: how often something else was drawn for it.
        again: the trial whose values are to be run again, None to draw.
    """

    number: int
    attempt: int
    again: FrozenTrial | None


class Ledger:
    """The trials of a study in the order of their numbers, and the number of places that the study is to have.

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
        return [trial for place, trial in sorted(latest.items()) if place not in taken and state(trial) == "lost"]

    def free(self) -> Place:
        """The lowest place that no trial has."""
        taken = self._taken()
        number = next(place for place in range(len(taken) + 1) if place not in taken)
        before = [trial for trial in self.trials if trial.user_attrs.get(PLACE) == number]
        attempts = sum(state(trial) in ("infeasible", "failed") for trial in before)
        again = before[-1] if before and state(before[-1]) == "lost" else None
        return Place(number, attempts, again)

    def draws_in_vain(self, place: int) -> list[FrozenTrial]:
        """The trials of a place that broke a constraint, since the last that did not."""
        found: list[FrozenTrial] = []
        for trial in self.trials:
            if trial.user_attrs.get(PLACE) == place:
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
