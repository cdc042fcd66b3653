"""The launchers by name, the options that each takes, and the way into them."""

from __future__ import annotations

import re
import shutil
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from rlzoo.config import fields
from rlzoo.config.fields import Field, Fields
from rlzoo.errors import ExitCode, Problem, RlzooError
from rlzoo.launchers.job import Job, JobResult, OnResult
from rlzoo.registry import did_you_mean, load, lookup

HOST_AND_PORT = re.compile(r"(ray://)?(?P<host>[\w.-]+):(?P<port>\d+)")
CONNECT_SECONDS = 5.0
NO_RAY = "start one with `ray start --head`, or set launcher.address=null"


@dataclass(frozen=True)
class Launcher:
    """One row: `entry` is `launch(jobs, *, options, n_jobs, runs_dir, on_result)`; `package` comes with the extra."""

    entry: str
    session: str | None = None  # context manager, called with the options, in which `entry` finds what it needs
    package: str | None = None
    extra: str | None = None
    options: Fields = field(default_factory=dict)


LAUNCHERS: dict[str, Launcher] = {
    "local": Launcher("rlzoo.launchers.local:launch"),
    "submitit_slurm": Launcher(
        "rlzoo.launchers.submitit_slurm:launch",
        package="submitit",
        extra="slurm",
        options={
            "cluster": Field("str", choices=("slurm", "local")),
            "timeout_min": Field("int", ge=1),
            "partition": Field("str | null"),
            "cpus_per_task": Field("int", ge=1),
            "gpus_per_node": Field("int", ge=0),
            "mem_gb": Field("float | null", gt=0),
            "array_parallelism": Field("int", ge=1),
            "signal_delay_s": Field("int", ge=1),
            "setup": Field("texts"),
            "additional": Field("mapping"),
        },
    ),
    "ray": Launcher(
        "rlzoo.launchers.ray:launch",
        session="rlzoo.launchers.ray:running",
        package="ray",
        extra="ray",
        options={
            "address": Field("str | null"),
            "num_cpus": Field("float", gt=0),
            "num_gpus": Field("float", ge=0),
            "runtime_env": Field("mapping"),
        },
    ),
}


def check(options: Mapping[str, Any]) -> list[Problem]:
    """Everything that is wrong with the values under `launcher:`, found without importing a launcher."""
    name = options.get("name")
    if not isinstance(name, str) or name not in LAUNCHERS:
        near = did_you_mean(str(name), LAUNCHERS)
        return [Problem("launcher.name", f"unknown launcher {name!r}{near}", f"there are: {', '.join(LAUNCHERS)}")]
    launcher = LAUNCHERS[name]
    given = {key: value for key, value in options.items() if key != "name"}
    problems = fields.problems(launcher.options, given, "launcher")
    if launcher.package and find_spec(launcher.package) is None:
        missing = _missing(launcher)
        problems.append(Problem("launcher.name", missing.message, missing.hint, code=ExitCode.MISSING))
    return problems


def launch(
    jobs: Sequence[Job],
    options: Mapping[str, Any],
    *,
    n_jobs: int = 1,
    runs_dir: str = "runs",
    on_result: OnResult | None = None,
) -> list[JobResult]:
    """Run the jobs with the launcher that `options["name"]` names; the results are in the order of the jobs.

    Args:
        jobs: what to run; each gets its own process.
        options: the values under `launcher:`.
        n_jobs: how many run at a time on this machine; Slurm and Ray have their own limits.
        runs_dir: a launcher's own files go to `.sweeps` in it.
        on_result: called in this process as each job ends.

    Raises:
        RlzooError: if the launcher is unknown, its package is missing or it cannot start; a failing job raises nothing.
    """
    launcher = lookup(LAUNCHERS, str(options.get("name")), "launcher")
    if launcher.package and find_spec(launcher.package) is None:
        raise _missing(launcher)
    for problem in not_here(options):
        raise RlzooError(problem.message, problem.hint, ExitCode.MISSING)
    chosen = {key: value for key, value in options.items() if key != "name"}
    run = load(launcher.entry)
    results: list[JobResult] = run(jobs, options=chosen, n_jobs=n_jobs, runs_dir=runs_dir, on_result=on_result)
    return results


def not_here(options: Mapping[str, Any]) -> list[Problem]:
    """What the machine that jobs would be started from lacks for it: Slurm's commands, or the way to a Ray."""
    if options.get("cluster") == "slurm" and shutil.which("sbatch") is None:
        message = "there is no Slurm on this machine: sbatch was not found"
        hint = "start this on a login node of the cluster, or run here with launcher=local"
        return [Problem("launcher.cluster", message, hint, code=ExitCode.MISSING)]
    place = HOST_AND_PORT.fullmatch(str(options.get("address")))
    if place is None:
        return []
    try:  # Ray itself tries for minutes
        socket.create_connection((place["host"], int(place["port"])), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        message = f"there is no Ray cluster at {options['address']!r}: {error}"
        return [Problem("launcher.address", message, NO_RAY, code=ExitCode.MISSING)]
    return []


@contextmanager
def ready(options: Mapping[str, Any]) -> Iterator[None]:
    """Within it the launcher runs, for several calls of `launch`: a Ray that it started does not end between them.

    Raises:
        RlzooError: if it cannot be.
    """
    launcher = lookup(LAUNCHERS, str(options.get("name")), "launcher")
    if launcher.session is None:
        yield
        return
    with load(launcher.session)(options):
        yield


def _missing(launcher: Launcher) -> RlzooError:
    hint = f'pip install "hydra-rlzoo[{launcher.extra}]"'
    return RlzooError(f"this launcher needs the package {launcher.package}", hint, ExitCode.MISSING)
