"""What code of others changes in the process that it runs in, and shall not: put back when its call is over.

The working directory, what signals do, files' permissions, the streams and hooks of the interpreter, and how NumPy and
torch compute. Random numbers are no part of it: an environment may draw from generators that it shares.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import warnings
from contextlib import suppress
from typing import Any

import numpy as np

SIGNALS = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGXCPU", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGURG")
    if hasattr(signal, name)
)


class Surroundings:
    """Those of one environment, from before it was made; each call of its code goes `with` it.

    An environment that changes the directory finds itself there again in its next call.

    Attributes:
        folder: the directory that its code works in, where that is another than the process's.
    """

    def __init__(self) -> None:
        self.folder: str | None = None
        self._home = _folder()
        self._before: tuple[Any, ...] = ()

    def __enter__(self) -> None:
        self._before = _state()
        if self.folder is not None:
            with suppress(OSError):
                os.chdir(self.folder)

    def __exit__(self, *error: object) -> None:
        now = _folder()
        if now != self._home:
            self.folder = now or None
            with suppress(OSError):  # it is gone: whoever writes there says so
                os.chdir(self._home)
        else:
            self.folder = None
        if _state() != self._before:
            _put_back(self._before)


def _folder() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 - in every reset
    except OSError:
        return ""


def _state() -> tuple[Any, ...]:
    umask = os.umask(0o022)
    os.umask(umask)
    torch: Any = sys.modules.get("torch")
    return (
        umask,
        tuple(map(signal.getsignal, SIGNALS)),
        list(warnings.filters),
        (sys.stdout, sys.stderr, sys.excepthook),
        logging.root.manager.disable,
        np.geterr(),
        () if torch is None else (torch.get_default_dtype(), torch.is_grad_enabled(), torch.get_num_threads()),
    )


def _put_back(state: tuple[Any, ...]) -> None:
    umask, handlers, filters, (sys.stdout, sys.stderr, sys.excepthook), disabled, numpy_errors, of_torch = state
    os.umask(umask)
    if threading.current_thread() is threading.main_thread():
        for number, handler in zip(SIGNALS, handlers, strict=True):
            now = signal.getsignal(number)
            if getattr(now, "tells", False):  # rlzoo's own, for a signal that has come meanwhile
                continue
            if handler is not None and now is not handler:  # None: not installed from Python
                signal.signal(number, handler)
    if list(warnings.filters) != filters:
        warnings.filters[:] = filters  # type: ignore[index]
        with warnings.catch_warnings():
            pass  # which tells the interpreter that they have changed
    logging.disable(disabled)
    np.seterr(**numpy_errors)
    if of_torch:
        torch: Any = sys.modules["torch"]
        dtype, grad, n_threads = of_torch
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(grad)
        if torch.get_num_threads() != n_threads:
            torch.set_num_threads(n_threads)
