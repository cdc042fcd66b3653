"""Every loop that waits for the end of an episode has an end itself, and says where it cut what had none."""

from __future__ import annotations

from pathlib import Path

import gymnasium
import pytest

import rlzoo
from rlzoo.cli.main import main
from rlzoo.config.schema import MAX_UNLIMITED, MIN_UNLIMITED
from rlzoo.envs.make import has_step_limit, make_raw
from rlzoo.runs.run import Run

ENDLESS = ("env=gym", "env.id=tests.endless:Endless-v0", "hyperparams=none", "seed=1", "logger=csv")
SHORT = ("total_timesteps=60", "eval.final_n_episodes=2", "eval.n_episodes=1", "eval.selection_n_episodes=0")


@pytest.fixture
def run(workdir):
    return rlzoo.train("algo=a2c", *ENDLESS, *SHORT, "eval.freq=0", "env.max_steps=20", "eval.max_steps=30")


def test_a_training_is_not_stuck_in_its_evaluations(workdir, capsys):
    assert main(["train", "algo=a2c", *ENDLESS, *SHORT, "eval.freq=20"]) == 0
    said = capsys.readouterr()
    assert f"2, 2 cut after {MIN_UNLIMITED:,} steps" in said.out
    assert said.err.count("episodes were cut after") == 1  # three evaluations on the way
    assert "has no step limit: evaluations cut its episodes" in said.err
    (entry,) = Run.open("latest").read_results()
    assert (entry["n_cut"], entry["max_steps"], entry["lengths"]) == (2, MIN_UNLIMITED, [MIN_UNLIMITED] * 2)


@pytest.mark.parametrize(
    "words",
    [
        ("algo=cem", "algo.population_size=2"),
        ("algo=ars", "algo.n_delta=1"),
        ("algo=hill_climbing",),
        ("algo=reinforce",),
        ("algo=sac", "env.kwargs={continuous: true}", "algo.train_freq=[1, episode]", "algo.learning_starts=10"),
    ],
)
def test_algorithms_that_wait_for_the_end_of_an_episode_get_one(words, workdir):
    run = rlzoo.train(*words, *ENDLESS, *SHORT, "eval.freq=0")
    episodes = run.episodes_file.read_text().splitlines()[1:] if run.episodes_file.is_file() else []
    assert all(f",{MIN_UNLIMITED}," in line for line in episodes) and run.read_info()["status"] == "finished"
    assert episodes or words[0] == "algo=reinforce"  # which ends with the steps that it was given


def test_games_that_a_wrapper_cuts_and_never_ends_are_counted(workdir):
    text = "def step(self, action):\n        self.env.reset()\n        return self.env.step(action)"
    Path("anew.py").write_text(f"import gymnasium\nclass Anew(gymnasium.Wrapper):\n    {text}\n")
    run = rlzoo.train("algo=a2c", *ENDLESS, *SHORT, "eval.freq=20", 'env.wrappers={"anew:Anew": {}}')
    assert run.read_results()[0]["lengths"] == [1, 1]


def test_algorithms_that_learn_from_steps_are_never_cut_in_training(workdir):
    run = rlzoo.train("algo=a2c", *ENDLESS, *SHORT, "eval.freq=0", f"total_timesteps={MIN_UNLIMITED + 500}")
    assert not run.episodes_file.is_file()


def test_what_was_asked_for_is_the_limit_and_in_the_entry(run):
    (entry,) = run.read_results()
    assert (entry["lengths"], entry["n_cut"], entry["max_steps"]) == ([30, 30], 2, 30)


@pytest.mark.parametrize("command", ["evaluate", "enjoy", "record"])
def test_those_who_watch_are_told_too(command, run, capsys):
    words = {"enjoy": ["render=none"], "record": ["path=film.mp4"]}.get(command, [])
    assert main([command, f"run={run.path}", "n_episodes=1", *words]) == 0
    said = capsys.readouterr()
    assert "1 cut after 30 steps" in said.out or "1 of 1 episodes were cut after 30 steps" in said.err


def test_random_actions_are_cut_where_a_long_training_is(workdir, capsys):
    assert main(["evaluate", "policy=random", *ENDLESS[:2], "n_episodes=1"]) == 0
    assert f"1 cut after {MAX_UNLIMITED:,} steps" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "length"),
    [
        (["env.id=tests.endless:EndlessLimited-v0"], 1_100),
        (["env.id=tests.endless:LimitedInside-v0"], 1_200),
        (["env.wrappers.time_limit={max_episode_steps: 1300}"], 1_300),
        (["env.max_steps=1400"], 1_400),
    ],
)
def test_a_limit_of_the_environments_own_is_kept(words, length, workdir, capsys):
    run = rlzoo.train("algo=a2c", *ENDLESS, *SHORT, "eval.freq=0", *words)
    (entry,) = run.read_results()
    assert entry["lengths"] == [length] * 2 and "n_cut" not in entry
    assert "cut" not in capsys.readouterr().err


def test_a_game_that_the_emulator_ends_has_a_limit():
    with make_raw("ALE/Pong-v5", imports=["ale_py"]) as pong, make_raw("Blackjack-v1") as blackjack:
        assert has_step_limit(pong) and not has_step_limit(blackjack)
    with gymnasium.make("CartPole-v1") as cartpole:
        assert has_step_limit(cartpole) and not has_step_limit(cartpole.unwrapped)
