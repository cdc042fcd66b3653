"""Signals: the first ends the training at a boundary or takes it out of wherever it is, a second SIGINT at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from rlzoo.errors import RlzooError
from rlzoo.protocols import Callback
from rlzoo.training.callbacks.interrupt import TICK, Interrupt, leaving_at_once

SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143}
if hasattr(signal, "SIGHUP"):
    SIGNALS |= {signal.SIGHUP: 129, signal.SIGXCPU: 143}


class Learner:
    """An algorithm of ten rollouts of four steps; `at` does something before a step, by the number of the step."""

    def __init__(self, at: dict[int, Callable[[], object]]) -> None:
        self.num_timesteps = 0
        self.at = at

    def learn(self, total_timesteps, callbacks, logger):
        for callback in callbacks:
            callback.on_start(self)
        for _ in range(10):
            for callback in callbacks:
                callback.on_boundary(self)
            for _ in range(4):
                self.at.get(self.num_timesteps, lambda: None)()
                self.num_timesteps += 1
                if not all(callback.on_step(self) for callback in callbacks):
                    return
        for callback in callbacks:
            callback.on_end(self)


class Watch(Callback):
    def __init__(self, at: dict[int, Callable[[], object]] | None = None) -> None:
        self.ends: list[int] = []
        self.at = at or {}

    def on_step(self, algorithm):
        self.at.get(algorithm.num_timesteps, lambda: None)()
        return True

    def on_end(self, algorithm):
        self.ends.append(algorithm.num_timesteps)


def learn(interrupt: Interrupt, at: dict[int, Callable[[], object]], watch: Watch) -> Learner:
    learner = Learner(at)
    interrupt.learn(learner, 40, [watch], None)
    return learner


@pytest.mark.parametrize("number", SIGNALS)
def test_the_training_runs_on_to_the_next_boundary(number, capsys):
    watch = Watch()
    with Interrupt(grace=10) as interrupt:
        learner = learn(interrupt, {13: lambda: signal.raise_signal(number)}, watch)
    assert (interrupt.signal, interrupt.ends, interrupt.left) == (number, True, False)
    assert learner.num_timesteps == 16 and watch.ends == [16]
    said = f"{number.name}: ending where the training can be resumed exactly, saving"
    assert capsys.readouterr().err.count(said) == 1


def test_without_a_signal_nothing_is_different():
    watch = Watch()
    with Interrupt(grace=10) as interrupt:
        learner = learn(interrupt, {}, watch)
    assert learner.num_timesteps == 40 and watch.ends == [40]
    assert not interrupt.left and not interrupt.asked()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer")
def test_a_step_that_takes_longer_than_the_grace_is_left():
    def hang():
        signal.raise_signal(signal.SIGTERM)
        time.sleep(60)

    watch, began = Watch(), time.monotonic()
    with Interrupt(grace=0.4) as interrupt:
        learner = learn(interrupt, {13: hang}, watch)
    assert 0.25 < time.monotonic() - began < 5
    assert learner.num_timesteps == 13 and watch.ends == [13]
    assert interrupt.left and not interrupt.ends


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer")
def test_what_swallows_everything_is_left_all_the_same():
    def stubborn():
        signal.raise_signal(signal.SIGTERM)
        try:
            time.sleep(60)
        except BaseException:
            time.sleep(60)

    with Interrupt(grace=0.1) as interrupt:
        assert learn(interrupt, {13: stubborn}, Watch()).num_timesteps == 13


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer")
def test_callbacks_are_never_cut():
    whole = []

    def write():
        signal.raise_signal(signal.SIGTERM)
        time.sleep(0.3)
        whole.append(True)

    with Interrupt(grace=0.05) as interrupt:
        learner = learn(interrupt, {}, Watch({13: write}))
    assert whole == [True] and learner.num_timesteps == 13 and interrupt.left


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer")
def test_a_boundary_known_to_be_too_far_is_not_waited_for():
    def ask():
        signal.raise_signal(signal.SIGTERM)
        time.sleep(1)

    rollout = dict.fromkeys(range(4), lambda: time.sleep(0.3))
    watch, began = Watch(), time.monotonic()
    with Interrupt(grace=1) as interrupt:
        learner = learn(interrupt, {**rollout, 5: ask}, watch)
        assert interrupt.slow()
    assert learner.num_timesteps == 5
    assert time.monotonic() - began < 1.2 + 0.5


def test_a_callback_that_has_had_enough_ends_the_training_at_a_boundary():
    watch = Watch()
    with Interrupt(grace=10) as interrupt:
        learner = Learner({})
        callback = Watch()
        callback.on_step = lambda algorithm: algorithm.num_timesteps != 13  # it says so once
        interrupt.learn(learner, 40, [callback, watch], None)
    assert learner.num_timesteps == 16 and watch.ends == callback.ends == [16]
    assert interrupt.ends and not interrupt.left and not interrupt.asked()


def test_an_algorithm_without_boundaries_ends_where_a_callback_says_so():
    class Plain(Learner):
        def learn(self, total_timesteps, callbacks, logger):
            while self.num_timesteps < total_timesteps:
                self.num_timesteps += 1
                if not all(callback.on_step(self) for callback in callbacks):
                    return

    learner, callback = Plain({}), Watch()
    callback.on_step = lambda algorithm: algorithm.num_timesteps < 13
    with Interrupt(grace=10) as interrupt:
        interrupt.learn(learner, 40, [callback], None)
    assert learner.num_timesteps == 13


def test_a_callback_that_was_cut_ends_the_training():
    watch = Watch()
    with Interrupt(grace=10) as interrupt:
        learner = Learner({})
        interrupt.learn(learner, 40, [watch], None, cut=lambda: learner.num_timesteps == 6)
    assert learner.num_timesteps == 6 and interrupt.left


def test_a_second_sigint_leaves_at_once_and_a_second_sigterm_does_not():
    with Interrupt() as interrupt:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        interrupt.deaf = True
        signal.raise_signal(signal.SIGINT)
    assert interrupt.signal == signal.SIGTERM  # the first one says how the run ended


def test_handlers_are_put_back():
    numbers = [*SIGNALS, *([signal.SIGALRM] if hasattr(signal, "SIGALRM") else [])]
    before = [signal.getsignal(number) for number in numbers]
    with pytest.raises(ZeroDivisionError), Interrupt():
        signal.raise_signal(signal.SIGTERM)
        assert all(signal.getsignal(number) != handler for number, handler in zip(numbers, before, strict=True))
        _ = 1 / 0
    assert [signal.getsignal(number) for number in numbers] == before


def test_other_threads_are_left_alone():
    found = []

    def work():
        before = signal.getsignal(signal.SIGINT)
        with Interrupt() as interrupt:
            found.append(signal.getsignal(signal.SIGINT) == before)
            found.append(learn(interrupt, {}, Watch()).num_timesteps == 40)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [True, True]


@pytest.mark.skipif(not hasattr(signal, "SIGUSR2"), reason="Unix")
def test_a_schedulers_signal_is_raised_again_once_all_is_saved(monkeypatch):
    came: list[int] = []
    before = signal.signal(signal.SIGUSR2, lambda number, _frame: came.append(number))
    try:
        with Interrupt():
            signal.raise_signal(signal.SIGUSR2)  # no scheduler here: it is nobody's business
        assert came == [signal.SIGUSR2]
        monkeypatch.setenv("SUBMITIT_EXECUTOR", "slurm")
        with pytest.raises(RlzooError), Interrupt(grace=10) as interrupt:
            learn(interrupt, {13: lambda: signal.raise_signal(signal.SIGUSR2)}, Watch())
            assert interrupt.ends and len(came) == 1
            raise RlzooError("interrupted")
        assert len(came) == 2
        with Interrupt():
            signal.raise_signal(signal.SIGUSR2)
        assert len(came) == 2  # the training was whole by then
    finally:
        signal.signal(signal.SIGUSR2, before)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_that_is_ignored_stays_so(number):
    """As `nohup` has it, and a shell for what its scripts run in the background."""
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with Interrupt() as interrupt, leaving_at_once("nothing was written"):
            signal.raise_signal(number)
        assert not interrupt.asked()
        assert signal.getsignal(number) == signal.SIG_IGN
    finally:
        signal.signal(number, before)


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Unix")
def test_a_process_that_was_started_to_ignore_a_signal_does():
    code = "import os, signal; from rlzoo.training.callbacks.interrupt import leaving_at_once\n"
    code += "with leaving_at_once('nothing'): os.kill(os.getpid(), signal.SIGINT)\nprint('to its end')"
    shell = f"trap '' INT HUP; exec {sys.executable} -c \"$CODE\""
    child = subprocess.run(["sh", "-c", shell], env={**os.environ, "CODE": code}, capture_output=True, check=False)
    assert (child.returncode, child.stdout) == (0, b"to its end\n"), child.stderr


@pytest.mark.parametrize("number", SIGNALS)
def test_work_that_leaves_nothing_behind_ends_at_once(number):
    before = signal.getsignal(number)
    expected = pytest.raises(RlzooError, match="interrupted; nothing was written")
    with expected as caught, leaving_at_once("nothing was written"):
        signal.raise_signal(number)
        raise AssertionError("it went on")
    assert caught.value.code == SIGNALS[number]
    assert signal.getsignal(number) == before


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="Unix")
def test_what_swallows_its_end_is_ended_again():
    """As Python does where it forks, and an environment may; but nothing disturbs what is done on the way out."""
    done = []
    with pytest.raises(RlzooError, match="interrupted; nothing was written"), leaving_at_once("nothing was written"):
        with suppress(BaseException):
            signal.raise_signal(signal.SIGTERM)
        try:
            while True:
                time.sleep(0.01)
        finally:
            try:
                raise OSError
            except OSError:
                time.sleep(3 * TICK)
            done.append(True)
    assert done and signal.getitimer(signal.ITIMER_REAL) == (0, 0)
