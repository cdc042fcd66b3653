"""Eight workers with folders of their own, as on eight machines, and the death of some of them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Sequence

from short_studies import SHORT, Toy

from rlzoo.tuning import worker
from rlzoo.tuning.progress import DRAWN, WORKER, state
from rlzoo.tuning.request import plan
from rlzoo.tuning.storage import store
from rlzoo.tuning.study import Study, begin

HEARTBEAT = (1, 3)
"""Seconds between two signs of life, and after which a trial counts as lost, in the short form of these tests."""


def beat(heartbeat: Sequence[int]) -> None:
    """Let the trials of this process give signs of life this often."""
    store.HEARTBEAT_SECONDS, store.GRACE_SECONDS = heartbeat
    worker.SWEEP_SECONDS = min(worker.SWEEP_SECONDS, 2.0 * heartbeat[0])


def work(words: Sequence[str], folder: str, lasts: float, heartbeat: Sequence[int]) -> None:
    """Be a worker whose trials last this long."""
    toy = Toy()

    def run_trial(study, trial, name):
        study.request.space.draw(trial)
        trial.set_user_attr(DRAWN, True)
        trial.set_user_attr(WORKER, {"name": name, "pid": os.getpid()})
        time.sleep(lasts)
        return toy(study, trial, name)

    worker.run_trial = run_trial
    beat(heartbeat)
    worker.run_trials(begin(plan([*SHORT, *words, f"studies_dir={folder}"])), folder, lambda: False)


def start(
    words: Sequence[Sequence[str]], lasts: float, heartbeat: Sequence[int] = HEARTBEAT, folder: str = ""
) -> list[multiprocessing.Process]:
    """A worker for each of these words, with a folder of its own if they do not share one."""
    context = multiprocessing.get_context("fork")
    found = [
        context.Process(target=work, args=(each, folder or f"machine{number}", lasts, heartbeat))
        for number, each in enumerate(words)
    ]
    for process in found:
        process.start()
    return found


def kill(processes: Sequence[multiprocessing.Process], study: Study, *, within: float = 60.0) -> list[int]:
    """End processes with SIGKILL, each in the middle of a trial; returns these trials, which are waited for."""
    killed = {}
    for process in processes:
        while process.pid is not None:
            assert process.is_alive()
            running = {t.user_attrs.get(WORKER, {}).get("pid"): t.number for t in study.queue.progress().running}
            if process.pid in running:
                os.kill(process.pid, signal.SIGKILL)
                killed[running[process.pid]] = time.monotonic()
                break
            time.sleep(0.02)
    while killed.keys() - (lost := {trial.number for trial in study.queue.progress().lost}):
        assert all(time.monotonic() - at < within for number, at in killed.items() if number not in lost)
        time.sleep(0.1)
    return list(killed)


def check(processes: Sequence[multiprocessing.Process], study: Study, killed: Sequence[int], n_trials: int) -> None:
    """All that were not killed ended well, and the study has its trials, each place once, with the same values."""
    for process in processes:
        process.join(timeout=240)
    assert [process.exitcode for process in processes] == [0] * len(processes)
    progress = study.queue.progress()
    assert sorted(trial.user_attrs["place"] for trial in progress.finished) == list(range(n_trials))
    assert sorted(trial.number for trial in progress.trials) == list(range(n_trials + len(killed)))
    assert not progress.running
    assert not progress.waiting
    assert {state(trial) for trial in progress.trials} <= {"complete", "pruned", "lost"}
    assert sorted(trial.number for trial in progress.lost) == sorted(killed)
    by_place = {trial.user_attrs["place"]: trial for trial in progress.finished}
    for number in killed:
        lost = progress.trials[number]
        assert by_place[lost.user_attrs["place"]].params == lost.params != {}
