"""What a request's environment is told, without torch and before anything is made."""

import json
import shlex
import subprocess
import sys

import gymnasium
import numpy as np
import pytest

from rlzoo import registry
from rlzoo.config.compose import compose
from rlzoo.envs import check, spaces
from rlzoo.envs.check import check_env, check_normalized_space


@pytest.fixture
def ask(env_values):
    """`ask("gym", id="CartPole-v1")`: the check of a section whose spaces are not declared."""
    return lambda name="gym", declared_holds=False, **changes: check_env(
        env_values(name, **changes), declared_holds=declared_holds
    )


def only(found):
    (problem,) = found.problems
    return problem


@pytest.mark.parametrize(
    ("section", "observation", "action"),
    [
        ({"id": "LunarLander-v3", "kwargs": {"continuous": True}}, "Box(8)", "Box(2)"),
        ({"id": "FrozenLake-v1", "kwargs": {"map_name": "8x8"}}, "Discrete(64)", "Discrete(4)"),
        ({"id": "CarRacing-v3", "kwargs": {"continuous": False}}, "Box(3, 96, 96) uint8", "Discrete(5)"),
        (
            {"id": "Hopper-v5", "kwargs": {"exclude_current_positions_from_observation": False}},
            "Box(12)",
            "Box(3)",
        ),
        ({"id": "CartPole-v1", "frame_stack": 3}, "Box(12)", "Discrete(2)"),
        (
            {"id": "Pendulum-v1", "wrappers": {"time_feature": {}, "discretize_action": {"bins": 5}}},
            "Box(4)",
            "Discrete(5)",
        ),
        ({"id": "Blackjack-v1", "wrappers": {"flatten_index": {}}}, "Discrete(704)", "Discrete(2)"),
        (
            {
                "id": "ALE/Boxing-v5",
                "imports": ["ale_py"],
                "kwargs": {"frameskip": 1},
                "wrappers": {"atari": {"screen_size": 64}},
                "frame_stack": 2,
            },
            "Box(2, 64, 64) uint8",
            "Discrete(18)",
        ),
        ({"id": "ale_py:ALE/Pong-v5", "kwargs": {"obs_type": "ram"}}, "Box(128) uint8", "Discrete(6)"),
        ({"id": "CartPole-v1", "max_steps": 7, "normalize": {"clip_obs": 5.0}}, "Box(4)", "Discrete(2)"),
    ],
)
def test_spaces_follow_kwargs_wrappers_and_stacking(ask, section, observation, action):
    found = ask(**section)
    assert found.problems == []
    assert (found.observation_space, found.action_space) == (observation, action)


@pytest.mark.parametrize(
    ("section", "key", "message", "hint"),
    [
        ({"id": "LunarLandr-v3"}, "id", "did you mean 'LunarLander-v3'", ""),
        ({"id": "LunarLander"}, "id", "", "env=LunarLander"),
        ({"id": "lunarlander"}, "id", "", "env=LunarLander"),
        ({"id": "SpaceInvaders"}, "id", "", "env=SpaceInvaders"),
        ({"id": "phys2d/CartPole"}, "id", "which version", "env.id=phys2d/CartPole-v1"),
        ({"id": "Hopper-v4"}, "id", "rewards", "env=Hopper"),
        ({"id": "Ant-v2"}, "id", "observes", "env=Ant"),
        ({"id": "CarRacing-v0"}, "id", "lap", "env=CarRacing"),
        ({"id": "PandaReach-v1"}, "id", "PandaReach-v3", "env.id=PandaReach-v3"),
        ({"id": "PandaReach-v3"}, "id", "not known", "env.imports=[panda_gym]"),
        ({"id": "LunarLander-v3", "kwargs": {"gravty": -5}}, "kwargs.gravty", "did you mean 'gravity'", ""),
        ({"id": "LunarLander-v3", "kwargs": {"gravity": -50.0}}, "kwargs", "between -12 and 0", ""),
        ({"id": "Hopper-v5", "kwargs": {"gravity": -5}}, "kwargs", "'gravity'", ""),
        ({"id": "CartPole-v1", "kwargs": {"render_mode": "human"}}, "kwargs.render_mode", "chosen by rlzoo", ""),
        ({"id": "CartPole-v1", "wrappers": {"atari": {}}}, "wrappers.atari", "is not an Atari game", ""),
        ({"id": "CartPole-v1", "wrappers": {"flatten_index": {}}}, "wrappers.flatten_index", "tuple of discrete", ""),
        ({"id": "CartPole-v1", "wrappers": {"action_masker": {}}}, "wrappers.action_masker", "'action_mask'", ""),
        (
            {"id": "CartPole-v1", "wrappers": {"time_limit": {}}},
            "wrappers.time_limit.max_episode_steps",
            "be given",
            "",
        ),
        ({"id": "Taxi-v4", "normalize": True}, "normalize", "Discrete(500)", "norm_obs: false"),
        ({"id": "CarRacing-v3", "normalize": True}, "normalize", "images", "norm_obs: false"),
        ({"id": "CartPole-v1", "normalize": {"norm_obs_keys": ["a"]}}, "normalize.norm_obs_keys", "Dict", ""),
        ({"id": "CartPole-v1", "normalize": {"gamma": 2}}, "normalize.gamma", "at most 1", ""),
        ({"id": "CartPole-v1", "normalize": {"clip": 2}}, "normalize.clip", "did you mean 'clip_obs'", ""),
        ({"id": "Taxi-v4", "frame_stack": 4}, "frame_stack", "Discrete(500)", ""),
        (
            {"id": "CartPole-v1", "monitor_kwargs": {"filename": "x"}},
            "monitor_kwargs.filename",
            "unknown keyword",
            "known: info_keywords",
        ),
        ({"id": "CartPole-v1", "monitor_kwargs": {"info_keywords": "x"}}, "monitor_kwargs.info_keywords", "list", ""),
    ],
)
def test_mistakes(ask, section, key, message, hint):
    problem = only(ask(**section))
    assert problem.key == f"env.{key}"
    assert message in problem.message
    assert hint in problem.hint
    assert not problem.missing


