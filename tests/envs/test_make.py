import os
import subprocess
import sys

import numpy as np
import pytest
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv

from rlzoo.envs import make
from rlzoo.envs.make import build, make_raw
from rlzoo.errors import ExitCode, RlzooError
from tests.system import mujoco_cannot_draw


def roll(env, n=60, seed=0):
    """Observations, rewards, dones of random actions."""
    rng = np.random.default_rng(seed)
    record = [env.reset()]
    for _ in range(n):
        observation, reward, done, _ = env.step(rng.integers(0, env.action_space.n, env.num_envs))
        record += [observation, reward, done]
    env.close()
    return record


def assert_same(first, second):
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_same_seed_gives_the_same_numbers_and_another_does_not(env_config):
    cfg = env_config("LunarLander")
    first, again, other = (roll(make(cfg, n_envs=2, seed=seed)) for seed in (4, 4, 5))
    assert_same(first, again)
    assert not np.array_equal(first[0], other[0])
    assert not np.array_equal(first[0][0], first[0][1])
    np.testing.assert_array_equal(first[0][1], other[0][0])  # environment i starts from seed + i


def test_subprocesses_give_the_same_numbers(env_config):
    numbers = []
    for vec_env in ("dummy", "subproc"):
        env = make(env_config("TaxiMasked", vec_env=vec_env), n_envs=2, seed=4)
        masks = []
        env.reset()
        masks = env.env_method("action_masks")
        assert isinstance(env, SubprocVecEnv if vec_env == "subproc" else DummyVecEnv)
        numbers.append([*masks, *roll(env)])
    assert_same(*numbers)


@pytest.mark.parametrize("n_envs", [1, 2])
def test_each_environment_has_a_process_if_that_is_asked_for(env_config, n_envs):
    env = make(env_config("CartPole", vec_env="subproc"), n_envs=n_envs, seed=0)
    try:
        assert len({os.getpid(), *(worker.process.pid for worker in env.unwrapped.remotes)}) == n_envs + 1
    finally:
        env.close()


@pytest.mark.parametrize("training", [True, False])
def test_one_config_builds_training_and_evaluation(env_config, training):
    cfg = env_config(
        "LunarLander",
        kwargs={"gravity": -5.0, "continuous": True},
        max_steps=33,
        wrappers={"time_feature": {}, "action_noise": {"std": 0.0}},
        frame_stack=2,
        normalize={"norm_reward": True, "clip_obs": 3.0, "gamma": 0.5},
        monitor_kwargs={"info_keywords": []},
    )
    env = make(cfg, n_envs=2, seed=0, training=training)
    assert env.get_attr("gravity") == [-5.0, -5.0]
    assert env.observation_space.shape == (18,) and env.action_space.shape == (2,)
    assert (env.clip_obs, env.gamma, env.norm_reward, env.training) == (3.0, 0.5, training, training)
    env.reset()
    dones = [env.step(np.zeros((2, 2)))[2] for _ in range(33)]
    assert dones[-1].all() and not dones[-2].any()
    assert env.env_method("get_episode_lengths") == [[33], [33]]
    env.close()


def test_gamma_is_the_algorithms_unless_set(env_config):
    assert make(env_config("CartPole", normalize=True), n_envs=1, seed=0, gamma=0.9).gamma == 0.9


def test_max_steps_of_the_call_wins(env_config):
    env = make(env_config("CliffWalking"), n_envs=1, seed=0, max_steps=7)
    env.reset()
    infos = [env.step([0])[3][0] for _ in range(7)]
    assert infos[-1]["TimeLimit.truncated"] and infos[-1]["episode"]["l"] == 7
    env.close()


def test_images_have_their_channels_first_and_stack_along_them(env_config):
    cfg = env_config("CarRacing", frame_stack=2)
    env = make(cfg, n_envs=1, seed=0)
    assert env.reset().shape == (1, 6, 96, 96)
    env.close()


def test_nothing_is_drawn_unless_asked(env_config):
    cfg = env_config("CartPole")
    assert build(cfg).render_mode is None
    drawn = make(cfg, n_envs=1, seed=0, render_mode="rgb_array")
    drawn.reset()
    assert drawn.render().shape == (400, 600, 3)
    drawn.close()


def test_mujoco_draws_without_a_display(env_config):
    if mujoco_cannot_draw():
        pytest.skip(mujoco_cannot_draw())
    env = make(
        env_config("InvertedPendulum", kwargs={"width": 64, "height": 64}), n_envs=1, seed=0, render_mode="rgb_array"
    )
    env.reset()
    assert env.render().shape == (64, 64, 3)
    env.close()


def test_a_renderer_is_chosen_where_there_is_no_display():
    code = (
        "import os; [os.environ.pop(key, None) for key in ('DISPLAY', 'MUJOCO_GL')]\n"
        "from rlzoo.envs import display; display.prepare(); print(os.environ.get('MUJOCO_GL'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    expected = {"egl", "osmesa", "None"} if sys.platform == "linux" else {"None"}
    assert done.stdout.strip() in expected


def test_the_action_space_draws_from_the_seed(env_config):
    cfg = env_config("CartPole")
    draws = [[build(cfg, seed=seed).action_space.sample() for _ in range(1)] for seed in range(20)]
    again = [[build(cfg, seed=seed).action_space.sample() for _ in range(1)] for seed in range(20)]
    assert draws == again and len({draw for (draw,) in draws}) == 2


def test_old_ids_of_the_same_environment_are_made(env_config):
    env = make(env_config("LunarLander", id="LunarLander-v2"), n_envs=1, seed=0)
    assert env.get_attr("spec")[0].id == "LunarLander-v3"
    env.close()


def test_what_cannot_be_made_is_explained(env_config):
    with pytest.raises(RlzooError, match="'LunarLandr-v3' is not known to Gymnasium; did you mean 'LunarLander-v3'"):
        make_raw("LunarLandr-v3")
    with pytest.raises(RlzooError, match="no module named 'nowhere'") as caught:
        make_raw("X-v0", imports=["nowhere"])
    assert caught.value.code is ExitCode.MISSING
    with pytest.raises(RlzooError, match="did you mean 'flatten'"):
        make(env_config("CartPole", wrappers={"flaten": {}}), n_envs=1, seed=0)


def test_masked_taxi_tells_the_actions_that_change_something():
    env = make_raw("TaxiMasked-v0")
    _, info = env.reset(seed=0)
    assert env.spec.max_episode_steps == 200
    mask = env.get_wrapper_attr("action_masks")()
    assert mask.dtype == bool
    np.testing.assert_array_equal(mask, info["action_mask"].astype(bool))
    taxi = env.unwrapped
    for action in range(6):
        ((_, state, _, _),) = taxi.P[int(taxi.s)][action]
        assert mask[action] == (state != int(taxi.s))


def test_bit_flipping_is_a_goal_environment():
    env = make_raw("BitFlipping-v0", kwargs={"n_bits": 3})
    observation, _ = env.reset(seed=1)
    assert set(observation) == {"observation", "achieved_goal", "desired_goal"}
    assert env.unwrapped.compute_reward(np.array([[1, 1, 1], [0, 1, 1]]), np.ones((2, 3)), None).tolist() == [0, -1]


def test_importing_environments_imports_neither_torch_nor_gymnasium():
    code = "import sys, rlzoo.envs, rlzoo.envs.check; print([m for m in ('torch', 'gymnasium') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
