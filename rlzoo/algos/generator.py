"""A learner's own random numbers: apart from its environment's, and going on after a resume."""

from __future__ import annotations

from typing import Any

import numpy as np


def own_generator(seed: int | None) -> np.random.Generator:
    """A generator for a learner.

    Environment 0 draws from `default_rng(seed)`: with the same numbers, exploration and dynamics would go together.
    """
    return np.random.default_rng(None if seed is None else [seed, 1])


def generator_state(generator: np.random.Generator) -> dict[str, Any]:
    """The state of a PCG64 generator as JSON."""
    return dict(generator.bit_generator.state)


def restored_generator(state: dict[str, Any]) -> np.random.Generator:
    """A generator that goes on from a state of `generator_state`."""
    bits = np.random.PCG64()
    bits.state = state  # type: ignore[assignment]
    return np.random.Generator(bits)
