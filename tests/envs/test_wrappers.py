import inspect

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from rlzoo.envs import make, wrappers
from rlzoo.envs.adapters import ActionMasks, DelayedReward, FlattenIndex, MaskVelocity
from rlzoo.envs.wrappers import WRAPPERS
from rlzoo.registry import load

SETTINGS = {  # an environment and options for every wrapper
    "atari": ("atari", {"id": "PongNoFrameskip-v4"}, {"screen_size": 42}),
    "flatten": ("Blackjack", {}, {}),
    "flatten_index": ("Blackjack", {}, {}),
    "filter": ("BitFlipping", {}, {"filter_keys": ["observation"]}),
    "grayscale": ("CarRacing", {}, {"keep_dim": True}),
    "resize": ("CarRacing", {}, {"shape": [32.0, 48]}),
    "mask_velocity": ("LunarLander", {}, {}),
    "time_feature": ("Pendulum", {}, {}),
    "time_limit": ("CartPole", {}, {"max_episode_steps": 5.0}),
    "frame_skip": ("CartPole", {}, {"num_repeats": 2}),
    "sticky_action": ("CartPole", {}, {"repeat_action_probability": 0.5}),
    "rescale_action": ("Pendulum", {}, {"min_action": -1, "max_action": 1}),
    "discretize_action": ("Pendulum", {}, {"bins": 3}),
    "action_noise": ("Pendulum", {}, {"std": 0.3}),
    "action_masker": ("Taxi", {}, {}),
    "clip_reward": ("Pendulum", {}, {"min_reward": -1.0, "max_reward": 1.0}),
    "delayed_reward": ("CartPole", {}, {"delay": 3}),
}


def test_every_wrapper_is_tried():
    assert SETTINGS.keys() == WRAPPERS.keys()


@pytest.mark.parametrize("name", WRAPPERS)
def test_the_table_is_the_signature(name):
    spec = WRAPPERS[name]
    parameters = list(inspect.signature(load(spec.entry_point)).parameters.values())[1:]
    assert [parameter.name for parameter in parameters] == list(spec.options)
    required = [parameter.name for parameter in parameters if parameter.default is inspect.Parameter.empty]
    assert required == [key for key, option in spec.options.items() if option.required]
    assert spec.summary


@pytest.mark.parametrize("name", WRAPPERS)
def test_every_wrapper_runs_and_the_preview_shows_its_spaces(name, env_config):
    base, changes, options = SETTINGS[name]
    assert wrappers.check({name: options}) == []
    cfg = env_config(base, **changes, wrappers={name: options}, frame_stack=None)
    env = make(cfg, n_envs=1, seed=0)
    env.reset()
    for _ in range(12):
        env.step([env.action_space.sample()])
    from rlzoo.envs.make import make_raw

    inner = env
    while hasattr(inner, "venv"):
        inner = inner.venv
    raw = make_raw(cfg.id, imports=cfg.imports, kwargs=cfg.kwargs)
    shown = wrappers.preview(raw, {name: options})
    assert shown.observation_space == inner.observation_space
    assert shown.action_space == inner.action_space
    env.close()


def test_bad_options_are_all_found():
    bad = {
        "atari": {
            "noop_max": -1,
            "frame_skip": 0,
            "screen_size": 2.5,
            "clip_reward": 1,
            "action_repeat_probability": 2,
        },
        "flatten": {"x": 1},
        "time_limit": {},
        "resize": {"shape": 84},
        "filter": {"filter_keys": "observation"},
        "action_noise": {"std": float("nan")},
        "delayed_reward": {"delay": True},
        "clip_reward": None,
        "atary": {},
    }
    problems = wrappers.check(bad)
    keys = [problem.key.removeprefix("env.wrappers.") for problem in problems]
    atari = [f"atari.{name}" for name in bad["atari"]]
    others = [
        "flatten.x",
        "time_limit.max_episode_steps",
        "resize.shape",
        "filter.filter_keys",
        "action_noise.std",
        "delayed_reward.delay",
    ]
    assert keys == [*atari, *others, "clip_reward", "atary"]
    assert "did you mean 'atari'" in problems[-1].message
    assert "at least 0 and at most 1" in problems[4].message


