"""What a report shows of a study, as plain values: trials, Pareto front, cost, what was compared, what mattered."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlzoo.config.paths import at_home
from rlzoo.errors import RlzooError, clean
from rlzoo.tuning import samplers
from rlzoo.tuning.final import DEFAULTS, FINALIST, FRESH, Candidate, Final, data_of, search_cost
from rlzoo.tuning.progress import (
    ENQUEUED,
    ERROR,
    EXACT,
    INFEASIBLE,
    OUTCOME,
    WORKER,
    StudyProgress,
    overrun,
    pareto,
    state,
)
from rlzoo.tuning.queue import nested
from rlzoo.tuning.report.axes import Axis, Cell, axis_of, axis_of_distribution, cells, exact
from rlzoo.tuning.space_file import read as read_space
from rlzoo.tuning.storage.read import Snapshot, StudyFolder, find_study, made_sense_of, read_study
from rlzoo.tuning.study import QUEUE, SEED
from rlzoo.tuning.trial import read_finalist, read_result, trial_seed

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


@dataclass(frozen=True)
class Trial:
    """A trial.

    Attributes:
        state: as in `progress.state`.
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
    progress = StudyProgress(found.trials, n_trials)
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
        tuple(_trial(each, axes) for each in progress.trials),
        tuple(progress.trials),
        search_cost(progress),
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


@dataclass(frozen=True)
class Comparison:
    """The race and the comparison with the scores that there are so far.

    Attributes:
        final: who was compared, the best mean first, and who was in the race.
        n_seeds: scores that each of those compared is to have.
        several: there is a second objective, and no winner.
    """

    final: Final
    n_seeds: int
    several: bool

    @property
    def done(self) -> bool:
        """Whether the defaults and somebody else have all their scores."""
        compared = self.final.candidates
        trials = {each.trial for each in compared}
        return None in trials and len(trials) > 1 and all(len(each.scores) >= self.n_seeds for each in compared)

    @property
    def verdict(self) -> str:
        """What it says, in a sentence."""
        if not self.done:
            who = "each is" if self.several else "the winner of the race and the defaults are"
            return f"Not finished: {who} to be trained on {self.n_seeds} seeds."
        if self.several:
            return ""
        sentence = self.final.verdict
        return f"{sentence[0].upper()}{sentence[1:]}."

    def as_data(self) -> dict[str, Any]:
        early = {} if self.done else {"gain": None, "p_value": None, "winner": None}
        return {"n_seeds": self.n_seeds, "done": self.done, **data_of(self.final), **early}


def compare(folder: Path, request: Mapping[str, Any], seed: int) -> Comparison | None:
    """What was trained on fresh seeds below `folder`; None if nothing was.

    Results count that were made for this request's budget and score, and judged alike: a study resumed with other
    evaluations leaves the old ones behind.
    """
    search = request["search"]
    n_seeds = int(search.get("final_seeds") or 0)
    second = search.get("second_objective")
    objective = [search.get("objective"), search.get("n_last"), *([second] if second else [])]
    kept = {stage: _kept(folder, stage, objective) for stage in FRESH}
    reference = next((each for each in kept["seed"].get(DEFAULTS, [])), None)
    reference = reference or next((each[0] for stage in kept.values() for each in stage.values()), None)
    if reference is None:
        return None
    found = {}
    for stage, results in kept.items():
        most = n_seeds if stage == "seed" else max(map(len, results.values()), default=0)
        seeds = [trial_seed(seed, FRESH[stage], k) for k in range(most)]
        alike = {name: [each for each in of if _alike(each["of"], reference["of"])] for name, of in results.items()}
        found[stage] = [each for name, of in alike.items() if (each := _candidate(name, of, seeds)).scores]
    finalist = None if second else read_finalist(folder / FINALIST, folder)
    compared = [each for each in found["seed"] if finalist is None or each.trial in (None, finalist)]
    compared.sort(key=lambda each: (-each.mean, each.trial is not None))
    raced = sorted(found["race"], key=lambda each: (each.trial != finalist, -len(each.scores), -each.mean))
    return Comparison(Final(tuple(compared), tuple(raced)), n_seeds, bool(second)) if compared or raced else None


