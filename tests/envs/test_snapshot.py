"""Restoring environments: what stands around them, and what happens to those that cannot be restored."""

import random
from collections import OrderedDict, deque

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from rlzoo.envs import make
from rlzoo.envs.snapshot.encoding import CannotEncodeError, decode, encode
from rlzoo.envs.snapshot.vector import restore, snapshot
from rlzoo.envs.vector.normalization import load_statistics, statistics
from rlzoo.errors import RlzooError
from rlzoo.runs.state_files import read_state, write_state


class Walk(gymnasium.Env):
    """A random walk of `length` steps that adds the actions up."""

    observation_space = spaces.Box(-1e6, 1e6, (2,), np.float64)
    action_space = spaces.Discrete(5)
    shared = 0

    def __init__(self, length=9):
        self.length = length

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t, self.at = 0, self.np_random.normal()
        return self.seen(), {}

    def seen(self):
        return np.array([self.t, self.at])

    def step(self, action):
        self.t += 1
        self.at += float(action) + self.noise()
        return self.seen(), self.at, self.t == self.length, False, {}

    def noise(self):
        return self.np_random.normal()


class Global(Walk):
    """Draws where everybody draws."""

    def noise(self):
        return np.random.normal() + random.random()


class Hidden(Walk):
    """Remembers something that no reset and no action of the episode led to."""

    def noise(self):
        Hidden.shared += 1
        return Hidden.shared


class Own(Walk):
    """Knows how to be restored."""

    def get_state(self):
        return {"t": self.t, "at": np.float64(self.at)}

    def set_state(self, state):
        self.t, self.at = state["t"], state["at"]


class Forgetful(Own):
    def set_state(self, state):
        self.t, self.at = state["t"], 0.0


class Raising(Own):
    def set_state(self, state):
        raise RuntimeError("cannot go back")


class Opaque(Own):
    def get_state(self):
        return self


class Clever(gymnasium.Wrapper):
    """Keeps something that is no data."""

    def __init__(self, env):
        super().__init__(env)
        self.memory = object()


ENVS = (Walk, Global, Hidden, Own, Forgetful, Raising, Opaque)


@pytest.fixture(autouse=True)
def registered():
    for kind in ENVS:
        gymnasium.register(f"{kind.__name__}-v0", entry_point=kind)
    yield
    for kind in ENVS:
        del gymnasium.registry[f"{kind.__name__}-v0"]


@pytest.fixture
def gym_config(env_config):
    return lambda env_id, **changes: env_config("gym", id=env_id, **changes)


def seen(env, n, action=1):
    """What n steps show: observations, rewards, dones, final observations."""
    shown = []
    for _ in range(n):
        observation, reward, done, infos = env.step(np.full(env.num_envs, action))
        shown += [np.array(observation), reward, done]
        shown += [info["terminal_observation"] for info in infos if "terminal_observation" in info]
    return shown


def assert_equal(one, other):
    assert len(one) == len(other)
    for left, right in zip(one, other, strict=True):
        np.testing.assert_array_equal(left, right)


def stepped(cfg, n, n_envs=2, seed=0, **options):
    env = make(cfg, n_envs=n_envs, seed=seed, **options)
    env.reset()
    seen(env, n)
    return env


def taken_over(env, cfg, tmp_path, **options):
    """A new environment with the state of another, which went through files; and how that went."""
    write_state(tmp_path, "environments", snapshot(env))
    new = make(cfg, n_envs=env.num_envs, seed=77, statistics=statistics(env), **options)
    return new, restore(new, read_state(tmp_path, "environments"))


@pytest.mark.parametrize("env_id", ["Walk-v0", "Own-v0"])
@pytest.mark.parametrize("n", [0, 1, 9, 13])
def test_an_environment_of_ones_own_goes_on_and_is_not_called_exact(gym_config, env_id, n, tmp_path):
    cfg = gym_config(env_id)
    env = stepped(cfg, n)
    new, restoration = taken_over(env, cfg, tmp_path)
    assert restoration.level == "unproven"
    assert f"{env_id} is not among the environments proven" in restoration.reasons[0] or env_id == "Own-v0"
    assert_equal(seen(env, 30), seen(new, 30))


