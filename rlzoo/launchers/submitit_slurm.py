"""Runs jobs as a Slurm array through submitit, and waits for them."""

from __future__ import annotations

import secrets
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from rlzoo.errors import ExitCode, RlzooError
from rlzoo.launchers.job import Job, JobResult, OnResult, interrupted, run_job, stopped_by
from rlzoo.launchers.signals import noted_signals

POLL_SECONDS = 0.5


def launch(
    jobs: Sequence[Job], *, options: Mapping[str, Any], n_jobs: int, runs_dir: str, on_result: OnResult | None = None
) -> list[JobResult]:
    """Submit all jobs as one array; `launcher.array_parallelism`, not `n_jobs`, says how many run at a time.

    Scripts and logs are under `<runs_dir>/.sweeps/`. On SIGINT or SIGTERM the jobs are cancelled and waited for.
    """
    import submitit

    if options["cluster"] == "slurm" and shutil.which("sbatch") is None:
        hint = "start this on a login node of the cluster, or run here with launcher=local"
        raise RlzooError("there is no Slurm on this machine: sbatch was not found", hint, ExitCode.MISSING)
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    folder = Path(runs_dir) / ".sweeps" / f"{stamp}_{secrets.token_hex(3)}"
    executor = submitit.AutoExecutor(folder=folder, cluster=options["cluster"])
    executor.update_parameters(**_parameters(options))
    run = partial(run_job, threads=int(options["cpus_per_task"]), search_path=tuple(sys.path))
    results: dict[int, JobResult] = {}
    with noted_signals() as noted:
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
