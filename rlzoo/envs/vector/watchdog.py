"""Ends a call of an environment in this process that does not return: a separate process would be killed.

A thread looks once in a while whether a call is still the one that it saw before. Then it interrupts that, which helps
wherever Python runs or waits; a library that never comes back to Python takes the command with it, and so does one that
calls `exit`. Where a library does not even let that thread run, the guard of `processes.engines` ends the command.
"""

from __future__ import annotations

import ctypes
import gc
import math
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn
from weakref import WeakSet

from rlzoo import console, errors
from rlzoo.envs.probe import RESET_FACTOR, START_SECONDS
from rlzoo.errors import ExitCode
from rlzoo.processes import engines, leaving

LOOK_SECONDS = 1.0
"""Time between two looks, or a quarter of the shortest limit."""

LAST_SECONDS = 5.0
"""How long a call may take to end after it was interrupted."""

DEBUGGERS = ("bdb", "pdb", "pydevd", "debugpy", "IPython.core.debugger")
"""Modules of debuggers, which may pause a call for any length of time."""

_SIGNAL: Any = getattr(signal, "SIGURG", None)  # which nobody else uses, and which does nothing where nobody handles it


class Hung(BaseException):
    """Raised in a call that does not return. No `except Exception` of an environment stops it."""


class Calls:
    """The calls of one environment.

    Attributes:
        count: odd while there is one; whoever calls adds one before, and one after.
        doing, limit: what is called if nothing else is said, and how many seconds it may take.
        on_end: called before the process is ended.
        stack, took: where it was when it took too long, and how long that was.
    """

    def __init__(self, limit: float) -> None:
        self.count = 0
        self.doing, self.limit = "step", limit
        self.stack: list[FrameType] = []
        self.took = limit
        self._seen, self._seconds = 0, 0.0
        self._thread = threading.get_ident()
        _start(self)

    @contextmanager
    def of(self, doing: str, limit: float) -> Iterator[None]:
        """Inside is a call of something other than a step."""
        before = self.doing, self.limit
        self.doing, self.limit, self._thread = doing, limit, threading.get_ident()
        self.count += 1
        try:
            yield
        finally:
            self.count += 1
            self.doing, self.limit = before

    def is_over(self, seconds: float) -> bool:
        """Whether the current call has taken too long, `seconds` after the last look."""
        same = self.count % 2 == 1 and self.count == self._seen
        self._seconds = self._seconds + seconds if same else 0.0
        self._seen = self.count
        return same and self._seconds >= self.limit

    def frames(self) -> list[FrameType]:
        """Where its thread is, the innermost frame first."""
        frame, found = sys._current_frames().get(self._thread), []
        while frame is not None:
            found.append(frame)
            frame = frame.f_back
        return found

    @property
    def is_interruptible(self) -> bool:
        """Whether a signal gets to it: Python handles them in the main thread."""
        main = threading.main_thread().ident
        return self._thread == main and _SIGNAL is not None and signal.getsignal(_SIGNAL) is _interrupt


_calls: WeakSet[Calls] = WeakSet()
_hung: tuple[Calls, int] | None = None
_thread: threading.Thread | None = None
_pid = 0
_last_words: list[Callable[[], object]] = []
_collection: Calls | None = None
"""What the garbage collector destroys: what environments leave to it has a limit too."""


@contextmanager
def last_words(say: Callable[[], object]) -> Iterator[None]:
    """Inside, `say` is called before the process is ended, where nothing else helps."""
    _last_words.append(say)
    try:
        yield
    finally:
        _last_words.remove(say)


def _end_process(text: str) -> NoReturn:
    console.warn(text)
    for say in _last_words:
        with suppress(Exception):
            say()
    sys.stderr.flush()
    leaving.at_once(ExitCode.TRAINING_FAILED)


