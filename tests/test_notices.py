"""Requests that are unlikely to learn say so before they start, in one line each; what rlzoo ships says nothing."""

import json
import sys
from pathlib import Path

import gymnasium
import pytest

from rlzoo.algos.schema import tuned_ranges
from rlzoo.cli.main import main
from rlzoo.config import files
from rlzoo.config.compose import compose
from rlzoo.envs import baseline
from rlzoo.errors import ExitCode
from rlzoo.training import notices
from rlzoo.training.preflight import find_problems

LINE = ["env=gym", "env.id=Line-v0", "env.imports=[unlikely]"]
CONTINUOUS = ["algo=sac", *LINE, "env.kwargs.continuous=true"]

PLANTED = {
    # words, and a part of what has to be said; None of what nothing here can name
    "learning rate": (["algo=dqn", "algo.learning_rate=5"], "algo.learning_rate is 5"),
    "learning rate of nearly none": (["algo=ppo", "algo.learning_rate=1e-7"], "algo.learning_rate is 1e-07"),
    "entropy": (["algo=ppo", "algo.ent_coef=1.0"], "algo.ent_coef is 1"),
    "clip range": (["algo=ppo", "algo.clip_range=5"], "algo.clip_range is 5"),
    "epochs": (["algo=ppo", "algo.n_epochs=300"], "algo.n_epochs is 300"),
    "lambda": (["algo=ppo", "algo.gae_lambda=0.02"], "algo.gae_lambda is 0.02"),
    "target network that follows at once": (["algo=sac", "env=Pendulum", "algo.tau=1"], "algo.tau is 1"),
    "target network that never follows": (["algo=dqn", "algo.target_update_interval=40000"], "40,000 of 50,000 steps"),
    "target network that hardly follows": (["algo=dqn", "algo.tau=1e-4"], "algo.tau moves"),
    "late start": (["algo=dqn", "algo.learning_starts=40000"], "more than half"),
    "random to the end": (["algo=dqn", "algo.exploration_final_eps=0.9"], "stay random"),
    "small memory": (["algo=dqn", "algo.buffer_size=200"], "algo.buffer_size is 200, 0.4%"),
    "few updates": (["algo=ppo", "env=LunarLander", "total_timesteps=40000"], "3 updates"),
    "one update for many steps": (["algo=dqn", "env.n_envs=8", "algo.gradient_steps=1"], "learned from"),
    "short sight": (["algo=ppo", *LINE, "env.kwargs.fault=long", "algo.gamma=0.8"], "looks 5.0 steps ahead"),
    "no observation": (["algo=ppo", *LINE, "env.kwargs.fault=blind"], "the observation never changed"),
    "part of an observation": (["algo=ppo", *LINE, "env.kwargs.fault=half"], "1 of 3 entries"),
    "large observations": (["algo=ppo", *LINE, "env.kwargs.fault=huge"], "entry [0] of the observation"),
    "no reward": (["algo=ppo", *LINE, "env.kwargs.fault=zero"], "no reward but 0"),
    "large rewards": (["algo=dqn", *LINE, "env.kwargs.fault=loud"], "discounted returns"),
    "end at once": (["algo=ppo", *LINE, "env.kwargs.fault=once"], "end with their first step"),
    "cut at once": (["algo=ppo", *LINE, "env.kwargs.fault=short"], "cut after 12 steps"),
    "no end": (["algo=ppo", *LINE, "env.kwargs.fault=endless"], "no episode ended in 4,000 steps"),
    "limit of time as an end": (["algo=ppo", *LINE, "env.kwargs.fault=limit"], "terminated after 60 steps"),
    "deaf": (["algo=ppo", *LINE, "env.kwargs.fault=deaf"], "other actions gave the same"),
    "dice of its own": (["algo=ppo", *LINE, "env.kwargs.fault=dice"], "the same seed"),
    "wide actions": ([*CONTINUOUS, "env.kwargs.fault=wide"], "2% of the range of actions"),
    "rare reward": (["algo=ppo", *LINE, "env.kwargs.fault=rare"], None),
    "network of one unit": (["algo=ppo", "algo.policy_kwargs={net_arch: [1]}"], None),
}

WHEN = "N[0] += 1\n        if N[0] == 1500: "
LATE = {
    "raise ValueError('late')": "random play raises ValueError: late",
    "os._exit(3)": "random play ends the process with exit code 3",
    "time.sleep(99)": "random play does not return within 0.6 s",
}


