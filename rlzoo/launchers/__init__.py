"""Runs the jobs of a sweep: on this machine, on Slurm or on Ray."""

from rlzoo.launchers.job import Job, JobResult, run_job, sweep_exit_code
from rlzoo.launchers.table import LAUNCHERS, check, launch, not_here, ready

__all__ = ["LAUNCHERS", "Job", "JobResult", "check", "launch", "not_here", "ready", "run_job", "sweep_exit_code"]
