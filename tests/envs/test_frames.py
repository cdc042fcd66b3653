"""What is to be seen of an environment: when, how fast, and what is said where there is nothing."""

from itertools import pairwise

import gymnasium
import numpy as np
import pytest

from rlzoo.config.compose import compose
from rlzoo.config.parse import parse
from rlzoo.envs import make
from rlzoo.envs import render as frames
from rlzoo.errors import ExitCode, RlzooError


def config(*words):
    return parse(compose("train", ["algo=ppo", "hyperparams=none", *words]).values).env


@pytest.mark.parametrize(
    ("words", "fps"),
    [
        (["env=FrozenLake"], 1),
        (["env=Taxi"], 1),
        (["env=Blackjack"], 1),
        (["env=CartPole"], 50),
        (["env=Pendulum"], 30),
        (["env=CheeseMaze"], 2),
        (["env=Hopper"], 60),  # 125, capped
        (["env=SpaceInvaders"], 15),
        (["env=Pong", "env.wrappers.atari.frame_skip=2"], 30),
        (["env=gym", "env.id=ALE/Pong-v5", "env.imports=[ale_py]", "env.kwargs.frameskip=4"], 15),
        (["env=CartPole", "env.wrappers.frame_skip.num_repeats=2"], 25),
    ],
)
def test_frames_per_second(words, fps):
    cfg = config(*words)
    env = make(cfg, n_envs=1, seed=0)
    try:
        assert frames.frames_per_second(env.unwrapped.envs[0], cfg) == fps
    finally:
        env.close()


def test_toy_texts_can_be_shown_at_their_own_pace():
    cfg = config("env=FrozenLake")
    env = make(cfg, n_envs=1, seed=0)
    assert frames.frames_per_second(env.unwrapped.envs[0], cfg, toy_text=None) == 4


def moments_of(words, n_steps):
    cfg = config(*words)
    moments = []
    env = make(cfg, n_envs=1, seed=3, render_mode="rgb_array")
    frames.watch(env, moments.append)
    env.action_space.seed(0)
    env.reset()
    for _ in range(n_steps):
        env.step([env.action_space.sample()])
    env.close()
    return moments


def test_every_state_once_in_order():
    moments = moments_of(["env=CartPole", "env.max_steps=4"], 9)
    assert [(frame.episode, frame.step) for frame in moments] == [
        *((0, step) for step in range(5)),
        *((1, step) for step in range(5)),
        (2, 0),
        (2, 1),
    ]
    assert [frame.total for frame in moments[:5]] == [0, 1, 2, 3, 4]
    assert [frame.ended for frame in moments] == [False] * 4 + [True] + [False] * 4 + [True] + [False] * 2


def test_an_episode_that_a_wrapper_cuts_is_an_episode():
    moments = moments_of(["env=CartPole", "env.wrappers.time_limit.max_episode_steps=3"], 6)
    assert [(frame.episode, frame.step, frame.ended) for frame in moments] == [
        (0, 0, False), (0, 1, False), (0, 2, False), (0, 3, True),
        (1, 0, False), (1, 1, False), (1, 2, False), (1, 3, True),
    ]  # fmt: skip


def test_a_lost_life_is_no_end_and_adds_no_picture():
    moments = moments_of(["env=SpaceInvaders"], 400)
    games = [frame.episode for frame in moments]
    first_states = [frame for frame in moments if frame.step == 0]
    assert len(moments) == 400 + len(first_states)
    assert len(first_states) == games[-1] + 1
    assert sum(frame.ended for frame in moments) in (games[-1], games[-1] + 1)
    for before, after in pairwise(moments):
        assert (after.step == 0) == before.ended


def test_raw_rewards_are_shown():
    """SpaceInvaders' clipped rewards are 0 and 1; its own are 5 to 30, and 200."""
    moments = moments_of(["env=SpaceInvaders"], 400)
    assert {frame.reward for frame in moments} - {0.0} <= {5.0 * k for k in range(1, 80)}
    assert max(frame.reward for frame in moments) >= 5


