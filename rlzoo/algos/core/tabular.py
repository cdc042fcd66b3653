"""What the tabular algorithms share: exploration, and a generator that goes on where it stopped."""

from __future__ import annotations

from typing import Any

import numpy as np


def exponential_decay(start: float, end: float, rate: float, n: int) -> float:
    """`start` at n = 0, towards `end` by a factor of e every 1 / rate."""
    return float(end + (start - end) * np.exp(-rate * n))


def epsilon_greedy(
    q_values: np.ndarray, states: np.ndarray, epsilon: float, generator: np.random.Generator
) -> np.ndarray:
    """Actions (n,) for states (n,): the best one, the first of equals, or with chance `epsilon` any.

    Args:
        q_values: action values, (n_states, n_actions).
        states: (n,).
        epsilon: 0 draws nothing from the generator.
        generator: where chance comes from.
    """
    actions = q_values[states].argmax(axis=1)
    if epsilon > 0:
        explores = generator.random(len(states)) < epsilon
        actions[explores] = generator.integers(q_values.shape[1], size=int(explores.sum()))
    return actions


def generator_state(generator: np.random.Generator) -> dict[str, Any]:
    """The state of a PCG64 generator as JSON."""
    return dict(generator.bit_generator.state)


def restored_generator(state: dict[str, Any]) -> np.random.Generator:
    """A generator that goes on from a state of `generator_state`."""
    bits = np.random.PCG64()
    bits.state = state  # type: ignore[assignment]
    return np.random.Generator(bits)
