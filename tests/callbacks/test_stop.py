"""Early ends: a reward that is reached, a time that is up."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from rlzoo.callbacks import Stop
from rlzoo.callbacks import stop as module
from rlzoo.protocols import Evaluation


def stop(reward: float | None = None, minutes: float | None = None) -> tuple[Stop, SimpleNamespace]:
    evaluations = SimpleNamespace(last=None)
    rule = Stop(SimpleNamespace(stop=SimpleNamespace(reward=reward, minutes=minutes)), evaluations)
    rule.on_start(ALGORITHM)
    return rule, evaluations


ALGORITHM = SimpleNamespace(num_timesteps=1200)


def test_nothing_asked_never_stops():
    rule, evaluations = stop()
    evaluations.last = Evaluation((1e9,), (1,), (0,), True)
    assert rule.on_step(ALGORITHM) and rule.reason == ""


def test_the_mean_of_the_newest_evaluation_decides(capsys):
    rule, evaluations = stop(reward=200)
    assert rule.on_step(ALGORITHM)
    evaluations.last = Evaluation((199.0, 200.9), (1, 1), (0, 1), True)
    assert rule.on_step(ALGORITHM)
    evaluations.last = Evaluation((199.0, 201.0), (1, 1), (0, 1), True)
    assert not rule.on_step(ALGORITHM)
    assert rule.reason == "mean reward 200.00 has reached stop.reward=200"
    assert "training ends at step 1,200" in capsys.readouterr().err


def test_not_a_number_stops_nothing():
    rule, evaluations = stop(reward=-1e9)
    evaluations.last = Evaluation((float("nan"),), (1,), (0,), True)
    assert rule.on_step(ALGORITHM)


def test_minutes_count_from_the_start(monkeypatch: pytest.MonkeyPatch):
    now = 1000.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    rule, _ = stop(minutes=0.5)
    now += 29
    assert rule.on_step(ALGORITHM)
    now += 1
    assert not rule.on_step(ALGORITHM)
    assert "stop.minutes=0.5" in rule.reason