@pytest.mark.parametrize(
    ("env_id", "reason"),
    [
        ("Global-v0", "replaying it led to another observation"),
        ("Hidden-v0", "replaying it led to another observation"),
        ("Forgetful-v0", "its observation was not the one stored"),
        ("Raising-v0", "it could not be restored (RuntimeError: cannot go back)"),
        ("Opaque-v0", "its state could not be stored (CannotEncodeError: Opaque cannot be stored)"),
    ],
)
def test_what_cannot_be_put_back_begins_a_new_episode(gym_config, env_id, reason, tmp_path):
    cfg = gym_config(env_id)
    env = stepped(cfg, 13)
    np.random.seed(4)
    random.seed(4)
    before = np.random.get_state()[1].tolist(), random.getstate()
    new, restoration = taken_over(env, cfg, tmp_path)
    assert (np.random.get_state()[1].tolist(), random.getstate()) == before
    assert restoration.restarted.all()
    assert restoration.reasons == (f"environment 0, 1 restarted: {reason}",)
    np.testing.assert_array_equal(restoration.observation[:, 0], [0, 0])
    *_, infos = new.step([0, 0])
    assert "episode" not in infos[0]
    assert new.env_method("get_episode_lengths") == env.env_method("get_episode_lengths") == [[9], [9]]
    seen(new, 8)
    assert new.env_method("get_episode_lengths") == [[9, 9], [9, 9]]


def test_a_restart_draws_from_the_stored_generator(gym_config, tmp_path):
    cfg = gym_config("Raising-v0")
    env = stepped(cfg, 13, n_envs=1)
    _, restoration = taken_over(env, cfg, tmp_path)
    expected = env.envs[0].reset()[0]
    np.testing.assert_array_equal(restoration.observation[0], expected)


def test_one_restarted_environment_among_others(gym_config, tmp_path):
    """Around it: its discounted return starts again, its stack holds the new frame only; the others go on."""
    cfg = gym_config("Walk-v0", normalize=True, frame_stack=3)
    env = stepped(cfg, 13)
    state = snapshot(env)
    state.values["envs"][1]["missing"] = "it was lost"
    new = make(cfg, n_envs=2, seed=77, statistics=statistics(env))
    moments = statistics(new).tensors["obs_mean"].copy()
    restoration = restore(new, state)
    assert restoration.reasons == (
        "environment 0 unproven: Walk-v0 is not among the environments proven",
        "environment 1 restarted: it was lost",
    )
    assert restoration.level == "restarted" and restoration.restarted.tolist() == [False, True]
    assert restoration.observation.shape == (2, 6)
    np.testing.assert_array_equal(restoration.observation[1, :4], 0)
    np.testing.assert_array_equal(restoration.observation[0], env.stacked_obs.stacked_obs[0])
    normalize, before = new.venv, env.venv
    assert normalize.returns[1] == 0 and normalize.returns[0] == before.returns[0]
    np.testing.assert_array_equal(normalize.old_obs[0], before.old_obs[0])
    assert normalize.old_obs[1, 0] == 0
    np.testing.assert_array_equal(restoration.observation[1, 4:], normalize.normalize_obs(normalize.old_obs)[1])
    np.testing.assert_array_equal(statistics(new).tensors["obs_mean"], moments)


@pytest.mark.parametrize("vec_env", ["dummy", "subproc"])
def test_normalised_environments(env_config, vec_env, tmp_path):
    """Observations, rewards and statistics stay equal, and the restored observation is the last one."""
    cfg = env_config("Pendulum", normalize=True, vec_env=vec_env)

    def push(env, n):
        return [env.step(np.full((2, 1), 0.5, np.float32))[:3] for _ in range(n)]

    env = make(cfg, n_envs=2, seed=0)
    env.reset()
    last = push(env, 150)[-1][0]
    new, restoration = taken_over(env, cfg, tmp_path)
    assert restoration.level == "exact"
    np.testing.assert_array_equal(restoration.observation, last)
    np.testing.assert_array_equal(new.get_original_obs(), env.get_original_obs())
    np.testing.assert_array_equal(new.get_original_reward(), env.get_original_reward())
    for one, other in zip(push(env, 120), push(new, 120), strict=True):
        assert_equal(one, other)
    for name, tensor in statistics(env).tensors.items():
        np.testing.assert_array_equal(tensor, statistics(new).tensors[name])
    env.close()
    new.close()


