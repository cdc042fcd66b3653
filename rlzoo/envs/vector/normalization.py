"""The running statistics of a normalised environment: saved, restored, shared and applied, exactly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rlzoo.errors import RlzooError
from rlzoo.protocols import State

if TYPE_CHECKING:
    import numpy as np
    from stable_baselines3.common.running_mean_std import RunningMeanStd
    from stable_baselines3.common.vec_env import VecEnv, VecNormalize

SETTINGS = ("norm_obs", "norm_reward", "clip_obs", "clip_reward", "gamma", "epsilon", "norm_obs_keys")
APPLIED = ("norm_obs", "clip_obs", "clip_reward", "gamma", "epsilon")
"""Settings that are restored with the statistics; whether rewards are normalised stays the environment's own choice."""


def statistics(env: VecEnv) -> State | None:
    """What normalisation has learned, None for an environment without it.

    Tensors (float64): `obs_mean` and `obs_var` (*observation_shape), for a Dict observation `obs_mean.<key>` and
    `obs_var.<key>`; `ret_mean` and `ret_var` (), the discounted returns' moments; `returns` (n_envs,), the running
    discounted returns. Values: the counts behind the moments, and VecNormalize's settings.
    """
    normalize = _vec_normalize(env)
    if normalize is None:
        return None
    tensors: dict[str, Any] = {"returns": normalize.returns.copy()}
    values: dict[str, Any] = {name: getattr(normalize, name) for name in SETTINGS}
    for name, moments in _moments(normalize).items():
        tensors[_name("mean", name)] = _array(moments.mean)
        tensors[_name("var", name)] = _array(moments.var)
        values[_name("count", name)] = float(moments.count)
    return State(tensors, values)


def load_statistics(env: VecEnv, state: State) -> None:
    """Restore what `statistics` returned, with the settings that observations depend on.

    Raises:
        RlzooError: if the environment is not normalised or its observations have another form.
    """
    normalize = _vec_normalize(env)
    if normalize is None:
        raise RlzooError("there are normalisation statistics, but the environment is not normalised")
    moments = _moments(normalize)
    names = {name for name in state.values if "_count" in name}
    expected = {_name("count", name) for name in moments}
    if names != expected or bool(state.values["norm_obs"]) != bool(normalize.norm_obs):
        raise RlzooError("the normalisation statistics are those of another kind of environment")
    for name, into in moments.items():
        mean, var = (_array(state.tensors[_name(part, name)]) for part in ("mean", "var"))
        if mean.shape != _array(into.mean).shape:
            raise RlzooError(
                f"the normalisation statistics are for observations of shape {mean.shape}, "
                f"the environment's are {_array(into.mean).shape}"
            )
        into.mean, into.var, into.count = mean, var, float(state.values[_name("count", name)])
    for setting in APPLIED:
        setattr(normalize, setting, state.values[setting])
    returns = _array(state.tensors["returns"])
    if returns.shape == normalize.returns.shape:
        normalize.returns = returns


def sync_statistics(source: VecEnv, target: VecEnv) -> None:
    """Give `target` the statistics of `source` as they are now; nothing happens if neither is normalised."""
    state = statistics(source)
    if state is not None or _vec_normalize(target) is not None:
        if state is None:
            raise RlzooError("a normalised environment needs the statistics of one")
        load_statistics(target, state)


def normalize_observation(observation: Any, state: State | None) -> Any:
    """What an agent that learned with these statistics has to be shown for a raw observation.

    Args:
        observation: an array (..., *observation_shape), or a mapping of them; it is not changed.
        state: from `statistics`; None leaves the observation as it is.
    """
    if state is None or not state.values["norm_obs"]:
        return observation
    if isinstance(observation, Mapping):
        keys = state.values["norm_obs_keys"]
        return {key: _normalized(part, state, f".{key}") if key in keys else part for key, part in observation.items()}
    return _normalized(observation, state, "")


def _normalized(observation: Any, state: State, suffix: str) -> np.ndarray:
    import numpy as np

    values = state.values
    deviation = np.sqrt(_array(state.tensors[f"obs_var{suffix}"]) + values["epsilon"])
    scaled = (np.asarray(observation) - _array(state.tensors[f"obs_mean{suffix}"])) / deviation
    return np.clip(scaled, -values["clip_obs"], values["clip_obs"]).astype(np.float32)


def _moments(normalize: VecNormalize) -> dict[str, RunningMeanStd]:
    moments = {"ret": normalize.ret_rms}
    if normalize.norm_obs:
        obs = normalize.obs_rms
        moments |= {f"obs.{key}": rms for key, rms in obs.items()} if isinstance(obs, dict) else {"obs": obs}
    return moments


def _name(part: str, name: str) -> str:
    prefix, _, key = name.partition(".")
    return f"{prefix}_{part}.{key}" if key else f"{prefix}_{part}"


def _array(value: Any) -> np.ndarray:
    import numpy as np

    return np.array(value, dtype=np.float64)  # a copy, also of a torch tensor


def _vec_normalize(env: VecEnv) -> VecNormalize | None:
    from stable_baselines3.common.vec_env import unwrap_vec_normalize

    return unwrap_vec_normalize(env)
