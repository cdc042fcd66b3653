"""Who runs which trial of a study, and the values that it begins with: a tuned set, the defaults, or a whole grid."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import optuna
from optuna.trial import TrialState, create_trial

from rlzoo.config import tuned_set
from rlzoo.config.compose import Composition, compose, with_values, without
from rlzoo.errors import ExitCode, RlzooError, show
from rlzoo.tuning import samplers
from rlzoo.tuning.progress import (
    ATTEMPT,
    DRAWN,
    ENQUEUED,
    ERROR,
    EXACT,
    INFEASIBLE,
    MAX_DRAWS,
    PLACE,
    WORKER,
    Slot,
    StudyProgress,
    state,
)
from rlzoo.tuning.request import OWN_KEYS, TuneRequest
from rlzoo.tuning.space import Space, at_path, look_up
from rlzoo.tuning.space_file import SECTIONS
from rlzoo.tuning.storage.store import GRACE_SECONDS, Store, explained

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial, Trial

CARRIED = (PLACE, ATTEMPT, DRAWN, ENQUEUED, EXACT)
"""What is kept with a trial that a trial which repeats it has too."""


NONE = -1
QUEUE = "queue"
"""Name of the queue among what is kept with a study."""


class NoFreeSlot(Exception):  # noqa: N818 - nothing went wrong
    """Every slot of the study is finished, or being run by somebody else."""


class TrialQueue(optuna.Study):
    """`ask` gives the lowest free slot, or raises NoFreeSlot; `Study.optimize` calls it.

    Args:
        name: of the study, which has to be there.
        storage: opened by `store`.
        store: whose locks are held.
        n_trials: slots that the study is to have.
        enqueued: values to begin with, by slot.
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
        enqueued: Mapping[str, Mapping[str, Any]],
        max_failures: int,
        since: int = 0,
    ) -> None:
        super().__init__(name, storage, sampler, pruner)
        self.store, self.n_trials, self.enqueued = store, n_trials, enqueued
        self.current = NONE
        self._max_failures, self._since = max_failures, since

    def progress(self) -> StudyProgress:
        """How far the study is."""
        with explained(self.store):
            return StudyProgress(self.get_trials(deepcopy=False), self.n_trials)

    def ask(self, fixed_distributions: dict[str, BaseDistribution] | None = None) -> optuna.Trial:
        """The next trial to run, its values proposed where they need no conditions.

        Raises:
            NoFreeSlot: if there is none.
            RlzooError: after too many failures, or draws that break a constraint.
        """
        with self.store.lock(), explained(self.store):
            progress = self.progress()
            failures_are_too_many(progress, self._max_failures, self._since)
            if not progress.room:
                raise NoFreeSlot
            if not progress.waiting:
                slot = progress.free()
                draws_are_too_many(progress, slot.number)
                self.add_trial(self._again(slot.again) if slot.again is not None else self._new(progress, slot))
            trial = super().ask(fixed_distributions)
            self.store.take_lease(trial.number)
            self.current = trial.number
            return trial

    def sweep(self) -> list[int]:
        """Find trials that nobody runs any more, and put their values back into the queue; returns their numbers."""
        with self.store.lock(), explained(self.store):
            for trial in self.progress().running:
                if self.store.is_orphaned(trial.number) or self._never_began(trial):
                    self.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
            if not self.store.has_leases:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                    optuna.storages.fail_stale_trials(self)
            return [trial.number for trial in self.put_back()]

    def put_back(self) -> list[FrozenTrial]:
        """Put the values of lost trials back into the queue, as far as there is room; with the lock held."""
        progress = self.progress()
        room = self.n_trials - len(progress.finished) - len(progress.running) - len(progress.waiting)
        found = progress.orphans()[: max(0, room)]
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

    def _new(self, progress: StudyProgress, slot: Slot) -> FrozenTrial:
        kept: dict[str, Any] = {PLACE: slot.number, ATTEMPT: slot.attempt}
        given = self.user_attrs.get(QUEUE, self.enqueued).get(str(slot.number))  # it may have grown since
        if given is None or (slot.attempt and not given.get("always")):
            return create_trial(state=TrialState.WAITING, user_attrs=kept)
        return create_trial(
            state=TrialState.WAITING,
            user_attrs={**kept, ENQUEUED: given["from"], **({EXACT: given[EXACT]} if EXACT in given else {})},
            system_attrs={"fixed_params": dict(given["params"])},
        )


def failures_are_too_many(progress: StudyProgress, max_failures: int, since: int) -> None:
    """Raises an RlzooError with the first failure, if more than `max_failures` came in a row."""
    row = progress.failures_in_a_row(since)
    if len(row) > max_failures:
        first = row[0]
        message = f"{len(row)} trials in a row failed; the first, trial {first.number}: {first.user_attrs[ERROR]}"
        hint = "the same command tries again once that is fixed; max_failures= lets more of them fail"
        raise RlzooError(message, hint, ExitCode.TRAINING_FAILED)


def draws_are_too_many(progress: StudyProgress, slot: int) -> None:
    """Raises an RlzooError if nothing that may be tried was drawn for this slot."""
    vain = progress.draws_in_vain(slot)
    if len(vain) >= MAX_DRAWS:
        why = vain[-1].user_attrs[INFEASIBLE][0]
        message = f"none of {len(vain)} draws from the search space may be tried; the last one: {why}"
        raise RlzooError(message, "widen the space, or loosen its constraints: search_space.…=")


