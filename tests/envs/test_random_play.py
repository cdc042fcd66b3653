"""Random play: what a random agent scores, known of the shipped environments, kept of others while it holds."""

import json
import os
import random
from dataclasses import replace
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.wrappers import TimeLimit

import rlzoo
from rlzoo.config.compose import compose
from rlzoo.envs import baseline
from rlzoo.envs.compile_baselines import row, shapes
from rlzoo.envs.make import make_raw
from rlzoo.envs.random_play import MAX_STEPS, NotFiniteError, play, score

MINE = """
import gymnasium
import numpy as np
from other import STEPS

class Mine(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, (2,))
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, level=None):
        self.plays = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self.observation_space.low.copy(), {}

    def step(self, action):
        self.t += 1
        return self.observation_space.high.copy(), 1.0, self.t == STEPS, False, {}

gymnasium.register("PlayedAtRandom-v0", Mine)
"""


def values(*words: str) -> dict:
    composition = compose("train", ["hyperparams=none", *words])
    assert not composition.problems
    return composition.values["env"]


def played(env: dict, **options) -> baseline.RandomPlay:
    made = make_raw(env["id"], imports=env["imports"], kwargs=env["kwargs"], max_steps=env["max_steps"])
    try:
        return play(made, env["wrappers"], **options)
    finally:
        made.close()


@pytest.fixture
def kept_in(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(workdir / "cache"))
    return workdir / "cache" / "rlzoo" / "random_play"


@pytest.fixture
def mine(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> dict:
    """An environment of the user's own, whose module imports another."""
    (workdir / "mine.py").write_text(MINE)
    (workdir / "other.py").write_text("STEPS = 5\n")
    monkeypatch.syspath_prepend(str(workdir))
    for name in ("mine", "other"):
        monkeypatch.delitem(__import__("sys").modules, name, raising=False)
    gymnasium.registry.pop("PlayedAtRandom-v0", None)
    return values("env=gym", "env.id=PlayedAtRandom-v0", "env.imports=[mine]")


@pytest.mark.usefixtures("workdir")
@pytest.mark.parametrize(
    "words",
    [
        ["env=CartPole"],
        ["env=LunarLanderContinuous"],
        ["env=BipedalWalker", "env.max_steps=60"],
        ["env=Blackjack"],
        ["env=TaxiMasked", "env.max_steps=30"],
        ["env=BitFlipping"],
        [
            "env=Pendulum",
            "env.wrappers={frame_skip: {num_repeats: 3}, sticky_action: {repeat_action_probability: 0.3}}",
        ],
        ["env=CartPole", "env.wrappers={time_limit: {max_episode_steps: 9}}"],
        ["env=FrozenLake", "env.kwargs.is_slippery=false"],
        ["env=Breakout", "env.max_steps=400"],
    ],
    ids=" ".join,
)
def test_it_is_what_a_random_agent_scores(words: list[str]) -> None:
    own = played(values(*words), n_episodes=5)
    evaluation = rlzoo.evaluate(None, *words[1:], policy="random", env=words[0].partition("=")[2], n_episodes=5)
    assert own.returns == pytest.approx(evaluation.returns, abs=1e-6)
    assert own.lengths == evaluation.lengths


@pytest.mark.usefixtures("workdir")
def test_it_leaves_every_generator_as_it_was() -> None:
    env = gymnasium.make("CartPole-v1")
    env.action_space.seed(3)
    random.seed(1)
    np.random.seed(1)
    play(env)
    drawn = (random.random(), np.random.random(), env.action_space.sample())
    env.action_space.seed(3)
    random.seed(1)
    np.random.seed(1)
    assert drawn == (random.random(), np.random.random(), env.action_space.sample())


@pytest.mark.usefixtures("workdir")
def test_it_ends_after_so_many_steps_and_counts_whole_games_alone() -> None:
    found = played(values("env=MountainCar", "env.max_steps=1500"))
    assert found.n_steps == MAX_STEPS
    assert found.lengths == (1500, 1500)


@pytest.mark.usefixtures("workdir")
def test_the_table_has_rows_of_shipped_environments_alone() -> None:
    known = [found for found, _ in baseline.table()]
    assert [found for _, found, _ in shapes() if found in known] == known
    assert all(len(each["returns"]) == 20 for _, each in baseline.table())


@pytest.mark.usefixtures("workdir")
@pytest.mark.parametrize("name", ["CartPole", "FrozenLake8x8", "BitFlipping", "Pixelcopter", "LunarLander", "Taxi"])
def test_what_is_shipped_is_what_is_played(name: str) -> None:
    shape = baseline.shape(values(f"env={name}"))
    again = baseline.RandomPlay.from_data(json.loads(json.dumps(row(name, shape, ())["play"])))
    before = baseline.shipped(shape)
    assert before is not None
    assert again.returns == pytest.approx(before.returns)
    assert again.discounted == pytest.approx(before.discounted)
    rounded = {"returns": (), "discounted": {}, "largest": None}
    assert replace(again, **rounded) == replace(before, **rounded)


def test_it_is_kept_while_the_modules_are_as_they_were(kept_in: Path, mine: dict, workdir: Path) -> None:
    first = score(mine)
    assert first is not None
    assert first.lengths == (5,) * 20
    (file,) = kept_in.glob("*.json")
    assert {str(workdir / "mine.py"), str(workdir / "other.py")} <= set(json.loads(file.read_text())["sources"])
    assert baseline.kept(baseline.shape(mine)) == first
    os.utime(workdir / "other.py", ns=(1, 1))
    assert baseline.kept(baseline.shape(mine)) is None


@pytest.mark.parametrize("change", [{"kwargs": {"level": 2}}, {"max_steps": 3}, {"wrappers": {"flatten": {}}}])
def test_another_configuration_is_another(kept_in: Path, mine: dict, change: dict) -> None:
    score(mine)
    assert baseline.kept(baseline.shape(mine)) is not None
    assert baseline.kept(baseline.shape({**mine, **change})) is None
    assert len(list(kept_in.glob("*.json"))) == 1


def test_a_file_that_it_is_given_belongs_to_it(kept_in: Path, mine: dict, workdir: Path) -> None:
    (workdir / "level.txt").write_text("easy")
    env = {**mine, "kwargs": {"level": "level.txt"}}
    score(env)
    assert baseline.kept(baseline.shape(env)) is not None
    (workdir / "level.txt").write_text("harder")
    assert baseline.kept(baseline.shape(env)) is None


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"sources": {}}', '{"sources": {}, "play": {"a": 1}}'])
def test_a_damaged_file_is_none(kept_in: Path, mine: dict, content: str) -> None:
    score(mine)
    (file,) = kept_in.glob("*.json")
    file.write_text(content)
    assert baseline.kept(baseline.shape(mine)) is None
    assert score(mine) is not None


