"""Notes signals that end commands while jobs run, so that a launcher can pass them on and wait."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rlzoo import errors


@contextmanager
def noted_signals() -> Iterator[list[int]]:
    """A list that grows by each such signal of this process; the previous handlers are restored at the end.

    Only the main thread may handle signals: elsewhere the list stays empty and nothing changes.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    before = {
        signum: signal.signal(signum, lambda number, _frame: received.append(number))
        for signum in errors.ending_signals()
    }
    try:
        yield received
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
