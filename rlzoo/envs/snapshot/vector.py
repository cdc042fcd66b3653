"""Vectorised environments restored exactly: every environment, its wrappers, and what stands around them.

`snapshot` between two steps; `restore` into new environments made from the same configuration, in any process. Each
environment is taken out the best way it has (`simulators`), and checked when it is back: the observation and the random
numbers have to be those stored. One that cannot be restored begins a new episode, and the result says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rlzoo.envs.snapshot import attributes
from rlzoo.envs.snapshot.encoding import decode, encode
from rlzoo.envs.snapshot.env import Level, Restored
from rlzoo.errors import RlzooError
from rlzoo.protocols import State

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv
    from stable_baselines3.common.vec_env.stacked_observations import StackedObservations

__all__ = ["Level", "Restoration", "Restored", "restore", "snapshot"]


@dataclass(frozen=True)
class Restoration:
    """How the environments came back.

    Attributes:
        envs: each of them.
        observation: what the vectorised environment last returned, or for a restarted environment its first
            observation, (n_envs, *observation_shape) or a dict of these.
        restarted: (n_envs,) bool; their next observations begin an episode.
    """

    envs: tuple[Restored, ...]
    observation: Any

    @property
    def restarted(self) -> np.ndarray:
        return np.array([env.level == "restarted" for env in self.envs])

    @property
    def level(self) -> Level:
        """The weakest of all."""
        levels = {env.level for env in self.envs}
        return "restarted" if "restarted" in levels else "unproven" if "unproven" in levels else "exact"

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why an environment is not exact, each reason once, with the environments it holds for."""
        found: dict[str, list[int]] = {}
        for index, env in enumerate(self.envs):
            if env.reason:
                found.setdefault(f"{env.level}: {env.reason}", []).append(index)
        return tuple(f"environment {', '.join(map(str, where))} {reason}" for reason, where in found.items())


def snapshot(env: VecEnv) -> State:
    """The state of all environments and of the vector wrappers around them, as tensors and JSON.

    Raises:
        RlzooError: for environments that `rlzoo.envs.make` did not make.
    """
    tensors: dict[str, np.ndarray] = {}
    states = _on_each(env, "environment_state")
    for index, state in enumerate(states):
        tensors |= {f"{index}.{name}": tensor for name, tensor in state.tensors.items()}
    for index in getattr(env.unwrapped, "just_cut", ()):  # it is in another episode than the last observation
        states[index].values["missing"] = "it had just been restarted"
    vector: dict[str, Any] = {"action_space": attributes.save_space(env.action_space, "vector.action_space", tensors)}
    for name, wrapper in _wrappers(env):
        if name == "VecNormalize":
            tensors["vector.returns"] = np.array(wrapper.returns)
            if hasattr(wrapper, "old_obs"):  # from the first reset on
                vector["old_obs"] = encode(wrapper.old_obs, "vector.old_obs", tensors)
                vector["old_reward"] = encode(wrapper.old_reward, "vector.old_reward", tensors)
        if name == "VecFrameStack":
            for key, stack in _stacks(wrapper.stacked_obs):
                tensors[f"vector.stack{key}"] = stack.stacked_obs.copy()
    return State(tensors, {"envs": [state.values for state in states], "vector": vector})


