import gymnasium
import numpy as np
import pytest

from rlzoo.algos.base import VectorEnvironment
from rlzoo.envs import make
from rlzoo.protocols import Environment


@pytest.mark.parametrize("seed", [0, 1])
def test_ends_are_told_apart(env_config, seed):
    """CartPole that always pushes left falls (terminated); with a limit of 5 it is cut before (truncated)."""
    fallen: Environment = VectorEnvironment(make(env_config("CartPole"), n_envs=1, seed=seed))
    cut: Environment = VectorEnvironment(make(env_config("CartPole", max_steps=5), n_envs=1, seed=seed))
    raw = gymnasium.make("CartPole-v1")
    raw.reset(seed=seed)
    fallen.reset()
    cut.reset()
    for t in range(1, 30):
        expected, _, over, _, _ = raw.step(0)
        step = fallen.step(np.array([0]))
        np.testing.assert_array_equal(step.final_observation[0], expected)
        assert step.terminated.tolist() == [over] and step.truncated.tolist() == [False]
        if t <= 5:
            short = cut.step([0])
            assert short.truncated.tolist() == [t == 5] and short.terminated.tolist() == [False]
            np.testing.assert_array_equal(short.final_observation[0], expected)
        if over:
            break
    assert over
    assert not np.array_equal(step.observation, step.final_observation)
    assert step.reward.tolist() == [1.0]
    assert step.episodes == ((float(t), t),)
    assert cut.step([0]).episodes == ()


def test_reset_with_a_seed_starts_environment_i_from_seed_plus_i(env_config):
    env = VectorEnvironment(make(env_config("CartPole"), n_envs=2, seed=0))
    observations = env.reset(seed=40)
    expected = [gymnasium.make("CartPole-v1").reset(seed=seed)[0] for seed in (40, 41)]
    np.testing.assert_array_equal(observations, expected)
    assert (env.n_envs, env.action_space.n) == (2, 2)


def test_dict_observations(env_config):
    env = VectorEnvironment(make(env_config("BitFlipping", kwargs={"n_bits": 2}), n_envs=2, seed=3))
    env.reset()
    for _ in range(2):
        step = env.step([0, 1])
    assert (step.truncated | step.terminated).all()
    assert set(step.final_observation) == {"observation", "achieved_goal", "desired_goal"}
    assert step.final_observation["desired_goal"].tolist() == [[1, 1], [1, 1]]
