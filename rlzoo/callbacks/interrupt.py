"""Turns the first SIGINT or SIGTERM into a clean end of the training; a second SIGINT leaves at once.

A training goes on exactly only from between two rollouts. So it first runs on to the next such boundary, if that comes
soon enough, and ends right after it.
"""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType
from typing import Any, Self

from rlzoo import console
from rlzoo.protocols import Algorithm, Callback

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupt(Callback):
    """Within its `with` block, signals only set a flag: the training ends at the next boundary, and is saved.

    If none comes within `grace` seconds it ends where it is. Signals reach the main thread alone; elsewhere it does
    nothing.

    Attributes:
        signal: the first signal that came, None before.
    """

    def __init__(self, grace: float = 0.0) -> None:
        self.signal: signal.Signals | None = None
        self._grace, self._asked_at, self._at_boundary = grace, 0.0, False
        self._previous: dict[signal.Signals, Any] = {}
        self._said = False

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._handle) for number in SIGNALS}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._previous.items():
            # a handler that was not installed from Python cannot be put back
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._previous = {}

    def asked(self) -> bool:
        """Whether a signal has come."""
        return self.signal is not None

    def on_boundary(self, algorithm: Algorithm) -> None:
        self._at_boundary = self.asked()

    def on_step(self, algorithm: Algorithm) -> bool:
        if self.signal is None:
            return True
        waited = time.monotonic() - self._asked_at
        if not self._said:
            self._said = True
            again = "; Ctrl-C again leaves at once" if self.signal == signal.SIGINT else ""
            console.say(f"{self.signal.name}: ending after step {algorithm.num_timesteps:,}, saving{again}")
        return not self._at_boundary and waited < self._grace

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        if self.signal is None:
            self._asked_at = time.monotonic()
            self.signal = signal.Signals(number)
