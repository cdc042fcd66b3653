"""Pixelcopter by hand: every step of its physics, what it pays, and flights that PLE's own code flew."""

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from rlzoo.envs import make, registration
from rlzoo.envs.games.pixelcopter import Pixelcopter
from rlzoo.envs.make import make_raw
from rlzoo.envs.snapshot.vector import restore, snapshot

UP, NOTHING = 0, 1


@pytest.fixture
def env():
    env = Pixelcopter()
    env.reset(seed=0)
    env._heights = [24] * 48  # the cave is straight, from 12 to 36
    env._block_x, env._block_y = 1e6, 24  # and empty
    return env


def hold(env, y=24.0):
    """One step after which the copter is at y, as near as matters."""
    env._y, env._momentum = y, 0.0
    return env.step(NOTHING)


def test_momentum_and_y_of_the_first_steps(env):
    env.step(NOTHING)  # 0.09 * 0.0192 pixels a millisecond, for 1000/30 of them: 0.0576, of which 0.99 stay
    assert env._momentum == pytest.approx(0.057024)
    assert env._y == pytest.approx(24.057024)
    env.step(UP)  # -0.875 * 0.0192 * 1000/30 = -0.56
    assert env._momentum == pytest.approx(-0.49794624)  # (0.057024 - 0.56) * 0.99
    assert env._y == pytest.approx(23.55907776)
    env.step(UP)
    assert env._momentum == pytest.approx(-1.0473667776)
    assert env._y == pytest.approx(22.5117109824)


def test_who_does_nothing_falls_to_the_floor(env):
    """y after n steps is 24 + 5.7024 n - 564.5376 (1 - 0.99**n): 35.249 after 20, 36.335 after 21."""
    rewards, over = [], False
    while not over:
        _, reward, over, truncated, _ = env.step(NOTHING)
        rewards.append(reward)
        assert not truncated
    assert len(rewards) == 21
    assert env._y == pytest.approx(36.335, abs=1e-3)
    assert [n for n, reward in enumerate(rewards, 1) if reward] == [10, 16, 21]
    assert (rewards[9], rewards[15], rewards[20]) == (1.0, 1.0, -5.0)


def test_the_end_and_a_column_add_up(env):
    for _ in range(9):
        hold(env)
    assert hold(env, 40.0)[1:3] == (-4.0, True)


def test_columns_that_leave_the_screen_are_paid(env):
    """The first's middle is at 2, every further one's 4 to the right; gone at -4, with 0.64 pixels a frame."""
    rewards = [hold(env)[1] for _ in range(60)]
    assert [n for n, reward in enumerate(rewards, 1) if reward] == [10, 16, 22, 29, 35, 41, 47, 54, 60]
    assert set(rewards) == {0.0, 1.0}


def test_the_cave_never_ends(env):
    """At frame 222 the 35th of 48 columns leaves, and 48 more come; from then on 48 leave in 297 frames."""
    paid = 0.0
    for frame in range(1, 222 + 3 * 297 + 1):
        env._block_x = 1e6
        observation, reward, over, _, _ = hold(env)
        paid += reward
        assert not over
        assert observation[2] + observation[3] == 24
        if frame in (222, 519, 816, 1113):
            assert paid == 35 + 48 * (frame - 222) / 297


def test_a_block_that_is_passed_is_paid(env):
    env._block_x = 17.0
    hold(env, 34.0)
    assert env._block_x == pytest.approx(16.36)
    _, reward, over, _, _ = hold(env, 34.0)
    assert (reward, over) == (1.0, False)
    assert env._passed_x == pytest.approx(15.72)
    assert env._block_x in range(48, 72)


@pytest.mark.parametrize(
    ("x", "y", "hit"),
    [
        (19.7, 24.0, False),  # moves to 19.06, its left column is 17
        (19.5, 24.0, True),  # 18.86, so 16
        (19.5, 19.9, False),  # its rows are 20 to 28, the copter's are 18 and 19
        (19.5, 20.0, True),  # 19 and 20
        (19.5, 29.9, True),  # 28 and 29
        (19.5, 30.0, False),  # 29 and 30
    ],
)
def test_where_a_block_hits(env, x, y, hit):
    env._block_x = x
    env._y, env._momentum = y - 0.057024, 0.0
    if y == 20.0:
        env._y += 1e-9
    _, reward, over, _, _ = env.step(NOTHING)
    assert (reward, over) == ((-5.0, True) if hit else (0.0, False))


def test_a_block_hits_until_it_is_behind(env):
    env._passed_y = 24
    env._passed_x = 14.7
    assert hold(env)[2]  # 14.06: its right column is 15
    assert not hold(env)[2]  # 13.42


@pytest.mark.parametrize(
    ("middle", "y", "over"),
    [(24, 14.3, True), (24, 14.5, False), (24, 35.9, False), (24, 36.1, True), (18, 8.5, False), (30, 41.9, False)],
)
def test_ceiling_and_floor(env, middle, y, over):
    """The ceiling is 12 above the middle and ends a flight 2.4 before, the floor is 12 below."""
    env._heights = [middle] * 48
    assert hold(env, y)[2] is over


def test_the_edges_of_the_screen(env):
    env._heights = [10] * 48
    assert hold(env, 5.9)[2]
    env._heights = [38] * 48
    assert hold(env, 42.1)[2]


