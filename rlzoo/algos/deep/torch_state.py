"""Networks and optimizers of the in-repo algorithms as a `State`: tensors by name, numbers as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from rlzoo.protocols import State


def torch_device(device: str) -> torch.device:
    """`auto` is a GPU if there is one."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(device)


def module_state(module: nn.Module, name: str) -> dict[str, Any]:
    """Parameters and buffers, copied to the CPU and row-major, as `<name>.<parameter>`."""
    return {
        f"{name}.{key}": tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for key, tensor in module.state_dict().items()
    }


def restore_module(module: nn.Module, name: str, tensors: Mapping[str, Any]) -> None:
    """Fill a module with what `module_state` took.

    Raises:
        ValueError: if it is the state of another network.
    """
    mine = module.state_dict()
    saved = {key.removeprefix(f"{name}."): value for key, value in tensors.items() if key.startswith(f"{name}.")}
    wrong = sorted(mine.keys() ^ saved.keys())
    wrong += [key for key in mine.keys() & saved.keys() if tuple(mine[key].shape) != tuple(saved[key].shape)]
    if wrong:
        raise ValueError(f"{name}.{wrong[0]} does not fit this network")
    module.load_state_dict({key: torch.as_tensor(value) for key, value in saved.items()})


def optimizer_state(optimizer: torch.optim.Optimizer, name: str) -> State:
    """Moments as `<name>.<parameter number>.<moment>`, the learning rates as `<name>.learning_rates`."""
    taken = optimizer.state_dict()
    tensors = {
        f"{name}.{index}.{key}": torch.as_tensor(value).detach().cpu().clone()
        for index, moments in taken["state"].items()
        for key, value in moments.items()
    }
    return State(tensors, {f"{name}.learning_rates": [float(group["lr"]) for group in taken["param_groups"]]})


def restore_optimizer(optimizer: torch.optim.Optimizer, name: str, state: State) -> None:
    """Fill an optimizer with what `optimizer_state` took; all but moments and learning rates stays as it was built."""
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in state.tensors.items():
        if key.startswith(f"{name}."):
            index, _, moment = key.removeprefix(f"{name}.").partition(".")
            moments.setdefault(int(index), {})[moment] = torch.as_tensor(value).clone()
    groups = optimizer.state_dict()["param_groups"]
    for group, learning_rate in zip(groups, state.values[f"{name}.learning_rates"], strict=True):
        group["lr"] = learning_rate
    optimizer.load_state_dict({"state": moments, "param_groups": groups})
