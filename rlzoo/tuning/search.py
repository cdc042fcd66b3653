"""A search from its words to its winner: the study, its workers, the decision at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlzoo import console
from rlzoo.errors import BY_SIGNAL, ExitCode, RlzooError, code_of_signal
from rlzoo.launchers import Job, launch, ready, sweep_exit_code
from rlzoo.launchers.signals import noted_signals
from rlzoo.redaction import redact_command, shell
from rlzoo.tuning.display import Watch, summary
from rlzoo.tuning.final import Final, data_of, decide, print_final, save, search_cost, spent
from rlzoo.tuning.progress import StudyProgress
from rlzoo.tuning.request import TuneRequest, plan
from rlzoo.tuning.study import Study, begin, join
from rlzoo.tuning.trial import drop_checkpoints, record_of, write_records
from rlzoo.tuning.worker import offered, run_trials


@dataclass(frozen=True)
class Tuned:
    """A study that has all its trials.

    Attributes:
        folder: of the study; each trial is a run in `trials/0007`, and a JSON beside it.
        trials: every trial as plain data, in the order of their numbers.
        best: the best trials first; with two objectives, those that no other is better than in both.
        final: the comparison on fresh seeds, None where none was asked for.
        cost: `steps` and `cpu_hours` of the search.
        saved: the file of the tuned set, if one was written.
        second: the second objective, if there is one.
    """

    folder: Path
    trials: tuple[dict[str, Any], ...]
    best: tuple[dict[str, Any], ...]
    final: Final | None
    cost: dict[str, float]
    saved: Path | None
    second: str | None = None

    def as_data(self) -> dict[str, Any]:
        """The study as plain data."""
        return {
            "folder": str(self.folder),
            "trials": self._counts(),
            "best": list(self.best),
            "final": None if self.final is None else data_of(self.final),
            "cost": self.cost,
            "saved": None if self.saved is None else str(self.saved),
        }

    def show(self) -> None:
        """Print the best trials, the comparison, and where everything is."""
        second = [self.second] if self.second else []
        rows = [
            (each["number"], each["score"], *([each["second"]] if second else []), _values(each["values"]))
            for each in self.best
        ]
        title = "Pareto front" if second else "best trials"
        console.print_table(("trial", "score", *second, "values"), rows, title=title)
        if self.final is not None:
            print_final(self.final, self.second, "" if second else self.final.verdict)
        console.print_lines(f"trials: {', '.join(f'{count} {state}' for state, count in self._counts().items())}")
        console.print_lines(f"search cost: {spent(self.cost)}")
        if self.saved is not None:
            console.print_lines(f"saved: {self.saved}, which rlzoo train applies from here on")
        console.print_lines(f"study: {self.folder}")
        console.print_lines(f"its pictures: rlzoo tune report {shell(f'study={self.folder}')}")

    def _counts(self) -> dict[str, int]:
        """How many trials ended in each way."""
        return dict(Counter(trial["state"] for trial in self.trials))


def _values(values: Mapping[str, Any]) -> str:
    return " ".join(
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}" for name, value in values.items()
    )


def tune(*words: str) -> Tuned:
    """Search hyperparameters, as `rlzoo tune` does.

    Args:
        words: settings as on the command line: `"algo=ppo"`, `"env=CartPole"`, `"n_trials=40"`.

    Returns:
        The study: its folder, trials, and the comparison of the best on fresh seeds.

    Raises:
        ConfigError: naming everything that is wrong with the request; nothing was started or written.
        RlzooError: if it was stopped or failed; the same call resumes it.
    """
    return search(plan(words), words)


def search(request: TuneRequest, words: Sequence[str]) -> Tuned:
    """Run the study of a request to its end, or resume it.

    Args:
        request: the checked request.
        words: it was made of; other processes make it of them again.

    Raises:
        RlzooError: if it was stopped, too many trials failed or the storage fails, with the command that resumes it.
    """
    with ready(request.train.launcher), closing(begin(request)) as study:
        return _search(study, words)


def _search(study: Study, words: Sequence[str]) -> Tuned:
    for note in study.notes:
        console.say(f"note: {note}")
    lost = study.queue.sweep()
    progress = study.queue.progress()
    how = f"has {len(progress.finished)} of" if progress.trials else "will have"
    console.say(f"study {study.folder} {how} {study.queue.n_trials} trials; seed {study.seed}")
    if lost:
        console.say(f"in the queue again, as nobody runs them any more: trials {', '.join(map(str, lost))}")
    try:
        if not progress.done:
            with Watch(study):
                _run(study, words)
            progress = study.queue.progress()
        write_records(study, progress)
        drop_checkpoints(study, progress)
        if not progress.done:
            raise RlzooError("the workers ended before the study had all its trials", code=ExitCode.TRAINING_FAILED)
        final = decide(study, words, console.say)
    except KeyboardInterrupt:
        raise _stopped(study, words, ExitCode.INTERRUPTED) from None
    except RlzooError as error:
        if error.code in BY_SIGNAL:
            raise _stopped(study, words, error.code) from None
        again = f"to resume: {command(words)}"
        raise RlzooError(error.message, f"{error.hint}; {again}" if error.hint else again, error.code) from error
    saved = save(study, final) if study.request.config.save and final is not None else None
    return _tuned(study, progress, final, saved)


def command(words: Sequence[str]) -> str:
    """The command that resumes the study."""
    return f"rlzoo tune {redact_command(words)}"


def _run(study: Study, words: Sequence[str]) -> None:
    """Run the workers until they end.

    Raises:
        RlzooError: if a signal stopped them, or one ended with an error and the study has not all its trials.
    """
    since = len(study.queue.progress().trials)
    n_workers, launcher = study.request.config.workers, study.request.train.launcher
    if n_workers == 1 and launcher["name"] == "local":
        with noted_signals() as noted, closing(join(study.request, since=since)) as own:
            run_trials(own, "worker 1", lambda: bool(noted))
        if noted:
            raise RlzooError("stopped", code=code_of_signal(noted[0]))
        return
    with offered(study.queue.store) as reach:
        given = {"words": list(words), "since": since, "reach": reach}
        names = [f"worker {n}" for n in range(1, n_workers + 1)]
        jobs = [Job({**given, "name": name}, "rlzoo.tuning.worker:work", name) for name in names]
        results = launch(jobs, launcher, n_jobs=n_workers, runs_dir=str(study.folder))
    code = sweep_exit_code(results)
    if code in BY_SIGNAL:
        raise RlzooError("stopped", code=ExitCode(code))
    failed = [result for result in results if result.exit_code]
    for result in failed:
        console.warn(f"{jobs[result.index].name} ended: {result.error.splitlines()[0]}")
    study.queue.sweep()
    if failed and not study.queue.progress().done:
        known = {int(each) for each in ExitCode}
        code = next((each.exit_code for each in failed if each.exit_code in known), int(ExitCode.TRAINING_FAILED))
        raise RlzooError(failed[0].error, code=ExitCode(code))


def _stopped(study: Study, words: Sequence[str], code: ExitCode) -> RlzooError:
    study.queue.sweep()
    progress = study.queue.progress()
    write_records(study, progress)
    return RlzooError(f"stopped: {summary(progress)}", f"to resume: {command(words)}", code)


def _tuned(study: Study, progress: StudyProgress, final: Final | None, saved: Path | None) -> Tuned:
    several = study.request.config.second_objective is not None
    best = progress.front() if several else progress.best(max(1, study.request.config.top_k))
    return Tuned(
        study.folder,
        tuple(record_of(study, trial) for trial in progress.trials),
        tuple(record_of(study, trial) for trial in best),
        final,
        search_cost(progress),
        saved,
        study.request.config.second_objective,
    )
