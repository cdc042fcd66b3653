"""Scores and frames against the emulator itself, played without any wrapper."""

import ale_py
import gymnasium
import numpy as np
import pytest

from rlzoo.envs import make, set_episode_seeds

GAME_LIMIT = 3000  # frames: enough for SpaceInvaders' three lives under random play, cut hard if not


def actions_of(env, seed, n):
    return np.random.default_rng(seed).integers(0, env.action_space.n, n)


def play(env, actions, n_games):
    """Step one vectorised environment until its monitor has `n_games`: rewards and dones as the agent sees them."""
    rewards, dones = [], []
    for action in actions:
        _, reward, done, _ = env.step([action])
        rewards.append(float(reward[0]))
        dones.append(bool(done[0]))
        if len(env.env_method("get_episode_rewards")[0]) >= n_games:
            break
    return rewards, dones


def test_the_score_is_the_whole_game_whatever_the_agent_sees(env_config):
    cfg = env_config("SpaceInvaders", wrappers={"atari": {"noop_max": 0}})
    env = make(cfg, n_envs=1, seed=3)
    env.reset()
    actions = actions_of(env, 0, 2000)
    seen, dones = play(env, actions, 1)
    (score,), (length,) = env.env_method("get_episode_rewards")[0], env.env_method("get_episode_lengths")[0]
    env.close()

    raw = gymnasium.make("SpaceInvadersNoFrameskip-v4", frameskip=1, repeat_action_probability=0.0)
    raw.reset(seed=3)
    lives, frames, total, over = raw.unwrapped.ale.lives(), 0, 0.0, False

    def step(action):
        nonlocal frames, total, over
        if not over:
            _, reward, terminated, truncated, _ = raw.step(action)
            frames, total, over = frames + 1, total + reward, terminated or truncated

    def fire():  # what FireResetEnv does after every start: FIRE and RIGHT, four frames each
        for action in (1, 2):
            for _ in range(4):
                step(action)

    fire()
    n_lost = 0
    for action, done in zip(actions, dones, strict=False):
        for _ in range(4):
            step(action)
        assert done == (over or raw.unwrapped.ale.lives() < lives)
        lives = raw.unwrapped.ale.lives()
        if done and not over:  # EpisodicLifeEnv's no-op, which MaxAndSkipEnv repeats
            n_lost += 1
            for _ in range(4):
                step(0)
            fire()
            lives = raw.unwrapped.ale.lives()
    raw.close()

    assert over and n_lost == 2
    assert (score, length) == (total, frames)
    assert score % 5 == 0 and score > 5
    assert set(seen) <= {0.0, 1.0} and sum(seen) < score
    assert sum(dones) == 3


def test_four_frames_an_action_and_images(env_config):
    env = make(env_config("Pong"), n_envs=1, seed=0)
    observation = env.reset()
    assert observation.shape == (1, 4, 84, 84) and observation.dtype == np.uint8
    ale = env.get_attr("ale")[0]
    before = ale.getEpisodeFrameNumber()
    for _ in range(10):
        observation, _, _, _ = env.step([0])
    assert ale.getEpisodeFrameNumber() == before + 40
    assert len(np.unique(observation)) > 2
    env.close()


def test_ids_that_skip_by_themselves_do_not_under_the_atari_file(env_config):
    env = make(env_config("atari", id="ALE/Pong-v5"), n_envs=1, seed=0)
    env.reset()
    ale = env.get_attr("ale")[0]
    before = ale.getEpisodeFrameNumber()
    env.step([0])
    assert ale.getEpisodeFrameNumber() == before + 4
    assert ale.getFloat("repeat_action_probability") == 0.0
    env.close()


def test_a_new_evaluation_starts_new_games_after_a_lost_life(env_config):
    """EpisodicLifeEnv steps on at a reset after a lost life; a new evaluation must not begin in an old game."""
    cfg = env_config("SpaceInvaders")
    fresh = make(cfg, n_envs=1, seed=5, training=False, episode_seeds=[11, 12])
    expected = fresh.reset()
    actions = actions_of(fresh, 1, 2000)
    play(fresh, actions, 2)
    results = fresh.env_method("get_episode_rewards")[0][:], fresh.env_method("get_episode_lengths")[0][:]
    fresh.close()

    used = make(cfg, n_envs=1, seed=99, training=False)
    used.reset()
    n_dones = 0
    for action in actions:
        n_dones += int(used.step([action])[2][0])
        if n_dones == 1:
            break
    assert used.env_method("get_episode_rewards")[0] == []  # a life is lost, the game goes on
    set_episode_seeds(used, [11, 12])
    np.testing.assert_array_equal(used.reset(), expected)
    play(used, actions, 2)
    assert (used.env_method("get_episode_rewards")[0], used.env_method("get_episode_lengths")[0]) == results
    used.close()


def test_the_emulator_is_quiet(capfd, env_config):
    make(env_config("Pong"), n_envs=1, seed=0).close()
    assert "Arcade Learning Environment" not in "".join(capfd.readouterr())
    assert ale_py.__version__


@pytest.mark.parametrize("options", [{"screen_size": 42}, {"noop_max": 5, "terminal_on_life_loss": False}])
def test_options_reach_the_wrapper(env_config, options):
    env = make(env_config("Breakout", wrappers={"atari": options}), n_envs=1, seed=0)
    size = options.get("screen_size", 84)
    assert env.observation_space.shape == (4, size, size)
    env.close()
