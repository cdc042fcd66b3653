"""The end of a study: its best trials race on fresh seeds, and on others the first of them and the defaults compare.

What is chosen on some seeds is judged on others: a score that decided who advances is partly luck.
"""

from __future__ import annotations

import itertools
import json
import math
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rlzoo import console
from rlzoo.config import tuned_set, yaml_file
from rlzoo.config.compose import Composition, compose, with_values
from rlzoo.config.parse import parse
from rlzoo.config.provenance import is_section
from rlzoo.errors import BY_SIGNAL, ExitCode, RlzooError
from rlzoo.evaluation.evaluate import MIN_SEEDS
from rlzoo.launchers import Job, launch
from rlzoo.launchers.job import JobResult
from rlzoo.redaction import one_line, redact_values
from rlzoo.runs.run import write_text
from rlzoo.tuning.progress import ENQUEUED, EXACT, StudyProgress, pareto, second_score
from rlzoo.tuning.queue import defaults, settings_of
from rlzoo.tuning.race import Interval, budget_of, of_difference, of_mean, p_value, race
from rlzoo.tuning.request import TuneRequest, plan
from rlzoo.tuning.study import Study
from rlzoo.tuning.trial import read_result, train_once, trial_seed
from rlzoo.tuning.worker import enter, offered

FRESH = {"seed": 2**30, "race": 2**30 + 1}
"""What the seeds of the comparison and of the race before it are drawn with in place of a trial's number."""
DEFAULTS = "defaults"
FINALIST = "finalist.json"
"""Who won the race, in the folder of the comparison."""
MAX_P = 0.2
"""The defaults stay unless they are beaten at this level: `benchmarks/tuning_choice.py` tried others."""


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
        exact: the settings are whole, as `queue.exact_settings` gives them.
    """

    label: str
    trial: int | None
    settings: Mapping[str, Any]
    scores: tuple[float, ...] = ()
    error: str = ""
    seconds: tuple[float, ...] = ()
    exact: bool = False

    @property
    def mean(self) -> float:
        return math.fsum(self.scores) / len(self.scores) if self.scores else -math.inf

    @property
    def second(self) -> float:
        """The mean of the second objective."""
        return math.fsum(self.seconds) / len(self.seconds) if self.seconds else math.inf

    @property
    def interval(self) -> Interval | None:
        """The 95 % interval of the mean over training seeds; None of too few."""
        return of_mean(self.scores)

    @property
    def spread(self) -> str:
        """The interval in words, or the scores themselves where there are too few for one."""
        if self.interval is not None:
            return f"[{self.interval.low:.2f}, {self.interval.high:.2f}]"
        return ", ".join(f"{score:.2f}" for score in sorted(self.scores))


@dataclass(frozen=True)
class Final:
    """What came of the comparison.

    Attributes:
        candidates: who was compared, the best first: the winner of the race and the defaults; with two objectives the
            whole front and the defaults.
        raced: who was in the race, its winner first, with the scores there; nobody where there was none.
    """

    candidates: tuple[Candidate, ...]
    raced: tuple[Candidate, ...] = ()

    @property
    def winner(self) -> Candidate:
        """The best mean, or the defaults where it is not higher than theirs by more than chance often gives."""
        return self.candidates[0] if self.chance is None or self.chance <= MAX_P else self.defaults

    @property
    def defaults(self) -> Candidate:
        return next(each for each in self.candidates if each.trial is None)

    @property
    def front(self) -> tuple[Candidate, ...]:
        """With two objectives, the candidates that no other one is better than in both."""
        both = [each for each in self.candidates if each.seconds]
        return tuple(pareto(both, lambda each: (each.mean, each.second)))

    @property
    def ahead(self) -> bool:
        """Whether a trial was compared with the defaults, and has the higher mean."""
        trials = [each.trial for each in self.candidates if not each.seconds]
        return None in trials[1:]

    @property
    def gain(self) -> Interval | None:
        """The 95 % interval of what the best trial is ahead of the defaults by; None if it is not, or of few seeds."""
        return of_difference(self.candidates[0].scores, self.defaults.scores) if self.ahead else None

    @property
    def chance(self) -> float | None:
        """The p-value of the best trial's being ahead of the defaults; None if it is not, or of a single seed."""
        if not self.ahead or min(len(self.candidates[0].scores), len(self.defaults.scores)) < 2:
            return None
        return p_value(self.candidates[0].scores, self.defaults.scores)

    @property
    def verdict(self) -> str:
        """Whether the defaults were beaten, in a sentence."""
        best = self.candidates[0]
        if best.trial is None:
            others = [each.label for each in self.candidates if each.trial is not None and each.scores]
            return f"{', '.join(others)} did not beat the defaults" if others else "no candidate beat the defaults"
        if not self.defaults.scores:
            return f"{best.label} was compared with nothing: {self.defaults.error.partition(chr(10))[0]}"
        by = f"{best.mean - self.defaults.mean:.2f}"
        few = f", of fewer than {MIN_SEEDS} seeds"
        by += few if self.gain is None else f" [{self.gain.low:.2f}, {self.gain.high:.2f}]"
        if self.winner is not best:
            return f"{best.label} is ahead of the defaults by {by}, too little (p = {self.chance:.2f}): they stay"
        chance = "" if self.gain is not None and self.gain.low > 0 else ": it may be chance"
        return f"{best.label} beats the defaults by {by}{chance}"