@pytest.fixture
def line(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environments with faults, as modules of the user's; and a cache of its own."""
    (workdir / "unlikely.py").write_text(Path(__file__).with_name("unlikely.py").read_text())
    monkeypatch.syspath_prepend(str(workdir))
    monkeypatch.setenv("XDG_CACHE_HOME", str(workdir / "cache"))
    sys.modules.pop("unlikely", None)
    gymnasium.registry.pop("Line-v0", None)


def said(words: list[str]) -> list[str]:
    composition = compose("train", words)
    _, problems, found = find_problems(composition)
    assert not problems
    return found


@pytest.mark.usefixtures("line")
@pytest.mark.parametrize("fault", [name for name, (_, text) in PLANTED.items() if text is not None])
def test_a_planted_fault_is_named(fault: str) -> None:
    words, text = PLANTED[fault]
    found = [notice for notice in said(words) if text in notice]
    assert len(found) == 1
    assert "; try " in found[0]


@pytest.mark.usefixtures("line")
@pytest.mark.parametrize("words", [LINE, CONTINUOUS], ids=["discrete", "continuous"])
def test_without_a_fault_nothing_is_said(words: list[str]) -> None:
    assert not [notice for notice in said(words) if "; try " in notice]


def test_most_planted_faults_are_named() -> None:
    named = [name for name, (_, text) in PLANTED.items() if text is not None]
    assert len(PLANTED) >= 24
    assert len(named) >= 0.75 * len(PLANTED)


@pytest.mark.usefixtures("line")
def test_the_request_that_cannot_learn_hears_of_everything() -> None:
    words = "algo.learning_rate=5 algo.gamma=0.01 algo.target_update_interval=1000000"
    found = said(["algo=dqn", "env=CartPole", *words.split(), "algo.exploration_final_eps=1.0", "algo.buffer_size=200"])
    for key in ("learning_rate", "gamma", "target_update_interval", "exploration_final_eps", "buffer_size"):
        assert any(f"algo.{key}" in notice for notice in found), key


def requests() -> list[tuple[str, list[str]]]:
    sets = [name.partition("/") for name in files.options("hyperparams")]
    games = [env for env in files.options("env") if "atari" in (files.read_choice("env", env).get("wrappers") or {})]
    games.remove("atari")
    tuned = [
        (f"{algo}/{env}", [f"algo={algo}", f"env={each}"])
        for algo, _, env in sets
        for each in (games if env == "atari" else [env])
    ]
    return tuned + [("", [f"experiment={name}"]) for name in files.options("experiment")]


@pytest.mark.usefixtures("workdir")
def test_what_is_shipped_says_nothing_and_hardly_anything_if_its_own_set_is_left_out() -> None:
    sets = list(tuned_ranges.tuned_sets())
    strange = set()
    for name, words in requests():
        composition = compose("train", words)
        shape = baseline.shape(composition.values["env"])
        play = baseline.shipped(shape)
        found = notices.find(composition.values, play=play, shipped=play is not None, typed=composition.typed)
        assert not found, words
        others = tuned_ranges.compile_ranges([each for each in sets if each[0] != name])
        typed = composition.typed
        if notices.find(composition.values, play=play, shipped=play is not None, typed=typed, tuned=others):
            strange.add(name)
    assert len(strange) <= 0.03 * len(sets)


def test_the_table_of_ranges_is_that_of_the_tuned_sets() -> None:
    compiled = tuned_ranges.compile_ranges(list(tuned_ranges.tuned_sets()))
    assert tuned_ranges.TABLE.read_text() == tuned_ranges.as_text(compiled)  # run `make signatures` after a change


@pytest.mark.usefixtures("workdir")
@pytest.mark.parametrize("value", ["{linear: 5}", "{exponential: [5, 1e-3]}", "{constant: 5}", "{cosine: {start: 5}}"])
def test_a_schedule_counts_by_what_it_starts_from(value: str) -> None:
    assert any("algo.learning_rate is 5" in notice for notice in said(["algo=ppo", f"algo.learning_rate={value}"]))


@pytest.mark.usefixtures("workdir")
@pytest.mark.parametrize(
    "words",
    [
        ["algo=ppo", "algo.gamma=0.5"],  # it learns CartPole all the same
        ["algo=dqn", "algo.tau=0.005", "algo.target_update_interval=1"],  # a target network that follows slowly
        ["algo=sac", "env=Pendulum", "algo.ent_coef=auto_0.1"],
        ["algo=sac", "env=HalfCheetah"],
        ["algo=q_learning", "env=FrozenLake"],
        ["algo=value_iteration", "env=FrozenLake"],
        ["algo=ppo", "env=Enduro"],
    ],
    ids=" ".join,
)
def test_what_is_well_says_nothing(words: list[str]) -> None:
    assert not [notice for notice in said(words) if "; try " in notice]


@pytest.mark.usefixtures("line")
def test_an_environment_alone_is_told_of_and_its_random_play_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", *LINE, "env.kwargs.fault=limit", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert any("terminated after 60 steps" in notice for notice in found["notices"])
    assert found["random"]["lengths"] == [60] * 20


@pytest.mark.usefixtures("line")
def test_an_observation_that_is_late_outside_of_its_space_is_told_each_time() -> None:
    for _ in range(2):
        found = [notice for notice in said(["algo=ppo", *LINE, "env.kwargs.fault=outside"]) if "declares" in notice]
        (notice,) = found
        assert "step(): observation[0] is 3, and observation_space declares -2 to 2 [" in notice
        assert "unlikely.py:" in notice


@pytest.mark.usefixtures("line")
@pytest.mark.parametrize("late", LATE)
def test_what_fails_late_in_random_play_is_a_note(late: str, capsys: pytest.CaptureFixture[str]) -> None:
    module = Path("unlikely.py")
    step = "        self.t += 1\n"
    module.write_text("import os, time\nN = [0]\n" + module.read_text().replace(step, f"{step}        {WHEN}{late}\n"))
    found = [notice for notice in said(["algo=ppo", "env.step_timeout=0.2", *LINE]) if LATE[late] in notice]
    assert len(found) == 1
    assert "unlikely.py" in found[0]
    if "raise" in late:  # whoever validates asks for all that there is
        assert main(["validate", *LINE]) == ExitCode.WRONG_REQUEST
        assert LATE[late] in capsys.readouterr().err
