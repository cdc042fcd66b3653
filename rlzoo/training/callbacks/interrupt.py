"""Turns the first SIGINT, SIGTERM or SIGHUP into a clean end of the training; a second SIGINT leaves at once.

Only between two rollouts can a training be resumed exactly. So it runs on to the next such boundary and is saved there,
as one does that a callback ends. Where none comes soon enough after a signal (a long rollout or update, an environment
that hangs) a timer takes it out of wherever it is, and what is saved is the last boundary.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

from rlzoo import console, errors
from rlzoo.errors import RlzooError
from rlzoo.protocols import (
    Algorithm,
    Callback,
    Ended,
    EpisodeLogger,
    EpisodeRecord,
    MetricLogger,
    Patience,
    least_patience,
)

SCHEDULERS = ("SLURM_JOB_ID", "SUBMITIT_EXECUTOR")
"""Environment variables of jobs to which SIGUSR1 and SIGUSR2 say that their time is over."""

WAIT = 0.75
"""Share of the grace in which a boundary has to come; the rest is for saving."""

TICK = 0.2
"""Seconds until the timer tries again, where an environment has swallowed what it raised."""

WINDOW = 10
"""Boundaries that count as of late."""


class StopTraining(BaseException):
    """Takes a training out of `learn`. No `except Exception` of an environment stops it."""


class RolloutTimer:
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


class Interrupt:
    """Within its `with` block the first signal only sets a flag; `learn` then ends as the module says.

    Further signals change nothing, as schedulers send several; a SIGINT after any signal raises KeyboardInterrupt at
    once. A scheduler's own signal is raised again at the end if the training was cut, so that whoever handled it before
    can put the job back into the queue. Signals reach the main thread alone; elsewhere it does nothing.

    Attributes:
        signal: the first signal that came, None before.
        ends: whether the training ends at this boundary: a signal has come, or a callback has said so.
        left: whether `learn` was left between two boundaries.
        at_once: whether a second SIGINT has come: whatever is raised then may come from the call that it broke off.
        deaf: further signals do nothing: only the last few lines are being written.
        timer: the time from boundary to boundary.
    """

    def __init__(self, grace: float = 0.0) -> None:
        self.signal: signal.Signals | None = None
        self.ends = self.left = self.deaf = self.at_once = False
        self.timer = RolloutTimer()
        self._grace, self._deadline = grace, 0.0
        self._exposed = False  # nobody but the algorithm and its environments is at work
        self._previous: dict[signal.Signals, Any] = {}
        self._said = False

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._handle) for number in _signals()}
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        self._disarm()
        for number, handler in self._previous.items():
            restored = signal.SIG_DFL if handler is None else handler  # it cannot be if it is not Python's
            if restored is signal.SIG_DFL and kind is not None and self.signal is not None and errors.owns_process():
                restored = signal.SIG_IGN  # the command is on its way out, with a code that says why
            signal.signal(number, restored)
        before, self._previous = self._previous, {}
        came = self.signal
        if kind is not None and came and came not in errors.ending_signals() and callable(before.get(came)):
            signal.raise_signal(came)

    def asked(self) -> bool:
        """Whether a signal has come."""
        return self.signal is not None

    def slow(self) -> bool:
        """Whether a boundary might come too late for a signal: the last one has to be kept in memory."""
        return self.timer.slowest is None or self.timer.slowest > self._grace / 2

    def learn(
        self,
        algorithm: Algorithm,
        total_timesteps: int,
        callbacks: Sequence[Callback],
        logger: MetricLogger | None,
        cut: Callable[[], bool] = lambda: False,
    ) -> None:
        """`algorithm.learn`, which ends at the first boundary after a signal or after a callback's `on_step` said so.

        It is left before that where the signal leaves no time, or where `cut` says that a callback has ended something
        before its time because of it. Every callback's `on_end` is called either way.
        """
        watched = _Watched(self, callbacks, cut)
        try:
            self._exposed = True
            algorithm.learn(total_timesteps, [watched], None if logger is None else _Shielded(self, logger))
        except (Ended, StopTraining) as end:
            self._exposed = False
            self.left = isinstance(end, StopTraining)
            if not watched.ended:
                watched.on_end(algorithm)
        finally:
            self._exposed = False
            self._disarm()

    def over(self) -> bool:
        """Whether a signal has come and the time for a boundary is up."""
        return self.signal is not None and time.monotonic() >= self._deadline

    def announce(self) -> None:
        """Say once what happens now that a signal has come."""
        if self.signal is not None and not self._said:
            self._said = True
            again = "; Ctrl-C again leaves at once" if self.signal == signal.SIGINT else ""
            console.say(f"{self.signal.name}: ending where the training can be resumed exactly, saving{again}")

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.deaf:
            return
        if self.signal is not None:
            if number == signal.SIGINT:
                self.at_once = True
                raise errors.Interrupted
            return
        wait = WAIT * self._grace
        hopeless = self.timer.left() > wait
        self._deadline = time.monotonic() + (0 if hopeless else wait)
        self.signal = signal.Signals(number)
        if hasattr(signal, "setitimer"):
            self._previous[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._ring)
            signal.setitimer(signal.ITIMER_REAL, max(self._deadline - time.monotonic(), 0.001), TICK)
        if self._exposed:  # else output might be half-written
            self.announce()

    _handle.tells = True  # type: ignore[attr-defined]

    def _ring(self, number: int, frame: FrameType | None) -> None:
        if self._exposed and self.over():
            raise StopTraining

    _ring.tells = True  # type: ignore[attr-defined]

    def _disarm(self) -> None:
        if self.signal is not None and hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)


class _Shield:
    """Within its `with` block the timer raises nothing, and the clock from boundary to boundary stands still."""

    def __init__(self, interrupt: Interrupt) -> None:
        self._interrupt = interrupt

    def __enter__(self) -> None:
        self._interrupt._exposed = False
        self._began = time.monotonic()

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        self._interrupt.announce()
        self._interrupt.timer.leave_out(time.monotonic() - self._began)
        self._interrupt._exposed = kind is None  # an error is on its way out already


class _Watched(Callback):
    """The callbacks of a training, shielded; ends it where a signal or one of them says so, at a boundary if it can."""

    def __init__(self, interrupt: Interrupt, callbacks: Sequence[Callback], cut: Callable[[], bool]) -> None:
        self.ended = False
        self._enough = False  # a callback has ended the training
        self._has_boundaries = False
        self._interrupt, self._callbacks, self._cut = interrupt, callbacks, cut
        self._shield = _Shield(interrupt)

    def on_start(self, algorithm: Algorithm) -> None:
        with self._shield:
            for callback in self._callbacks:
                callback.on_start(algorithm)

    def on_boundary(self, algorithm: Algorithm) -> None:
        with self._shield:
            self._interrupt.timer.boundary(algorithm.num_timesteps)
            self._has_boundaries = True
            self._interrupt.ends = self._enough or self._interrupt.asked()
            for callback in self._callbacks:
                callback.on_boundary(algorithm)
            if self._interrupt.ends:
                raise Ended

    def on_step(self, algorithm: Algorithm) -> bool:
        with self._shield:
            answers = [callback.on_step(algorithm) for callback in self._callbacks]  # all of them see every step
            if self._cut() or self._interrupt.over():
                raise StopTraining
            self._enough = self._enough or not all(answers)
            return self._has_boundaries or not self._enough

    def patience(self, algorithm: Algorithm) -> Patience:
        return least_patience(self._callbacks, algorithm)

    def on_end(self, algorithm: Algorithm) -> None:
        self._interrupt._exposed = False  # and stays so: nothing is left to be cut
        self.ended = True
        for callback in self._callbacks:
            callback.on_end(algorithm)


class _Shielded:
    """A logger whose writing is not cut; it hears of episodes if there is one that wants to."""

    def __init__(self, interrupt: Interrupt, logger: MetricLogger) -> None:
        self._logger, self._shield = logger, _Shield(interrupt)
        self._of_episodes: EpisodeLogger | None = logger if isinstance(logger, EpisodeLogger) else None

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        with self._shield:
            self._logger.log(metrics, step)

    def log_episodes(self, episodes: Sequence[EpisodeRecord]) -> None:
        if self._of_episodes is not None:
            with self._shield:
                self._of_episodes.log_episodes(episodes)

    def close(self) -> None:
        self._logger.close()


@contextmanager
def leaving_at_once(what: str) -> Iterator[None]:
    """Within it the first signal that ends work raises an RlzooError with `what`: for work that leaves nothing behind.

    What swallows it (an environment, or Python where it forks) hears of it again. Further signals but SIGINT change
    nothing. Signals reach the main thread alone; elsewhere it does nothing.
    """
    came: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        came.append(number)
        if len(came) == 1 and hasattr(signal, "setitimer"):
            before[signal.SIGALRM] = signal.signal(signal.SIGALRM, ring)
            signal.setitimer(signal.ITIMER_REAL, TICK, TICK)
        if len(came) == 1 or number == signal.SIGINT:
            raise StopTraining

    def ring(number: int, frame: FrameType | None) -> None:
        error = sys.exc_info()[1]
        while error is not None and not isinstance(error, StopTraining):
            error = error.__context__
        if error is None and inside:  # it is not on its way out
            raise StopTraining

    handle.tells = ring.tells = True  # type: ignore[attr-defined]
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    inside, before = True, dict[int, Any]()
    before |= {number: signal.signal(number, handle) for number in errors.ending_signals()}
    try:
        try:
            yield
        finally:
            inside = False
    except StopTraining:
        code = errors.code_of_signal(signal.SIGINT if signal.SIGINT in came else came[0])
        raise RlzooError(f"interrupted; {what}", code=code) from None
    finally:
        if signal.SIGALRM in before:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _signals() -> tuple[signal.Signals, ...]:
    """Those that end a training; under a scheduler also its own."""
    if hasattr(signal, "SIGUSR1") and any(name in os.environ for name in SCHEDULERS):
        return (*errors.ending_signals(), signal.SIGUSR1, signal.SIGUSR2)
    return errors.ending_signals()
