"""Networks of rlzoo's own algorithms under the names that the plain layers of a notebook have.

| algorithm | layers |
|---|---|
| `reinforce` | `fc1`, `fc2`, …: the `Policy` of unit 4 of the Deep RL Course |
| `ppo_scratch`, `actor_critic` | `actor` and `critic`, each an `nn.Sequential`: the `Agent` of unit 8 |
| `dqn_scratch` | `network`, an `nn.Sequential`; with `dueling` it ends in two, `value` and `advantage` |
| searches | `network`, an `nn.Sequential` with tanh between the layers, in double precision |

Images pass through convolutions first, `conv1` or more layers of the same `nn.Sequential`; where two parts follow, that
is `network`. `log_std` are the logarithms of the standard deviations of continuous actions. What the parts of a Dict
observation pass through keeps the names that Stable-Baselines3 gives it, behind `features`. What is not needed to act,
a baseline or a target network, is left out, but for the critics that the course keeps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from stable_baselines3.common.torch_layers import NatureCNN
from torch import Tensor, nn

from rlzoo.algos.search.base import PolicySearch

if TYPE_CHECKING:
    import numpy as np

Parts = dict[str, nn.Module | Tensor]
"""Modules and parameters by their names."""


def weights(name: str, algorithm: Any) -> dict[str, Tensor]:
    """A state dict of plain layers; of an algorithm that is not in the table above, that of each of its modules.

    Args:
        name: the algorithm's.
        algorithm: what has the networks.

    Returns:
        Tensors on the CPU, row-major; none if there is no network.
    """
    if name in PARTS:
        parts = PARTS[name](algorithm)
    elif isinstance(algorithm, PolicySearch):
        parts = _unflattened(getattr(algorithm, algorithm.WEIGHTS), algorithm.policy.sizes)
    else:
        parts = {part: module for part, module in vars(algorithm).items() if isinstance(module, nn.Module)}
    return {
        key: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for part, module in parts.items()
        for key, tensor in _tensors(part, module)
    }


def _policy(algorithm: Any) -> Parts:
    actor = algorithm.actor
    several, layers = _front(actor.features)
    return {"features": several, **_numbered([*layers, *actor.layers]), **_spread(actor.distribution)}


def _two_networks(algorithm: Any) -> Parts:
    parts: Parts = {}
    for part, network in (("actor", algorithm.actor), ("critic", algorithm.critic)):
        several, layers = _front(network.features)
        parts |= {f"{part}_features": several, part: nn.Sequential(*layers, *network.layers)}
    return {**parts, **_spread(algorithm.actor.distribution)}


def _agent(algorithm: Any) -> Parts:
    network = algorithm.network
    several, layers = _front(network.features)
    both = {part: network.actor_and_critic.alone(index) for index, part in enumerate(("actor", "critic"))}
    return {"features": several, "network": nn.Sequential(*layers), **both, **_spread(network.distribution)}


def _q_network(algorithm: Any) -> Parts:
    network = algorithm.q_network
    several, layers = _front(network.features)
    if network.value is None:
        return {"features": several, "network": nn.Sequential(*layers, *network.advantage)}
    ends = {"value": network.value, "advantage": network.advantage}
    return {"features": several, "network": nn.Sequential(*layers), **ends}


PARTS: dict[str, Callable[[Any], Parts]] = {
    "reinforce": _policy,
    "actor_critic": _two_networks,
    "ppo_scratch": _agent,
    "dqn_scratch": _q_network,
}


def _front(extractor: nn.Module) -> tuple[nn.Module, list[nn.Module]]:
    """What makes features of an observation: a module of several parts, or layers in a row; empty is the other one."""
    if isinstance(extractor, NatureCNN):
        return nn.Module(), [*extractor.cnn, *extractor.linear]
    return (nn.Module(), [*extractor]) if isinstance(extractor, nn.Sequential) else (extractor, [])


def _numbered(layers: Iterable[nn.Module]) -> Parts:
    """Layers with weights, called `conv1`, `conv2`, … and `fc1`, `fc2`, … in their order."""
    found: Parts = {}
    counts: Counter[str] = Counter()
    for layer in layers:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            kind = "conv" if isinstance(layer, nn.Conv2d) else "fc"
            counts[kind] += 1
            found[f"{kind}{counts[kind]}"] = layer
    return found


def _spread(distribution: nn.Module) -> Parts:
    return {"log_std": distribution.log_std} if hasattr(distribution, "log_std") else {}


def _unflattened(vector: np.ndarray, sizes: Sequence[int]) -> Parts:
    """The layers of `search.flat_policy`."""
    found: Parts = {}
    begin = 0
    for depth, (n_in, n_out) in enumerate(pairwise(sizes)):
        end = begin + n_in * n_out
        found[f"network.{2 * depth}.weight"] = torch.tensor(vector[begin:end]).view(n_out, n_in)
        begin = end + n_out
        found[f"network.{2 * depth}.bias"] = torch.tensor(vector[end:begin])
    return found


def _tensors(part: str, value: nn.Module | Tensor) -> Iterable[tuple[str, Tensor]]:
    if isinstance(value, nn.Module):
        return ((f"{part}.{key}", tensor) for key, tensor in value.state_dict().items())
    return ((part, value),)
