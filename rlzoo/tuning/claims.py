"""Who runs which trial: a study of Optuna's in which exactly as many trials run as it is to have."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import optuna
from optuna.trial import TrialState, create_trial

from rlzoo.errors import ExitCode, RlzooError
from rlzoo.tuning.ledger import (
    ATTEMPT,
    DRAWN,
    ENQUEUED,
    ERROR,
    EXACT,
    INFEASIBLE,
    MAX_DRAWS,
    PLACE,
    WORKER,
    Ledger,
    Place,
    state,
)
from rlzoo.tuning.storage.store import GRACE_SECONDS, Store, explained

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

CARRIED = (PLACE, ATTEMPT, DRAWN, ENQUEUED, EXACT)
"""What is kept with a trial that a trial which repeats it has too."""


NONE = -1
QUEUE = "queue"
"""Name of the queue among what is kept with a study."""


class NoPlace(Exception):  # noqa: N818 - nothing went wrong
    """Every place of the study is finished, or being run by somebody else."""


class Claims(optuna.Study):
    """`ask` gives the lowest free place, or raises NoPlace; `Study.optimize` calls it.

    Args:
        name: of the study, which has to be there.
        storage: opened by `store`.
        store: whose locks are held.
        n_trials: places that the study is to have.
        queue: values to begin with, by place.
        max_failures: failed trials in a row, of those numbered from `since`, that are too many when one more fails.

    Attributes:
        current: the number of the trial that was asked for last, -1 for none.
    """

    def __init__(
        self,
        name: str,
        storage: BaseStorage,
        store: Store,
        *,
        sampler: BaseSampler,
        pruner: BasePruner,
        n_trials: int,
        queue: Mapping[str, Mapping[str, Any]],
        max_failures: int,
        since: int = 0,
    ) -> None:
        super().__init__(name, storage, sampler, pruner)
        self.store, self.n_trials, self.queue = store, n_trials, queue
        self.current = NONE
        self._max_failures, self._since = max_failures, since

    def ledger(self) -> Ledger:
        """How far the study is."""
        with explained(self.store):
            return Ledger(self.get_trials(deepcopy=False), self.n_trials)

    def ask(self, fixed_distributions: dict[str, BaseDistribution] | None = None) -> optuna.Trial:
        """The next trial to run, its values proposed where they need no conditions.

        Raises:
            NoPlace: if there is none.
            RlzooError: after too many failures, or draws that break a constraint.
        """
        with self.store.lock(), explained(self.store):
            ledger = self.ledger()
            failures_are_too_many(ledger, self._max_failures, self._since)
            if not ledger.room:
                raise NoPlace
            if not ledger.waiting:
                place = ledger.free()
                draws_are_too_many(ledger, place.number)
                self.add_trial(self._again(place.again) if place.again is not None else self._new(ledger, place))
            trial = super().ask(fixed_distributions)
            self.store.take_lease(trial.number)
            self.current = trial.number
            return trial

    def sweep(self) -> list[int]:
        """Find trials that nobody runs any more, and put their values back into the queue; returns their numbers."""
        with self.store.lock(), explained(self.store):
            for trial in self.ledger().running:
                if self.store.is_orphaned(trial.number) or self._never_began(trial):
                    self.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
            if not self.store.has_leases:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                    optuna.storages.fail_stale_trials(self)
            return [trial.number for trial in self.put_back()]

    def put_back(self) -> list[FrozenTrial]:
        """Put the values of lost trials back into the queue, as far as there is room; with the lock held."""
        ledger = self.ledger()
        room = self.n_trials - len(ledger.finished) - len(ledger.running) - len(ledger.waiting)
        found = ledger.orphans()[: max(0, room)]
        for trial in found:
            self.add_trial(self._again(trial))
        return found

    def _never_began(self, trial: FrozenTrial) -> bool:
        """Whether its worker died before its first heartbeat, which Optuna would wait for."""
        if self.store.has_leases or WORKER in trial.user_attrs or trial.datetime_start is None:
            return False
        return datetime.now(trial.datetime_start.tzinfo) - trial.datetime_start > timedelta(seconds=4 * GRACE_SECONDS)

    def _again(self, trial: FrozenTrial) -> FrozenTrial:
        return create_trial(
            state=TrialState.WAITING,
            params=trial.params,
            distributions=trial.distributions,
            user_attrs={key: value for key, value in trial.user_attrs.items() if key in CARRIED},
            system_attrs=trial.system_attrs,
        )

    def _new(self, ledger: Ledger, place: Place) -> FrozenTrial:
        kept: dict[str, Any] = {PLACE: place.number, ATTEMPT: place.attempt}
        given = self.user_attrs.get(QUEUE, self.queue).get(str(place.number))  # it may have grown since
        if given is None or (place.attempt and not given.get("always")):
            return create_trial(state=TrialState.WAITING, user_attrs=kept)
        return create_trial(
            state=TrialState.WAITING,
            user_attrs={**kept, ENQUEUED: given["from"], **({EXACT: given[EXACT]} if EXACT in given else {})},
            system_attrs={"fixed_params": dict(given["params"])},
        )


def failures_are_too_many(ledger: Ledger, max_failures: int, since: int) -> None:
    """Raises an RlzooError with the first failure, if more than `max_failures` came in a row."""
    row = ledger.failures_in_a_row(since)
    if len(row) > max_failures:
        first = row[0]
        message = f"{len(row)} trials in a row failed; the first, trial {first.number}: {first.user_attrs[ERROR]}"
        hint = "the same command tries again once that is mended; max_failures= lets more of them fail"
        raise RlzooError(message, hint, ExitCode.TRAINING_FAILED)


def draws_are_too_many(ledger: Ledger, place: int) -> None:
    """Raises an RlzooError if nothing that may be tried was drawn for this place."""
    vain = ledger.draws_in_vain(place)
    if len(vain) >= MAX_DRAWS:
        why = vain[-1].user_attrs[INFEASIBLE][0]
        message = f"none of {len(vain)} draws from the search space may be tried; the last one: {why}"
        raise RlzooError(message, "widen the space, or loosen its constraints: search_space.…=")


def is_over(trial: FrozenTrial) -> bool:
    """Whether a trial counts."""
    return state(trial) in ("complete", "pruned")
