"""A study: its folder, its storage, its sampler, and the request that it was begun with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
from optuna.samplers import BaseSampler, CmaEsSampler
from optuna.study import StudyDirection

from rlzoo.config import yaml_file
from rlzoo.config.paths import at_home
from rlzoo.errors import ExitCode, RlzooError, show
from rlzoo.redaction import redact_values
from rlzoo.runs.run import write_text
from rlzoo.tuning import samplers
from rlzoo.tuning.progress import ATTEMPT, DRAWN, PLACE
from rlzoo.tuning.queue import QUEUE as QUEUE
from rlzoo.tuning.queue import TrialQueue, enqueued_values
from rlzoo.tuning.request import TuneRequest
from rlzoo.tuning.space import is_schedule, look_up, starting_at
from rlzoo.tuning.storage.read import YAML, is_study, read_yaml, require_trusted, require_whole
from rlzoo.tuning.storage.store import Store, explained
from rlzoo.untrusted import signature

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial, TrialState

    from rlzoo.config.tune_schema import Named
    from rlzoo.tuning.space import Space

REQUEST, SEED = "request", "seed"
"""Names of what is kept with a study in the storage."""
FREE = (
    "seed n_seeds n_jobs runs_dir launcher logger device torch_threads signal_grace checkpoint stop.minutes"
    " env.vec_env env.step_timeout env.max_restarts env.summary eval.n_envs"
).split()
"""Settings that may change when a study is resumed, as scores stay comparable: these, and those below them."""
AT_THE_END = ("eval.selection_n_episodes", "eval.final_n_episodes", "eval.seeds")
"""Likewise, unless the evaluation at the end is the score."""
FIXED = ("objective", "n_last", "second_objective", "seeds_per_trial")
"""Settings of the search that it may not."""


@dataclass(frozen=True)
class Study:
    """A study that is there.

    Attributes:
        request: as it was given now.
        folder: with study.yaml, the trials and, unless a database has them, their values.
        seed: from which everything random follows.
        queue: its trials.
        notes: what the user should hear about.
    """

    request: TuneRequest
    folder: Path
    seed: int
    queue: TrialQueue
    notes: tuple[str, ...] = ()

    @property
    def trials_dir(self) -> Path:
        return self.folder / "trials"

    def close(self) -> None:
        """Close its storage."""
        self.queue.store.close()

    def trial_dir(self, number: int) -> Path:
        """The folder of a trial, which is a run, or holds one for each seed."""
        return self.trials_dir / f"{number:04}"


def begin(request: TuneRequest) -> Study:
    """Make the study that is asked for, or resume the one of that name.

    Raises:
        RlzooError: if that one has another request, its storage fails, or it is not this user's own (exit code 7).
    """
    folder = at_home(request.config.studies_dir) / request.study
    store = Store.of(request.config.storage, folder)
    require_whole(folder)  # before the locks in it are made
    if (folder / YAML).exists():
        require_trusted(folder, trust=request.config.trust)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        hint = "choose another place with studies_dir="
        raise RlzooError(f"cannot make {folder}: {error.strerror}", hint, ExitCode.STORAGE) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # what happens to trials is said by us
    with store.lock(), explained(store):
        require_trusted(folder, trust=request.config.trust)  # now that nobody else is just making it
        if store.file is not None and not is_study(folder):
            _check_free(folder)
            _write_yaml(request, folder, None)  # first of all: a folder with trials and without it is not ours
        storage = store.open()
        notes: list[str] = []
        if request.study not in optuna.get_all_study_names(storage):
            _check_free(folder)
            second = [optuna.study.StudyDirection.MINIMIZE] if request.config.second_objective else []
            directions = [optuna.study.StudyDirection.MAXIMIZE, *second]
            optuna.create_study(storage=storage, study_name=request.study, directions=directions)
        attributes = _attributes(request.study, storage)
        if REQUEST not in attributes:
            notes += _fill(request, storage)
        else:
            notes += _compare(request, attributes, folder)
        attributes = _attributes(request.study, storage)
        _write_yaml(request, folder, attributes[SEED])
    return _study(request, folder, store, storage, attributes, tuple(notes))


def _check_free(folder: Path) -> None:
    """That no trials are there, which those of a new study would replace.

    Raises:
        RlzooError: with the study that they are of, as far as its file says.
    """
    if not any((folder / "trials").glob("*")):
        return
    kept, _ = read_yaml(folder)
    whose = f"of the study {kept['study']}, which is kept in {kept['search']['storage']}," if kept else "of a study"
    hint = "a study is resumed under its own name and storage=; give a new one a name of its own, study=…"
    raise RlzooError(f"trials {whose} are in {folder} already", hint)


def join(request: TuneRequest, *, since: int = 0) -> Study:
    """The study as a worker sees it; `since` is the number of trials it had when its command was given."""
    folder = at_home(request.config.studies_dir) / request.study
    store = Store.of(request.config.storage, folder)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with store.lock(), explained(store):
        storage = store.open()
        attributes = _attributes(request.study, storage)
    return _study(request, folder, store, storage, attributes, since=since)


def _study(
    request: TuneRequest,
    folder: Path,
    store: Store,
    storage: Any,
    attributes: Mapping[str, Any],
    notes: tuple[str, ...] = (),
    since: int = 0,
) -> Study:
    config, seed = request.config, int(attributes[SEED])
    enqueued = attributes[QUEUE]
    grid = samplers.name_of(config.sampler) == "grid"
    sampler = "random" if grid else config.sampler
    queue = TrialQueue(
        request.study,
        storage,
        store,
        sampler=SlotSampler(sampler, request.space, seed),
        pruner=samplers.make_pruner(config.pruner),
        n_trials=min(config.n_trials, len(enqueued)) if grid else config.n_trials,
        enqueued=enqueued,
        max_failures=config.max_failures,
        since=since,
    )
    return Study(request, folder, seed, queue, notes)


def _attributes(name: str, storage: Any) -> dict[str, Any]:
    return optuna.load_study(study_name=name, storage=storage).user_attrs


def _fill(request: TuneRequest, storage: Any) -> list[str]:
    """Write down what a new study is; the request last, as whoever finds it takes the rest for granted."""
    from rlzoo.envs.seeding import draw_seed

    study = optuna.load_study(study_name=request.study, storage=storage)
    enqueued, notes = enqueued_values(request)
    seed = request.train.seed if request.train.seed is not None else draw_seed()
    study.set_user_attr(SEED, seed)
    study.set_user_attr(QUEUE, enqueued)
    study.set_user_attr(REQUEST, canonical(request))
    return notes


def _compare(request: TuneRequest, attributes: Mapping[str, Any], folder: Path) -> list[str]:
    """What changed since the study was begun and is worth saying.

    Raises:
        RlzooError: if its scores and the new ones could not be compared.
    """
    then, now = attributes[REQUEST], canonical(request)
    changed = differences(then, now, searched={p.key for p in request.space.parameters if not p.when})
    seed = request.train.seed
    if seed is not None and seed != attributes[SEED]:
        changed.append(_was("seed", attributes[SEED], seed))
    if changed:
        shown = "; ".join(changed[:10]) + (f"; and {len(changed) - 10} more" if len(changed) > 10 else "")
        hint = f"give it a name of its own, study=…, or move {folder} away"
        raise RlzooError(f"the study {request.study} was begun with another request: {shown}", hint)
    names = [(key, then["search"][key], now["search"][key]) for key in ("sampler", "pruner", "enqueue")]
    return [f"{_was(key, old, new)} from here on" for key, old, new in names if old != new]


def canonical(request: TuneRequest) -> dict[str, Any]:
    """What a study is, as plain data without secrets."""
    config = request.config
    search = {field.name: getattr(config, field.name) for field in fields(config)}
    whole = {"train": request.base.values, "search_space": request.section, "search": search}
    found: dict[str, Any] = json.loads(json.dumps(redact_values(whole), default=str))
    return found


def _form(setting: Any) -> Any:
    """A schedule without its start, which is searched; nothing of anything else."""
    return starting_at(setting, 0.0) if is_schedule(setting) else None


def differences(then: Mapping[str, Any], now: Mapping[str, Any], searched: set[str]) -> list[str]:
    """What makes scores of one request no comparison for those of the other; `searched` settings are drawn anyway."""
    found = []
    free_keys = (*FREE, *searched, *(() if now["search"]["objective"] == "final" else AT_THE_END))
    old, new = _leaves(then["train"]), _leaves(now["train"])
    for key in {**old, **new}:
        covered = [key == free or key.startswith(f"{free}.") for free in free_keys]
        if old.get(key) != new.get(key) and not any(covered):
            found.append(_was(key, old.get(key), new.get(key)))
    kept = {key: (look_up(then["train"], key), look_up(now["train"], key)) for key in sorted(searched)}
    found += [_was(key, old, new) for key, (old, new) in kept.items() if _form(old) != _form(new)]
    old, new = _leaves(then["search_space"]), _leaves(now["search_space"])
    found += [
        _was(f"search_space.{key}", old.get(key), new.get(key))
        for key in {**old, **new}
        if old.get(key) != new.get(key)
    ]
    old, new = then["search"], now["search"]
    fixed = [key for key in FIXED if key != "n_last" or new["objective"] == "last"]
    found += [_was(key, old[key], new[key]) for key in fixed if old[key] != new[key]]
    return found


def _was(key: str, old: Any, new: Any) -> str:
    return f"{key} was {show(old)}, is {show(new)}"


def _leaves(values: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            found |= _leaves(value, f"{above}{name}.")
        elif value not in (None, {}):
            found[f"{above}{name}"] = value
    return found


def _write_yaml(request: TuneRequest, folder: Path, seed: int | None) -> None:
    """Say what the study is, signed: it is this user's own."""
    values = canonical(request)
    date = datetime.now(UTC).isoformat(timespec="seconds")
    whole = {"study": request.study, "seed": seed, "date": date, **values}
    write_text(folder / YAML, signature.signed(yaml_file.dump(whole)))