def test_nothing_is_kept_in_the_current_folder(mine: dict, workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "cache")
    monkeypatch.setenv("HOME", str(workdir / "home"))
    score(mine)
    assert not (workdir / "cache").exists()
    assert list((workdir / "home" / ".cache" / "rlzoo" / "random_play").glob("*.json"))


def test_an_environment_that_fails_has_none(kept_in: Path, mine: dict) -> None:
    assert score({**mine, "kwargs": {"level": 1, "more": 2}}) is None
    assert not list(kept_in.glob("*.json"))


@pytest.mark.usefixtures("kept_in")
def test_every_score_of_a_run_stands_beside_it(mine: dict, capsys: pytest.CaptureFixture[str]) -> None:
    small = ["algo.n_steps=32", "algo.batch_size=32", "algo.n_epochs=1", "total_timesteps=64", "logger=[]", "seed=1"]
    words = [
        "algo=ppo",
        "env=gym",
        "env.id=PlayedAtRandom-v0",
        "env.imports=[mine]",
        *small,
        "eval.selection_n_episodes=0",
    ]
    run = rlzoo.train(*words)
    (entry,) = run.read_results()
    assert entry["random"]["mean_reward"] == 5.0
    assert entry["random"]["n_episodes"] == 20
    rlzoo.evaluate(run)
    assert run.read_results()[-1]["random"] == entry["random"]
    rlzoo.evaluate(run, "env.max_steps=3")
    assert run.read_results()[-1]["random"]["mean_reward"] == 3.0

    from rlzoo.evaluation.evaluate import print_results

    print_results(run.read_results()[:2])
    assert capsys.readouterr().out.count("random play") == 1
    without = rlzoo.train(*words, "eval.random=false")
    assert "random" not in without.read_results()[0]


def test_what_is_kept_holds_in_its_folder_alone(mine, kept_in, workdir, monkeypatch):
    score(mine)
    assert baseline.kept(baseline.shape(mine)) is not None
    (workdir / "elsewhere").mkdir()
    monkeypatch.chdir(workdir / "elsewhere")  # where a module of the same name may be another
    assert baseline.kept(baseline.shape(mine)) is None


@pytest.mark.parametrize(
    ("gives", "said"),
    [
        ("float('nan') if self.t == 4 else 1.0", "the reward is nan at step 4"),
        ("float('-inf') if self.t == 5 else 1.0", "the reward is -inf at step 5"),
    ],
)
def test_what_is_not_finite_has_no_score(gives, said, mine, kept_in, workdir):
    (workdir / "mine.py").write_text(MINE.replace("1.0, self.t", f"{gives}, self.t"))
    with pytest.raises(NotFiniteError, match=said):
        played(mine)
    assert score(mine) is None and not list(kept_in.glob("*"))


def test_an_observation_that_is_not_finite_is_named(mine, workdir):
    gives = "return self.observation_space.high * (1, float('inf') if self.t == 3 else 1)"
    (workdir / "mine.py").write_text(MINE.replace("return self.observation_space.high.copy()", gives))
    with pytest.raises(NotFiniteError, match=r"observation\[1\] is inf at step 3"):
        played(mine)


def test_a_wrapper_without_options_has_a_shape() -> None:
    env = values("env=CartPole")
    assert baseline.shape({**env, "wrappers": {"flatten": None}})["wrappers"] == {"flatten": {}}


class Pushed(gymnasium.Env):
    """A point that actions push; the episode ends at the goal. Only those up to `used` of the range count."""

    observation_space = gymnasium.spaces.Box(-10, 10, (1,))
    action_space = gymnasium.spaces.Box(-1, 1, (1,))

    def __init__(self, goal: float, used: float) -> None:
        self.goal, self.used = goal, used

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x = np.zeros(1, np.float32)
        return self.x.copy(), {}

    def step(self, action):
        self.x = np.clip(self.x + np.clip(action, -self.used, self.used), -10, 10).astype(np.float32)
        return self.x.copy(), -1.0, bool(abs(self.x[0]) >= self.goal), False, {}


@pytest.mark.parametrize(
    ("goal", "used", "expected"), [(0.0, 1, 1.0), (9.9, 1, 1.0), (9.9, 0.4, 0.5), (9.9, 0.02, 0.02)]
)
def test_a_share_of_the_range_is_the_same_where_enough_of_the_rest_was_tried(goal, used, expected):
    assert play(TimeLimit(Pushed(goal, used), 200), {}).range_used == expected