@pytest.mark.parametrize(
    ("section", "key", "hint"),
    [
        ({"id": "nowhere:Env-v0"}, "id", "looked in the current folder"),
        ({"id": "Env-v0", "imports": ["minigird.envs"]}, "imports", "did you mean 'minigrid'?"),
        (
            {"id": "Env-v0", "imports": ["nowhere"], "extra": "robotics"},
            "imports",
            'pip install "hydra-rlzoo[robotics]"',
        ),
    ],
)
def test_missing_modules(ask, section, key, hint):
    problems = ask(**section).problems
    assert problems[0].key == f"env.{key}" and hint in problems[0].hint
    assert all(problem.missing for problem in problems)


@pytest.mark.parametrize(
    ("name", "module", "extra"), [("LunarLander", "Box2D", "box2d"), ("Hopper", "mujoco", "mujoco")]
)
@pytest.mark.parametrize("declared_holds", [True, False])
def test_a_missing_package_says_which_extra(ask, monkeypatch, name, module, extra, declared_holds):
    monkeypatch.setitem(sys.modules, module, None)
    problem = only(ask(name, declared_holds))
    assert problem.missing and module in problem.message
    assert problem.hint == f'pip install "hydra-rlzoo[{extra}]"'


@pytest.mark.parametrize(("env_id", "extra"), [("LunarLander-v3", "box2d"), ("Hopper-v5", "mujoco")])
def test_a_missing_package_is_known_for_any_id_of_gymnasium(env_id, extra):
    hints = _fresh(env_id, missing=check.EXTRAS[extra][0])["hints"]
    assert hints == [f'pip install "hydra-rlzoo[{extra}]"']