STRIDE = 1_000_003
"""Between the numbers of a slot's attempts."""


class SlotSampler(BaseSampler):
    """Proposes the same for the same trials before, in whichever process and however often the study was interrupted.

    One study has one: `before_trial` is told which trial it is for.
    """

    def __init__(self, named: Named, space: Space, seed: int) -> None:
        self._named, self._space, self._seed = named, space, seed
        self._sampler: BaseSampler | None = None
        self._number = 0

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        self._number = trial.user_attrs.get(PLACE, trial.number) + STRIDE * trial.user_attrs.get(ATTEMPT, 0)
        self._sampler = samplers.make_sampler(self._named, self._space, seed=self._seed, number=self._number)
        if DRAWN not in trial.user_attrs:
            self._sampler.before_trial(study, trial)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        if DRAWN in trial.user_attrs:  # it is run again: a sequence that counts its draws must not count it twice
            return {}
        return self._inner.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if not search_space:
            return {}
        if samplers.name_of(self._named) == "cmaes":  # it draws by the trial's number, which counts lost ones
            trial = copy(trial)
            trial.number = self._number
        return self._inner.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._inner.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        if self._sampler is not None:  # else another process drew it, and is gone
            self._sampler.after_trial(study, trial, state, values)

    @property
    def _inner(self) -> BaseSampler:
        assert self._sampler is not None, "before_trial comes first"
        return self._sampler


