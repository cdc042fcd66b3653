"""Networks of the in-repo algorithms: what turns an observation into features, and layers behind it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import sqrt
from typing import TYPE_CHECKING, Any

import torch
from gymnasium import spaces
from stable_baselines3.common.preprocessing import is_image_space, preprocess_obs
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, CombinedExtractor, FlattenExtractor, NatureCNN
from stable_baselines3.common.utils import obs_as_tensor
from torch import Tensor, nn

if TYPE_CHECKING:
    from gymnasium import Space


def features(space: Space) -> BaseFeaturesExtractor:
    """Stable-Baselines3's extractor for a space; it has `features_dim`.

    A convolution for images, several parts for a Dict, else the observation itself, laid flat (Discrete: one-hot).
    """
    if isinstance(space, spaces.Dict):
        return CombinedExtractor(space)
    return NatureCNN(space) if is_image_space(space) else FlattenExtractor(space)


def to_features(observation: Any, space: Space, device: torch.device) -> Any:
    """Observations (n, *observation_shape), NumPy or a dict of these, as float tensors that `features` takes.

    Images become 0 to 1, discrete observations one-hot.
    """
    if isinstance(space, spaces.Dict):
        return {key: to_features(observation[key], part, device) for key, part in space.items()}
    tensors: Any = obs_as_tensor(observation, device)
    if is_image_space(space):
        return tensors.float().div_(255)  # `preprocess_obs` has the same numbers, but a second array of them
    return preprocess_obs(tensors, space)


def layers(
    sizes: Sequence[int], activation: type[nn.Module], *, gain: float | None = None, last_gain: float | None = None
) -> nn.Sequential:
    """Fully connected layers `sizes[0] -> ... -> sizes[-1]`, with `activation` between them but not behind the last.

    Args:
        sizes: numbers of features, at least two.
        activation: a class such as `torch.nn.Tanh`.
        gain: orthogonal weights with this gain and biases of 0; None leaves torch's own start.
        last_gain: the gain of the last layer, if it differs.
    """
    modules: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        modules += [linear(n_in, n_out, gain), activation()]
    modules.pop()
    if last_gain is not None:
        modules[-1] = linear(sizes[-2], sizes[-1], last_gain)
    return nn.Sequential(*modules)


def linear(n_in: int, n_out: int, gain: float | None = sqrt(2)) -> nn.Linear:
    """One layer with orthogonal weights and biases of 0; `gain=None` leaves torch's own start."""
    layer = nn.Linear(n_in, n_out)
    if gain is not None:
        nn.init.orthogonal_(layer.weight, gain)
        nn.init.zeros_(layer.bias)
    return layer


def n_outputs(actions: Space) -> int:
    """Numbers that a policy puts out for an action space: logits, or means of a Box."""
    if hasattr(actions, "nvec"):
        return int(actions.nvec.sum())
    if hasattr(actions, "n"):
        return int(actions.n)
    return int(torch.tensor(actions.shape).prod())


def detached(tensor: Tensor) -> Any:
    """A tensor as a NumPy array that shares its memory where it can."""
    return tensor.detach().cpu().numpy()
