"""How the process of a command ends: when its work is done, soon, and with its own exit code, whatever others want.

Standard library only.
"""

from __future__ import annotations

import atexit
import gc
import io
import os
import signal
import stat
import sys
import threading
import time
from _io import _IOBase
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any, NoReturn

from rlzoo.errors import ExitCode, Left, author_frame, clean, distance, ending_signals, said

SECONDS = 10.0
"""How long threads and exit handlers of others may take once the work is done."""

MAX_FILES = 1024
"""Descriptors of files that are looked at."""

_ENDS = ("_exit", "execv", "execve")
"""Functions of `os` that end a program at once; the others of `os.exec*` call these."""

TIMERS: dict[int, int] = {
    getattr(signal, timer): getattr(signal, sends)
    for timer, sends in (("ITIMER_REAL", "SIGALRM"), ("ITIMER_VIRTUAL", "SIGVTALRM"), ("ITIMER_PROF", "SIGPROF"))
    if hasattr(signal, timer)
}
"""Timers of the process, and the signal that each sends."""

at_once = os._exit
"""Ends this process, whatever `refuse` does."""

has_last_word = False
"""Whether this process is a command's, which ends by `leave`."""


def refuse() -> Callable[[], None]:
    """Keep others from ending this process in the middle of its work: their `os._exit` and `os.exec*` raise `Left`.

    Processes that are forked from this one may end as they like, and at a SIGTERM.

    Returns:
        What takes it back.
    """
    modules = (os, sys.modules[os.name])
    before = [(module, name, getattr(module, name)) for module in modules for name in _ENDS]
    for module, name, function in before:
        setattr(module, name, _refused(name, function))
    plain_forks()

    def take_back() -> None:
        for module, name, function in before:
            setattr(module, name, function)

    return take_back


def say_unraisable(unraisable: Any) -> None:
    """`sys.unraisablehook`: what was raised in a `__del__`, where it ends nothing, in one line and once."""
    if unraisable.exc_value is None or "RLZOO_DEBUG" in os.environ:
        sys.__unraisablehook__(unraisable)
        return
    text = f"warning: {said(unraisable.exc_value)} in a destructor, where it ends nothing"
    if text not in _told:
        _told.add(text)
        _say(text)


_told: set[str] = set()


def plain_forks() -> None:
    """Let no process that is forked from this one have rlzoo's handlers of signals; it knows where it was forked."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_forget_signals)


def end_fork() -> NoReturn:
    """End a process that the code of others has forked and let come back to rlzoo, by its own exit code if it exits."""
    error = sys.exc_info()[1]
    if isinstance(error, SystemExit):
        at_once(error.code if isinstance(error.code, int) else int(error.code is not None))
    _say(f"warning: a process that was forked comes back from its code into rlzoo, and is ended{_forked_at}")
    at_once(ExitCode.TRAINING_FAILED)


_held: dict[int, int] = {}


def hold(*descriptors: int) -> None:
    """Keep a copy of each, where hardly anybody closes it, from which `reopen` opens it again."""
    for each in descriptors:
        with suppress(ImportError, OSError):
            import fcntl

            _held[each] = fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, MAX_FILES // 2)


def reopen() -> list[int]:
    """Open again which of those descriptors the code of others has closed."""
    closed = [each for each in _held if not _is_open(each)]
    for each in closed:
        with suppress(OSError):
            os.dup2(_held[each], each, inheritable=each <= 2)
    return closed


def _is_open(descriptor: int) -> bool:
    try:
        os.get_inheritable(descriptor)
    except OSError:
        return False
    return True


def leave(code: int) -> NoReturn:
    """End the process as Python does, but in bounded time, and without taking its modules apart, which takes a second.

    What exit handlers print is not the command's output, and what they raise or return is not its exit code.
    """
    for number in ending_signals():
        signal.signal(number, lambda *_: at_once(code))
    output, sys.stdout, sys.unraisablehook = sys.stdout, sys.stderr, _say_raised
    with suppress(AttributeError, OSError, TypeError, ValueError):
        type(output).close(output)  # whoever reads it waits for nobody else
    for each in _held.values():
        with suppress(OSError):
            os.close(each)
    with suppress(RuntimeError):  # no more threads can be had
        threading.Thread(target=_insist, args=(code,), daemon=True).start()
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    _close_files()
    at_once(code)


def _refused(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    owner = os.getpid()

    def refused(*given: Any, **named: Any) -> Any:
        if os.getpid() != owner:
            return function(*given, **named)
        if threading.current_thread() is not threading.main_thread():
            _say(f"warning: a thread called os.{name}, which ends that thread alone{_where(sys._getframe(1))}")
            raise SystemExit
        raise Left(f"os.{name}", *given)

    return refused


_forked_at = ""


def _forget_signals() -> None:
    global _forked_at
    _forked_at = _where(sys._getframe(1))
    for number in ending_signals():
        if getattr(signal.getsignal(number), "tells", False):
            with suppress(ValueError):
                signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.SIG_IGN)


def _insist(code: int) -> None:
    time.sleep(SECONDS)
    with suppress(Exception):
        _say(f"warning: {_holder()} does not end within {SECONDS:g} s, and is not waited for any longer")
    at_once(code)


def _holder() -> str:
    main = threading.main_thread()
    threads = [each for each in threading.enumerate() if not (each.daemon or each is main)]
    frames = sys._current_frames()
    names = [f"thread {each.name!r}{_where(frames.get(each.ident or 0))}" for each in threads]
    return ", ".join(names) or f"an exit handler{_where(frames.get(main.ident or 0))}"


def _where(frame: FrameType | None) -> str:
    """Its author's line, if there is one in the stack."""
    found = []
    while frame is not None and frame.f_code is not leave.__code__:
        if distance(frame.f_code.co_filename) < 2:
            found.append((frame.f_code.co_filename, frame.f_lineno))
        frame = frame.f_back
    line = author_frame(reversed(found))
    return f" ({line})" if line else ""


def _close_files() -> None:
    """What was written into files that nobody has closed is in them."""
    if any(map(_is_file, range(3, MAX_FILES))):
        for each in sorted((each for each in gc.get_objects() if issubclass(type(each), _IOBase)), key=_depth):
            with suppress(Exception):
                each.close()
    if "ctypes" in sys.modules and sys.platform != "win32":
        sys.modules["ctypes"].CDLL(None).fflush(None)  # of libraries in C


def _depth(file: _IOBase) -> tuple[bool, bool, bool]:
    """Text, which is written into what compresses it, say, that into a buffer, and that into the file itself."""
    kind = type(file)
    return not issubclass(kind, io.TextIOBase), kind.__module__ == "_io", issubclass(kind, io.RawIOBase)


def _is_file(descriptor: int) -> bool:
    try:
        return stat.S_ISREG(os.fstat(descriptor).st_mode)
    except OSError:
        return False


def _say_raised(unraisable: Any) -> None:
    if unraisable.exc_value is not None:
        _say(f"warning: an exit handler failed: {said(unraisable.exc_value)}")


def _say(text: str) -> None:
    with suppress(AttributeError, OSError, ValueError):
        print(clean(text), file=sys.stderr, flush=True)