def _kept(folder: Path, stage: str, objective: Sequence[Any]) -> dict[str, list[Mapping[str, Any]]]:
    """The results of a stage by the folders of the candidates."""
    kept: dict[str, list[Mapping[str, Any]]] = {}
    for path in sorted(folder.glob(f"*/{stage}*.json")):
        result = read_result(path, folder)
        if result is not None and result["of"].get("objective") == objective:
            kept.setdefault(path.parent.name, []).append(result)
    return kept


def _candidate(name: str, results: Sequence[Mapping[str, Any]], seeds: Sequence[int]) -> Candidate:
    """The candidate of a folder, with its scores on these seeds."""
    by_seed = {each["of"].get("seed"): each for each in results}
    found = [by_seed[seed] for seed in seeds if seed in by_seed]
    scores = tuple(float(each["score"]) for each in found)
    seconds = tuple(float(each["second"]) for each in found if isinstance(each.get("second"), int | float))
    number = name.removeprefix("trial_")
    trial = int(number) if number.isdecimal() else None
    label = DEFAULTS if trial is None else f"trial {trial}"
    return Candidate(label, trial, {}, scores, seconds=seconds)


def _alike(of: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two trainings were judged in the same way; what is searched may differ."""
    same = ("total_timesteps", "eval", "stop")
    return all(of.get(key) == other.get(key) for key in same)


MIN_TRIALS = 10
"""Complete trials below which a ranking would be noise."""
TOP_TRIALS, TOP_SHARE = 5, 0.1
"""What counts as the best: this share of the trials, and at least this many, as the method's authors advise."""


@dataclass(frozen=True)
class Importance:
    """Shares of the parameters, which sum to 1, by objective: `score`, or the second one's name.

    Attributes:
        shares: the largest first.
        n_trials: complete trials that they were computed from.
        top: how many of them count as the best.
        reason: why there are none, by objective.
    """

    shares: dict[str, dict[str, float]] = field(default_factory=dict)
    n_trials: int = 0
    top: int = 0
    reason: dict[str, str] = field(default_factory=dict)

    @property
    def method(self) -> str:
        return f"PED-ANOVA: what the best {self.top} of {self.n_trials} complete trials have in common"

    def as_data(self) -> dict[str, Any]:
        method = self.method if self.shares else None
        return {"method": method, "shares": self.shares, "not_computed": self.reason}


def importance(report: Report) -> Importance:
    """The importance of every parameter that was drawn with more than one value."""
    numbers = {each.number for each in report.complete}
    trials = [each for each in report.optuna if each.number in numbers]
    objectives = ["score", *([report.second] if report.second else [])]
    if len(trials) < MIN_TRIALS:
        reason = f"it takes {MIN_TRIALS} complete trials, and there are {len(trials)}"
        return Importance(reason=dict.fromkeys(objectives, reason))
    top = max(TOP_TRIALS, round(TOP_SHARE * len(trials)))
    found = Importance(n_trials=len(trials), top=top)
    names = {axis.raw_name: axis.name for axis in report.axes}
    for index, objective in enumerate(objectives):
        sign = -1.0 if index == 0 else 1.0
        losses = [sign * trial.values[index] for trial in trials]
        if len(set(losses)) == 1:
            found.reason[objective] = "all complete trials have the same"
            continue
        shares = _shares(trials, losses, top / len(trials), sorted(names))
        if not shares:
            found.reason[objective] = f"{losses.count(min(losses))} of {len(losses)} trials share the best"
            continue
        ranked = sorted(shares.items(), key=lambda item: (-item[1], names[item[0]]))
        found.shares[objective] = {names[raw]: share for raw, share in ranked}
    return found


def _shares(
    trials: Sequence[FrozenTrial], losses: Sequence[float], quantile: float, names: Sequence[str]
) -> dict[str, float]:
    """Shares by raw names; none where the best cannot be told from the others."""
    import optuna
    from optuna.trial import TrialState, create_trial

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of every parameter that few trials have
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        study = optuna.create_study(storage=optuna.storages.InMemoryStorage())
        study.add_trials(
            create_trial(state=TrialState.COMPLETE, value=loss, params=each.params, distributions=each.distributions)
            for each, loss in zip(trials, losses, strict=True)
        )
        evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=quantile)
        varied = [name for name in names if len({each.params[name] for each in trials if name in each.params}) > 1]
        found = {**dict.fromkeys(names, 0.0), **evaluator.evaluate(study, varied)}  # it would rank constants too
    total = sum(found.values())
    return {name: value / total for name, value in found.items()} if total > 0 else {}