class CmaEsOfTrials(CmaEsSampler):
    """CMA-ES whose state is computed from the trials.

    Optuna keeps it in the storage as a pickle, and opens the one that it finds there. Here none is written or opened:
    the distribution begins as Optuna's, and is told the trials of one generation after another.
    """

    _completed: Sequence[FrozenTrial] = ()

    def _restore_optimizer(self, completed_trials: list[FrozenTrial], *_: Any) -> None:
        self._completed = completed_trials

    def _init_optimizer(self, trans: Any, direction: StudyDirection, *_: Any, **__: Any) -> Any:
        begun = [trial for trial in self._completed if trial.system_attrs.get(self._attr_key_generation, 0) > 0]
        state = self._cma_rng.rng.get_state() if begun else None
        optimizer: Any = super()._init_optimizer(trans, direction)
        if state is not None:  # Optuna draws a seed for a new distribution only
            self._cma_rng.rng.set_state(state)
        sign = 1 if direction == StudyDirection.MINIMIZE else -1
        while len(told := self._first_of(optimizer.generation, optimizer.population_size)) == optimizer.population_size:
            optimizer.tell([(self._point(trial, trans), sign * (trial.value or 0.0)) for trial in told])
        return optimizer

    def _first_of(self, generation: int, n: int) -> list[FrozenTrial]:
        """The n trials of a generation that were complete first: what a single worker would have told it of."""
        found = [t for t in self._completed if t.system_attrs.get(self._attr_key_generation) == generation]
        return sorted(found, key=lambda trial: (trial.datetime_complete or datetime.max, trial.number))[:n]

    def _point(self, trial: FrozenTrial, trans: Any) -> Any:
        """Where the trial was in the space of the distribution, with shape (n_parameters,)."""
        if "x_for_tell" in trial.system_attrs and self._with_margin:
            return np.array(trial.system_attrs["x_for_tell"])
        return trans.transform(trial.params)
