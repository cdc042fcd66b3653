"""Whether the workers of a study reach it: its folder, its storage, and the locks that say who runs which trial."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from rlzoo.errors import ExitCode, Problem, RlzooError
from rlzoo.tuning.storage.store import VARIABLE, Store

DATABASE = "postgresql://me@host/studies keeps the trials where every machine reaches them"


def leaves_this_machine(launcher: Mapping[str, Any]) -> bool:
    """Whether workers may run elsewhere: on Slurm, or on a Ray that runs already."""
    return launcher.get("cluster") == "slurm" or launcher.get("address") is not None


def problems(launcher: Mapping[str, Any], storage: Any) -> list[Problem]:
    """What workers on other machines could not use."""
    if storage != "sqlite" or os.environ.get(VARIABLE) or not leaves_this_machine(launcher):
        return []
    where = "Slurm's" if launcher.get("cluster") == "slurm" else "a running Ray's"
    message = f"sqlite is for one machine: its locks do not hold on network disks, and the workers are {where}"
    hint = f"storage=journal, with studies_dir= in a folder that all machines share; or storage={DATABASE}"
    return [Problem("storage", message, hint)]


@contextmanager
def offered(store: Store) -> Iterator[dict[str, Any]]:
    """What workers are told, to see whether they reach the study; within it a lock is held that they have to notice."""
    told: dict[str, Any] = {"folder": str(Path.cwd()), "variable": store.from_environment, "lock": None}
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
