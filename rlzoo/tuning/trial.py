"""One trial: values are drawn and laid over the request, trained for on seeds of their own, scored and written down."""

from __future__ import annotations

import json
import math
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna

from rlzoo import contained
from rlzoo.config.compose import Composition, with_values
from rlzoo.config.parse import dump, parse
from rlzoo.config.records import problem
from rlzoo.config.schema import TrainConfig
from rlzoo.config.study_records import Finalist, FreshResult
from rlzoo.console import quietly
from rlzoo.envs.seeding import MAX_SEED
from rlzoo.errors import BY_SIGNAL, ExitCode, RlzooError
from rlzoo.protocols import Pruned
from rlzoo.redaction import redact_values
from rlzoo.runs import lock
from rlzoo.runs.run import Run, write_text
from rlzoo.training.callbacks.stop import Prune
from rlzoo.training.preflight import find_problems
from rlzoo.training.train import train
from rlzoo.tuning import samplers
from rlzoo.tuning.progress import (
    DRAWN,
    ENQUEUED,
    ERROR,
    EXACT,
    INFEASIBLE,
    OUTCOME,
    PLACE,
    WORKER,
    StudyProgress,
    reports_per_seed,
    score,
    second_score,
    state,
)
from rlzoo.tuning.queue import settings_of, values_of
from rlzoo.tuning.storage.store import explained
from rlzoo.tuning.study import Study

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from rlzoo.tuning.study import Study

NOT_ITS_FAULT = (*BY_SIGNAL, ExitCode.STORAGE)
"""What ends a training without saying anything about the values it was done with."""


class TrialFailed(Exception):  # noqa: N818 - as Optuna calls it
    """A training of the trial failed; the trial keeps why."""


@dataclass(frozen=True)
class Trained:
    """What became of one training."""

    run: Run
    seed: int
    score: float
    means: list[float]
    steps: int
    size: int


def trial_seed(seed: int, slot: int, k: int) -> int:
    """The seed of the k-th training (from 0) of the trial in a slot of a study."""
    return int(np.random.SeedSequence([seed, slot, k]).generate_state(1)[0]) & MAX_SEED


def run_trial(study: Study, trial: optuna.Trial, worker: str) -> float | tuple[float, float]:
    """The objective of the study: draw, train, score.

    Raises:
        optuna.TrialPruned: if the pruner ended it, or what was drawn may not be tried.
        TrialFailed: if a training failed.
        RlzooError: if it was stopped by a signal or the disk is full, which is no fault of the trial.
    """
    composition, wrong = _proposed(study, trial)
    if not wrong:
        wrong = [str(problem) for problem in find_problems(composition, make_env=False, n_requests=0)[1]]
    if wrong:
        trial.set_user_attr(INFEASIBLE, wrong)
        raise optuna.TrialPruned("; ".join(wrong))
    trial.set_user_attr(DRAWN, True)
    trial.set_user_attr(WORKER, {"name": worker, "pid": os.getpid(), "host": platform.node()})
    with _accounted(trial) as outcome:
        return _train_seeds(study, trial, composition, outcome)


def _proposed(study: Study, trial: optuna.Trial) -> tuple[Composition, list[str]]:
    """What the trial is to train, and the constraints that it does not meet.

    A set to begin with is tried as it is: neither the space nor its constraints change it, and what is drawn is only
    what the sampler takes it for.
    """
    request = study.request
    if EXACT not in trial.user_attrs:
        values = request.space.draw(trial)
        composition = with_values(request.base, request.space.settings(values))
        return composition, request.space.broken(values, composition.values)
    composition = with_values(request.base, settings_of(request, trial)[0], whole=True)
    near, _ = request.space.nearest(composition.values)
    for parameter in request.space.parameters:
        if parameter.name in near:
            parameter.draw(trial)
    return composition, []


