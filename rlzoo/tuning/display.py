"""What is seen of a search while it runs: a dashboard on a terminal, a line for each trial elsewhere."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from rlzoo import console
from rlzoo.errors import RlzooError, clean
from rlzoo.redaction import one_line
from rlzoo.tuning.progress import ENQUEUED, INFEASIBLE, OUTCOME, WORKER, StudyProgress, overrun, state
from rlzoo.tuning.study import Study, join
from rlzoo.tuning.trial import write_records
from rlzoo.tuning.worker import SWEEP_SECONDS

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial
    from rich.console import Group
    from rich.live import Live

REFRESH = 1.0
"""Seconds between two looks at the storage."""
LAST_LOOK = 60.0
"""Seconds that the last one may take: an interrupt in the middle of a line of the log would block it for ever."""


class Watch:
    """Within its `with` block a thread shows the study, and puts trials whose worker is gone back into the queue."""

    def __init__(self, study: Study) -> None:
        self._request = study.request
        progress = study.queue.progress()
        self._began, self._finished_before = time.monotonic(), len(progress.finished)
        self._seen = {trial.number for trial in progress.trials if trial.state.is_finished()}
        self._stop = threading.Event()
        self._live: Live | None = None
        self._thread = threading.Thread(target=self._run, name="rlzoo tune display", daemon=True)

    def __enter__(self) -> Self:
        if console.is_live():
            from rich.live import Live

            self._live = Live(console=console.stderr(), refresh_per_second=4, transient=True)
            self._live.start()
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join(LAST_LOOK)
        if self._live is not None:
            self._live.stop()

    def _run(self) -> None:
        try:
            with closing(join(self._request)) as study:
                self._watch(study)
        except RlzooError as error:
            console.warn(error)

    def _watch(self, study: Study) -> None:
        swept = time.monotonic()
        while True:
            stopped = self._stop.wait(REFRESH)
            try:
                if time.monotonic() - swept > SWEEP_SECONDS:
                    swept = time.monotonic()
                    for number in study.queue.sweep():
                        console.warn(f"trial {number} was lost with its worker; its values are in the queue again")
                    write_records(study, study.queue.progress())
                self._show(study.queue.progress())
            except RlzooError as error:
                console.warn(error)
            if stopped:
                return

    def _show(self, progress: StudyProgress) -> None:
        if self._live is not None:
            self._live.update(self._dashboard(progress))
        for trial in progress.trials:
            if trial.state.is_finished() and trial.number not in self._seen:
                self._seen.add(trial.number)
                wanted = ENQUEUED in trial.user_attrs if state(trial) == "infeasible" else True  # draws are many
                if wanted and (self._live is None or state(trial) in ("failed", "infeasible")):
                    console.say(f"{line(trial)} | {self.summary(progress)}")

    def summary(self, progress: StudyProgress) -> str:
        """How far the study is, in one line."""
        parts = [summary(progress)]
        if left := self._left(progress):
            parts.append(f"{left} left")
        return " | ".join(parts)

    def _left(self, progress: StudyProgress) -> str:
        done = len(progress.finished) - self._finished_before
        todo = progress.n_trials - len(progress.finished)
        if done < 1 or todo < 1:
            return ""
        seconds = (time.monotonic() - self._began) / done * todo
        return (
            f"{seconds / 3600:.1f} h"
            if seconds > 5400
            else f"{seconds / 60:.0f} min"
            if seconds > 90
            else f"{seconds:.0f} s"
        )

    def _dashboard(self, progress: StudyProgress) -> Group:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.text import Text

        rows: list[tuple[Any, ...]] = []
        for trial in sorted(progress.running, key=lambda each: str(each.user_attrs.get(WORKER, {}).get("name"))):
            worker = trial.user_attrs.get(WORKER, {}).get("name", "")
            began = trial.datetime_start
            seconds = (datetime.now(began.tzinfo) - began).total_seconds() if began else 0.0
            last = trial.intermediate_values.get(trial.last_step) if trial.last_step is not None else None
            rows.append((worker, trial.number, f"{seconds:.0f} s", len(trial.intermediate_values), last))
        bar = ProgressBar(total=max(1, progress.n_trials), completed=len(progress.finished), width=60)
        table = console.table(("worker", "trial", "for", "evaluations", "last one"), rows)
        return Group(Text(one_line(clean(f"{self._request.study}: {self.summary(progress)}"))), bar, table)


def summary(progress: StudyProgress) -> str:
    """The trials by what became of them, and the best."""
    names = ("running", "pruned", "failed", "lost", "infeasible")
    counts = {name: getattr(progress, name) for name in names}
    said = ", ".join(f"{len(trials)} {name}" for name, trials in counts.items() if trials)
    text = f"{len(progress.finished)}/{progress.n_trials} trials" + (f" ({said})" if said else "")
    best = progress.best()
    return f"{text} | best {best[0].values[0]:.2f} (trial {best[0].number})" if best else text


def line(trial: FrozenTrial) -> str:
    """What became of a trial."""
    what = state(trial)
    if what == "infeasible":
        return f"trial {trial.number}: not tried: {trial.user_attrs[INFEASIBLE][0]}"
    seconds = trial.user_attrs.get(OUTCOME, {}).get("seconds")
    after = f" after {seconds:.0f} s" if seconds is not None else ""
    if what == "failed":
        return f"trial {trial.number}: failed{after}: {trial.user_attrs['error'].splitlines()[0]}"
    if what == "lost":
        return f"trial {trial.number}: stopped{after}; its values are in the queue"
    values = " / ".join(f"{value:.2f}" for value in trial.values or ())
    over = overrun(trial.user_attrs.get(OUTCOME, {}))
    text = f"trial {trial.number}: {f'{values} ' if values else ''}{what}{after}".replace(" complete", "")
    return f"{text}; {over}" if over else text
