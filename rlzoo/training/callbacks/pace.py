"""How long a training takes from one boundary to the next, and how many steps."""

from __future__ import annotations

import time
from collections import deque

WINDOW = 10
"""Boundaries that count as of late."""


class Pace:
    """A clock from boundary to boundary that stands still while callbacks are at work.

    Attributes:
        slowest: seconds that the slowest of the last few took, None before the second boundary.
        longest: environment steps that the longest of them had, 0 before the second boundary.
    """

    def __init__(self) -> None:
        self.slowest: float | None = None
        self.longest = 0
        self._seconds: deque[float] = deque(maxlen=WINDOW)
        self._steps: deque[int] = deque(maxlen=WINDOW)
        self._since: float | None = None
        self._step = 0

    def boundary(self, step: int) -> None:
        """A boundary has come, with `step` environment steps taken so far."""
        now = time.monotonic()
        if self._since is not None:
            self._seconds.append(now - self._since)
            self._steps.append(step - self._step)
            self.slowest, self.longest = max(self._seconds), max(self._steps)
        self._since, self._step = now, step

    def leave_out(self, seconds: float) -> None:
        """Callbacks have taken these."""
        if self._since is not None:
            self._since += seconds

    def left(self) -> float:
        """Seconds to the next boundary if it takes as long as the slowest of late; 0 if nobody can know."""
        if self.slowest is None or self._since is None:
            return 0.0
        return max(0.0, self.slowest - (time.monotonic() - self._since))