def decide(study: Study, words: Sequence[str], say: Callable[[str], None]) -> Final | None:
    """Train the candidates that have not been trained yet, and compare them; None where none are asked for.

    Raises:
        RlzooError: if a signal ended it; what was trained is kept, and the same call resumes it.
    """
    config = study.request.config
    progress = study.queue.progress()
    several = config.second_objective is not None
    best = [
        each for each in (progress.front() if several else progress.best(config.top_k + 1)) if not _is_defaults(each)
    ]
    candidates = [_candidate(study, trial) for trial in best[: config.top_k]]
    if not candidates:
        return None
    with study.queue.store.lock("final"):
        raced: tuple[Candidate, ...] = ()
        if not several:
            raced = _raced(study, words, candidates, say)
            candidates = [replace(raced[0], scores=())] if raced else candidates
            if raced and raced[0].error:
                return Final((Candidate(DEFAULTS, None, {}), *candidates), raced)
            _name(study, candidates[0])
        candidates = [*candidates, Candidate(DEFAULTS, None, {})]
        compared = _scored(study, words, candidates, "seed", range(config.final_seeds), say)
        return Final(tuple(sorted(compared, key=_order)), raced)


def _raced(
    study: Study, words: Sequence[str], candidates: Sequence[Candidate], say: Callable[[str], None]
) -> tuple[Candidate, ...]:
    """The candidates with their scores in the race, its winner first; nobody if there is only one."""
    if len(candidates) == 1:
        return ()
    by_label = {each.label: each for each in candidates}

    def play(labels: Sequence[str], seeds: range) -> dict[str, tuple[float, ...]]:
        played = _scored(study, words, [by_label[label] for label in labels], "race", seeds, say)
        by_label.update({each.label: replace(each, scores=()) for each in played})
        return {each.label: each.scores for each in played}

    found = race(list(by_label), budget_of(len(candidates), study.request.config.final_seeds), play)
    return tuple(replace(by_label[label], scores=tuple(scores)) for label, scores in found.items())


def _scored(
    study: Study,
    words: Sequence[str],
    candidates: Sequence[Candidate],
    stage: str,
    seeds: range,
    say: Callable[[str], None],
) -> list[Candidate]:
    """The candidates with their scores on these seeds, for which they are trained where they have not been."""
    jobs = [_job(study, words, candidate, stage, k) for candidate in candidates for k in seeds]
    todo = [job for job in jobs if _kept(job) is None]
    if todo:
        names = ", ".join(each.label for each in candidates)
        what = "race on" if stage == "race" else "are compared on"
        say(f"{names} {what} {len(seeds)} fresh seed{'s' * (len(seeds) > 1)}: {len(todo)} trainings")
    errors = _train(todo, study, say)
    return [_filled(each, jobs, errors) for each in candidates]


def _is_defaults(trial: Any) -> bool:
    """Whether a trial is the defaults themselves, which are compared anyway."""
    return EXACT in trial.user_attrs and trial.user_attrs.get(ENQUEUED) == DEFAULTS


def _name(study: Study, finalist: Candidate) -> None:
    """Write down who advances to the comparison."""
    path = study.folder / "final" / FINALIST
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps({"trial": finalist.trial}) + "\n")


