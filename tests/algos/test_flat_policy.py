"""Policies as one vector, against numbers worked out by hand."""

from __future__ import annotations

from math import log

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete

from rlzoo.algos.search.flat_policy import FlatPolicy

PLANE = Box(-1, 1, (2,))


def test_a_linear_policy() -> None:
    policy = FlatPolicy(PLANE, Discrete(2))
    weights = np.array([[1, 0, 0, 1, 0, 0.5]])  # the identity, and biases 0 and 0.5
    assert policy.n_weights == 6
    assert policy.outputs(weights, [[1, 2], [3, 1]]).tolist() == [[1, 2.5], [3, 1.5]]
    assert policy.act(weights, [[1, 2], [3, 1]]).tolist() == [1, 0]


def test_every_observation_may_have_a_policy_of_its_own() -> None:
    policy = FlatPolicy(Box(-1, 1, (1,)), Box(-9, 9, (1,)))
    assert policy.outputs(np.array([[1, 0], [0, 5], [-2, 1]]), [[3], [3], [3]]).tolist() == [[3], [5], [-5]]


def test_a_network_has_tanh_between_its_layers() -> None:
    policy = FlatPolicy(Box(-1, 1, (1,)), Box(-9, 9, (1,)), [1])
    # 2 * 0.25 + 0.5 = 1, tanh(1) = 0.7615942, 3 * 0.7615942 - 1
    assert policy.outputs(np.array([[2, 0.5, 3, -1]]), [[0.25]]) == pytest.approx(1.2847825, abs=1e-7)


def test_continuous_actions_are_clipped_or_squashed_into_their_bounds() -> None:
    weights, actions = np.array([[0, 0.5], [0, 100], [0, -100]]), Box(-2, 4, (1,))
    seen = np.zeros((3, 1))
    assert FlatPolicy(Box(-1, 1, (1,)), actions).act(weights, seen).ravel().tolist() == [0.5, 4, -2]
    squashed = FlatPolicy(Box(-1, 1, (1,)), actions, squash_output=True).act(weights, seen).ravel()
    assert squashed == pytest.approx([1 + 3 * 0.4621172, 4, -2], abs=1e-6)  # tanh(0.5) = 0.4621172
    assert squashed.dtype == actions.dtype
    with pytest.raises(ValueError, match="bounds"):
        FlatPolicy(PLANE, Box(-np.inf, np.inf, (1,)), squash_output=True)


def test_discrete_actions_are_drawn_by_their_softmax() -> None:
    policy = FlatPolicy(Box(-1, 1, (1,)), Discrete(3, start=5))
    weights = np.array([[0, 0, 0, log(1), log(2), log(1)]])  # a quarter, a half, a quarter
    chance = np.array([0, 0.24, 0.26, 0.74, 0.76, 0.999])
    assert policy.act(weights, np.zeros((6, 1)), chance).tolist() == [5, 5, 6, 6, 7, 7]
    assert policy.act(weights, np.zeros((1, 1))).tolist() == [6]


@pytest.mark.parametrize(
    ("space", "seen", "features"),
    [
        (Discrete(3, start=1), [1, 3], [[1, 0, 0], [0, 0, 1]]),
        (MultiDiscrete([2, 3]), [[1, 0], [0, 2]], [[0, 1, 1, 0, 0], [1, 0, 0, 0, 1]]),
        (MultiBinary(2), [[0, 1], [1, 1]], [[0, 1], [1, 1]]),
        (Box(-9, 9, (2, 2)), [[[1, 2], [3, 4]]], [[1, 2, 3, 4]]),
    ],
)
def test_what_is_seen_of_other_spaces(space, seen, features) -> None:
    """Through weights that are the identity."""
    n = len(features[0])
    policy = FlatPolicy(space, Box(-9, 9, (n,)))
    weights = np.append(np.eye(n).ravel(), np.zeros(n))[None]
    assert policy.outputs(weights, np.array(seen)).tolist() == features


def test_bytes_become_shares() -> None:
    policy = FlatPolicy(Box(0, 255, (1,), np.uint8), Box(-9, 9, (1,)))
    assert policy.outputs(np.array([[1, 0]]), np.array([[51]], np.uint8)).tolist() == [[0.2]]


@pytest.mark.parametrize("net_arch", [[], [8]])
def test_it_starts_with_outputs_of_zero(net_arch) -> None:
    policy = FlatPolicy(PLANE, Discrete(3), net_arch)
    start = policy.start(np.random.default_rng(0))
    assert start.shape == (policy.n_weights,)
    assert not policy.outputs(start[None], np.ones((4, 2))).any()
    assert start.any() == bool(net_arch)  # or no hidden unit would ever do anything


def test_predictions_have_the_shape_of_the_observations() -> None:
    weights = np.array([1, 0, 0, 1, 0, 0.5])
    policy = FlatPolicy(PLANE, Discrete(2))
    assert policy.predict(weights, [[1, 2], [3, 1]], deterministic=True).tolist() == [1, 0]
    assert policy.predict(weights, [1, 2], deterministic=True).shape == ()
    assert FlatPolicy(PLANE, Box(-1, 1, (2,))).predict(weights, [1, 2], deterministic=True).shape == (2,)
    assert FlatPolicy(Discrete(3), Discrete(2)).predict(np.zeros(8), 2, deterministic=True).shape == ()


def test_predictions_draw_as_the_training_does() -> None:
    weights, seen = np.array([0, 0, 0, 0, 0, log(3)]), np.zeros((4000, 2))
    np.random.seed(0)
    drawn = FlatPolicy(PLANE, Discrete(2), sample_actions=True).predict(weights, seen, deterministic=False)
    assert drawn.mean() == pytest.approx(0.75, abs=0.02)
    assert FlatPolicy(PLANE, Discrete(2)).predict(weights, seen, deterministic=False).mean() == 1


def test_weights_of_another_policy_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(7,\), not \(6,\)"):
        FlatPolicy(PLANE, Discrete(2)).checked(np.zeros(7))
