import json

import numpy as np
import pytest

from rlzoo.envs import load_statistics, make, statistics, sync_statistics
from rlzoo.envs.vector.normalization import normalize_observation
from rlzoo.errors import RlzooError
from rlzoo.protocols import State


def step(env, n=40, seed=0):
    rng = np.random.default_rng(seed)
    for _ in range(n):
        result = env.step(rng.integers(0, env.action_space.n, env.num_envs))
    return result


@pytest.fixture
def trained(env_config):
    env = make(env_config("CartPole", normalize=True), n_envs=2, seed=0, gamma=0.9)
    env.reset()
    step(env)
    yield env
    env.close()


def assert_equal(one, other):
    assert one.values == other.values
    assert one.tensors.keys() == other.tensors.keys()
    for name in one.tensors:
        np.testing.assert_array_equal(one.tensors[name], other.tensors[name])


def through_files(state):
    """What a checkpoint does to a state: arrays as bytes, values as JSON."""
    tensors = {name: np.frombuffer(t.tobytes(), t.dtype).reshape(t.shape) for name, t in state.tensors.items()}
    return State(tensors, json.loads(json.dumps(state.values)))


def test_by_hand(env_config):
    """Observations 1, 3 (two resets) after VecNormalize's prior of 1e-4 observations of mean 0 and variance 1."""
    env = make(env_config("CartPole", normalize=True), n_envs=2, seed=0)
    env.obs_rms.update(np.array([[1.0] * 4, [3.0] * 4]))
    state = statistics(env)
    count = 2 + 1e-4
    mean = 4 / count
    var = (1e-4 * 1 + 2 * 1 + 2.0**2 * 1e-4 * 2 / count) / count
    np.testing.assert_allclose(state.tensors["obs_mean"], mean, rtol=1e-12)
    np.testing.assert_allclose(state.tensors["obs_var"], var, rtol=1e-12)
    assert state.values["obs_count"] == count
    np.testing.assert_allclose(
        normalize_observation(np.full((1, 4), 2.5), state), (2.5 - mean) / np.sqrt(var + 1e-8), rtol=1e-6
    )
    assert normalize_observation(np.full(4, 1e9), state).tolist() == [10.0] * 4
    env.close()


def test_round_trip_is_exact_and_training_goes_on_equally(trained, env_config):
    state = statistics(trained)
    other = make(env_config("CartPole", normalize=True), n_envs=2, seed=0, statistics=through_files(state))
    assert_equal(statistics(other), state)
    rewards = np.array([1.0, 2.0])
    for env in (trained, other):
        env.obs_rms.update(np.arange(8.0).reshape(2, 4))
        env._update_reward(rewards)
    assert_equal(statistics(other), statistics(trained))
    other.close()


def test_a_state_is_a_snapshot(trained):
    state = statistics(trained)
    kept = through_files(state)
    step(trained)
    assert_equal(state, kept)
    assert statistics(trained).values["obs_count"] > state.values["obs_count"]


def test_evaluation_is_frozen_and_raw(trained, env_config):
    state = statistics(trained)
    env = make(env_config("CartPole", normalize=True), n_envs=2, seed=7, training=False, statistics=state)
    raw = make(env_config("CartPole"), n_envs=2, seed=7)
    np.testing.assert_array_equal(env.reset(), normalize_observation(raw.reset(), state))
    observation, reward, _, _ = step(env, 60)
    raw_observation, raw_reward, _, _ = step(raw, 60)
    np.testing.assert_array_equal(observation, normalize_observation(raw_observation, state))
    assert reward.tolist() == raw_reward.tolist() == [1.0, 1.0]
    after = statistics(env)
    for name in ("obs_mean", "obs_var", "ret_mean", "ret_var"):
        np.testing.assert_array_equal(after.tensors[name], state.tensors[name])
    assert env.env_method("get_episode_rewards") == raw.env_method("get_episode_rewards")
    assert sum(map(len, raw.env_method("get_episode_rewards"))) > 0
    env.close()
    raw.close()


def test_scores_are_raw_while_training_sees_scaled_rewards(env_config):
    env = make(env_config("MountainCar", normalize=True, max_steps=25), n_envs=1, seed=0)
    env.reset()
    rewards = [float(env.step([0])[1][0]) for _ in range(25)]
    assert env.env_method("get_episode_rewards")[0] == [-25.0]
    assert sum(rewards) != -25.0
    env.close()


def test_sync_and_absence(trained, env_config):
    env = make(env_config("CartPole", normalize=True), n_envs=1, seed=0, training=False)
    sync_statistics(trained, env)
    np.testing.assert_array_equal(statistics(env).tensors["obs_mean"], statistics(trained).tensors["obs_mean"])
    assert statistics(env).tensors["returns"].shape == (1,)
    plain = make(env_config("CartPole"), n_envs=1, seed=0)
    assert statistics(plain) is None
    sync_statistics(plain, plain)
    with pytest.raises(RlzooError, match="not normalised"):
        load_statistics(plain, statistics(trained))
    with pytest.raises(RlzooError, match="needs the statistics"):
        sync_statistics(plain, env)


def test_statistics_of_another_environment_are_refused(trained, env_config):
    state = statistics(trained)
    with pytest.raises(RlzooError, match=r"shape \(4,\)"):
        make(env_config("MountainCar", normalize=True), n_envs=1, seed=0, statistics=state)
    with pytest.raises(RlzooError, match="another kind"):
        make(env_config("CartPole", normalize={"norm_obs": False}), n_envs=1, seed=0, statistics=state)


def test_dict_observations_have_statistics_by_key(env_config):
    import gymnasium
    from gymnasium import spaces

    class Pair(gymnasium.Env):
        observation_space = spaces.Dict({"a": spaces.Box(-9, 9, (2,)), "b": spaces.Box(-9, 9, (1,))})
        action_space = spaces.Discrete(2)

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return self.observe(), {}

        def step(self, action):
            return self.observe(), 1.0, False, False, {}

        def observe(self):
            return {
                key: space.low + 9 + self.np_random.random(space.shape).astype("float32")
                for key, space in self.observation_space.spaces.items()
            }

    gymnasium.register(id="Pair-v0", entry_point=Pair)
    try:
        cfg = env_config("gym", id="Pair-v0", normalize={"norm_obs_keys": ["a"]})
        env = make(cfg, n_envs=2, seed=0)
        env.reset()
        observation = step(env)[0]
        state = through_files(statistics(env))
        assert {"obs_mean.a", "obs_var.a"} <= state.tensors.keys() and "obs_mean.b" not in state.tensors
        other = make(cfg, n_envs=2, seed=0, statistics=state)
        assert_equal(statistics(other), state)
        shown = normalize_observation(env.get_original_obs(), state)
        np.testing.assert_array_equal(shown["a"], observation["a"])
        np.testing.assert_array_equal(shown["b"], observation["b"])
    finally:
        del gymnasium.registry["Pair-v0"]
