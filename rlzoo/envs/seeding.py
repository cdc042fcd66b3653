"""Where randomness comes from: one seed for a training, seeds for evaluation episodes, and draws kept apart."""

from __future__ import annotations

import random
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from rlzoo.protocols import State

if TYPE_CHECKING:
    import gymnasium

MAX_SEED = 2**31 - 1
"""The largest seed that Python, NumPy, torch and every environment take."""


def draw_seed() -> int:
    """A seed from the operating system, for a request that has none."""
    return secrets.randbelow(MAX_SEED + 1)


def seed_everything(seed: int) -> None:
    """Seed the generators that libraries share: Python's, NumPy's and, if it has been imported, torch's.

    Environments and action spaces have generators of their own, which are seeded where they are made.
    """
    random.seed(seed)
    np.random.seed(seed)
    if "torch" in sys.modules:
        import torch

        torch.manual_seed(seed)


def episode_seeds(seed: int, stream: int | None, n: int) -> list[int]:
    """Seeds for `n` evaluation episodes.

    With `stream=None`, the final evaluation: `seed, seed + 1, ...`, which are easy to name and to use elsewhere.
    Otherwise a sequence of its own for each stream (an evaluation during training takes the step it happens at), so
    that the best model is not the one that suits a few episodes. Longer sequences begin with the shorter ones.
    """
    if stream is None:
        return [(seed + episode) % (MAX_SEED + 1) for episode in range(n)]
    words = np.random.SeedSequence([seed, stream]).generate_state(n)  # (n,) uint32
    return [int(word) & MAX_SEED for word in words]


@contextmanager
def isolated(seed: int, *spaces: gymnasium.Space[Any] | None) -> Iterator[None]:
    """Inside, everything is drawn from generators seeded with `seed`; outside, it is as if nothing had been drawn.

    Covers Python's and NumPy's global generators, torch's (CPU, and CUDA once it is in use) and those of the given
    spaces: a stochastic DQN policy, for one, samples the algorithm's action space.
    """
    generators = [generator for space in spaces if space is not None for generator in _space_generators(space)]
    python_state = random.getstate()
    numpy_state = np.random.get_state()
    space_states = [generator.bit_generator.state for generator in generators]
    torch_states = _torch_states()
    random.seed(seed)
    np.random.seed(seed)
    for index, generator in enumerate(generators):
        bit_generator = type(generator.bit_generator)
        generator.bit_generator.state = bit_generator(np.random.SeedSequence([seed, index])).state
    _seed_torch(seed)
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
        for generator, state in zip(generators, space_states, strict=True):
            generator.bit_generator.state = state
        _restore_torch(torch_states)


class Generators:
    """The generators that a training draws from, as something a checkpoint can hold: exact to the next draw.

    Python's, NumPy's and torch's global ones (CPU and every CUDA device in use) and those of the given spaces.
    """

    def __init__(self, *spaces: gymnasium.Space[Any]) -> None:
        self._spaces = spaces

    def state(self) -> State:
        version, words, gauss = random.getstate()
        name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
        torch_states = _torch_states()
        tensors: dict[str, Any] = {"numpy": np.array(keys)}
        if torch_states is not None:
            tensors["torch"] = torch_states[0].numpy().copy()
            tensors |= {f"cuda.{i}": state.cpu().numpy().copy() for i, state in enumerate(torch_states[1])}
        values = {
            "python": [version, list(words), gauss],
            "numpy": [name, int(position), int(has_gauss), float(cached)],
            "spaces": [generator.bit_generator.state for generator in self._generators()],
        }
        return State(tensors, values)

    def restore(self, state: State) -> None:
        version, words, gauss = state.values["python"]
        random.setstate((version, tuple(words), gauss))
        name, position, has_gauss, cached = state.values["numpy"]
        np.random.set_state((name, np.asarray(state.tensors["numpy"]), position, has_gauss, cached))
        for generator, saved in zip(self._generators(), state.values["spaces"], strict=True):
            generator.bit_generator.state = saved
        if "torch" in state.tensors:
            import torch

            cuda = sorted((key for key in state.tensors if key.startswith("cuda.")), key=lambda key: int(key[5:]))
            of_cuda = [torch.as_tensor(state.tensors[key]) for key in cuda] if torch.cuda.is_available() else []
            _restore_torch((torch.as_tensor(state.tensors["torch"]), of_cuda))

    def _generators(self) -> list[np.random.Generator]:
        return [generator for space in self._spaces for generator in _space_generators(space)]


def _space_generators(space: gymnasium.Space[Any]) -> list[np.random.Generator]:
    parts = getattr(space, "spaces", ())
    children = list(parts.values()) if hasattr(parts, "values") else list(parts)
    return [space.np_random, *(generator for child in children for generator in _space_generators(child))]


def _torch_states() -> tuple[Any, list[Any]] | None:
    """States of torch's CPU generator and of those of every CUDA device in use."""
    if "torch" not in sys.modules:
        return None
    import torch

    return torch.get_rng_state(), torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []


def _seed_torch(seed: int) -> None:
    if "torch" not in sys.modules:
        return
    import torch

    torch.default_generator.manual_seed(seed)  # torch.manual_seed would also seed a CUDA that starts later
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)


def _restore_torch(states: tuple[Any, list[Any]] | None) -> None:
    if states is None:
        return
    import torch

    cpu_state, cuda_states = states
    torch.set_rng_state(cpu_state)
    if cuda_states:
        torch.cuda.set_rng_state_all(cuda_states)
