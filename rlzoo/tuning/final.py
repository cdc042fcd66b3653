"""The end of a study: its best trials and the defaults, trained again on fresh seeds; the one that wins there wins."""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rlzoo import console
from rlzoo.config.compose import Composition, lay
from rlzoo.config.parse import parse
from rlzoo.errors import ExitCode, RlzooError
from rlzoo.launchers import Job, launch
from rlzoo.launchers.job import JobResult
from rlzoo.runs import write_text
from rlzoo.signals import BY_SIGNAL
from rlzoo.tuning.intervals import Interval, of_difference, of_mean
from rlzoo.tuning.ledger import Ledger
from rlzoo.tuning.objective import pareto, second_score
from rlzoo.tuning.queue import defaults, drawn
from rlzoo.tuning.reach import enter, offered
from rlzoo.tuning.records import read_result
from rlzoo.tuning.request import TuneRequest, plan
from rlzoo.tuning.study import Study
from rlzoo.tuning.trial import train_once, trial_seed

FRESH = 2**30
"""What the seeds at the end are drawn with in place of a trial's number."""
DEFAULTS = "defaults"


@dataclass(frozen=True)
class Candidate:
    """A set of values that was trained again.

    Attributes:
        label: `trial 7`, or `defaults`.
        trial: its number, None for the defaults.
        settings: what it changes, by key.
        scores: one for each fresh seed, the same seeds for all.
        seconds: of the second objective, if there is one; less is better.
        error: why it has not all of them.
    """

    label: str
    trial: int | None
    settings: Mapping[str, Any]
    scores: tuple[float, ...] = ()
    error: str = ""
    seconds: tuple[float, ...] = ()

    @property
    def mean(self) -> float:
        return math.fsum(self.scores) / len(self.scores) if self.scores else -math.inf

    @property
    def second(self) -> float:
        """The mean of the second objective."""
        return math.fsum(self.seconds) / len(self.seconds) if self.seconds else math.inf

    @property
    def interval(self) -> Interval | None:
        """The 95 % interval of the mean over training seeds; None with one seed."""
        return of_mean(self.scores)


@dataclass(frozen=True)
class Final:
    """The candidates, the best first, with the defaults among them."""

    candidates: tuple[Candidate, ...]

    @property
    def winner(self) -> Candidate:
        return self.candidates[0]

    @property
    def defaults(self) -> Candidate:
        return next(each for each in self.candidates if each.trial is None)

    @property
    def front(self) -> tuple[Candidate, ...]:
        """With two objectives, the candidates that no other one is better than in both."""
        both = [each for each in self.candidates if each.seconds]
        return tuple(pareto(both, lambda each: (each.mean, each.second)))

    @property
    def gain(self) -> Interval | None:
        """The 95 % interval of what the winner is better than the defaults by; None where it is they, or one seed."""
        if self.winner.trial is None:
            return None
        return of_difference(self.winner.scores, self.defaults.scores)


def decide(study: Study, words: Sequence[str], say: Callable[[str], None]) -> Final | None:
    """Train the candidates that have not been trained yet, and compare them; None where none are asked for.

    Raises:
        RlzooError: if a signal ended it; what was trained is kept, and the same call goes on.
    """
    config = study.request.config
    ledger = study.claims.ledger()
    best = ledger.best(config.top_k) if config.second_objective is None else ledger.front()[: config.top_k]
    if not best:
        return None
    with study.claims.store.lock("final"):
        candidates = [_candidate(study, trial) for trial in best] + [Candidate(DEFAULTS, None, {})]
        jobs = [_job(study, words, candidate, k) for candidate in candidates for k in range(config.final_seeds)]
        todo = [job for job in jobs if _kept(job) is None]
        if todo:
            say(f"the best {len(best)} and the defaults on {config.final_seeds} fresh seeds: {len(todo)} trainings")
        errors = _train(todo, study, say)
        return Final(tuple(sorted((_filled(each, jobs, errors) for each in candidates), key=_order)))


def run_job(job: Mapping[str, Any]) -> dict[str, Any]:
    """Train a candidate on one seed: the entry point of a launcher's job."""
    if "reach" in job:
        enter(job["reach"])
    request = plan(job["words"], starts=False)
    composition = composition_of(request, job["settings"] if job["trial"] is not None else None)
    path = Path(job["path"])
    began = time.monotonic()
    trained = train_once(
        replace(parse(composition.values), seed=job["seed"]),
        path,
        objective=request.config.objective,
        n_last=request.config.n_last,
        details={"trial": job["trial"], "words": list(request.base.words)},
    )
    shutil.rmtree(path / "checkpoints", ignore_errors=True) if job["k"] else None
    second = second_score(request.config.second_objective, time.monotonic() - began, trained.size)
    kept = {"of": job["of"], "score": trained.score, "steps": trained.steps, "second": second}
    write_text(path.with_name(f"{path.name}.json"), json.dumps(kept) + "\n")
    return {"run": str(path), "result": kept}


def composition_of(request: TuneRequest, settings: Mapping[str, Any] | None) -> Composition:
    """The request with a candidate's settings; None for the defaults."""
    return defaults(request.base) if settings is None else lay(request.base, settings)


def _candidate(study: Study, trial: Any) -> Candidate:
    space = study.request.space
    settings = space.settings(drawn(space, trial.params))
    return Candidate(f"trial {trial.number}", trial.number, settings)


