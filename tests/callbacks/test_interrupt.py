"""Signals: the first ends the training cleanly, a second SIGINT at once, and handlers are put back."""

from __future__ import annotations

import signal
import threading
from types import SimpleNamespace

import pytest

from rlzoo.callbacks import Interrupt

ALGORITHM = SimpleNamespace(num_timesteps=1500)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_only_ends_the_training(number, capsys):
    with Interrupt() as interrupt:
        assert interrupt.on_step(ALGORITHM) and not interrupt.asked()
        signal.raise_signal(number)
        assert interrupt.signal == number and interrupt.asked()
        assert not interrupt.on_step(ALGORITHM)
        assert not interrupt.on_step(ALGORITHM)
    assert capsys.readouterr().err.count(f"{number.name}: ending after step 1,500, saving") == 1


def test_a_second_sigint_leaves_at_once_and_a_second_sigterm_does_not():
    with Interrupt() as interrupt:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert interrupt.signal == signal.SIGTERM  # the first one says how the run ended


def test_handlers_are_put_back():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(ZeroDivisionError), Interrupt():
        assert signal.getsignal(signal.SIGTERM) != before[1]
        _ = 1 / 0
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_other_threads_are_left_alone():
    found = []

    def work():
        before = signal.getsignal(signal.SIGINT)
        with Interrupt() as interrupt:
            found.append(signal.getsignal(signal.SIGINT) == before and interrupt.on_step(ALGORITHM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [True]


def test_within_its_grace_the_training_runs_on_to_a_boundary():
    with Interrupt(grace=60) as interrupt:
        interrupt.on_boundary(ALGORITHM)
        signal.raise_signal(signal.SIGTERM)
        assert interrupt.on_step(ALGORITHM) and interrupt.on_step(ALGORITHM)
        interrupt.on_boundary(ALGORITHM)
        assert not interrupt.on_step(ALGORITHM)


def test_after_its_grace_it_ends_where_it_is(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("rlzoo.callbacks.interrupt.time.monotonic", lambda: now[0])
    with Interrupt(grace=10) as interrupt:
        signal.raise_signal(signal.SIGTERM)
        assert interrupt.on_step(ALGORITHM)
        now[0] += 10.1
        assert not interrupt.on_step(ALGORITHM)