def test_what_is_observed(env):
    env._heights = [20] * 48
    env._block_x, env._block_y = 40.0, 33
    env._y, env._momentum = 25.0, -0.5
    observation = env._get_obs()
    assert observation.dtype == np.float32
    # y, velocity, ceiling (8), floor (32), distance, the block's middle, and 9 below
    assert observation.tolist() == [25.0, -0.5, 17.0, 7.0, 24.0, 33.0, 42.0]


def test_the_courses_rewards():
    env = Pixelcopter(reward="course")
    env.reset(seed=0)
    env._heights = [24] * 48
    env._block_x = 40.0
    rewards = [hold(env, 34.0 if env._block_y < 25 else 15.0)[1] for _ in range(38)]
    assert [n for n, reward in enumerate(rewards, 1) if reward] == [38]  # 40 - 38 * 0.64 = 15.68
    assert rewards[-1] == 1.0
    assert hold(env, 50.0)[1:3] == (-1.0, True)
    with pytest.raises(ValueError, match="game, course"):
        Pixelcopter(reward="prose")


def test_where_blocks_and_columns_come():
    env = Pixelcopter()
    env.reset(seed=0)
    blocks = [env._new_block() for _ in range(4000)]
    assert {x for x, _ in blocks} == set(range(48, 72))
    assert {y for _, y in blocks} == {*range(8, 20), 24, *range(29, 40)}
    heights = {height for _ in range(200) for height in env._new_heights(0)}
    assert heights == set(range(18, 30))  # 24 and a wave of 6, cut


def fly(observation):
    """By hand: towards the middle of the wider way round the next block, with an eye on the velocity."""
    y, velocity, up, down, _, block, _ = observation
    ceiling, floor = y - up + 2.4, y + down
    top, bottom = (ceiling, block - 4) if block - 4 - ceiling > floor - (block + 5) else (block + 5, floor)
    return UP if y + 6 * velocity > (top + bottom) / 2 else NOTHING


@pytest.mark.parametrize(
    ("seed", "length", "score", "y"),
    [
        (39, 37, 0.0, 9.207327096668601),
        (6, 45, 1.0, 7.994133289486122),
        (22, 99, 11.0, 17.99893444982832),
        (8, 140, 18.0, 22.843777210990773),
        (25, 281, 43.0, 8.190986647372371),
        (0, 515, 84.0, 19.239024379174154),
        (10, 979, 165.0, 17.205991072819536),
    ],
)
def test_flights_of_the_original(seed, length, score, y):
    """What PLE's `pixelcopter.py` gave on the same random numbers, with `fly` and pygame-ce 2.5.8's sprites."""
    env = Pixelcopter()
    observation, _ = env.reset(seed=seed)
    n, paid, over = 0, 0.0, False
    while not over:
        observation, reward, over, _, _ = env.step(fly([float(part) for part in observation]))
        n, paid = n + 1, paid + reward
    assert (n, paid, env._y) == (length, score, y)


def test_it_can_be_learned():
    """A bar of 5 means something: chance is far below it, and a simple rule far above."""
    returns = {}
    for name, act in (("chance", lambda _, rng: int(rng.integers(2))), ("rule", lambda seen, _: fly(seen))):
        env, rng = make_raw("Pixelcopter-PLE-v0"), np.random.default_rng(0)
        returns[name] = []
        for seed in range(40):
            observation, _ = env.reset(seed=seed)
            paid, over = 0.0, False
            while not over:
                observation, reward, terminated, truncated, _ = env.step(act(observation, rng))
                paid, over = paid + reward, terminated or truncated
            returns[name].append(paid)
    assert np.mean(returns["chance"]) < -4
    assert np.mean(returns["rule"]) > 30


def test_a_long_flight_goes_on_exactly(env_config):
    """Of seed 10, which lasts 979 steps: after 600 the cave has been lengthened twice, and will be once more."""
    one, other = (make(env_config("Pixelcopter"), n_envs=1, seed=seed) for seed in (10, 5))
    observation = one.reset()
    for _ in range(600):
        observation, _, done, _ = one.step([fly(observation[0].tolist())])
        assert not done[0]
    assert restore(other, snapshot(one)).level == "exact"
    for n in range(601, 1000):
        action = [fly(observation[0].tolist())]
        (observation, reward, done, _), (same, *rest) = one.step(action), other.step(action)[:3]
        assert (observation.tobytes(), reward, done) == (same.tobytes(), *rest)
        assert done[0] == (n == 979)


@pytest.mark.filterwarnings("ignore:.*infinity")  # PLE bounds nothing
def test_it_is_what_gymnasium_expects():
    registration.register()
    env = gymnasium.make("Pixelcopter-PLE-v0", render_mode="rgb_array")
    assert env.spec.max_episode_steps == 10_000
    check_env(env.unwrapped, skip_render_check=True)


def test_pictures():
    env = Pixelcopter(render_mode="rgb_array")
    env.reset(seed=0)
    before = env.render()
    assert (before.shape, before.dtype) == ((480, 480, 3), np.uint8)
    assert tuple(before[240, 155]) == (255, 255, 255)  # the copter
    assert tuple(before[0, 0]) == (120, 240, 80)  # the ceiling
    env.step(UP)
    assert not np.array_equal(env.render(), before)
    assert Pixelcopter().render() is None


def test_a_window(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    pygame = pytest.importorskip("pygame")
    env = Pixelcopter(render_mode="human")
    env.reset(seed=0)
    env.step(UP)
    assert pygame.display.get_surface().get_size() == (480, 480)
    assert tuple(pygame.display.get_surface().get_at((0, 0)))[:3] == (120, 240, 80)
    env.close()
    assert not pygame.display.get_init()