@pytest.mark.parametrize("name", WRAPPERS)
def test_a_typo_in_any_option_is_found(name):
    _, _, options = SETTINGS[name]
    for key in WRAPPERS[name].options:
        problems = wrappers.check({name: {**options, key + "x": 1}})
        assert [problem.key for problem in problems] == [f"env.wrappers.{name}.{key}x"]
        assert f"did you mean '{key}'" in problems[0].message


def test_a_wrapper_of_ones_own(env_config):
    reference = "gymnasium.wrappers:TransformReward"
    assert wrappers.check_own({"gymnasium.wrappers:TimeLimit": {"max_episode_steps": 3}}) == []
    (problem,) = wrappers.check_own({"gymnasium.wrappers:TimeLimit": {"max_steps": 3}})
    assert "did you mean 'max_episode_steps'" in problem.message
    (problem,) = wrappers.check_own({"gymnasium.wrappers:TimeLimt": {}})
    assert "TimeLimit" in problem.message
    (problem,) = wrappers.check_own({"nowhere.at_all:Wrapper": {}})
    assert "nowhere" in problem.message
    assert wrappers.check_own({reference: {"func": 1}}) == []
    env = make(
        env_config("CartPole", wrappers={"gymnasium.wrappers:TimeLimit": {"max_episode_steps": 3}}), n_envs=1, seed=0
    )
    env.reset()
    assert [bool(env.step([0])[2][0]) for _ in range(3)] == [False, False, True]
    env.close()


def test_a_missing_cv2_is_known_beforehand(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "cv2", None)
    (problem,) = wrappers.check({"atari": {}})
    assert problem.missing and problem.hint == "pip install opencv-python-headless"


def test_blackjack_has_704_states_each_its_own_number():
    env = FlattenIndex(gymnasium.make("Blackjack-v1"))
    assert env.observation_space == spaces.Discrete(704)
    assert env.observation((0, 0, 0)) == 0
    assert env.observation((14, 10, 1)) == 14 * 22 + 10 * 2 + 1
    assert env.observation((31, 10, 1)) == 703
    assert env.observation_space.contains(env.reset(seed=0)[0])
    with pytest.raises(TypeError, match="tuple of discrete"):
        FlattenIndex(gymnasium.make("CartPole-v1"))


@pytest.mark.parametrize(
    ("env_id", "velocities"),
    [
        ("CartPole-v1", [1, 3]),
        ("Pendulum-v1", [2]),
        ("MountainCar-v0", [1]),
        ("Acrobot-v1", [4, 5]),
        ("LunarLander-v3", [2, 3, 5]),
    ],
)
def test_velocities_are_masked_and_nothing_else(env_id, velocities):
    raw = gymnasium.make(env_id)
    masked = MaskVelocity(gymnasium.make(env_id))
    raw.reset(seed=0)
    masked.reset(seed=0)
    for _ in range(5):
        action = raw.action_space.sample()
        truth, seen = raw.step(action)[0], masked.step(action)[0]
    expected = truth.copy()
    expected[velocities] = 0
    np.testing.assert_array_equal(seen, expected)
    assert all(truth[index] != 0 for index in velocities)
    assert seen.dtype == truth.dtype


def test_rewards_come_late_but_whole():
    env = DelayedReward(gymnasium.make("MountainCar-v0", max_episode_steps=8), 3)
    env.reset(seed=0)
    assert [env.step(0)[1] for _ in range(8)] == [0, 0, -3, 0, 0, -3, 0, -2]
    env.reset()
    assert [env.step(0)[1] for _ in range(3)] == [0, 0, -3]


def test_noise_follows_the_environments_seed_and_stays_in_bounds(env_config):
    cfg = env_config("Pendulum", wrappers={"action_noise": {"std": 5.0}})
    runs = []
    for seed in (1, 1, 2):
        env = make(cfg, n_envs=1, seed=seed)
        env.reset()
        runs.append([env.step([[0.0]])[0].tolist() for _ in range(20)])
        assert abs(env.get_attr("last_u")[0]) <= 2
        env.close()
    assert runs[0] == runs[1] != runs[2]


def test_masks_need_an_environment_that_tells_them():
    env = ActionMasks(gymnasium.make("Taxi-v4"))
    with pytest.raises(RuntimeError, match="before the first reset"):
        env.action_masks()
    with pytest.raises(KeyError, match="no 'action_mask'"):
        ActionMasks(gymnasium.make("CartPole-v1")).reset()