def run_job(job: Mapping[str, Any]) -> dict[str, Any]:
    """Train a candidate on one seed: the entry point of a launcher's job."""
    if "reach" in job:
        enter(job["reach"])
    request = plan(job["words"], starts=False)
    settings = job["settings"] if job["trial"] is not None else None
    composition = composition_of(request, settings, exact=job["exact"])
    path = Path(job["path"])
    began = time.monotonic()
    trained = train_once(
        replace(parse(composition.values), seed=job["seed"]),
        path,
        objective=request.config.objective,
        n_last=request.config.n_last,
        details={"trial": job["trial"], "words": list(request.base.words)},
    )
    if not job["keep"]:
        shutil.rmtree(path / "checkpoints", ignore_errors=True)
    second = second_score(request.config.second_objective, time.monotonic() - began, trained.size)
    kept = {"of": job["of"], "score": trained.score, "steps": trained.steps, "second": second}
    write_text(path.with_name(f"{path.name}.json"), json.dumps(kept) + "\n")
    return {"run": str(path), "result": kept}


def composition_of(request: TuneRequest, settings: Mapping[str, Any] | None, *, exact: bool = False) -> Composition:
    """The request with a candidate's settings, whole ones if they are exact; None for the defaults."""
    return defaults(request.base) if settings is None else with_values(request.base, settings, whole=exact)


def _candidate(study: Study, trial: Any) -> Candidate:
    settings, exact = settings_of(study.request, trial)
    return Candidate(f"trial {trial.number}", trial.number, settings, exact=exact)


