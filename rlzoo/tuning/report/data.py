"""What a report shows of a study, as plain values: its trials, its Pareto front, its cost, and what was compared."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlzoo.config.paths import at_home
from rlzoo.errors import RlzooError, clean
from rlzoo.tuning import samplers
from rlzoo.tuning.final import search_cost
from rlzoo.tuning.ledger import ENQUEUED, ERROR, EXACT, INFEASIBLE, OUTCOME, WORKER, Ledger, state
from rlzoo.tuning.objective import overrun, pareto
from rlzoo.tuning.queue import nested
from rlzoo.tuning.report.axes import Axis, Cell, axis_of, axis_of_distribution, cells, exact
from rlzoo.tuning.report.comparison import Comparison, compare
from rlzoo.tuning.space_file import read as read_space
from rlzoo.tuning.storage.read import Snapshot, StudyFolder, find_study, made_sense_of, read_study
from rlzoo.tuning.study import QUEUE, SEED

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


@dataclass(frozen=True)
class Trial:
    """A trial.

    Attributes:
        state: as in `ledger.state`.
        score: None unless it is complete.
        second: likewise, of the second objective.
        values: by the parameters' names; those that it has not are left out.
        evaluations: numbers and mean returns, in order, of what was reported on the way.
        enqueued: where its values come from, if they were not drawn.
        note: why it has no score, or not that of its end.
    """

    number: int
    state: str
    score: float | None
    second: float | None
    values: Mapping[str, Cell]
    evaluations: tuple[tuple[int, float], ...]
    enqueued: str | None
    steps: int
    seconds: float | None
    worker: str
    note: str

    @property
    def last(self) -> float | None:
        """What its last evaluation brought."""
        return self.evaluations[-1][1] if self.evaluations else None


@dataclass(frozen=True)
class Report:
    """A study.

    Attributes:
        name: of the study.
        folder: where its runs are, if they are on this machine.
        storage: where it was read from.
        request: what it was begun with: `train`, `search_space`, `search`.
        n_trials: finished trials that it is to have, as far as that is known.
        axes: of its parameters.
        trials: in the order of their numbers.
        optuna: the same trials as the library knows them.
        cost: as in `Tuned`.
        foreign: whether it was read as data, from a file of others.
        comparison: on fresh seeds, None where there is none.
    """

    name: str
    folder: Path
    storage: str
    seed: int | None
    request: Mapping[str, Any]
    n_trials: int
    axes: tuple[Axis, ...]
    trials: tuple[Trial, ...]
    optuna: tuple[FrozenTrial, ...]
    cost: Mapping[str, float]
    comparison: Comparison | None
    foreign: bool

    @property
    def search(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.request["search"]
        return found

    @property
    def second(self) -> str | None:
        """The name of the second objective."""
        found: str | None = self.search.get("second_objective")
        return found

    @property
    def complete(self) -> list[Trial]:
        """Trials with a score."""
        return [each for each in self.trials if each.score is not None and (not self.second or each.second is not None)]

    @property
    def pruned(self) -> list[Trial]:
        return [each for each in self.trials if each.state == "pruned"]

    @property
    def failed(self) -> list[Trial]:
        return [each for each in self.trials if each.state == "failed"]

    @property
    def counts(self) -> dict[str, int]:
        """Trials by state."""
        states = [each.state for each in self.trials]
        return {name: states.count(name) for name in dict.fromkeys(states)}

    @property
    def n_finished(self) -> int:
        return sum(each.state in ("complete", "pruned") for each in self.trials)

    @property
    def best(self) -> list[Trial]:
        """The best first; with two objectives those that no other is better than, by their scores."""
        if self.second:
            return pareto(self.complete, lambda each: (each.score or 0.0, each.second or 0.0))
        return sorted(self.complete, key=lambda each: (-(each.score or 0.0), each.number))


def collect(study: str, studies_dir: str, storage: str | None) -> Report:
    """Read a study.

    Args:
        study: its name, its folder, or `latest`.
        studies_dir: where its folder is looked for.
        storage: as in a request to tune; None is what the study's folder says.

    Raises:
        RlzooError: if there is none, or it cannot be read.
    """
    there = find_study(study, at_home(studies_dir), storage)
    found = read_study(there.store, there.name)
    with made_sense_of(str(there.store.file)) if there.store.foreign is not None else nullcontext():
        return _report(there, found)


def _report(there: StudyFolder, found: Snapshot) -> Report:
    folder, name, store = there.folder, there.name, there.store
    request = found.request
    if request is None:
        message = f"the study {name!r} is none of rlzoo's, or is being made in this moment"
        raise RlzooError(message, "optuna-dashboard shows every study of Optuna's")
    latest = request["search"] if there.described is None else there.described["search"]
    n_trials = _n_trials(found.attributes, latest)
    ledger = Ledger(found.trials, n_trials)
    axes = _axes(request, found.trials)
    seed = found.attributes.get(SEED)
    search = {**request["search"], "final_seeds": latest["final_seeds"]}
    return Report(
        name,
        folder,
        str(store.file) if store.file is not None else clean(store.kind),
        seed,
        request,
        n_trials,
        axes,
        tuple(_trial(each, axes) for each in ledger.trials),
        tuple(ledger.trials),
        search_cost(ledger),
        None if seed is None else compare(folder / "final", {**request, "search": search}, int(seed)),
        store.foreign is not None,
    )


def _n_trials(attributes: Mapping[str, Any], search: Mapping[str, Any]) -> int:
    n_trials: int = search["n_trials"]
    grid = samplers.name_of(search["sampler"]) == "grid"
    return min(n_trials, len(attributes.get(QUEUE) or {})) if grid else n_trials


def _axes(request: Mapping[str, Any], trials: Sequence[FrozenTrial]) -> tuple[Axis, ...]:
    """Those of the study's space in its order, then whatever else trials have."""
    space, _ = read_space(request["search_space"], request["train"])
    axes = [axis_of(parameter) for parameter in space.parameters]
    known = {axis.raw_name for axis in axes}
    others = {name: kind for trial in trials for name, kind in trial.distributions.items() if name not in known}
    return (*axes, *(axis_of_distribution(name, kind) for name, kind in others.items()))


