"""The processes that environments start (a game, a browser, a simulator) end with rlzoo's own, however that ends.

On Linux they are known by a mark which every process inherits from the one that starts it, through fork, exec and into
a session of its own alike: its soft limit RLIMIT_RSS, a number that the kernel keeps and has not looked at since 2.4.
Marks are drawn at random, so that neither a stranger's process nor one that got the number of another is ever meant.
On other systems nothing is marked: an environment's process is killed with its process group, and that is all.

A process that environments start processes in has a guard: another process, of this file, which waits for its end and
then kills what is left. It also comes to that where nothing of Python runs any more: after SIGKILL, or a crash. And it
ends the process where a library in C holds Python for ever, so that not even the thread that looks for this can run.
"""

from __future__ import annotations

import atexit
import os
import select
import signal
import sys
import time
from contextlib import contextmanager, suppress

TYPE_CHECKING = False  # the guard is to start at once
if TYPE_CHECKING:
    from collections.abc import Container, Iterator
    from subprocess import Popen

MARKS = sys.platform == "linux"
"""Whether processes can be marked here."""

PATIENCE = 1.0
"""Seconds for a process that was asked to end."""

_KIND = 0x2E << 56
"""The highest byte of every mark."""

_PER_PROCESS = 2**16
"""Marks of one process: the first for what is started in it, the others for its environments' own processes."""

if MARKS:
    import resource


class _Here:
    """What this process marks with, and its guard; none if another process's guard sees to it."""

    def __init__(self, marks: range) -> None:
        self.pid, self.marks = os.getpid(), marks
        self.guard: Popen[bytes] | None = None
        self.n_given = self.n_held = 0
        self.limits = (-1, -1)  # before the mark


_here: _Here | None = None


@contextmanager
def held() -> Iterator[None]:
    """What is started within it belongs to an environment, and ends with this process at the latest."""
    if not MARKS:
        yield
        return
    here = _this_process()
    if here.n_held == 0:
        here.limits = resource.getrlimit(resource.RLIMIT_RSS)
        _set_limits(here.marks[0], here.limits[1])
    here.n_held += 1
    try:
        yield
    finally:
        here.n_held -= 1
        if here.n_held == 0:
            _set_limits(*here.limits)


@contextmanager
def unmarked() -> Iterator[None]:
    """What is started within it belongs to no environment, although there is one."""
    here = _here
    if here is None or here.pid != os.getpid() or not here.n_held:
        yield
        return
    _set_limits(*here.limits)
    try:
        yield
    finally:
        _set_limits(here.marks[0], here.limits[1])


def new_mark() -> int | None:
    """A mark for a process that is to be an environment's, and for all that it starts; None if none can be had."""
    if not MARKS or len((here := _this_process()).marks) == 1:
        return None
    here.n_given = here.n_given % (_PER_PROCESS - 1) + 1
    return here.marks[here.n_given]


def enter(mark: int | None) -> None:
    """Mark this process, for good."""
    if mark is not None:
        _set_limits(mark, resource.getrlimit(resource.RLIMIT_RSS)[1])


def end(marks: Container[int | None], patience: float = PATIENCE) -> set[int]:
    """End all processes of these marks but this one: they are asked to, and killed after so many seconds.

    Returns:
        The process numbers that they had.
    """
    asked: set[int] = set()
    deadline = time.monotonic() + patience
    while MARKS and (found := _find(marks)) and time.monotonic() < deadline + PATIENCE:  # some hang in the kernel
        is_late = time.monotonic() >= deadline
        for pid in found if is_late else found - asked:
            with suppress(OSError):  # it has gone, or is not this user's to end
                os.kill(pid, signal.SIGKILL if is_late else signal.SIGTERM)
        asked |= found
        time.sleep(0.01)
    return asked


