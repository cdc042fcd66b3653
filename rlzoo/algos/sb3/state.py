"""The state of a Stable-Baselines3 model as tensors and JSON; the only file that knows its private fields.

`state` holds what was learned (networks, optimizers, coefficients) and the counters. `rollout_state` holds where the
training stands between two rollouts: the last observations, recent episodes, numbers not yet logged.
`exploration_state` holds what Stable-Baselines3 draws again when `learn` begins, so that it is restored after that:
action noise and gSDE matrices.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.noise import OrnsteinUhlenbeckActionNoise, VectorizedActionNoise
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

ARRAYS = ("_last_obs", "_last_original_obs", "_last_episode_starts", "_last_dones")
"""Arrays, or mappings of arrays by name, that the next rollout begins with; each model has some of them."""

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
    """Restore a state into a model of the same algorithm and keywords.

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
    for name in COUNTERS:
        if name in state.values["counters"]:
            setattr(model, name, state.values["counters"][name])


def restore_weights(model: BaseAlgorithm, state: State) -> None:
    """Restore networks and learned coefficients, without optimizers and counters.

    Raises:
        KeyError, RuntimeError: if they are of another algorithm or network.
    """
    for name, module in model.get_parameters().items():
        target = recursive_getattr(model, name)
        if not isinstance(target, torch.nn.Module):
            continue
        saved = _decode(state.values["modules"][name], state.tensors)
        if shapes := [key for key in module if key in saved and saved[key].shape != module[key].shape]:
            old, new = (tuple(tensors[shapes[0]].shape) for tensors in (saved, module))
            raise ValueError(f"{shapes[0]} has shape {old}, not {new}")
        target.load_state_dict(saved)
    for name in _variables(model):
        if name in state.tensors:
            _put(model, name, state.tensors[name])


def exploration_state(model: BaseAlgorithm) -> State:
    """Correlated action noise, and gSDE's exploration matrices."""
    tensors: dict[str, Any] = {}
    for index, noise in enumerate(_noises(model)):
        if isinstance(noise, OrnsteinUhlenbeckActionNoise):
            tensors[f"noise.{index}"] = noise.noise_prev.copy()
    distribution = _gsde(model)
    if distribution is not None:
        for name in GSDE:
            tensors[name] = _copy(getattr(distribution, name))
    return State(tensors)


def restore_exploration(model: BaseAlgorithm, state: State) -> None:
    """Restore exploration in place: a running `learn` holds these objects."""
    for index, noise in enumerate(_noises(model)):
        if f"noise.{index}" in state.tensors:
            noise.noise_prev = np.array(state.tensors[f"noise.{index}"])
    distribution = _gsde(model)
    if distribution is not None:
        for name in GSDE:
            setattr(distribution, name, torch.as_tensor(state.tensors[name]).clone().to(model.device))


def begin_rollout(model: BaseAlgorithm) -> None:
    """Draw what every rollout of Stable-Baselines3 draws before its first boundary: gSDE's exploration matrices."""
    if getattr(model, "use_sde", False):
        policy: Any = model.policy
        getattr(policy, "actor", policy).reset_noise(model.n_envs)


GSDE = ("exploration_mat", "exploration_matrices")


def _gsde(model: BaseAlgorithm) -> Any:
    """The distribution that holds gSDE's matrices, None without gSDE."""
    if not getattr(model, "use_sde", False):
        return None
    policy: Any = model.policy
    return policy.actor.action_dist if hasattr(policy, "actor") else policy.action_dist


def _noises(model: BaseAlgorithm) -> list[Any]:
    noise = model.action_noise
    return list(noise.noises) if isinstance(noise, VectorizedActionNoise) else [noise]


def rollout_state(model: BaseAlgorithm) -> State:
    """Where the training stands between two rollouts."""
    tensors: dict[str, Any] = {}
    values: dict[str, Any] = {"parts": {}}
    for name in ARRAYS:
        array = getattr(model, name, None)
        if isinstance(array, Mapping):
            values["parts"][name] = list(array)
            tensors.update({f"{name}.{part}": np.array(value) for part, value in array.items()})
        elif array is not None:
            tensors[name] = np.array(array)
    lstm = getattr(model, "_last_lstm_states", None)
    if lstm is not None:
        tensors.update({f"lstm.{i}": _copy(t) for i, t in enumerate((*lstm.pi, *lstm.vf))})
    if model.ep_info_buffer is not None and model.ep_success_buffer is not None:
        values["episodes"] = [[float(info["r"]), int(info["l"])] for info in model.ep_info_buffer]
        values["successes"] = [float(success) for success in model.ep_success_buffer]
    numbers, counts = model.logger.name_to_value, model.logger.name_to_count
    log = ((key, value) for key, value in numbers.items() if isinstance(value, int | float | np.number))
    values["log"] = [[key, float(value), counts[key]] for key, value in log]
    return State(tensors, values)