def _train_seeds(
    study: Study, trial: optuna.Trial, composition: Composition, outcome: dict[str, Any]
) -> float | tuple[float, float]:
    config, slot = study.request.config, trial.user_attrs[PLACE]
    folder = study.trial_dir(trial.number)
    between_seeds = samplers.name_of(config.pruner) == "wilcoxon"
    several = config.second_objective is not None
    scores: list[float] = outcome["scores"]
    began = time.monotonic()
    for k in range(config.seeds_per_trial):
        seed = trial_seed(study.seed, 0 if between_seeds else slot, k)  # Wilcoxon's test is over the same seeds
        path = folder / f"seed{k}" if config.seeds_per_trial > 1 else folder
        cfg = replace(parse(composition.values), seed=seed)
        outcome["seeds"].append(seed)
        outcome["runs"].append(str(path.relative_to(study.folder)))
        reporter = None if between_seeds or several else _reporter(study, trial, cfg, k)
        trained = train_once(
            cfg, path, objective=config.objective, n_last=config.n_last, report=reporter, outcome=outcome,
            details={"trial": trial.number, "words": list(study.request.base.words)},
        )  # fmt: skip
        scores.append(trained.score)
        outcome["size"] = trained.size
        if between_seeds and not several:
            trial.report(trained.score, k)
            if k + 1 < config.seeds_per_trial and trial.should_prune():
                raise optuna.TrialPruned(f"pruned after {k + 1} seeds")
    mean = math.fsum(scores) / len(scores)
    second = second_score(config.second_objective, (time.monotonic() - began) / len(scores), outcome["size"])
    return mean if second is None else (mean, second)


def train_once(
    cfg: TrainConfig,
    path: Path,
    *,
    objective: str,
    n_last: int,
    report: Callable[[int, float], bool] | None = None,
    outcome: dict[str, Any] | None = None,
    details: Mapping[str, Any] | None = None,
) -> Trained:
    """Train into `path`, which becomes a run, and score it at `total_timesteps`: what comes after that does not count.

    Args:
        cfg: whose seed is set.
        path: what is there is replaced.
        objective: as in `objective.score`.
        n_last: likewise.
        report: gets the number of each evaluation and its mean return; True prunes.
        outcome: `steps` in it grows by the steps that were taken, whatever happens.
        details: written to info.json.

    Raises:
        Pruned: if `report` said so.
        RlzooError: if the training fails or is stopped.
    """
    from rlzoo.runs.info import collect

    assert cfg.seed is not None
    is_final = objective == "final"
    budget = cfg.total_timesteps + cfg.env.n_envs - 1  # the steps of all environments count together
    watch = Prune(report or (lambda number, mean: False), budget, ends=is_final)
    try:
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
    except OSError as error:
        raise RlzooError(f"cannot make {path}: {error.strerror}", "is there room?", ExitCode.STORAGE) from error
    run = Run(path)
    run.write_config(dump(cfg))
    run.write_info({"status": "running", "run": run.path.name, **(details or {}), **collect()})
    try:
        with quietly(), lock.held(run):
            train(cfg, run, callbacks=[watch], final=is_final)
    finally:
        if outcome is not None:
            outcome["steps"] += watch.n_steps
            outcome["budget"] = outcome.get("budget", 0) + cfg.total_timesteps
    means = [mean for _, mean in watch.evaluations]
    at_the_end = [each["mean_reward"] for each in run.read_results() if each["checkpoint"] == "last"]
    found = score(objective, means, at_the_end[0] if is_final else None, n_last=n_last)
    return Trained(run, cfg.seed, found, means, watch.n_steps, watch.size)


def _reporter(study: Study, trial: optuna.Trial, cfg: TrainConfig, k: int) -> Callable[[int, float], bool]:
    """Tells the pruner of evaluations; those of the k-th seed follow those of the seed before."""
    per_seed = reports_per_seed(cfg.total_timesteps, cfg.frequency(cfg.eval.freq, 10))

    def report(number: int, mean: float) -> bool:
        with explained(study.queue.store):
            trial.report(mean, k * per_seed + number)
            return trial.should_prune()

    return report


