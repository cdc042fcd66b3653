"""Every old id: what it means today exists, and an alias that stands in really is the same environment."""

import gymnasium
import numpy as np
import pytest

from rlzoo.config import aliases
from rlzoo.envs import registration

OLD_ROBOTS = [f"{name}-v{version}" for name in aliases._ROBOTS for version in (2, 3, 4)]
V5_SAME = ["HalfCheetah-v4", "Swimmer-v4"]


@pytest.mark.parametrize("old", [*aliases.SAME, *aliases.CHANGED, *OLD_ROBOTS, "PongDeterministic-v4"])
def test_the_new_id_exists(old):
    registration.register(["ale_py"])
    alias = aliases.resolve(old)
    assert alias.note
    if not alias.id.startswith("Panda"):  # of a package that is not installed with the tests
        assert alias.id in gymnasium.registry
        assert aliases.resolve(alias.id) is None


@pytest.mark.parametrize("old", [name for name in aliases.SAME])
def test_what_stands_in_says_so(old):
    assert aliases.resolve(old).same
    assert aliases.current(old) == aliases.SAME[old][0]


@pytest.mark.parametrize("old", [*aliases.CHANGED, "Hopper-v3", "Ant-v2", "PandaReachDense-v2", "VizdoomBasic-v0"])
def test_what_does_not_stand_in_is_left_alone(old):
    assert not aliases.resolve(old).same
    assert aliases.current(old) == old


@pytest.mark.parametrize("new", ["LunarLander-v3", "CartPole-v0", "Hopper-v5", "MyAnt-v2", "mine:Ant-v2", "Ant", ""])
def test_other_ids_are_not_old(new):
    assert aliases.resolve(new) is None


@pytest.mark.parametrize("old", [name for name in OLD_ROBOTS if name.endswith("-v4") and "Pusher" not in name])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:.*out of date.*")
def test_robots_of_v4_are_the_same_only_where_it_is_said(old):
    alias = aliases.resolve(old)
    envs = [gymnasium.make(env_id) for env_id in (old, alias.id)]
    numbers = [_episode(env) for env in envs]
    shapes = [[observation.shape for observation, *_ in steps] for steps in numbers]
    same = shapes[0] == shapes[1] and all(
        np.array_equal(one, other) and rest == others for (one, *rest), (other, *others) in zip(*numbers, strict=True)
    )
    assert same == alias.same


def _episode(env, n=200):
    env.reset(seed=3)
    rng = np.random.default_rng(0)
    steps = []
    for _ in range(n):
        action = rng.uniform(env.action_space.low, env.action_space.high).astype(np.float32)
        observation, reward, terminated, truncated, _ = env.step(action)
        steps.append((observation, float(reward), terminated, truncated))
        if terminated or truncated:
            break
    env.close()
    return steps
