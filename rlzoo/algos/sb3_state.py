"""The state of a Stable-Baselines3 model as tensors and JSON; the only file that knows its private fields.

Now: policy and target networks, optimizers, learned coefficients, counters. What an exact resume needs besides
(buffers, generators, last observations) joins the table below, with the versions it was proven on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.save_util import recursive_getattr, recursive_setattr

from rlzoo.errors import ExitCode, RlzooError
from rlzoo.protocols import State

PROVEN_VERSIONS = {"stable_baselines3": ("2.9.2",), "sb3_contrib": ("2.9.2",)}
"""Versions whose private fields are known to be these; others train as well, but are not called exact."""

COUNTERS = (
    "num_timesteps",
    "_n_updates",
    "_n_calls",
    "_episode_num",
    "_total_timesteps",
    "_current_progress_remaining",
    "exploration_rate",
    "old_count",
)
"""Numbers that a training counts in; each model has some of them."""

TENSORS = ("weights",)
"""Tensors outside of every module that a model learns: the weights of ARS."""


def unproven_versions() -> list[str]:
    """The installed packages whose version is not in `PROVEN_VERSIONS`: `["sb3_contrib 2.10.0"]`."""
    from importlib.metadata import version

    installed = {package: version(package) for package in PROVEN_VERSIONS}
    return [f"{package} {found}" for package, found in installed.items() if found not in PROVEN_VERSIONS[package]]


def state(model: BaseAlgorithm) -> State:
    """Everything the model has learned. Tensors are copies on the CPU that share no memory."""
    tensors: dict[str, torch.Tensor] = {}
    values: dict[str, Any] = {"modules": {}, "counters": {}}
    for name, module in model.get_parameters().items():
        values["modules"][name] = _encode(module, name, tensors)
    for name in _variables(model):
        tensors[name] = _copy(recursive_getattr(model, name))
    for name in COUNTERS:
        if hasattr(model, name):
            values["counters"][name] = getattr(model, name)
    return State(tensors, values)


def restore(model: BaseAlgorithm, state: State) -> None:
    """Put a state back into a model of the same algorithm and keywords.

    Raises:
        RlzooError: if the state is of another algorithm, network or optimizer.
    """
    try:
        modules = {name: _decode(value, state.tensors) for name, value in state.values["modules"].items()}
        model.set_parameters(modules, exact_match=True, device=model.device)
        for name in _variables(model):
            _put(model, name, state.tensors[name])
    except (KeyError, RuntimeError, ValueError) as error:
        raise RlzooError(
            f"the saved state does not fit this {type(model).__name__}: {error}",
            "a state fits only the algorithm, policy and spaces it was saved from",
            ExitCode.STORAGE,
        ) from error
    for name, value in state.values["counters"].items():
        setattr(model, name, value)


def _variables(model: BaseAlgorithm) -> list[str]:
    """Names of the learned tensors outside of modules: `log_ent_coef` or `ent_coef_tensor`, and ARS's weights."""
    own = [name for name in TENSORS if isinstance(getattr(model, name, None), torch.Tensor)]
    return [*model._get_torch_save_params()[1], *own]


def _put(model: BaseAlgorithm, name: str, tensor: Any) -> None:
    value = torch.as_tensor(tensor).clone().to(model.device)
    if name in TENSORS:
        setattr(model, name, value)
    else:
        recursive_setattr(model, f"{name}.data", value)  # in place: the optimizer holds this very tensor


def _copy(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().cpu().contiguous().clone()


def _encode(value: Any, name: str, tensors: dict[str, torch.Tensor]) -> Any:
    """A state dict as JSON: tensors go to `tensors` under a dotted name; keys that are numbers and tuples are kept."""
    if isinstance(value, torch.Tensor):
        tensors[name] = _copy(value)
        return {"tensor": name}
    if isinstance(value, Mapping):
        pairs = [[key, _encode(child, f"{name}.{key}", tensors)] for key, child in value.items()]
        return {"mapping": pairs}
    if isinstance(value, list | tuple):
        kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [_encode(child, f"{name}.{i}", tensors) for i, child in enumerate(value)]}
    return value


def _decode(value: Any, tensors: Mapping[str, Any]) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return torch.as_tensor(tensors[content]).clone()  # optimizers keep the tensor they are given
    if kind == "mapping":
        return {key: _decode(child, tensors) for key, child in content}
    decoded = [_decode(child, tensors) for child in content]
    return tuple(decoded) if kind == "tuple" else decoded
