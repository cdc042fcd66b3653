"""Runs jobs as tasks of a Ray cluster, or of a Ray started on this machine for the sweep."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rlzoo.errors import ExitCode, RlzooError
from rlzoo.launchers.job import Job, JobResult, OnResult, interrupted, run_job, stopped_by
from rlzoo.launchers.signals import noted_signals
from rlzoo.launchers.table import NO_RAY
from rlzoo.registry import Imports, outside_the_folder

POLL_SECONDS = 0.5


def launch(
    jobs: Sequence[Job], *, options: Mapping[str, Any], n_jobs: int, runs_dir: str, on_result: OnResult | None = None
) -> list[JobResult]:
    """Hand all jobs to Ray, each to a fresh worker; the resources per job, not `n_jobs`, say how many run at a time.

    A Ray that runs already (in this process or at `launcher.address`) is used and left running. After a signal
    the tasks are cancelled and waited for.
    """
    with running(options) as ray:
        return _run(ray, jobs, options, on_result)


@contextmanager
def running(options: Mapping[str, Any]) -> Iterator[Any]:
    """Within it Ray is running: the one that was there, or one that is started or joined, and left at the end."""
    import ray

    started = not ray.is_initialized()
    if started:
        before = signal.getsignal(signal.SIGTERM)
        _start(ray, options)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)  # Ray puts its own there
    try:
        yield ray
    finally:
        if started:
            ray.shutdown()


def _start(ray: Any, options: Mapping[str, Any]) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # else Ray reports over the network
    address = options["address"]
    local = {"include_dashboard": False} if address is None else {}
    config = ray.job_config.JobConfig()
    config._py_driver_sys_path = _Elsewhere()
    try:
        with outside_the_folder():
            ray.init(
                address=address or "local",
                runtime_env=dict(options["runtime_env"]) or None,
                job_config=config,
                logging_level="WARNING",
                **local,
            )
    except ConnectionError as error:
        message = f"there is no Ray cluster at {address!r}: {error}"
        raise RlzooError(message, NO_RAY, ExitCode.MISSING) from error


class _Elsewhere(list[str]):
    """Where workers look for modules first, which Ray means to be the current folder too: never there."""

    def extend(self, folders: Iterable[str]) -> None:
        super().extend(folder for folder in folders if folder != str(Path.cwd()))


def _run(ray: Any, jobs: Sequence[Job], options: Mapping[str, Any], on_result: OnResult | None) -> list[JobResult]:
    threads = max(1, int(options["num_cpus"]))
    imports = Imports.here()
    task = ray.remote(num_cpus=options["num_cpus"], num_gpus=options["num_gpus"], max_calls=1, max_retries=0)(run_job)
    results: dict[int, JobResult] = {}
    with noted_signals() as noted:
        waiting = {task.remote(job, index, threads=threads, imports=imports): index for index, job in enumerate(jobs)}
        cancelled = False
        while waiting:
            if noted and not cancelled:
                cancelled = True
                for reference in waiting:
                    ray.cancel(reference)
            done, _ = ray.wait(list(waiting), num_returns=1, timeout=POLL_SECONDS)
            for reference in done:
                index = waiting.pop(reference)
                results[index] = _result(ray, reference, index, noted)
                if on_result:
                    on_result(results[index])
    return [results[index] for index in range(len(jobs))]


def _result(ray: Any, reference: Any, index: int, noted: list[int]) -> JobResult:
    """What the job sent back, or what Ray knows about its end."""
    try:
        return stopped_by(noted, ray.get(reference))
    except ray.exceptions.RayError as error:
        if noted:
            return interrupted(index, noted[0])
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        return JobResult(index, int(ExitCode.TRAINING_FAILED), error=reason.strip())