def is_over(trial: FrozenTrial) -> bool:
    """Whether a trial counts."""
    return state(trial) in ("complete", "pruned")


Enqueued = dict[str, dict[str, Any]]
"""By slot: `params`, what is drawn there; `from`, where they come from; `exact`, whole settings of the trial, of which
`params` is what the sampler takes them for; `always`, that nothing else may be drawn."""


def enqueued_values(request: TuneRequest) -> tuple[Enqueued, list[str]]:
    """What the study begins with, and what of it lies outside of the space."""
    if samplers.name_of(request.config.sampler) == "grid":
        points = grid_points(request)
        return {str(slot): {"params": params, "from": "grid", "always": True} for slot, params in enumerate(points)}, []
    found: Enqueued = {}
    notes = []
    for name in dict.fromkeys(request.config.enqueue):
        if name == "tuned" and not request.base.hyperparams:
            continue
        source = request.base if name == "tuned" else defaults(request.base)
        exact = exact_settings(request.space, request.base, source)
        if any(exact == other[EXACT] for other in found.values()):
            continue
        values, said = request.space.nearest(source.values)
        if said:
            notes.append(f"the {NAMES[name]} are tried as they are; to the sampler {'; '.join(said)}")
        if broken := request.space.broken({}, source.values):
            notes.append(f"the {NAMES[name]} are tried though they do not meet {'; '.join(broken)}")
        found[str(len(found))] = {"params": request.space.raw(values), "from": name, EXACT: exact}
    return found, notes


NAMES = {"tuned": "values of the tuned set", "defaults": "defaults"}


def exact_settings(space: Space, base: Composition, source: Composition) -> dict[str, Any]:
    """What makes `source` of `base`, with every setting that is searched: to be laid over it whole."""
    searched = {tuple(parameter.key.split(".")[:2]) for parameter in space.parameters}
    found: dict[str, Any] = {}
    for section in SECTIONS:
        old, wanted = base.values[section], source.values[section]
        if old.keys() - wanted.keys():
            found[section] = wanted
            continue
        changed = [key for key in wanted if wanted[key] != old.get(key) or (section, key) in searched]
        found |= {f"{section}.{key}": wanted[key] for key in changed}
    return found


def settings_of(request: TuneRequest, trial: FrozenTrial | Trial) -> tuple[dict[str, Any], bool]:
    """What a trial changes in the request, by dotted key, and whether that is exact.

    Raises:
        RlzooError: if its exact settings, which come out of a storage that others may write to, name a module, a place
            or anything else that is not a value, and the request does not.
    """
    exact = trial.user_attrs.get(EXACT)
    if exact is None:
        return request.space.settings(drawn(request.space, trial.params)), False
    config = nested(exact)
    for path in tuned_set.split(config)[1]:
        if at_path(config, path) != at_path(request.base.values, path):
            message = (
                f"trial {trial.number} sets {'.'.join(path)} to {show(at_path(config, path))}, and the request does not"
            )
            raise RlzooError(message, "who else writes to the study's storage?", ExitCode.UNSAFE)
    return exact, True


def values_of(space: Space, trial: FrozenTrial) -> dict[str, Any]:
    """The values that a trial has, by the parameters' names."""
    exact = trial.user_attrs.get(EXACT)
    if exact is None:
        return drawn(space, trial.params)
    config = nested(exact)
    values: dict[str, Any] = {}
    for parameter in space.parameters:
        if parameter.applies(values):
            value = parameter.value_of(look_up(config, parameter.key))
            values[parameter.name] = parameter.default if value is None else value
    return values


def nested(exact: Mapping[str, Any]) -> dict[str, Any]:
    """Exact settings by section: `{algo.gamma: 0.9}` as `{algo: {gamma: 0.9}}`."""
    found: dict[str, Any] = {}
    for key, value in exact.items():
        section, _, name = key.partition(".")
        found[section] = {**found.get(section, {}), name: value} if name else value
    return found


def defaults(base: Composition) -> Composition:
    """A request without its tuned set: the same task and budget, judged in the same way."""
    words = [word for word in base.words if word.lstrip("+~").partition("=")[0] != "hyperparams"]
    plain = without(compose("tune", [*words, "hyperparams=none"]), OWN_KEYS)
    return with_values(plain, {key: look_up(base.values, key) for key in SAME})


SAME = ("total_timesteps", "stop", "eval", "env.kwargs", "env.max_steps")
"""What a tuned set may say that is not a hyperparameter: other values would be another budget, or another task."""


def grid_points(request: TuneRequest) -> list[dict[str, Any]]:
    """Every combination of the grid that may be tried, without what does not apply, each once."""
    space = request.space
    table = samplers.grid(space)
    found: dict[str, dict[str, Any]] = {}
    for combination in itertools.product(*table.values()):
        raw = dict(zip(table, combination, strict=True))
        values = drawn(space, raw)
        if not space.broken(values, with_values(request.base, space.settings(values)).values):
            point = space.raw(values)
            found[repr(point)] = point
    return list(found.values())


def drawn(space: Space, raw: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a trial with these parameters."""
    values: dict[str, Any] = {}
    for parameter in space.parameters:
        if parameter.applies(values):
            values[parameter.name] = parameter.transform.value(raw[parameter.raw_name])
    return values
