"""One process at a time writes to a run. The system itself releases the lock of a process that dies."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rlzoo.errors import ExitCode, RlzooError
from rlzoo.runs.run import Run

if TYPE_CHECKING:
    from filelock import BaseFileLock

PATIENCE = 1.0
"""Seconds to wait for a lock: whoever only looks whether a run is in use holds it for a moment."""


@contextmanager
def held(run: Run) -> Iterator[None]:
    """Be the one process that writes to the run; info.json says who it is.

    Raises:
        RlzooError: if another process is, with exit code 5.
    """
    from filelock import Timeout

    lock = _lock(run)
    try:
        lock.acquire(timeout=PATIENCE, poll_interval=0.05)
    except Timeout:
        raise RlzooError(f"{run.path} is in use by {owner(run)}", _HINT, ExitCode.STORAGE) from None
    except (OSError, NotImplementedError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise RlzooError(f"{run.path} cannot be locked: {reason}", "is it yours?", ExitCode.STORAGE) from error
    try:
        since = datetime.now(UTC).isoformat(timespec="seconds")
        run.update_info(owner={"pid": os.getpid(), "host": platform.node(), "since": since})
        yield
    finally:
        with suppress(OSError):  # code of others has closed its file, which releases it too
            lock.release()


_HINT = "wait until it has ended, or start another run"


def in_use(run: Run) -> bool:
    """Whether a process is writing to the run now."""
    from filelock import Timeout

    if not run.lock_file.exists():
        return False
    lock = _lock(run)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except (OSError, NotImplementedError):
        return False  # not ours to write to, so not ours to judge
    lock.release()
    return False


def owner(run: Run) -> str:
    """Who holds the lock, as far as info.json says it."""
    found = run.read_info().get("owner")
    if not isinstance(found, dict) or not {"pid", "host", "since"} <= found.keys():
        return "another process"
    return f"process {found['pid']} on {found['host']} since {found['since']}"


def _lock(run: Run) -> BaseFileLock:
    from filelock import FileLock

    return FileLock(run.lock_file, mode=0o600)


def status(run: Run, info: Mapping[str, Any]) -> str | None:
    """The status that its info.json says, but `killed` for a training whose process ended without a word."""
    said: str | None = info.get("status")
    return "killed" if said == "running" and not in_use(run) else said