def test_atari_without_cv2(ask, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    assert only(ask("SpaceInvaders", True)).missing


def test_all_at_once(ask):
    found = ask(id="Hopper-v3", wrappers={"flaten": {}, "atari": {"noop": 1}}, normalize={"clip": 1})
    keys = ["env.id", "env.wrappers.flaten", "env.wrappers.atari.noop", "env.normalize.clip"]
    assert [problem.key for problem in found.problems] == keys
    found = ask(id="LunarLander-v3", wrappers={"flaten": {}}, kwargs={"gravty": 1, "wnd": 2})
    keys = ["env.kwargs.gravty", "env.kwargs.wnd", "env.wrappers.flaten"]
    assert [problem.key for problem in found.problems] == keys


def test_an_atari_id_is_sent_to_the_atari_file():
    answer = _fresh("PongNoFrameskip-v4")
    assert answer["hints"] == ["it is an Atari game: env=atari env.id=PongNoFrameskip-v4"]


def test_notices(ask):
    (notice,) = ask(id="LunarLander-v3").notices
    assert "env=LunarLander" in notice
    assert ask("LunarLander", kwargs={"gravity": -5.0}).notices == []
    old, shipped = ask(id="Taxi-v3").notices
    assert "Taxi-v4" in old and "env=Taxi" in shipped
    assert any("no step limit" in notice for notice in ask(id="CliffWalking-v1").notices)
    assert not any("no step limit" in notice for notice in ask("CliffWalking").notices)
    twice = ask(id="ALE/Pong-v5", imports=["ale_py"], wrappers={"atari": {}})
    assert any("skips frames by itself" in notice for notice in twice.notices)
    assert ask("atari", id="ALE/Pong-v5").notices == []


def test_the_id_that_is_meant(ask):
    assert ask(id="LunarLander-v2").id == "LunarLander-v3"
    assert ask(id="Hopper-v4").id == "Hopper-v4"


def test_masks(ask):
    assert ask("TaxiMasked").masked and ask("TaxiMasked", True).masked
    assert ask("Taxi", wrappers={"action_masker": {}}).masked
    assert ask("Taxi").masked is False and ask("Taxi", True).masked is False
    assert ask("gym", True, id="CartPole-v0", observation_space="Box(4)", action_space="Discrete(2)").masked is None


def test_declared_spaces_are_believed_but_read(ask):
    mine = {"id": "CartPole-v0", "observation_space": "Box(99)", "action_space": "Discrete(2)"}
    assert ask("gym", True, **mine).observation_space == "Box(99)"
    assert only(ask("gym", True, **{**mine, "observation_space": "Bx(4)"})).key == "env.observation_space"
    assert only(ask("gym", True, **{**mine, "id": "CartPol-v0"})).key == "env.id"


def test_a_broken_package_is_a_problem_not_a_traceback(ask, tmp_path, monkeypatch):
    (tmp_path / "broken_envs.py").write_text("raise ValueError('half written')")
    (tmp_path / "my_envs.py").write_text(
        "import gymnasium\n"
        "gymnasium.register('Good-v0', entry_point='gymnasium.envs.classic_control:CartPoleEnv', max_episode_steps=9)\n"
        "gymnasium.register('Torn-v0', entry_point='my_envs:Torn')\n"
        "class Torn(gymnasium.Env):\n"
        "    def __init__(self): raise FileNotFoundError('no map')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert "half written" in only(ask(id="X-v0", imports=["broken_envs"])).message
    assert ask(id="my_envs:Good-v0").observation_space == "Box(4)"
    assert "no map" in only(ask(id="my_envs:Torn-v0")).message


def _fresh(env_id, name="gym", declared_holds=False, missing="nothing"):
    """The same in a process of its own, with what it imported."""
    code = (
        f"import json, sys\nsys.modules[{missing!r}] = None\n"
        "from rlzoo.config import yaml_file\nfrom rlzoo.config.paths import root\n"
        "from rlzoo.envs.check import check_env\n"
        f"read = lambda name: dict(yaml_file.read(root() / 'conf' / 'env' / (name + '.yaml')).values)\n"
        f"values = read('gym') | read({name!r}) | {{'id': {env_id!r}}}\n"
        f"found = check_env(values, declared_holds={declared_holds})\n"
        "print(json.dumps({'hints': [p.hint for p in found.problems], 'space': found.observation_space,\n"
        "    'modules': [m for m in ('torch', 'stable_baselines3', 'gymnasium', 'Box2D') if m in sys.modules]}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_nothing_heavy_is_imported():
    declared = _fresh("LunarLander-v3", "LunarLander", declared_holds=True)
    assert declared["space"] == "Box(8)" and declared["modules"] == []
    made = _fresh("LunarLander-v3")
    assert made["space"] == "Box(8)" and made["modules"] == []  # a process of its own has made it


@pytest.mark.parametrize(
    ("observation", "keys"),
    [
        ("Dict(kind: Discrete(3), vec: Box(4))", ["vec"]),
        ("Dict(a: Box(4), b: Box(2), camera: Box(3, 84, 84) uint8)", ["a", "b"]),
        ("Dict(flags: MultiBinary(3), x-pos: Box(1))", ["x-pos"]),
    ],
)
@pytest.mark.parametrize("normalize", [True, {"norm_obs": True}])
def test_what_can_be_normalised_of_a_dict_is_named(observation, keys, normalize):
    space = spaces.parse(observation)
    (problem,) = check_normalized_space(space, normalize)
    (word, *_) = shlex.split(problem.hint)
    composition = compose("train", ["algo=ppo", "env=CartPole", word])
    taken = composition.values["env"]["normalize"]
    assert not composition.problems and taken == {"norm_obs_keys": keys}
    assert check_normalized_space(space, taken) == []


def test_where_nothing_can_be_normalised_no_key_is_named():
    (problem,) = check_normalized_space(spaces.parse("Dict(a: Discrete(3), b: Box(3, 84, 84) uint8)"), True)
    assert "norm_obs_keys" not in problem.hint


class Goals(gymnasium.Env):
    """Has a goal, and no method that says what another one would have been worth."""

    observation_space = gymnasium.spaces.Dict(
        {name: gymnasium.spaces.Box(-1, 1, (2,)) for name in ("observation", "achieved_goal", "desired_goal")}
    )
    action_space = gymnasium.spaces.Box(-1, 1, (2,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action):
        return self.observation_space.sample(), 0.0, False, False, {}


class Misspelt(Goals):
    def compute_rewards(self, achieved_goal, desired_goal, info):
        return np.zeros(len(achieved_goal))


class Inherited(gymnasium.Wrapper):
    def __init__(self):
        super().__init__(Goals())


class Emptied(Misspelt):
    compute_reward = None


@pytest.mark.parametrize(
    ("kind", "near"), [(Goals, ""), (Misspelt, "compute_rewards"), (Inherited, ""), (Emptied, "compute_rewards")]
)
def test_hindsight_needs_rewards_of_other_goals(env_values, kind, near):
    gymnasium.registry.pop("HalfGoals-v0", None)
    gymnasium.register("HalfGoals-v0", kind)
    env = env_values("gym", id=f"{__name__}:HalfGoals-v0")
    problem = only(check_env(env, declared_holds=False, use=check.Use(goals=True)))
    assert problem.key == "env.id" and f"{kind.__name__} has no compute_reward()" in problem.message
    assert near in problem.message and "test_check.py:" in problem.where and "desired_goal" in problem.hint
    assert check_env(env, declared_holds=False).problems == []


REGISTER = "import gymnasium\n{}gymnasium.register('Namesake-v0', 'gymnasium.envs.classic_control:CartPoleEnv'{})\n"
GUARD = 'if __name__ == "__main__":\n    '


@pytest.mark.parametrize(
    ("file", "text", "named", "message", "hint"),
    [
        ("yaml.py", "", "yaml", "the module yaml is /", "rename yaml.py"),
        ("random.py", "", "random", "random.py, and not random.py", "rename random.py"),
        ("time/__init__.py", "", "time", "the module time is built into Python, and not time/__init__.py", "rename "),
        ("mine2.py", "", "./mine2.py", "./mine2.py is a file", "env.id=mine2:Namesake-v0"),
        ("mine2.py", "", "mine2.py", "mine2.py is a file", "env.id=mine2:Namesake-v0"),
        ("pkg/mine2.py", "", "pkg/mine2", "pkg/mine2 is a file", "env.id=pkg.mine2:Namesake-v0"),
        ("mine2.py", "", "../elsewhere/mine2.py", "is a file", "in its folder: env.id=mine2:Namesake-v0"),
        ("mine2.py", REGISTER.format(GUARD, ""), "mine2", "registers nothing", "call gymnasium.register above it"),
        ("mine2.py", REGISTER.format("", ", max_episode_steps='9'"), "mine2", "max_episode_steps='9'", "env.max_steps"),
        ("mine2.py", REGISTER.format("", ", max_episode_steps=0"), "mine2", "max_episode_steps=0", "env.max_steps"),
        ("mine2.py", REGISTER.format("", ", max_episode_steps=-1"), "mine2", "max_episode_steps=-1", "env.max_steps"),
    ],
)
def test_a_module_that_is_not_found_as_it_is_named(ask, tmp_path, monkeypatch, file, text, named, message, hint):
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_folders", {"mine2": str(tmp_path)})
    registry.allow_imports(["mine2"])
    problem = only(ask(id=f"{named}:Namesake-v0"))
    assert problem.key == "env.id" and message in problem.message and hint in problem.hint and not problem.missing
    assert (problem.where == "mine2.py:2") == bool(text)
    if "max_episode_steps" in text:
        assert not ask(id=f"{named}:Namesake-v0", max_steps=9).problems
