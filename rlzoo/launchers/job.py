"""One job of a sweep: what to run, what came back, and how it runs in its own process."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rlzoo.errors import BY_SIGNAL, ExitCode, RlzooError, code_of_signal, own_process, said, words_of
from rlzoo.processes.leaving import refuse
from rlzoo.registry import Imports, load

SIGNAL_BASE = 128
"""A process ended by signal n counts as exit code 128 + n, as in a shell."""


@dataclass(frozen=True)
class Job:
    """What a separate process has to do: call the function `entry` ("package.module:function") with `config`.

    `config` is plain data. The function returns None or a mapping with any of `run` (path of the run directory),
    `result` (plain data), `exit_code` and `error`. `name` is what messages call the job: "seed=1".
    """

    config: dict[str, Any]
    entry: str
    name: str = ""


@dataclass(frozen=True)
class JobResult:
    """How the `index`-th job of a sweep (from 0) ended: with `exit_code` 0, or else as `error` says."""

    index: int
    exit_code: int = 0
    run: str | None = None
    result: dict[str, Any] | None = None
    error: str = ""


OnResult = Callable[[JobResult], None]


def run_job(job: Job, index: int, *, threads: int | None = None, imports: Imports | None = None) -> JobResult:
    """Run a job in this process, which should be its own: it sets environment variables and torch's threads.

    Args:
        job: what to run.
        index: its place in the sweep.
        threads: CPU threads for torch; None leaves them alone.
        imports: where the parent finds modules.
    """
    own_process()
    if imports is not None:
        imports.apply()
    os.environ["RLZOO_PLAIN"] = "1"
    if threads is not None:
        limit_threads(threads)
    take_back = refuse()
    try:
        answer = load(job.entry)(job.config) or {}
        return JobResult(
            index,
            exit_code=int(answer.get("exit_code", 0)),
            run=None if answer.get("run") is None else str(answer["run"]),
            result=answer.get("result"),
            error=str(answer.get("error", "")),
        )
    except RlzooError as error:
        return JobResult(index, int(error.code), error=str(error))
    except KeyboardInterrupt:
        return interrupted(index, signal.SIGINT)
    except SystemExit as stop:
        return JobResult(index, int(ExitCode.TRAINING_FAILED), error=said(stop))
    except Exception as error:
        if os.environ.get("RLZOO_DEBUG") == "1":
            traceback.print_exc()
        return JobResult(index, int(ExitCode.BUG), error=f"{type(error).__name__}: {words_of(error)}")
    finally:
        take_back()


def limit_threads(threads: int) -> None:
    """Bound the CPU threads of torch here, and of the numeric libraries of processes started from here."""
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = str(threads)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)


def interrupted(index: int, signum: int, *, started: bool = True) -> JobResult:
    """The result of a job that a signal to the sweep ended, or kept from starting."""
    what = "stopped by" if started else "not started:"
    return JobResult(index, int(code_of_signal(signum)), error=f"{what} {signal.Signals(signum).name}")


def stopped_by(noted: Sequence[int], result: JobResult) -> JobResult:
    """The result under the signal that the sweep got, whichever one the launcher's engine stopped the job with."""
    by_signal = result.exit_code in BY_SIGNAL
    return replace(result, exit_code=int(code_of_signal(noted[0]))) if noted and by_signal else result


def sweep_exit_code(results: Sequence[JobResult]) -> int:
    """129, 130 or 143 if a signal ended the sweep, else 0 if every job succeeded, else the first failing job's code."""
    codes = [result.exit_code for result in results]
    by_signal = (code for code in codes if code in BY_SIGNAL)
    return int(next(by_signal, next((code for code in codes if code), ExitCode.DONE)))