def test_shots_that_blink_are_seen():
    """Of every fourth frame alone many never would be."""
    grey = (142, 142, 142)
    moments = moments_of(["env=SpaceInvaders"], 200)
    both = sum((frame.picture[:195] == grey).all(axis=2).sum() for frame in moments)
    cfg = config("env=SpaceInvaders")
    env = make(cfg, n_envs=1, seed=3, render_mode="rgb_array")
    env.action_space.seed(0)
    env.reset()
    alone = 0
    for _ in range(200):
        env.step([env.action_space.sample()])
        alone += (env.unwrapped.envs[0].render()[:195] == grey).all(axis=2).sum()
    env.close()
    assert both > 1.3 * alone


def test_a_window_draws_by_itself():
    class Window(gymnasium.Env):
        metadata = {"render_modes": ["human"]}  # noqa: RUF012
        render_mode = "human"
        n_rendered = 0
        observation_space = action_space = gymnasium.spaces.Discrete(2)
        episode_returns, rewards = (), ()

        def reset(self, **kwargs):
            return 0, {}

        def step(self, action):
            return 0, 0.0, False, False, {}

        def render(self):
            self.n_rendered += 1

    moments, window = [], Window()
    env = frames.Watched(window, moments.append)
    env.reset()
    env.step(0)
    assert [frame.picture for frame in moments] == [None, None]
    assert window.n_rendered == 0


def test_what_cannot_be_drawn_is_said():
    frames.require(config("env=CartPole"), "rgb_array", hint="")
    frames.require(config("env=CartPole"), "human", hint="")
    frames.require(config("env=FrozenLake"), "ansi", hint="")
    with pytest.raises(RlzooError, match="cannot be drawn as text: its render modes are human, rgb_array"):
        frames.require(config("env=CartPole"), "ansi", hint="")
    with pytest.raises(RlzooError, match="cannot be drawn as a window: it declares no render modes"):
        frames.require(config("env=BitFlipping"), "human", hint="")


@pytest.mark.parametrize(
    ("drawn", "expected"),
    [
        (np.full((2, 4), 7, np.uint8), (2, 4, 3)),
        (np.full((2, 4, 1), 7, np.uint8), (2, 4, 3)),
        (np.full((2, 4, 4), 7, np.uint8), (2, 4, 3)),
        (np.full((2, 4, 3), 7, np.uint8), (2, 4, 3)),
    ],
)
def test_pictures(drawn, expected):
    picture = frames.pixels(drawn)
    assert picture.shape == expected
    assert (picture == 7).all()


@pytest.mark.parametrize("drawn", [None, "text", [], np.zeros((2, 4, 3)), np.zeros((2, 4, 2), np.uint8)])
def test_no_pictures(drawn):
    with pytest.raises(RlzooError, match="the environment drew no picture but"):
        frames.pixels(drawn)


class Slow(gymnasium.Env):
    """Says how fast it is."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012


gymnasium.register("SlowFrames-v0", Slow)


@pytest.mark.parametrize(
    ("fps", "said"),
    [(0, "0"), (-5, "-5"), (float("nan"), "nan"), ("fast", "'fast'"), (float("inf"), "inf"), ([30], "[30]")],
)
def test_a_speed_that_is_none_is_named_before_anything_is_drawn(fps, said, monkeypatch):
    cfg = config("env=gym", f"env.id={__name__}:SlowFrames-v0")
    for fine in (10, np.float32(0.5), None):
        monkeypatch.setitem(Slow.metadata, "render_fps", fine)
        frames.require(cfg, "rgb_array", hint="")
    monkeypatch.setitem(Slow.metadata, "render_fps", fps)
    with pytest.raises(RlzooError) as caught:
        frames.require(cfg, "rgb_array", hint="")
    assert f"metadata['render_fps'] of {cfg.id} is {said} (" in caught.value.message
    assert "test_frames.py:" in caught.value.message and caught.value.code is ExitCode.WRONG_REQUEST