def restore_rollout(model: BaseAlgorithm, state: State) -> None:
    """Restore it before `learn`; the model's logger must be set."""
    for name in ARRAYS:
        if name in state.values["parts"]:
            parts = {part: np.array(state.tensors[f"{name}.{part}"]) for part in state.values["parts"][name]}
            setattr(model, name, parts)
        elif name in state.tensors:
            setattr(model, name, np.array(state.tensors[name]))
    if "lstm.0" in state.tensors:
        tensors = [torch.as_tensor(state.tensors[f"lstm.{i}"]).clone().to(model.device) for i in range(4)]
        recurrent: Any = model
        recurrent._last_lstm_states = type(recurrent._last_lstm_states)(tuple(tensors[:2]), tuple(tensors[2:]))
    if "episodes" in state.values:
        window = model._stats_window_size
        episodes = [{"r": reward, "l": length, "t": 0.0} for reward, length in state.values["episodes"]]
        model.ep_info_buffer, model.ep_success_buffer = (
            deque(episodes, window),
            deque(state.values["successes"], window),
        )
    for key, value, count in state.values["log"]:
        model.logger.name_to_value[key] = value
        model.logger.name_to_count[key] = count


def begin_episodes(model: BaseAlgorithm, observation: Any, rows: np.ndarray) -> None:
    """Take the first observations of environments that could not be restored, and restart their episodes.

    Args:
        model: between two rollouts.
        observation: what the vectorised environment returned, (n_envs, ...) or a mapping of these.
        rows: (n_envs,) bool, which environments.
    """
    untyped: Any = model
    for name, new in (("_last_obs", observation), ("_last_original_obs", None)):
        old = getattr(untyped, name, None)
        if old is None:
            continue
        if new is None:
            new = model.get_vec_normalize_env().get_original_obs()  # type: ignore[union-attr]
        for key in old if isinstance(old, Mapping) else (None,):
            target, source = (old, new) if key is None else (old[key], new[key])
            target[rows] = np.asarray(source)[rows]
    untyped._last_episode_starts[rows] = True


def n_updates(model: BaseAlgorithm) -> int:
    """Updates so far, in the algorithm's own counting."""
    return int(model._n_updates)


def parameters(model: BaseAlgorithm) -> dict[str, torch.Tensor]:
    """What the model learns, by name, for as long as it lives. Target networks only follow these."""
    found = {name: value for name, value in model.policy.named_parameters() if "_target." not in name}
    return found | {name: recursive_getattr(model, name) for name in model._get_torch_save_params()[1]}


def not_finite(model: BaseAlgorithm, learned: Mapping[str, torch.Tensor]) -> list[str]:
    """What is NaN or infinite: the first of the `parameters`, and losses of the last update (`train/loss is NaN`)."""
    tensors = {**learned, **{name: getattr(model, name) for name in TENSORS if hasattr(model, name)}}
    found: dict[str, float] = {}
    with torch.no_grad():
        norms = torch._foreach_norm(list(tensors.values()))  # also infinite where squares are too large
        if not math.isfinite(torch.stack(norms).sum().item()):
            bad = ((name, value[~value.isfinite()]) for name, value in tensors.items())
            found |= dict([(name, float(values[0])) for name, values in bad if len(values)][:1])
    found |= {key: value for key, value in losses(model).items() if not math.isfinite(value)}
    return [f"{name} is {'NaN' if math.isnan(value) else 'infinite'}" for name, value in found.items()]


def losses(model: BaseAlgorithm) -> dict[str, float]:
    """`train/loss` and its like, as far as they were not written to the log yet."""
    return {key: float(value) for key, value in model.logger.name_to_value.items() if "loss" in key}


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