def restore(env: VecEnv, state: State) -> Restoration:
    """Restore what `snapshot` took, into environments of the same configuration; they need not have been reset.

    Normalisation statistics have to be there before: observations are shown through them.

    Raises:
        RlzooError: if the state is of another number of environments.
    """
    if len(state.values["envs"]) != env.num_envs:
        raise RlzooError(f"the state is of {len(state.values['envs'])} environments, not of {env.num_envs}")
    shares = []
    for index, values in enumerate(state.values["envs"]):
        prefix = f"{index}."
        own = {name.removeprefix(prefix): part for name, part in state.tensors.items() if name.startswith(prefix)}
        shares.append(State(own, values))
    restored = [_on_each(env, "restore_environment", share, index=index)[0] for index, share in enumerate(shares)]
    attributes.load_space(env.action_space, state.values["vector"]["action_space"], state.tensors)
    observation = _stacked(env, [each.observation for each in restored])
    restarted = np.array([each.level == "restarted" for each in restored])
    for name, wrapper in reversed(list(_wrappers(env))):
        if name == "FiniteCheck":
            wrapper.look(observation)
        if name == "VecNormalize":
            _load_normalize(wrapper, state, observation, restarted)
            observation = wrapper.normalize_obs(observation)
        if name == "VecFrameStack":
            observation = _load_stack(wrapper.stacked_obs, state, observation, restarted)
        if name == "VecTransposeImage":
            observation = wrapper.transpose_observations(observation)
    return Restoration(tuple(restored), observation)


def _on_each(env: VecEnv, method: str, *arguments: Any, index: int | None = None) -> list[Any]:
    if not env.has_attr(method):
        raise RlzooError("only environments made by rlzoo.envs.make can be restored")
    return env.env_method(method, *arguments, indices=index)


def _wrappers(env: VecEnv) -> Iterator[tuple[str, Any]]:
    """Vector wrappers with the names of their classes, outermost first."""
    from stable_baselines3.common.vec_env import VecEnvWrapper, VecFrameStack, VecNormalize, VecTransposeImage

    from rlzoo.envs.vector.nan_guard import FiniteCheck

    while isinstance(env, VecEnvWrapper):
        for kind in (FiniteCheck, VecNormalize, VecFrameStack, VecTransposeImage):
            if isinstance(env, kind):
                yield kind.__name__, env
        env = env.venv


def _stacked(env: VecEnv, observations: list[Any]) -> Any:
    """Observations of all environments as the innermost vectorised environment returns them, and holds them."""
    from stable_baselines3.common.vec_env import DummyVecEnv
    from stable_baselines3.common.vec_env.subproc_vec_env import _stack_obs

    inner = env.unwrapped
    inner._reset_seeds()  # those of the first reset, which there will not be
    inner._reset_options()
    if not isinstance(inner, DummyVecEnv):
        inner.set_observations(observations)  # type: ignore[attr-defined]
        return _stack_obs(observations, inner.observation_space)
    for index, observation in enumerate(observations):
        inner._save_obs(index, observation)
    return inner._obs_from_buf()


def _load_normalize(wrapper: Any, state: State, observation: Any, restarted: np.ndarray) -> None:
    """VecNormalize's memory; its `reset` would count the observations twice."""
    vector = state.values["vector"]
    wrapper.returns = np.where(restarted, 0.0, state.tensors["vector.returns"])
    if "old_obs" in vector:
        wrapper.old_obs = observation if restarted.any() else decode(vector["old_obs"], state.tensors)
        wrapper.old_reward = decode(vector["old_reward"], state.tensors)


def _load_stack(stacks: StackedObservations, state: State, observation: Any, restarted: np.ndarray) -> Any:
    for key, stack in _stacks(stacks):
        frames = np.array(state.tensors[f"vector.stack{key}"])  # (n_envs, *stacked_shape)
        newest = observation[key.removeprefix(".")] if key else observation
        frames[restarted] = 0
        if stack.channels_first:
            frames[restarted, -newest.shape[1] :] = newest[restarted]
        else:
            frames[restarted, ..., -newest.shape[-1] :] = newest[restarted]
        stack.stacked_obs = frames
    if hasattr(stacks, "sub_stacked_observations"):
        return {key: stack.stacked_obs.copy() for key, stack in stacks.sub_stacked_observations.items()}
    return stacks.stacked_obs.copy()


def _stacks(stacks: StackedObservations) -> Iterator[tuple[str, Any]]:
    if hasattr(stacks, "sub_stacked_observations"):
        for key, stack in stacks.sub_stacked_observations.items():
            yield f".{key}", stack
    else:
        yield "", stacks
