"""The course's cheese maze: its rewards, its ends, its best way, and the table that shows it all."""

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from rlzoo.envs.games.cheese_maze import DOWN, LEFT, RIGHT, UP, CheeseMaze
from rlzoo.envs.make import make_raw


@pytest.fixture
def env():
    env = make_raw("CheeseMaze-v0")
    env.reset(seed=0)
    return env


def walk(env, *actions):
    return [env.step(action)[:4] for action in actions]


def test_the_best_way(env):
    assert walk(env, RIGHT, RIGHT, DOWN) == [(1, 1, False, False), (2, 0, False, False), (5, 10, True, False)]


def test_poison(env):
    assert walk(env, RIGHT, DOWN)[-1] == (4, -10, True, False)


def test_the_small_cheese_is_eaten_once(env):
    assert walk(env, RIGHT, LEFT, UP, RIGHT, LEFT) == [
        (1, 1, False, False),
        (1, 0, False, False),  # the door
        (1, 0, False, False),  # the wall
        (2, 0, False, False),
        (1, 0, False, True),
    ]


def test_five_steps_are_all(env):
    assert walk(env, DOWN, UP, LEFT, UP, RIGHT) == [
        (3, 0, False, False),
        (0, 0, False, False),
        (0, 0, False, False),
        (0, 0, False, False),
        (1, 1, False, True),  # truncated, and what was earned counts
    ]


def test_two_updates_of_the_courses_table(env):
    q = np.zeros((6, 4))
    state = 0
    for action in (RIGHT, DOWN):
        following, reward, terminated, _, _ = env.step(action)
        target = reward + 0.99 * q[following].max() * (not terminated)
        q[state, action] += 0.1 * (target - q[state, action])
        state = following
    assert q[0, RIGHT] == pytest.approx(0.1)
    assert q[1, DOWN] == pytest.approx(-1)


def test_the_table_is_what_the_maze_does():
    env = CheeseMaze()
    assert env.initial_state_distrib.tolist() == [1, 0, 0, 0, 0, 0]
    for state in range(6):
        for action in range(4):
            ((chance, following, reward, terminated),) = env.P[state][action]
            env.reset(seed=0)
            env.s = state
            assert chance == 1.0
            assert env.step(action)[:3] == (following, reward, terminated)


def test_right_right_down_is_best_by_the_table():
    """Values by hand: 10, 0.99 * 10, 1 + 0.99 * 9.9."""
    env = CheeseMaze()
    value = np.zeros(6)
    for _ in range(20):
        q = np.array(
            [
                [
                    sum(p * (r + 0.99 * value[s] * (not end)) for p, s, r, end in env.P[state][action])
                    for action in range(4)
                ]
                for state in range(6)
            ]
        )
        value = q.max(axis=1)
    assert value[[2, 1, 0]] == pytest.approx([10, 9.9, 10.801])
    assert q[[0, 1, 2]].argmax(axis=1).tolist() == [RIGHT, RIGHT, DOWN]
    assert np.sort(q[[0, 1, 2]], axis=1)[:, -2].max() < 10.8  # and nothing is as good


def test_it_is_what_gymnasium_expects():
    check_env(CheeseMaze(render_mode="ansi"), skip_render_check=True)


def test_it_is_drawn():
    env = make_raw("CheeseMaze-v0", render_mode="ansi")
    env.reset(seed=0)
    assert env.render() == "\n+-----+\n|\x1b[41mS\x1b[0m>c: |\n| :x:C|\n+-----+\n"
    env.step(RIGHT)
    assert env.render() == "  (Right)\n+-----+\n|S>\x1b[41mc\x1b[0m: |\n| :x:C|\n+-----+\n"
    env = make_raw("CheeseMaze-v0", render_mode="rgb_array")
    env.reset(seed=0)
    before = env.render()
    assert (before.shape, before.dtype) == ((192, 288, 3), np.uint8)
    assert tuple(before[48, 144]) == (250, 200, 40)  # the small cheese
    env.step(RIGHT)
    assert tuple(env.render()[48, 144]) == (120, 120, 130)  # the mouse instead