def _this_process() -> _Here:
    global _here
    if _here is not None and _here.pid == os.getpid():
        return _here
    soft, hard = resource.getrlimit(resource.RLIMIT_RSS)
    if soft >= 0 and soft >> 56 == _KIND >> 56:  # this process is itself an environment's
        _here = _Here(range(soft, soft + 1))
        return _here
    first = _KIND | int.from_bytes(os.urandom(7), "big")
    if hard >= 0:
        first = min(first, hard // 2 + first % (hard // 2 + 1))
    first -= first % _PER_PROCESS
    _here = _Here(range(first, first + _PER_PROCESS))
    import multiprocessing.util  # noqa: F401 - at the end it waits for processes, also for those of environments
    import subprocess

    atexit.register(_leave)  # which has to come before that
    words = [sys.executable, "-I", "-S", __file__, str(os.getpid()), str(first)]
    with suppress(OSError):
        _here.guard = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, cwd="/", start_new_session=True
        )
        assert _here.guard.stdin is not None
        os.set_blocking(_here.guard.stdin.fileno(), False)
    return _here


def still_runs(seconds: float) -> None:
    """Tell the guard that Python runs here; it ends this process if it hears nothing for so many seconds, 0 for any."""
    here = _here
    if here is not None and here.pid == os.getpid() and here.guard is not None and here.guard.stdin is not None:
        with suppress(OSError, ValueError):  # it has ended
            os.write(here.guard.stdin.fileno(), f"{seconds:.0f}\n".encode())


def _leave() -> None:
    """End what environments in this process have left, with time to end in order; then the guard."""
    here = _here
    if here is None or here.pid != os.getpid() or len(here.marks) == 1:
        return
    for pid in end(here.marks[:1]):
        with suppress(OSError):
            os.waitpid(pid, os.WNOHANG)
    if here.guard is not None:
        here.guard.kill()
        here.guard.wait()


def _set_limits(soft: int, hard: int) -> None:
    with suppress(OSError, ValueError):  # a limit of the machine's own
        resource.setrlimit(resource.RLIMIT_RSS, (soft, hard))


def _find(marks: Container[int | None]) -> set[int]:
    with os.scandir("/proc") as entries:
        pids = [int(entry.name) for entry in entries if entry.name.isdigit()]
    return {pid for pid in pids if _is_marked(pid, marks)}


def _is_marked(pid: int, marks: Container[int | None]) -> bool:
    try:
        if pid == os.getpid() or resource.prlimit(pid, resource.RLIMIT_RSS)[0] not in marks:
            return False
        return not _has_state(pid, b"Z", b"X")
    except OSError:
        return False  # somebody else's, or gone


def _guard(owner: int, first: int) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)  # schedulers send them to all processes of a job
    with suppress(OSError, AttributeError):  # an old kernel, or it has ended
        _watch(owner, os.pidfd_open(owner))
    while os.getppid() == owner:
        time.sleep(0.1)
    end(range(first, first + _PER_PROCESS), patience=0)


def _watch(owner: int, ends: int) -> None:
    """Wait for the end of a process, and bring it about if it is silent too long; while it is stopped, no time runs."""
    limit, silent = 0, 0
    while ends not in (ready := select.select([ends, 0], [], [], 1)[0]):
        if ready:
            told = os.read(0, 2**16).split()
            if not told:  # it has ended, or closed this
                select.select([ends], [], [])
                return
            limit, silent = int(told[-1]), 0
        elif not _has_state(owner, b"T", b"t"):
            silent += 1
        if silent > limit > 0:
            print("warning: Python is held by a library in C: the command is ended, from", file=sys.stderr, flush=True)
            os.kill(owner, signal.SIGABRT)  # upon which it says where it is
            limit = 0


def _has_state(pid: int, *states: bytes) -> bool:
    with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - pathlib takes as long to import as all the rest
        return file.read().rpartition(b")")[2].split()[0] in states


if __name__ == "__main__":
    _guard(*map(int, sys.argv[1:]))
