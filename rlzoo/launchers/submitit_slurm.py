"""Runs jobs as a Slurm array through submitit, and waits for them."""

from __future__ import annotations

import os
import secrets
import shlex
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from rlzoo.errors import ExitCode
from rlzoo.launchers.job import Job, JobResult, OnResult, interrupted, run_job, stopped_by
from rlzoo.launchers.signals import noted_signals
from rlzoo.registry import Imports, outside_the_folder

POLL_SECONDS = 0.5


class _Preempted(BaseException):
    """The job's time is over; no job that catches errors stops it."""


@dataclass(frozen=True)
class Requeued:
    """Runs a job that is requeued when its time is up, and then resumes its own run.

    submitit's signal comes to the training first, which saves; then here; then to submitit, which asks `checkpoint`
    what to run next and requeues the job.
    """

    threads: int
    imports: Imports

    def __call__(self, job: Job, index: int) -> JobResult:
        from submitit.core.job_environment import JobEnvironment

        if os.environ.get("SLURM_RESTART_COUNT", "0") != "0":  # requeued by Slurm itself
            job = _resuming(job)
        number = JobEnvironment._usr_sig()
        theirs = signal.signal(number, _preempt)
        try:
            return run_job(job, index, threads=self.threads, imports=self.imports)
        except _Preempted:
            signal.signal(number, theirs)
            signal.raise_signal(number)  # does not return
            raise
        finally:
            signal.signal(number, theirs)

    def checkpoint(self, job: Job, index: int) -> Any:
        """What submitit requeues."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, _resuming(job), index)


def _resuming(job: Job) -> Job:
    return replace(job, config={**job.config, "resume": "auto"})


def _preempt(number: int, frame: FrameType | None) -> None:
    raise _Preempted


def launch(
    jobs: Sequence[Job], *, options: Mapping[str, Any], n_jobs: int, runs_dir: str, on_result: OnResult | None = None
) -> list[JobResult]:
    """Submit all jobs as one array; `launcher.array_parallelism`, not `n_jobs`, says how many run at a time.

    Scripts and logs are under `<runs_dir>/.sweeps/`. After a signal the jobs are cancelled and waited for.
    """
    import submitit

    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    folder = Path(runs_dir) / ".sweeps" / f"{stamp}_{secrets.token_hex(3)}"
    folder.mkdir(parents=True)
    folder.chmod(0o700)  # jobs are pickled there as they were asked for
    python = f"{shlex.quote(sys.executable)} -P"  # finds no modules in the folder it starts in
    executor = submitit.AutoExecutor(folder=folder, cluster=options["cluster"], slurm_python=python)
    executor.update_parameters(**_parameters(options))
    run = Requeued(int(options["cpus_per_task"]), Imports.here())
    results: dict[int, JobResult] = {}
    with noted_signals() as noted:
        with outside_the_folder():
            handles = executor.map_array(run, jobs, range(len(jobs)))
        cancelled = False
        while len(results) < len(jobs):
            if noted and not cancelled:
                cancelled = True
                for handle in handles:
                    handle.cancel(check=False)
            for index, handle in enumerate(handles):
                if index not in results and handle.done():
                    results[index] = _result(handle, index, noted)
                    if on_result:
                        on_result(results[index])
            if len(results) < len(jobs):
                time.sleep(POLL_SECONDS)
    return [results[index] for index in range(len(jobs))]


def _parameters(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options by submitit's names; those that are null are left to Slurm."""
    return {
        "name": "rlzoo",
        "timeout_min": int(options["timeout_min"]),
        "cpus_per_task": int(options["cpus_per_task"]),
        "gpus_per_node": int(options["gpus_per_node"]),
        "mem_gb": options["mem_gb"],
        "slurm_partition": options["partition"],
        "slurm_array_parallelism": int(options["array_parallelism"]),
        "slurm_signal_delay_s": int(options["signal_delay_s"]),
        "slurm_setup": list(options["setup"]) or None,
        "slurm_additional_parameters": dict(options["additional"]) or None,
    }


def _result(handle: Any, index: int, noted: list[int]) -> JobResult:
    """What the job sent back, or what submitit knows about its end."""
    import submitit

    try:
        return stopped_by(noted, handle.result())
    except submitit.core.utils.UncompletedJobError as error:
        if noted:
            return interrupted(index, noted[0])
        reason = str(error).splitlines()[0] if str(error) else "it ended without a result"
        log = f"log: {handle.paths.stderr}"
        return JobResult(index, int(ExitCode.TRAINING_FAILED), error=f"{reason} (state {handle.state}; {log})")
    except submitit.core.utils.FailedJobError as error:
        reason = str(error).strip().splitlines()[-1]
        return JobResult(index, int(ExitCode.BUG), error=f"{reason} (log: {handle.paths.stderr})")
