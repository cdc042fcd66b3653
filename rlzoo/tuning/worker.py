"""A worker: runs one trial of a study after another until the study has all of them, or a signal comes."""

from __future__ import annotations

import gc
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import optuna

from rlzoo import console
from rlzoo.errors import ExitCode, RlzooError
from rlzoo.launchers.signals import noted_signals
from rlzoo.tuning.progress import state
from rlzoo.tuning.queue import NONE, NoFreeSlot
from rlzoo.tuning.request import plan
from rlzoo.tuning.storage.store import DATABASE, VARIABLE, Store, explained
from rlzoo.tuning.study import Study, join
from rlzoo.tuning.trial import TrialFailed, drop_checkpoints, run_trial, write_records

SWEEP_SECONDS = 15.0
"""Between two looks for trials whose worker is gone."""
IDLE_SECONDS = 1.0
"""Between two looks whether a slot has become free."""
TICK = 0.1
COLLECT_SECONDS = 5.0
"""Between two searches for memory that nobody needs any more."""


def work(job: dict[str, Any]) -> dict[str, Any]:
    """Be a worker in a process of its own: the entry point of a launcher's job."""
    enter(job["reach"])
    with noted_signals() as noted, closing(join(plan(job["words"], starts=False), since=job["since"])) as study:
        run_trials(study, job["name"], lambda: bool(noted))
    return {"exit_code": 128 + noted[0] if noted else 0}


def run_trials(study: Study, name: str, should_stop: Callable[[], bool]) -> None:
    """Run trials until the study has all of them or `should_stop` says so.

    Args:
        study: joined by this process.
        name: of the worker.
        should_stop: asked between trials, and while there is nothing to do.

    Raises:
        RlzooError: if a signal ended a training, too many failed, or the storage fails. The trial of that
            moment is back in the queue.
    """
    swept = time.monotonic()
    with _collecting() as collect:
        while not should_stop():
            if time.monotonic() - swept > SWEEP_SECONDS:
                study.queue.sweep()
                swept = time.monotonic()
            try:
                run_one(study, name)
            except NoFreeSlot:
                if study.queue.progress().done:
                    return
                if study.queue.store.has_leases:
                    study.queue.sweep()  # the trial that is waited for may be nobody's
                _wait(should_stop)
            collect()


@contextmanager
def _collecting() -> Iterator[Callable[[], None]]:
    """Gives what looks now and then for memory of past trials: their environments and networks hold on to each other.

    What is there after the first look, modules nearly all of it, is left out of the further ones.
    """
    last = time.monotonic()
    theirs = gc.get_freeze_count() > 0  # somebody else's, which is not ours to undo

    def collect() -> None:
        nonlocal last
        if time.monotonic() - last > COLLECT_SECONDS:
            gc.collect()
            if not gc.get_freeze_count():
                gc.freeze()
            last = time.monotonic()

    try:
        yield collect
    finally:
        if not theirs:
            gc.unfreeze()


def run_one(study: Study, name: str) -> None:
    """Run the next trial.

    Raises:
        NoFreeSlot: if there is none to run now.
        RlzooError: as `run_trials`.
    """
    queue = study.queue
    queue.current = NONE
    try:
        with explained(queue.store):
            queue.optimize(lambda trial: run_trial(study, trial, name), n_trials=1, catch=(TrialFailed,))
    except (ValueError, optuna.exceptions.UpdateFinishedTrialError):
        if queue.current == NONE or not queue.trials[queue.current].state.is_finished():
            raise
        console.warn(f"trial {queue.current} was taken for lost meanwhile, and is run again")
    finally:
        if queue.current != NONE:
            _ended(study, queue.current)


def _ended(study: Study, number: int) -> None:
    with study.queue.store.lock(), explained(study.queue.store):
        study.queue.store.end_lease(number)
        if state(study.queue.trials[number]) == "infeasible":
            return
        study.queue.put_back()
        progress = study.queue.progress()
        drop_checkpoints(study, progress)
    write_records(study, progress)


def _wait(should_stop: Callable[[], bool]) -> None:
    until = time.monotonic() + IDLE_SECONDS
    while time.monotonic() < until and not should_stop():
        time.sleep(TICK)


@contextmanager
def offered(store: Store) -> Iterator[dict[str, Any]]:
    """What workers are told, to see whether they reach the study; within it a lock is held that they have to notice."""
    from_environment = store.kind == os.environ.get(VARIABLE)
    told: dict[str, Any] = {"folder": str(Path.cwd()), "variable": from_environment, "lock": None}
    if not store.has_leases:
        yield told
        return
    name = f"command-{platform.node()}-{os.getpid()}"
    with store.lock(name):
        path = store.lock_file(name).absolute()
        try:
            yield {**told, "lock": str(path)}
        finally:
            with suppress(OSError):
                path.unlink()


def enter(told: Mapping[str, Any]) -> None:
    """Go where the command was given, in a worker's process.

    Raises:
        RlzooError: if this machine does not reach the study as the command's does.
    """
    here = platform.node()
    try:
        os.chdir(told["folder"])
    except OSError as error:
        message = f"{told['folder']}, where the study was started, cannot be entered on {here}: {error.strerror}"
        raise RlzooError(message, "start it in a folder that all machines share", ExitCode.STORAGE) from None
    if told["variable"] and not os.environ.get(VARIABLE):
        message = f"{VARIABLE} is set where the study was started, but not on {here}"
        raise RlzooError(message, "set it for the workers too, such as where `ray start` is called", ExitCode.STORAGE)
    if told["lock"] is not None and not _is_held(Path(told["lock"])):
        message = f"{here} does not see the lock that the command which started it holds: {told['lock']}"
        hint = f"that command is gone, or the folder's locks do not hold between machines; storage={DATABASE}"
        raise RlzooError(message, hint, ExitCode.STORAGE)


def _is_held(path: Path) -> bool:
    """Whether a process, on whichever machine, holds this lock."""
    from filelock import FileLock, Timeout

    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except (OSError, NotImplementedError):
        return False
    lock.release()
    return False