def _job(study: Study, words: Sequence[str], candidate: Candidate, k: int) -> dict[str, Any]:
    """What a process needs to train a candidate; `of` is what the result holds for."""
    config = study.request.config
    seed = trial_seed(study.seed, FRESH, k)
    values = composition_of(study.request, None if candidate.trial is None else candidate.settings).values
    judged = {key: values[key] for key in ("algo", "env", "total_timesteps", "eval", "stop")}
    objective = [config.objective, config.n_last, *([config.second_objective] if config.second_objective else [])]
    of = json.loads(json.dumps({**judged, "seed": seed, "objective": objective}, default=str))
    folder = study.folder / "final" / candidate.label.replace(" ", "_")
    path = str((folder / f"seed{k}").absolute())
    return {
        "words": list(words), "label": candidate.label, "trial": candidate.trial, "settings": dict(candidate.settings),
        "seed": seed, "k": k, "path": path, "of": of,
    }  # fmt: skip


def _train(todo: Sequence[Mapping[str, Any]], study: Study, say: Callable[[str], None]) -> dict[str, str]:
    """Run the jobs; returns errors by their paths."""
    errors: dict[str, str] = {}
    done = 0

    def ended(result: JobResult) -> None:
        nonlocal done
        done += 1
        job = todo[result.index]
        if result.exit_code:
            errors[job["path"]] = result.error
        score = f"{result.result['score']:.2f}" if result.result else result.error.splitlines()[0]
        say(f"final {done}/{len(todo)}: {job['label']}, seed {job['seed']}: {score}")

    config, launcher = study.request.config, study.request.train.launcher
    if config.workers == 1 and launcher["name"] == "local":
        for index, job in enumerate(todo):
            ended(_here(job, index))
        return errors
    with offered(study.claims.store) as reach:
        jobs = [Job({**job, "reach": reach}, "rlzoo.tuning.final:run_job", job["label"]) for job in todo]
        results = launch(jobs, launcher, n_jobs=config.workers, runs_dir=str(study.folder), on_result=ended)
    for result in results:
        if result.exit_code in BY_SIGNAL:
            raise RlzooError("stopped", code=ExitCode(result.exit_code))
    return errors


def _here(job: Mapping[str, Any], index: int) -> JobResult:
    """Run a job in this process."""
    try:
        answer = run_job(job)
    except RlzooError as error:
        if error.code in (*BY_SIGNAL, ExitCode.STORAGE):
            raise
        console.warn(error)
        return JobResult(index, int(error.code), error=str(error))
    return JobResult(index, run=answer["run"], result=answer["result"])


def _kept(job: Mapping[str, Any]) -> tuple[float, float | None] | None:
    """The score of a job that was run before with the same settings, and its second one."""
    path = Path(job["path"])
    kept = read_result(path.with_name(f"{path.name}.json"), path.parent)
    return (kept["score"], kept.get("second")) if kept is not None and kept["of"] == job["of"] else None


def _filled(candidate: Candidate, jobs: Sequence[Mapping[str, Any]], errors: Mapping[str, str]) -> Candidate:
    own = [job for job in jobs if job["label"] == candidate.label]
    found = [kept for job in own if (kept := _kept(job)) is not None]
    if len(found) < len(own):
        return replace(candidate, error=next((errors[job["path"]] for job in own if job["path"] in errors), ""))
    seconds = tuple(second for _, second in found if second is not None)
    return replace(candidate, scores=tuple(score for score, _ in found), seconds=seconds)


def _order(candidate: Candidate) -> tuple[float, bool]:
    """The best mean first; of equals the defaults, which need no file."""
    return -candidate.mean, candidate.trial is not None


def search_cost(ledger: Ledger) -> dict[str, float]:
    """What the search itself took: environment steps, and CPU hours of the workers, over all trials."""
    outcomes = [trial.user_attrs.get("outcome", {}) for trial in ledger.trials]
    return {
        "steps": sum(int(each.get("steps", 0)) for each in outcomes),
        "cpu_hours": sum(float(each.get("cpu_seconds", 0.0)) for each in outcomes) / 3600,
    }


def table_of(candidates: Sequence[Candidate], second: str | None) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows of a table of candidates; `second` is the second objective."""
    columns = ["candidate", "mean", "95 % CI", "seeds", *([second, "on the front"] if second else [])]
    front = Final(tuple(candidates)).front
    rows: list[list[Any]] = []
    for each in candidates:
        if not each.scores:
            rows.append([each.label, each.error.partition("\n")[0], "", 0, *([None, ""] if second else [])])
            continue
        interval = f"[{each.interval.low:.2f}, {each.interval.high:.2f}]" if each.interval else ""
        more = [each.second, "yes" if each in front else ""] if second else []
        rows.append([each.label, each.mean, interval, len(each.scores), *more])
    return columns, rows


def spent(cost: Mapping[str, float]) -> str:
    """`search_cost` in words."""
    hours = cost["cpu_hours"]
    cpu = f"{hours:.2f} CPU hours" if hours >= 0.1 else f"{hours * 3600:.0f} CPU seconds"
    return f"{cost['steps']:,.0f} steps, {cpu}"


def may_be_chance(gain: Interval) -> str:
    """What to add to a gain whose interval holds zero."""
    return "" if gain.low > 0 else ": it may be chance"