def _start(calls: Calls) -> None:
    global _thread, _pid, _collection
    if math.isinf(calls.limit):
        return
    _calls.add(calls)
    if _collection is None:
        _collection = calls  # so that the next one is none of another's
        _collection = Calls(calls.limit)
        _collection.doing = "a destructor"
        gc.callbacks.append(_collect)
        _hear_exit()
    _collection.limit = calls.limit
    is_main = threading.current_thread() is threading.main_thread()
    if is_main and _SIGNAL is not None and signal.getsignal(_SIGNAL) == signal.SIG_DFL:
        signal.signal(_SIGNAL, _interrupt)
    if _thread is None or not _thread.is_alive() or _pid != os.getpid():
        _thread, _pid = threading.Thread(target=_watch, name="rlzoo-watchdog", daemon=True), os.getpid()
        _thread.start()
    _tell_guard([calls])


def _hear_exit() -> None:
    """Let the command's process say so when a library in C ends it with `exit`, of which nobody else hears.

    What calls `exit` may hold no part of Python; `leaving.leave`, the command's own end, does not come here.
    """
    if not leaving.has_last_word or sys.platform == "win32":
        return
    global _exit_heard
    _exit_heard = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(_on_exit)
    with suppress(AttributeError):
        ctypes.CDLL(None).__cxa_atexit(_exit_heard, None, None)


_exit_heard: Any = None
"""The function that C calls, which has to stay."""


def _on_exit(_: object) -> None:
    if os.getpid() != _pid:
        return  # a fork of it may end as it likes
    frames = [(frame.f_code.co_filename, frame.f_lineno) for frame, _ in traceback.walk_stack(sys._getframe(1))]
    line = errors.author_frame(reversed(frames))
    at = f" ({line})" if line else ""
    _end_process(f"a library in C called exit(){at}: the command ends; env.vec_env=subproc recreates the environment")


def _collect(phase: str, _found: dict[str, int]) -> None:
    if _collection is not None and threading.current_thread() is threading.main_thread():
        _collection._thread = threading.get_ident()
        _collection.count += _collection.count % 2 == (phase == "stop")


def _all() -> list[Calls]:
    while True:
        with suppress(RuntimeError):  # one came in between; a lock might be held for ever in a copy of the process
            return list(_calls)


def _watch() -> None:
    while True:
        found = _all()
        pause = min([LOOK_SECONDS, *(calls.limit / 4 for calls in found)])
        began = time.monotonic()
        time.sleep(pause)
        seconds = min(time.monotonic() - began, 2 * pause)  # of a process that was stopped meanwhile, none count
        for calls in found:
            if calls.is_over(seconds):
                _end(calls)
        _tell_guard(found)


def _tell_guard(found: list[Calls]) -> None:
    if errors.owns_process():
        longest = RESET_FACTOR * max((calls.limit for calls in found), default=0)
        engines.still_runs(max(START_SECONDS, longest) + LAST_SECONDS if found else 0)


def _end(calls: Calls) -> None:
    """Interrupt a call, and again while something in it continues."""
    global _hung
    count, frames = calls.count, calls.frames()
    if any(frame.f_globals.get("__name__", "").startswith(DEBUGGERS) for frame in frames):
        return
    calls.stack, calls.took, _hung = frames, calls.limit, (calls, count)
    deadline = time.monotonic() + LAST_SECONDS
    while calls.count == count and time.monotonic() < deadline:
        if calls.is_interruptible:
            signal.pthread_kill(calls._thread, _SIGNAL)
        time.sleep(LAST_SECONDS / 20)
    if calls.count == count and errors.owns_process():
        console.log.error("%s", errors.clean(stack_text(calls)))
        _end_process(f"{described(calls)}, and cannot be interrupted: the command ends")
    _hung = None


def _interrupt(number: int, frame: FrameType | None) -> None:
    if _hung is not None and _hung[0].count == _hung[1]:
        raise Hung(f"did not answer for {_hung[0].took:g} s")


def described(calls: Calls) -> str:
    """What a call did that took too long, and where."""
    line = author_line(calls)
    return f"the environment did not answer for {calls.took:g} s in {calls.doing}" + (f" ({line})" if line else "")


def author_line(calls: Calls) -> str | None:
    """Its author's line where it was."""
    return errors.author_frame((frame.f_code.co_filename, frame.f_lineno) for frame in reversed(calls.stack))


def stack_text(calls: Calls) -> str:
    """Where it was, as a traceback shows it."""
    return "".join(traceback.format_stack(calls.stack[0])) if calls.stack else ""