@pytest.mark.parametrize("n", [0, 1, 198, 199, 200, 201])
def test_the_step_limit(env_config, n, tmp_path):
    cfg = env_config("Pendulum", wrappers={"time_feature": {}, "delayed_reward": {"delay": 7}, "action_noise": {}})
    env = make(cfg, n_envs=1, seed=0)
    env.reset()
    push = np.zeros((1, 1), np.float32)
    for _ in range(n):
        env.step(push)
    new, restoration = taken_over(env, cfg, tmp_path)
    assert restoration.level == "exact"
    for _ in range(203):
        one, other = env.step(push), new.step(push)
        assert_equal(one[:3], other[:3])
        assert one[3][0]["TimeLimit.truncated"] == other[3][0]["TimeLimit.truncated"]
    assert (
        env.env_method("get_episode_lengths") == new.env_method("get_episode_lengths") == [[200] * ((n + 203) // 200)]
    )


@pytest.mark.parametrize("n", [20, 45, 70, 95, 120, 145])
def test_atari_between_lives(env_config, n, tmp_path):
    """Stacked frames, lives, pooled frames and the cut score, at moments before and after lost lives."""
    cfg = env_config("Breakout")
    env = stepped(cfg, n, n_envs=1, seed=n)
    new, restoration = taken_over(env, cfg, tmp_path)
    assert restoration.level == "exact"
    np.testing.assert_array_equal(restoration.observation, np.moveaxis(env.venv.stacked_obs.stacked_obs, -1, 1))
    assert_equal(seen(env, 100, action=2), seen(new, 100, action=2))
    assert env.env_method("get_episode_rewards") == new.env_method("get_episode_rewards")


def test_an_atari_game_that_is_restarted_is_a_new_game(env_config):
    cfg = env_config("Breakout")
    env = stepped(cfg, 60, n_envs=1)
    state = snapshot(env)
    state.tensors["0.core.emulator"][5000] += 1
    new = make(cfg, n_envs=1, seed=1)
    restoration = restore(new, state)
    assert restoration.reasons == ("environment 0 restarted: its observation was not the one stored",)
    assert new.unwrapped.envs[0].unwrapped.ale.lives() == 5
    assert (restoration.observation[:, :3] == 0).all() and restoration.observation[:, 3].any()


def test_dict_observations_in_a_stack(env_config, tmp_path):
    cfg = env_config(
        "BitFlipping", kwargs={"n_bits": 8, "continuous": True}, wrappers={"time_limit": {"max_episode_steps": 6}}
    )
    push = np.array([[1, 0, -1, 1, 0, 0, 1, -1]] * 2, np.float32)
    env = make(cfg, n_envs=2, seed=0)
    env.reset()
    for _ in range(9):
        env.step(push)
    new, restoration = taken_over(env, cfg, tmp_path)
    assert restoration.level == "exact"
    for _ in range(20):
        one, other = env.step(push)[0], new.step(push)[0]
        assert one.keys() == other.keys() == restoration.observation.keys()
        assert_equal(list(one.values()), list(other.values()))


def test_three_interruptions_in_a_row(env_config, tmp_path):
    cfg = env_config("LunarLander", n_envs=1)
    whole = stepped(cfg, 0, n_envs=1, seed=5)
    env = stepped(cfg, 0, n_envs=1, seed=5)
    for n in (70, 35, 80):
        assert_equal(seen(whole, n), seen(env, n))
        env, restoration = taken_over(env, cfg, tmp_path)
        assert restoration.level == "exact"
    assert_equal(seen(whole, 200), seen(env, 200))


def test_a_later_reset_does_not_use_the_seeds_of_the_first(env_config, tmp_path):
    cfg = env_config("CartPole")
    env = stepped(cfg, 13)
    new, _ = taken_over(env, cfg, tmp_path)
    np.testing.assert_array_equal(env.reset(), new.reset())


def test_the_generator_of_the_action_space(env_config, tmp_path):
    cfg = env_config("CartPole")
    env = stepped(cfg, 1)
    draws = [env.action_space.sample() for _ in range(50)]
    new, _ = taken_over(env, cfg, tmp_path)
    assert [env.action_space.sample() for _ in range(50)] == [new.action_space.sample() for _ in range(50)] != draws


@pytest.mark.parametrize(
    ("wrappers", "reason"),
    [
        ({"test_state_wrapper:Clever": {}}, "Clever.memory cannot be stored"),
        ({"gymnasium.wrappers:NormalizeObservation": {}, "gymnasium.wrappers:NormalizeReward": {}}, ""),
    ],
)
def test_wrappers_of_ones_own(env_config, wrappers, reason, tmp_path, monkeypatch):
    import sys
    import types

    module = types.ModuleType("test_state_wrapper")
    module.Clever = Clever
    monkeypatch.setitem(sys.modules, "test_state_wrapper", module)
    cfg = env_config("CartPole", wrappers=wrappers)
    env = stepped(cfg, 30)
    new, restoration = taken_over(env, cfg, tmp_path)
    assert restoration.level == ("unproven" if reason else "exact")
    assert (reason in restoration.reasons[0]) if reason else not restoration.reasons
    assert_equal(seen(env, 60), seen(new, 60))


def test_other_wrappers_restart(env_config, tmp_path):
    env = stepped(env_config("CartPole"), 13)
    _, restoration = taken_over(env, env_config("CartPole", wrappers={"delayed_reward": {}}), tmp_path)
    assert restoration.reasons == ("environment 0, 1 restarted: it has other wrappers now",)


def test_a_changed_model_restarts(env_config, tmp_path):
    """The same words of another simulation: the observation gives it away."""
    env = stepped(env_config("CartPole"), 5)
    state = snapshot(env)
    state.tensors["0.core.state"][0] += 1e-3
    restoration = restore(make(env_config("CartPole"), n_envs=2, seed=1), state)
    assert [each.level for each in restoration.envs] == ["restarted", "exact"]


def test_a_long_episode_is_not_recorded_for_ever(gym_config, tmp_path, monkeypatch):
    monkeypatch.setattr("rlzoo.envs.snapshot.replay.MAX_STEPS", 5)
    cfg = gym_config("Walk-v0")
    env = stepped(cfg, 6, n_envs=1)
    _, restoration = taken_over(env, cfg, tmp_path)
    assert "its episode is longer than 5 steps" in restoration.reasons[0]


def test_refusals(env_config):
    from stable_baselines3.common.vec_env import DummyVecEnv

    state = snapshot(stepped(env_config("CartPole"), 1))
    with pytest.raises(RlzooError, match="of 2 environments, not of 3"):
        restore(make(env_config("CartPole"), n_envs=3, seed=0), state)
    with pytest.raises(RlzooError, match=r"made by rlzoo\.envs\.make"):
        snapshot(DummyVecEnv([lambda: gymnasium.make("CartPole-v1")]))


@pytest.mark.parametrize("key", ["__class__", "__dict__", "step", "unwrapped", "env", "spec", "np_random"])
def test_what_no_state_would_hold_is_not_put_back(key, env_config):
    """Somebody else's checkpoint names attributes: neither what an environment does nor what it is made of is set."""
    cfg = env_config("CartPole")
    state = snapshot(stepped(cfg, 13, n_envs=1))
    for saved in (state.values["envs"][0]["core"]["attributes"], *state.values["envs"][0]["wrappers"]):
        saved[key] = 5
        new = make(cfg, n_envs=1, seed=77)
        restoration = restore(new, state)
        assert restoration.level == "restarted" and f"{key} is not a state of" in restoration.reasons[0]
        assert new.step(np.zeros(1, dtype=int))[0].shape == (1, 4)
        del saved[key]
    assert restore(make(cfg, n_envs=1, seed=77), state).level == "exact"


def test_statistics_are_loaded_before(env_config):
    """`returns` of a restarted environment are zero, whatever the statistics said."""
    cfg = env_config("Pendulum", normalize=True)
    env = make(cfg, n_envs=1, seed=0)
    env.reset()
    env.step(np.zeros((1, 1), np.float32))
    new = make(cfg, n_envs=1, seed=1)
    load_statistics(new, statistics(env))
    state = snapshot(env)
    state.values["envs"][0]["missing"] = "it was lost"
    restore(new, state)
    assert new.returns.tolist() == [0.0]


def test_values_come_back_equal_in_value_and_type():
    numbers = np.random.default_rng(3)
    numbers.integers(0, 10)
    legacy, python = np.random.RandomState(4), random.Random(5)
    legacy.normal(), python.gauss(0, 1)
    values = [
        None, True, 3, 2**130, -0.0, float("inf"), "text", np.float32(0.1), np.int64(4), np.bool_(True),
        np.zeros((0, 3), np.uint8), np.arange(6.0).reshape(2, 3).T, (1, [2.0, (np.float64(3),)]), {1: "a", "b": (2,)},
        [0.5] * 100, list(range(20)), tuple([1.5] * 10), deque([1, 2, 3], 3), deque([1.0] * 9), {1, 2}, [2**70] * 9,
        numbers, legacy, python, OrderedDict(a=1),
    ]  # fmt: skip
    import json

    for value in values:
        tensors = {}
        back = decode(json.loads(json.dumps(encode(value, "x", tensors))), tensors)
        if isinstance(value, np.random.Generator):
            assert back.bit_generator.state == value.bit_generator.state
        elif isinstance(value, np.random.RandomState):
            assert back.normal() == value.normal()
        elif isinstance(value, random.Random):
            assert back.gauss(0, 1) == value.gauss(0, 1)
        elif isinstance(value, np.ndarray):
            assert back.dtype == value.dtype
            np.testing.assert_array_equal(back, value)
        else:
            assert repr(back) == repr(dict(value) if isinstance(value, OrderedDict) else value)
            assert type(back) is (dict if isinstance(value, OrderedDict) else type(value))
            assert getattr(back, "maxlen", None) == getattr(value, "maxlen", None)


@pytest.mark.parametrize("value", [object(), lambda: 0, np.array(["a"]), np.array([object()]), 1j, [object()], b"raw"])
def test_what_is_no_data_is_refused(value):
    with pytest.raises(CannotEncodeError):
        encode(value, "x", {})