def _trial(trial: FrozenTrial, axes: Sequence[Axis]) -> Trial:
    attributes = trial.user_attrs
    outcome = attributes.get(OUTCOME, {})
    name = state(trial)
    values = trial.values if name == "complete" else None
    worker = attributes.get(WORKER) or {}
    broken = "; ".join(map(str, attributes.get(INFEASIBLE, [])))
    reported = sorted(trial.intermediate_values.items())
    drawn, settings = cells(axes, trial.params), attributes.get(EXACT)
    return Trial(
        trial.number,
        name,
        _finite(values[0]) if values else None,
        _finite(values[1]) if values and len(values) > 1 else None,
        exact(axes, drawn, nested(settings)) if isinstance(settings, Mapping) else drawn,
        tuple((step, value) for step, value in reported if math.isfinite(value)),
        attributes.get(ENQUEUED),
        int(outcome.get("steps", 0)),
        outcome.get("seconds"),
        f"{worker.get('name', '')} on {worker.get('host', '')}" if worker else "",
        clean(attributes.get(ERROR) or broken or overrun(outcome)),
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def as_data(report: Report, importance: Mapping[str, Any]) -> dict[str, Any]:
    """What a report says, as plain data without pictures."""
    return {
        "study": report.name,
        "folder": str(report.folder),
        "storage": report.storage,
        "seed": report.seed,
        "second_objective": report.second,
        "n_trials": report.n_trials,
        "finished": report.n_finished,
        "trials": report.counts,
        "cost": dict(report.cost),
        "best": [_plain(each) for each in report.best],
        "importance": dict(importance),
        "final": None if report.comparison is None else report.comparison.as_data(),
        "failures": [{"trial": each.number, "error": each.note} for each in report.failed],
    }


def _plain(trial: Trial) -> dict[str, Any]:
    return {
        "number": trial.number,
        "score": trial.score,
        "second": trial.second,
        "values": {name: cell.value for name, cell in trial.values.items()},
        "enqueued": trial.enqueued,
        "steps": trial.steps,
        "seconds": trial.seconds,
    }


def dumps(data: Mapping[str, Any]) -> str:
    """As JSON, in which no NaN can be."""
    return json.dumps(data, allow_nan=False)
