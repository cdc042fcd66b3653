"""A trial is a training like any other: the same numbers as `rlzoo train` with its values and seed."""

from __future__ import annotations

import json
from pathlib import Path

import optuna
import pytest
from short_studies import SHORT, started

import rlzoo
from rlzoo.config.compose import compose
from rlzoo.config.parse import dump, parse
from rlzoo.runs.run import Run
from rlzoo.tuning import trial as trials
from rlzoo.tuning import worker
from rlzoo.tuning.display import line
from rlzoo.tuning.progress import StudyProgress, state
from rlzoo.tuning.study import Study
from rlzoo.tuning.trial import trial_seed

pytestmark = pytest.mark.usefixtures("workdir")

PPO = (
    "algo=ppo", "env=CartPole", "hyperparams=none", "total_timesteps=256", "logger=csv", "eval.n_episodes=1",
    "eval.final_n_episodes=1", "eval.freq=128", "eval.max_steps=50", "seed=1", "top_k=0", "study=s", "device=cpu",
    "search_space.n_steps={type: choice, values: [64, 128]}", "search_space.n_epochs={type: choice, values: [1, 2]}",
    "search_space.batch_size={type: choice, values: [32, 64]}",
)  # fmt: skip
ALWAYS = "pruner={threshold: {lower: 1000.0}}"
"""Prunes at the first evaluation."""


def run(*words: str) -> tuple[Study, StudyProgress]:
    study = started(*words)
    worker.run_trials(study, "w", lambda: False)
    return study, study.queue.progress()


def record(number: int) -> dict:
    return json.loads(Path(f"studies/s/trials/{number:04}.json").read_text())


@pytest.mark.parametrize("words", [("n_trials=2",), (*PPO, "n_trials=2", "enqueue=[]")], ids=["q_learning", "ppo"])
def test_train_with_its_values_and_seed_gives_the_same_evaluations(words: tuple[str, ...]) -> None:
    run(*words)
    kept = record(1)
    assert kept["state"] == "complete"
    own = [
        word for word in (*SHORT, *words) if not word.startswith(("search_space", "n_trials", "top_k", "study", "enq"))
    ]
    settings = [f"{key}={value}".replace("'", "") for key, value in kept["settings"].items()]
    again = rlzoo.train(*own, *settings, f"seed={kept['seeds'][0]}", "eval.selection_n_episodes=0")
    then = Run(Path("studies/s", kept["runs"][0]))
    assert again.evaluations_file.read_bytes() == then.evaluations_file.read_bytes()
    means = [line.split(",")[1] for line in then.evaluations_file.read_text().splitlines()[1:]]
    assert [str(value) for value in kept["evaluations"].values()] == means
    assert kept["score"] == pytest.approx(sum(map(float, means[-3:])) / len(means[-3:]))
    assert rlzoo.load(then).num_timesteps > 0  # a run like any other


@pytest.mark.parametrize(("objective", "n_results"), [("last", 0), ("final", 1)])
def test_it_is_evaluated_at_the_end_where_that_is_its_score(objective: str, n_results: int) -> None:
    run("n_trials=1", f"objective={objective}", "n_last=1")
    kept = record(0)
    results = Run(Path("studies/s", kept["runs"][0])).read_results()
    assert len(results) == n_results
    at_the_end = {each["checkpoint"]: each["mean_reward"] for each in results}
    assert kept["score"] == at_the_end.get("last", list(kept["evaluations"].values())[-1])


def test_the_trials_called_tuned_and_defaults_train_just_these() -> None:
    """The tuned set has schedules, and environments of another number than the defaults."""
    words = [word for word in PPO if not word.startswith(("hyperparams", "search_space", "total", "eval.freq"))]
    words += ["total_timesteps=512", "eval.freq=256"]
    run(*words, "n_trials=2", "hyperparams=auto", "study=s")
    for number, (name, hyperparams) in enumerate((("tuned", "auto"), ("defaults", "none"))):
        assert record(number)["enqueued"] == name
        own = [word for word in (*SHORT, *words) if not word.startswith(("top_k", "study", "hyperparams"))]
        wanted = dump(
            parse(compose("train", [*own, f"hyperparams={hyperparams}", "eval.selection_n_episodes=0"]).values)
        )
        trained = Run(Path("studies/s", record(number)["runs"][0])).read_config()
        assert [trained[key] for key in ("algo", "env", "eval", "stop")] == [
            wanted[key] for key in ("algo", "env", "eval", "stop")
        ]
    assert record(0)["settings"]["algo.learning_rate"] == {"linear": 0.001}
    assert record(0)["values"]["learning_rate"] == 0.001


