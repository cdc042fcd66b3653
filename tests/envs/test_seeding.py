"""Seeds: the same number always gives the same draws, and an evaluation's draws leave no trace."""

from __future__ import annotations

import random
import subprocess
import sys

import gymnasium
import numpy as np
import pytest
import torch

from rlzoo.envs.seeding import MAX_SEED, draw_seed, episode_seeds, isolated, seed_everything


def draws(space: gymnasium.Space) -> list:
    """A few numbers from every generator."""
    return [
        random.random(),
        np.random.rand(3).tolist(),
        torch.rand(3).tolist(),
        np.asarray(space.sample()).tolist(),
    ]


def test_seed_everything_repeats_python_numpy_and_torch():
    seed_everything(7)
    first = random.random(), np.random.rand(), torch.rand(1).item()
    seed_everything(7)
    assert (random.random(), np.random.rand(), torch.rand(1).item()) == first
    seed_everything(8)
    assert random.random() != first[0] and np.random.rand() != first[1] and torch.rand(1).item() != first[2]


def test_seed_everything_reaches_the_known_draws():
    seed_everything(0)
    assert random.random() == 0.8444218515250481
    assert np.random.rand() == 0.5488135039273248
    assert torch.rand(1).item() == pytest.approx(0.4962565899, abs=1e-9)


def test_draws_outside_continue_as_if_nothing_happened_inside():
    space = gymnasium.spaces.Discrete(1000, seed=3)
    seed_everything(1)
    draws(space)
    expected = draws(space)

    space = gymnasium.spaces.Discrete(1000, seed=3)
    seed_everything(1)
    draws(space)
    with isolated(99, space):
        for _ in range(5):
            draws(space)
    assert draws(space) == expected


def test_draws_inside_depend_on_the_seed_alone():
    space = gymnasium.spaces.Box(-1, 1, (3,), seed=0)
    with isolated(5, space):
        first = draws(space)
    draws(space)
    with isolated(5, space):
        again = draws(space)
    with isolated(6, space):
        other = draws(space)
    assert first == again
    assert all(a != b for a, b in zip(first, other, strict=True))


def test_generators_are_put_back_after_an_error_and_when_nested():
    space = gymnasium.spaces.Discrete(1000, seed=3)
    seed_everything(1)
    expected = draws(space)
    space.seed(3)
    seed_everything(1)
    with pytest.raises(ZeroDivisionError), isolated(2, space), isolated(3, space):
        draws(space)
        _ = 1 / 0
    assert draws(space) == expected


@pytest.mark.gpu
def test_cuda_draws_are_isolated_too():
    torch.cuda.init()
    torch.cuda.manual_seed(1)
    torch.rand(3, device="cuda")
    expected = torch.rand(3, device="cuda").tolist()
    torch.cuda.manual_seed(1)
    torch.rand(3, device="cuda")
    inside = []
    for _ in range(2):
        with isolated(5):
            inside.append(torch.rand(3, device="cuda").tolist())
    assert inside[0] == inside[1]
    assert torch.rand(3, device="cuda").tolist() == expected


def test_the_parts_of_a_composite_space_are_isolated_too():
    space = gymnasium.spaces.Dict(a=gymnasium.spaces.Discrete(1000), b=gymnasium.spaces.Box(0, 1, (2,)))
    space.seed(4)
    twin = gymnasium.spaces.Dict(a=gymnasium.spaces.Discrete(1000), b=gymnasium.spaces.Box(0, 1, (2,)))
    twin.seed(4)
    with isolated(2, space, None):
        space.sample()
    assert str(space.sample()) == str(twin.sample())


def test_a_generator_somebody_else_holds_stays_the_one_in_use():
    space = gymnasium.spaces.Discrete(1000, seed=3)
    held = space.np_random
    with isolated(0, space):
        space.sample()
    assert space.np_random is held


def test_torch_is_not_imported_for_its_seed():
    code = """
import sys
from rlzoo.envs.seeding import isolated, seed_everything
seed_everything(1)
with isolated(2): pass
assert 'torch' not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_final_seeds_count_up_and_training_evaluations_have_streams_of_their_own():
    assert episode_seeds(10000, None, 4) == [10000, 10001, 10002, 10003]
    assert episode_seeds(MAX_SEED, None, 2) == [MAX_SEED, 0]
    assert episode_seeds(10000, 5000, 3) == episode_seeds(10000, 5000, 3)
    assert episode_seeds(10000, 5000, 5)[:3] == episode_seeds(10000, 5000, 3)
    together = [seed for stream in range(0, 10000, 500) for seed in episode_seeds(10000, stream, 20)]
    assert len(set(together)) == len(together)
    assert all(0 <= seed <= MAX_SEED for seed in together)
    assert episode_seeds(1, 500, 3) != episode_seeds(2, 500, 3)


def test_evaluation_seeds_never_change_between_versions():
    assert episode_seeds(10000, 1000, 3) == [1230937021, 186175183, 1245406507]


def test_a_drawn_seed_is_in_range_and_not_always_the_same():
    drawn = [draw_seed() for _ in range(5)]
    assert all(0 <= seed <= MAX_SEED for seed in drawn)
    assert len(set(drawn)) > 1
