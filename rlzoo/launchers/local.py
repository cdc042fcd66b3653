"""Runs jobs side by side on this machine, each in a fresh process forked from a warm one.

On Linux the processes come from multiprocessing's fork server, which imports torch and Stable-Baselines3 once.
Forking this very process instead would hand jobs its GPU context and its OpenMP pool, on which torch hangs after a
fork. Other systems start a fresh process for each.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from rlzoo.errors import ExitCode, ending_signals
from rlzoo.launchers.job import SIGNAL_BASE, Job, JobResult, OnResult, interrupted, run_job
from rlzoo.launchers.signals import noted_signals
from rlzoo.registry import Imports, outside_the_folder

POLL_SECONDS = 0.2
EXIT_SECONDS = 30.0
"""How long a process may take to end after it has sent its result."""


@dataclass
class _Running:
    index: int
    process: BaseProcess
    connection: Connection
    open: bool = True  # more may come through the connection
    ready: bool = False  # it can take a signal
    signals: int = 0  # how many of the noted signals it was sent
    result: JobResult | None = None
    result_at: float = 0.0


def launch(
    jobs: Sequence[Job], *, options: Mapping[str, Any], n_jobs: int, runs_dir: str, on_result: OnResult | None = None
) -> list[JobResult]:
    """Run at most `n_jobs` jobs at a time, the CPU threads divided among them; results are in the order of the jobs.

    A job that fails or dies does not stop the others. After a signal no further job starts; it goes to those that
    run, and they are waited for. `on_result` is called as each job ends.
    """
    context = _context()
    n_jobs = max(1, min(n_jobs, len(jobs)))
    threads = max(1, available_cpus() // n_jobs)
    queue = deque(enumerate(jobs))
    running: list[_Running] = []
    results: dict[int, JobResult] = {}
    with noted_signals() as noted, _none_left(running):
        while running or (queue and not noted):
            while queue and len(running) < n_jobs and not noted:
                index, job = queue.popleft()
                running.append(_start(context, job, index, threads))
            talking = [one.connection for one in running if one.open]
            wait([*talking, *(one.process.sentinel for one in running)], POLL_SECONDS)
            for one in list(running):
                _receive(one)
                _forward(one, noted)
                if one.process.exitcode is None:
                    continue
                _receive(one)  # what it sent between the first look and its end
                running.remove(one)
                results[one.index] = _result(one, noted)
                _close(one)
                if on_result:
                    on_result(results[one.index])
        for index, _job in queue:
            results[index] = interrupted(index, noted[0], started=False)
            if on_result:
                on_result(results[index])
    return [results[index] for index in range(len(jobs))]


def available_cpus() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def _none_left(running: list[_Running]) -> Iterator[None]:
    """On an error in the parent, end what still runs."""
    try:
        yield
    finally:
        for one in running:
            one.process.terminate()
        for one in running:
            one.process.join()


def _context() -> multiprocessing.context.BaseContext:
    if sys.platform != "linux":  # macOS can fork, but its libraries do not survive it
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["rlzoo.launchers.warm"])
    return context


def _start(context: Any, job: Job, index: int, threads: int) -> _Running:
    ours, theirs = context.Pipe()
    given = (theirs, job, index, threads, dict(os.environ), Imports.here())
    process = context.Process(target=_child, args=given, name=f"rlzoo job {index}")
    with outside_the_folder():
        process.start()
    theirs.close()
    return _Running(index, process, ours)


def _receive(one: _Running) -> None:
    """Read what the process has sent so far: that it is ready, then its result."""
    try:
        while one.open and one.connection.poll():
            message = one.connection.recv()
            one.ready = True
            if isinstance(message, JobResult):
                one.result, one.result_at, one.open = message, time.monotonic(), False
    except (EOFError, OSError):
        one.open = False  # it is gone: its exit code says how
    if one.result and time.monotonic() - one.result_at > EXIT_SECONDS:
        one.process.kill()


def _forward(one: _Running, noted: list[int]) -> None:
    """Pass on the signals that the process has not had yet, once it can take them."""
    while one.ready and one.result is None and one.signals < len(noted):
        with contextlib.suppress(ProcessLookupError):
            if sys.platform == "win32":
                one.process.terminate()
            elif one.process.pid is not None and one.process.exitcode is None:
                os.kill(one.process.pid, noted[one.signals])
        one.signals += 1


def _result(one: _Running, noted: list[int]) -> JobResult:
    """The result that the process sent, or what its end says if it sent none."""
    if one.result is not None:
        return one.result
    if one.signals:
        return interrupted(one.index, noted[0])
    code = one.process.exitcode or 0
    if code < 0:
        name = signal.Signals(-code).name
        hint = " (was the memory full?)" if name == "SIGKILL" else ""
        return JobResult(one.index, SIGNAL_BASE - code, error=f"the process was ended by {name}{hint}")
    return JobResult(
        one.index, code or int(ExitCode.BUG), error=f"the process ended with exit code {code} and no result"
    )


def _close(one: _Running) -> None:
    one.process.join()
    one.process.close()
    one.connection.close()


def _child(
    connection: Connection, job: Job, index: int, threads: int, environment: dict[str, str], imports: Imports
) -> None:
    """The life of a job's process."""
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)  # Ctrl+C in a terminal reaches the parent alone, which passes it on: once, not twice
    os.environ.clear()
    os.environ.update(environment)  # the fork server's is as old as the server
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, args=(connection,), daemon=True).start()
    try:
        connection.send("ready")
        result = run_job(job, index, threads=threads, imports=imports)
    except KeyboardInterrupt:
        result = interrupted(index, signal.SIGINT)
    for number in ending_signals():
        signal.signal(number, signal.SIG_IGN)  # there is nothing left to stop
    try:
        connection.send(result)
    except OSError:
        pass  # the parent is gone
    except Exception as error:
        connection.send(JobResult(index, int(ExitCode.BUG), result.run, error=f"the result cannot be sent: {error}"))


def _end_with_parent(connection: Connection) -> None:
    """Ask this process to end, as SIGTERM does, when the parent's end of the pipe closes: it was killed."""
    with contextlib.suppress(EOFError, OSError):
        connection.recv()
        return
    os.kill(os.getpid(), signal.SIGTERM)
