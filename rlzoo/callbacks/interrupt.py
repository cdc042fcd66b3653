"""Turns the first SIGINT or SIGTERM into a clean end of the training; a second SIGINT leaves at once."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any, Self

from rlzoo import console
from rlzoo.protocols import Algorithm, Callback

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupt(Callback):
    """Within its `with` block, signals only set a flag: the training ends after the next step, and is saved.

    Signals reach the main thread alone; elsewhere it does nothing.

    Attributes:
        signal: the first signal that came, None before.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
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

    def on_step(self, algorithm: Algorithm) -> bool:
        if self.signal is not None and not self._said:
            self._said = True
            again = "; Ctrl-C again leaves at once" if self.signal == signal.SIGINT else ""
            console.say(f"{self.signal.name}: ending at step {algorithm.num_timesteps:,}, saving{again}")
        return self.signal is None

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = self.signal or signal.Signals(number)