@pytest.mark.parametrize("objective", ["last", "area", "final"])
def test_a_trial_is_scored_at_its_budget(objective: str) -> None:
    """The defaults collect 2,048 steps for an update; whatever comes after 300 is no part of their score."""
    words = [word for word in PPO if not word.startswith(("search_space", "total", "eval.freq"))]
    _, progress = run(*words, "total_timesteps=300", "n_trials=1", f"objective={objective}")
    kept = record(0)
    assert list(kept["evaluations"]) == [str(number) for number in range(10)]
    [trial] = progress.trials
    if objective == "final":
        assert (kept["steps"], kept["budget"]) == (301, 300)
        return
    assert (kept["steps"], kept["budget"]) == (2048, 300)
    assert line(trial).endswith("; it took 2,048 steps and is scored at 300")
    rows = Run(Path("studies/s", kept["runs"][0])).evaluations_file.read_text().splitlines()[1:]
    assert len(rows) == 68
    means = [float(row.split(",")[1]) for row in rows[:10]]
    assert kept["score"] == pytest.approx(sum(means[-3:]) / 3 if objective == "last" else sum(means) / 10)


def test_its_seeds_follow_from_the_study_and_its_place() -> None:
    run("n_trials=2", "seeds_per_trial=2", "objective=area")
    assert record(1)["seeds"] == [trial_seed(1, 1, 0), trial_seed(1, 1, 1)]
    assert record(1)["runs"] == ["trials/0001/seed0", "trials/0001/seed1"]
    assert len(record(1)["evaluations"]) == 20  # the curve of the second seed follows that of the first
    assert record(1)["score"] == pytest.approx(sum(record(1)["scores"]) / 2)
    assert record(1)["steps"] == 400
    assert len({trial_seed(1, place, k) for place in range(50) for k in range(3)}) == 150


def test_a_pruned_training_ends_at_once_and_says_so() -> None:
    _, progress = run("n_trials=1", ALWAYS)
    [trial] = progress.trials
    assert state(trial) == "pruned"
    kept = record(0)
    assert kept["steps"] == 20
    assert kept["score"] == kept["evaluations"]["0"]
    found = Run(Path("studies/s", kept["runs"][0]))
    assert found.read_info()["status"] == "pruned"
    assert "pruned at step 20, at evaluation 1" in found.log_file.read_text()
    assert found.read_results() == []


def test_a_failed_training_keeps_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    real = trials.train

    def fails_once(cfg, run, callbacks=(), **how):
        if run.path.name == "0001":
            raise MemoryError("no room for the table")
        return real(cfg, run, callbacks, **how)

    monkeypatch.setattr(trials, "train", fails_once)
    _, progress = run("n_trials=2")
    assert [state(trial) for trial in progress.trials] == ["complete", "failed", "complete"]
    assert record(1)["error"] == "no room for the table"
    assert record(1)["settings"] != record(2)["settings"]


def test_only_the_best_keep_their_checkpoints() -> None:
    _, progress = run("n_trials=4", "keep=2")
    there = [number for number in range(4) if Path(f"studies/s/trials/{number:04}/checkpoints").is_dir()]
    assert there == sorted(trial.number for trial in progress.best(2))


def test_two_objectives_make_a_front() -> None:
    constraint = "+search_space.constraints=['learning_rate < 0.05']"
    words = ("pruner=none", "second_objective=size", "n_trials=3", "sampler=random", "enqueue=[]", constraint)
    study, progress = run(*words)
    assert study.queue.directions == [optuna.study.StudyDirection.MAXIMIZE, optuna.study.StudyDirection.MINIMIZE]
    assert all(trial.values[1] == 64 for trial in progress.complete)  # 16 states of 4 actions
    assert study.queue.best_trials
    assert progress.infeasible
    assert len(progress.finished) == 3


@pytest.mark.parametrize("storage", ["sqlite", "journal"])
def test_it_says_who_runs_it_and_what_it_cost(storage: str) -> None:
    run("n_trials=1", f"storage={storage}")
    kept = record(0)
    assert kept["worker"]["name"] == "w"
    assert kept["enqueued"] == "defaults"
    assert kept["values"] == {"learning_rate": 0.7, "gamma": 0.95, "min_epsilon": 0.05, "decay_rate": 0.0005}
    assert kept["seconds"] > 0
    assert kept["cpu_seconds"] > 0
