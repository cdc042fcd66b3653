"""What code of others changes in the process that it runs in, and must not: restored when its call is over.

The working directory, what signals do and the timers that send them, files' permissions, the streams, hooks and limits
of the interpreter, and how NumPy and torch compute. Random numbers are no part of it: an environment may draw from
generators that it shares.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import warnings
from _signal import getsignal  # type: ignore[import-not-found] # `signal`'s own makes enums, which takes time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

from rlzoo import console
from rlzoo.errors import ExitCode, RlzooError
from rlzoo.processes import leaving

SIGNALS = tuple(
    getattr(signal, name)
    for name in "SIGINT SIGTERM SIGHUP SIGXCPU SIGUSR1 SIGUSR2 SIGALRM SIGVTALRM SIGPROF SIGURG".split()
    if hasattr(signal, name)
)


class ContractError(RlzooError):
    """An environment that does what none may, or not what Gymnasium's API says, which a restart does not fix."""


class Surroundings:
    """Those of one environment, from before it was made; each call of its code goes `with` it.

    An environment that changes the directory finds itself there again in its next call.

    Attributes:
        folder: the directory that its code works in, where that is another than the process's.
    """

    def __init__(self) -> None:
        self.folder: str | None = None
        self._home = _folder()
        self._owner = os.getpid()
        self._limit = sys.getrecursionlimit()
        self._before: tuple[Any, ...] = ()

    def __enter__(self) -> None:
        self._before = _state()
        if self.folder is not None:
            with suppress(OSError):
                os.chdir(self.folder)

    def __exit__(self, *error: object) -> None:
        if sys.getrecursionlimit() != self._limit:  # before anything else is called, for which it may be too low
            sys.setrecursionlimit(self._limit)
        self.end_forks()
        now = _folder()
        if now != self._home:
            self.folder = now or None
            with suppress(OSError):  # it is gone: whoever writes there says so
                os.chdir(self._home)
        else:
            self.folder = None
        if _state() != self._before:
            _put_back(self._before)
        if any(descriptor > 2 for descriptor in leaving.reopen()):  # and what else?
            message = "the environment has closed files that others have opened, rlzoo's among them"
            hint = "os.close and os.closerange are for what its own code has opened"
            raise ContractError(message, hint, ExitCode.TRAINING_FAILED)

    def keep_learning(self, before: tuple[Any, ...]) -> None:
        """After a call that did not go `with` it: what would spoil the next update is as it was."""
        self.end_forks()
        if learning() != before:
            _put_back_learning(before)

    def end_forks(self) -> None:
        """End this process if it has been forked since: it would be a second rlzoo that writes the same files."""
        if os.getpid() != self._owner:
            leaving.end_fork()


def learning() -> tuple[Any, ...]:
    """How torch learns, which takes no time to look at."""
    torch: Any = sys.modules.get("torch")
    if not hasattr(torch, "get_default_device"):  # nothing has imported it yet
        return ()
    return torch.get_default_dtype(), torch.is_grad_enabled()


@contextmanager
def importing() -> Iterator[None]:
    """Within it a module of others is imported. Warnings that it silences stay so, and no folder of modules is lost."""
    before = list(sys.path)
    with Surroundings():
        yield
        silenced = [each for each in warnings.filters if each[0] == "ignore"]
    sys.path.extend(folder for folder in before if folder not in sys.path)
    _set_filters([*(each for each in silenced if each not in warnings.filters), *warnings.filters])


def _folder() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 - in every reset
    except OSError:
        return ""


def _state() -> tuple[Any, ...]:
    umask = os.umask(0o022)
    os.umask(umask)
    return (
        umask,
        tuple(map(getsignal, SIGNALS)),
        [timer for timer in leaving.TIMERS if signal.getitimer(timer)[0]],
        list(warnings.filters),
        (sys.stdout, sys.stderr, sys.excepthook),
        logging.root.manager.disable,
        np.geterr(),
        _of_torch(),
    )


def _of_torch() -> tuple[Any, ...]:
    if not (found := learning()):
        return ()
    torch: Any = sys.modules["torch"]
    return found, torch.get_default_device(), torch.get_num_threads()


def _put_back(state: tuple[Any, ...]) -> None:
    umask, handlers, timers, filters, streams, disabled, numpy_errors, of_torch = state
    sys.stdout, sys.stderr, sys.excepthook = streams
    os.umask(umask)
    if threading.current_thread() is threading.main_thread():
        _put_back_signals(handlers, timers)
    if list(warnings.filters) != filters:
        _set_filters(filters)
    logging.disable(disabled)
    np.seterr(**numpy_errors)
    if now := _of_torch():
        torch: Any = sys.modules["torch"]
        found, device, n_threads = of_torch or ((), torch.device("cpu"), now[-1])
        _put_back_learning(found)
        if device != now[1]:
            torch.set_default_device(None if device.type == "cpu" else device)
        if n_threads != now[-1]:
            torch.set_num_threads(n_threads)


def _put_back_learning(before: tuple[Any, ...]) -> None:
    torch: Any = sys.modules["torch"]
    dtype, grad = before or (torch.float32, True)
    torch.set_default_dtype(dtype)
    torch.set_grad_enabled(grad)


def _put_back_signals(handlers: tuple[Any, ...], timers: list[int]) -> None:
    for number, handler in zip(SIGNALS, handlers, strict=True):
        now = getsignal(number)
        if getattr(now, "tells", False):  # rlzoo's own, for a signal that has come meanwhile
            continue
        if number in leaving.TIMERS.values():
            _stop_timer(number, timers)
        if handler is not None and now is not handler:  # None: not installed from Python
            signal.signal(number, handler)


def _stop_timer(number: int, before: list[int]) -> None:
    """Stop a timer that would send a signal to whatever runs after the call."""
    for timer, sends in leaving.TIMERS.items():
        if sends == number and timer not in before and signal.getitimer(timer)[0]:
            signal.setitimer(timer, 0)
            name = signal.Signals(number).name
            console.warn_once(f"a timer of the environment's is stopped, which would send {name} after its call")


def _set_filters(filters: list[Any]) -> None:
    warnings.filters[:] = filters  # type: ignore[index]
    with warnings.catch_warnings():
        pass  # which tells the interpreter that they have changed