@contextmanager
def _accounted(trial: optuna.Trial) -> Iterator[dict[str, Any]]:
    """Keep with a trial what it cost and what came of it, whichever way it ends."""
    outcome: dict[str, Any] = {"scores": [], "seeds": [], "runs": [], "steps": 0}
    began, cpu = time.monotonic(), _cpu_seconds()

    def keep() -> None:
        outcome["seconds"] = round(time.monotonic() - began, 3)
        outcome["cpu_seconds"] = round(_cpu_seconds() - cpu, 3)
        trial.set_user_attr(OUTCOME, outcome)

    try:
        yield outcome
    except Pruned as pruned:
        keep()
        raise optuna.TrialPruned(str(pruned)) from pruned
    except optuna.TrialPruned:
        keep()
        raise
    except Exception as error:
        keep()
        if isinstance(error, RlzooError) and error.code in NOT_ITS_FAULT:
            raise
        trial.set_user_attr(ERROR, str(error) or type(error).__name__)
        raise TrialFailed(str(error)) from error
    keep()


def _cpu_seconds() -> float:
    """CPU time of this process and of those that it has waited for, such as environments'."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


RESULT_BYTES = 2**20


def record_of(study: Study, trial: FrozenTrial) -> dict[str, Any]:
    """A trial as plain data: `values` by their names in the space, `settings` by their keys in a configuration."""
    attributes = trial.user_attrs
    outcome = attributes.get(OUTCOME, {})
    space = study.request.space
    values = values_of(space, trial) if DRAWN in attributes else {}
    settings = attributes.get(EXACT) if DRAWN in attributes else None
    return {
        "number": trial.number,
        "place": attributes.get(PLACE),
        "state": state(trial),
        "score": trial.values[0] if trial.values else None,
        "scores": outcome.get("scores", []),
        "second": trial.values[1] if trial.values and len(trial.values) > 1 else None,
        "values": values,
        "settings": space.settings(values) if settings is None else settings,
        "params": trial.params,
        "evaluations": {str(step): value for step, value in trial.intermediate_values.items()},
        "seeds": outcome.get("seeds", []),
        "runs": outcome.get("runs", []),
        "steps": outcome.get("steps", 0),
        "budget": outcome.get("budget"),
        "seconds": outcome.get("seconds"),
        "cpu_seconds": outcome.get("cpu_seconds"),
        "enqueued": attributes.get(ENQUEUED),
        "broken": attributes.get(INFEASIBLE, []),
        "error": attributes.get(ERROR),
        "worker": attributes.get(WORKER),
        "began": trial.datetime_start.isoformat() if trial.datetime_start else None,
        "ended": trial.datetime_complete.isoformat() if trial.datetime_complete else None,
    }


def write_records(study: Study, progress: StudyProgress) -> None:
    """Write the JSON of every trial that was tried, has ended and has none."""
    study.trials_dir.mkdir(parents=True, exist_ok=True)
    there = {path.name for path in study.trials_dir.glob("*.json")}
    for trial in progress.trials:
        name = f"{trial.number:04}.json"
        if trial.state.is_finished() and state(trial) != "infeasible" and name not in there:
            text = json.dumps(redact_values(record_of(study, trial)), indent=2, default=str)
            write_text(study.trials_dir / name, text + "\n")


def drop_checkpoints(study: Study, progress: StudyProgress) -> None:
    """Remove the checkpoints of all trials that have ended but the best `keep`."""
    kept = {trial.number for trial in progress.best(study.request.config.keep)}
    for trial in progress.trials:
        if trial.state.is_finished() and trial.number not in kept:
            folder = study.trial_dir(trial.number)
            for checkpoints in (folder / "checkpoints", *folder.glob("seed*/checkpoints")):
                shutil.rmtree(checkpoints, ignore_errors=True)


def read_finalist(path: Path, study: Path) -> int | None:
    """The trial that won the race, by its file in the folder of a study; None if there is no such file."""
    try:
        found = json.loads(contained.read(path, study, RESULT_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    return None if problem(Finalist, found) else int(found["trial"])


def read_result(path: Path, study: Path) -> dict[str, Any] | None:
    """What a candidate scored on a fresh seed, by its file in the folder of a study; None if there is no such file."""
    try:
        found: dict[str, Any] = json.loads(contained.read(path, study, RESULT_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    return found if not problem(FreshResult, found) else None
