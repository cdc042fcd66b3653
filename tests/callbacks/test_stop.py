"""Early ends: a reward that is reached, a time that is up."""

from __future__ import annotations

from math import ceil
from pathlib import Path
from types import SimpleNamespace

import pytest

import rlzoo
from rlzoo.protocols import Evaluation
from rlzoo.runs.checkpoints import read
from rlzoo.training.callbacks import Stop
from rlzoo.training.callbacks import stop as module
from tests.small import SMALL, loops


def stop(
    reward: float | None = None, minutes: float | None = None, episodes: int | None = None
) -> tuple[Stop, SimpleNamespace]:
    evaluations = SimpleNamespace(last=None)
    rule = Stop(SimpleNamespace(stop=SimpleNamespace(reward=reward, minutes=minutes, episodes=episodes)), evaluations)
    rule.on_start(ALGORITHM)
    return rule, evaluations


ALGORITHM = SimpleNamespace(num_timesteps=1200, n_episodes=0)


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
    evaluations.last = Evaluation((7.0,), (1,), (0,), True)
    assert not rule.on_step(ALGORITHM)  # once is enough
    assert rule.reason == "mean reward 200.00 has reached stop.reward=200"
    rule.on_end(ALGORITHM)
    assert "training ends at step 1,200" in capsys.readouterr().err


def test_episodes_that_have_been_played():
    rule, _ = stop(episodes=50)
    assert rule.patience(SimpleNamespace(n_episodes=20)).episodes == 30
    assert rule.on_step(SimpleNamespace(num_timesteps=1, n_episodes=49))
    assert not rule.on_step(SimpleNamespace(num_timesteps=1, n_episodes=50))
    assert rule.reason == "stop.episodes=50 have been played"


@pytest.mark.parametrize("algo", loops())
def test_a_training_ends_with_the_last_of_its_episodes(algo: str, tmp_path: Path):
    """Or with the generation that it belongs to."""
    words = [*SMALL[algo], "env.n_envs=1", "total_timesteps=20000", "stop.episodes=30", "seed=1"]
    words += ["eval.freq=0", "eval.seeds=[7, 8, 7]", f"runs_dir={tmp_path}", "logger=[]"]
    run = rlzoo.train(*words)
    contents = read(run.checkpoint("last"))
    at_a_time = {"ars": 4, "cem": 3, "evolution_strategies": 4}.get(algo, 1)
    assert contents.algorithm.values["n_episodes"] == at_a_time * ceil(30 / at_a_time)
    assert contents.manifest["at_boundary"]
    assert run.read_results()[-1]["seeds"] == [7, 8, 7]


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