def _job(study: Study, words: Sequence[str], candidate: Candidate, stage: str, k: int) -> dict[str, Any]:
    """What a process needs to train a candidate; `of` is what the result holds for."""
    config = study.request.config
    seed = trial_seed(study.seed, FRESH[stage], k)
    settings = None if candidate.trial is None else candidate.settings
    values = composition_of(study.request, settings, exact=candidate.exact).values
    judged = {key: values[key] for key in ("algo", "env", "total_timesteps", "eval", "stop")}
    objective = [config.objective, config.n_last, *([config.second_objective] if config.second_objective else [])]
    of = json.loads(json.dumps(redact_values({**judged, "seed": seed, "objective": objective}), default=str))
    folder = study.folder / "final" / candidate.label.replace(" ", "_")
    path = str((folder / f"{stage}{k}").absolute())
    return {
        "words": list(words), "label": candidate.label, "trial": candidate.trial, "settings": dict(candidate.settings),
        "exact": candidate.exact, "seed": seed, "keep": stage == "seed" and k == 0, "path": path, "of": of,
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
    with offered(study.queue.store) as reach:
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


def search_cost(progress: StudyProgress) -> dict[str, float]:
    """What the search itself took: environment steps, and CPU hours of the workers, over all trials."""
    outcomes = [trial.user_attrs.get("outcome", {}) for trial in progress.trials]
    return {
        "steps": sum(int(each.get("steps", 0)) for each in outcomes),
        "cpu_hours": sum(float(each.get("cpu_seconds", 0.0)) for each in outcomes) / 3600,
    }


def table_of(candidates: Sequence[Candidate], second: str | None) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows of a table of candidates; `second` is the second objective."""
    columns = ["candidate", "mean", "95 % CI, or the scores", "seeds", *([second, "on the front"] if second else [])]
    front = Final(tuple(candidates)).front
    rows: list[list[Any]] = []
    for each in candidates:
        if not each.scores:
            rows.append([each.label, each.error.partition("\n")[0], "", 0, *([None, ""] if second else [])])
            continue
        more = [each.second, "yes" if each in front else ""] if second else []
        rows.append([each.label, each.mean, each.spread, len(each.scores), *more])
    return columns, rows


def print_final(final: Final, second: str | None, verdict: str) -> None:
    """Print the race and the comparison at the end of a study; `second` is its second objective."""
    if final.raced:
        console.print_table(*table_of(final.raced, None), title="race on fresh seeds")
    if final.candidates:
        title = "compared on other fresh seeds" if final.raced else "on fresh seeds"
        console.print_table(*table_of(final.candidates, second), title=title)
    if verdict:
        console.print_lines(verdict)


def data_of(final: Final) -> dict[str, Any]:
    """A comparison as plain data."""
    return {
        "candidates": [_data(each, final.front) for each in final.candidates],
        "raced": [_data(each, ()) for each in final.raced],
        "gain": None if final.gain is None else final.gain._asdict(),
        "p_value": final.chance,
        "winner": None
        if any(each.seconds for each in final.candidates) or not final.candidates
        else final.winner.label,
    }


def _data(candidate: Candidate, front: Iterable[Candidate]) -> dict[str, Any]:
    interval, scores = candidate.interval, candidate.scores
    return {
        "label": candidate.label,
        "trial": candidate.trial,
        "settings": dict(candidate.settings),
        "scores": list(scores),
        "mean": candidate.mean if scores else None,
        "range": [min(scores), max(scores)] if scores else None,
        "ci": None if interval is None else [interval.low, interval.high],
        "error": candidate.error,
        **({"second": candidate.second, "front": candidate in front} if candidate.seconds else {}),
    }


def spent(cost: Mapping[str, float]) -> str:
    """`search_cost` in words."""
    hours = cost["cpu_hours"]
    cpu = f"{hours:.2f} CPU hours" if hours >= 0.1 else f"{hours * 3600:.0f} CPU seconds"
    return f"{cost['steps']:,.0f} steps, {cpu}"


SECTIONS = ("total_timesteps", "stop", "env", "algo")
"""What a tuned set says."""


def save(study: Study, final: Final) -> Path | None:
    """Write the winner's tuned set; where the defaults won there is none to write, which is said."""
    winner = final.winner
    if winner.trial is None:
        console.say(f"{final.verdict}: nothing was saved")
        return None
    request = study.request
    algo, env = request.base.choices["algo"], request.base.choices["env"]
    plain = compose("train", [f"algo={algo}", f"env={env}", "hyperparams=none"]).values
    values = composition_of(request, winner.settings, exact=winner.exact).values
    changed = {key: found for key in SECTIONS if (found := _changed(plain[key], values[key], (key,))) is not _SAME}
    difference, left_out = tuned_set.split(changed)
    if left_out:
        names = ", ".join(".".join(key) for key in left_out)
        console.say(f"left out of the tuned set, which holds values only: {names}; it is right only together with them")
    path = Path("hyperparams") / algo / f"{env}.yaml"
    text = f"{_header(study, final, winner)}\n{yaml_file.dump(difference)}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.read_text(encoding="utf-8", errors="replace") == text:
            return path
        if path.exists():
            before = _free(path)
            path.replace(before)
            console.say(f"the tuned set that was there is now {before}")
    except OSError as error:
        raise RlzooError(f"cannot write {path}: {error.strerror}", "is it yours?", ExitCode.STORAGE) from error
    write_text(path, text)
    return path


def _free(path: Path) -> Path:
    """A name for the file that is there now: none that was kept before is lost."""
    names = (path.with_name(f"{path.name}.before{n or ''}") for n in itertools.count())
    return next(name for name in names if not name.exists())


def _header(study: Study, final: Final, winner: Candidate) -> str:
    request, cost = study.request, search_cost(study.queue.progress())
    config, steps = request.config, request.train.total_timesteps
    what = f"mean of the last {config.n_last} evaluations" if config.objective == "last" else config.objective
    lines = [
        "@package _global_",
        f"source: rlzoo tune, study {request.study}, {winner.label} of {len(study.queue.progress().finished)} trials",
        f"date: {datetime.now(UTC).date().isoformat()}",
        f"score: {_text(winner)} over {len(winner.scores)} training seeds of {steps:,} steps ({what})",
        f"defaults: {_text(final.defaults)} over the same seeds",
        f"verdict: {final.verdict}",
        f"search: {spent(cost)}, seed {study.seed}",
    ]
    return "".join(f"# {one_line(line)}\n" for line in lines)


def _text(candidate: Candidate) -> str:
    return f"{candidate.mean:.2f} {candidate.spread if candidate.interval else f'({candidate.spread})'}"


_SAME = object()


def _changed(old: Any, new: Any, path: tuple[str, ...]) -> Any:
    """What has to be said for `new` where `old` is said already; mappings that are one value are said whole."""
    if old == new and isinstance(old, bool) == isinstance(new, bool):
        return _SAME
    if not (isinstance(old, Mapping) and isinstance(new, Mapping) and is_section(path)):
        return new
    found = {key: _changed(old.get(key, _SAME), value, (*path, str(key))) for key, value in new.items()}
    return {key: value for key, value in found.items() if value is not _SAME}
