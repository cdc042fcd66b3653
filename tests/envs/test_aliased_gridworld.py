"""The world in which two cells look alike: what policies that see no more can earn in it, by its own table."""

from itertools import product

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from rlzoo.envs.games.aliased_gridworld import DOWN, LEFT, RIGHT, SEEN, UP, AliasedGridworld
from rlzoo.envs.make import make_raw

N_STEPS = 20


def expected_return(policy, n_steps=N_STEPS):
    """Of a policy (5 observations, 4 actions) of chances, over the chain of cells that it makes."""
    env = AliasedGridworld()
    here, paid = env.initial_state_distrib.copy(), 0.0
    for _ in range(n_steps):
        there = np.zeros(8)
        for cell, action in product(range(5), range(4)):  # of 5 to 7 there is no way on
            for chance, following, reward, _ in env.P[cell][action]:
                weight = here[cell] * policy[SEEN[cell], action] * chance
                there[following] += weight
                paid += weight * reward
        here = there
    return paid


def mean_length(policy):
    """Steps to an end, without a limit: (I - M) n = 1 over the five cells of the upper row."""
    env = AliasedGridworld()
    moves = np.zeros((5, 5))
    for cell, action in product(range(5), range(4)):
        for chance, following, _, _ in env.P[cell][action]:
            if following < 5:
                moves[cell, following] += policy[SEEN[cell], action] * chance
    return env.initial_state_distrib[:5] @ np.linalg.solve(np.eye(5) - moves, np.ones(5))


def policy_of(left_corner, corridor, junction, right_corner):
    """Chances from an action for each observation, the corridor's being that of going left."""
    policy = np.eye(4)[[left_corner, LEFT, junction, right_corner, UP]]
    policy[1] = [corridor, 1 - corridor, 0, 0]
    return policy


def test_no_deterministic_policy_earns_more_than_half():
    actions = product(range(4), repeat=4)
    earned = [expected_return(np.eye(4)[[*chosen, UP]]) for chosen in actions]
    assert len(earned) == 256
    assert max(earned) == 0.5


def test_a_policy_of_chance_earns_nearly_all():
    """From a corridor the dust is two steps away with chance 1/2, else one is back after two: ten attempts fit."""
    assert expected_return(policy_of(RIGHT, 0.5, DOWN, LEFT)) == pytest.approx(1 - 2**-10)
    assert mean_length(policy_of(RIGHT, 0.5, DOWN, LEFT)) == pytest.approx(4)  # n = 1 + 1/2 * 1 + 1/2 * (1 + n)


@pytest.mark.parametrize("left", [0.1, 0.3, 0.7])
def test_one_half_is_the_best_chance(left):
    assert expected_return(policy_of(RIGHT, left, DOWN, LEFT)) < 1 - 2**-10
    assert mean_length(policy_of(RIGHT, left, DOWN, LEFT)) == pytest.approx(1 / left + 1 / (1 - left))


def test_it_is_stuck_as_said():
    env = make_raw("AliasedGridworld-v0")
    always = {0: RIGHT, 1: RIGHT, 2: DOWN, 3: LEFT}
    ends = set()
    for seed in range(20):
        seen, _ = env.reset(seed=seed)
        begun, n, over = env.unwrapped.cell, 0, False
        while not over:
            seen, reward, terminated, truncated, _ = env.step(always[seen])
            n, over = n + 1, terminated or truncated
        ends.add((begun, n, reward, terminated, truncated))
    assert ends == {(1, 2, 1, True, False), (3, 20, 0, False, True)}


def test_hamsters_and_walls():
    env = AliasedGridworld()
    env.reset(seed=0)
    env.cell = 0
    assert [env.step(action)[:3] for action in (LEFT, UP, DOWN)] == [(0, 0, False), (0, 0, False), (4, -1, True)]
    env.cell = 1
    assert [env.step(action)[:3] for action in (UP, DOWN)] == [(1, 0, False), (1, 0, False)]


def test_it_is_what_gymnasium_expects():
    check_env(AliasedGridworld(render_mode="ansi"), skip_render_check=True)


def test_it_is_drawn():
    env = make_raw("AliasedGridworld-v0", render_mode="ansi")
    env.reset(seed=0)
    env.unwrapped.cell = 3
    env.step(RIGHT)
    assert env.render() == "  (Right)\n+---------+\n| : : : :\x1b[41m \x1b[0m|\n|h| |D| |h|\n+---------+\n"
    env = make_raw("AliasedGridworld-v0", render_mode="rgb_array")
    env.reset(seed=0)
    picture = env.render()
    assert (picture.shape, picture.dtype) == ((128, 320, 3), np.uint8)
    assert np.array_equal(picture[2, 66], picture[2, 194])  # the two that look alike
    assert not np.array_equal(picture[2, 66], picture[2, 130])
