"""What the methods with networks share: where their environments stand, and what a checkpoint holds of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import torch
from stable_baselines3.common.utils import is_vectorized_observation
from torch import nn

from rlzoo.algos.base import (
    TrainingHooks,
    VectorEnvironment,
    generator_state,
    own_generator,
    restored_generator,
)
from rlzoo.algos.deep.flat_adam import FlatAdam
from rlzoo.algos.deep.networks import clipped
from rlzoo.protocols import Callback, EnvironmentStep, MetricLogger, State

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv


class TorchAgent(ABC):
    """The base of the methods with networks. A method names its `networks`, and has `learn`, its update and `act`.

    Attributes:
        networks: by the names they have in a checkpoint.
        optimizers: of these, likewise.
        num_timesteps: environment steps taken so far, over all environments.
        n_episodes: whole episodes played so far, over all environments.
        n_updates: updates so far.

    Args:
        env: images go through a convolution, the parts of Dict observations side by side.
        seed: of all chance in training but that of the environments and of the first weights.
        device: `auto` is a GPU if there is one.
    """

    COUNTERS: tuple[str, ...] = ("num_timesteps", "n_episodes", "n_updates")
    """Numbers in a state that are attributes as they are."""

    def __init__(self, env: VecEnv, *, seed: int | None, device: str) -> None:
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.env, self.device = VectorEnvironment(env), torch.device(device)
        self.networks: dict[str, nn.Module] = {}
        self.optimizers: dict[str, FlatAdam] = {}
        self.num_timesteps = self.n_episodes = self.n_updates = 0
        self._rng = own_generator(seed)
        self._observation: Any = None  # (n_envs, *observation_shape), where every environment stands
        self._recent: list[tuple[float, int]] = []  # return and length of episodes that are not in the log yet
        self._losses: Any = {}  # of the last update, by their names in the log

    def __reduce__(self) -> NoReturn:
        """Networks, optimizers and what plays by them share memory, which copies of them one by one would not."""
        name = type(self).__name__
        raise TypeError(f"{name} is not copied or pickled: make another {name} and restore(agent.state()) in it")

    @abstractmethod
    def learn(
        self, total_timesteps: int, callbacks: Sequence[Callback] = (), logger: MetricLogger | None = None
    ) -> None:
        """Train until `num_timesteps` has reached `total_timesteps`, or a callback says stop."""

    @abstractmethod
    def act(self, observation: Any, *, deterministic: bool) -> np.ndarray:
        """Actions (n, *action_shape) for observations (n, *observation_shape), drawn from NumPy's global generator."""

    def _begin(self, callbacks: Sequence[Callback], logger: MetricLogger | None) -> TrainingHooks:
        """Begin to learn: the first observations are there."""
        if self._observation is None:
            self._observation = self.env.reset()
        hooks = TrainingHooks(self, callbacks, logger)
        hooks.start()
        return hooks

    def _step(self, actions: np.ndarray, hooks: TrainingHooks) -> EnvironmentStep:
        """Take actions (n_envs, *action_shape) within their bounds, and count; the callbacks are still to be asked."""
        step = self.env.step(clipped(actions, self.env.action_space))
        self._observation = step.observation
        self.num_timesteps += self.env.n_envs
        self.n_episodes += len(step.episodes)
        self._recent += step.episodes
        hooks.log_episodes_of(step)
        return step

    def _log(self, hooks: TrainingHooks, metrics: Mapping[str, float]) -> None:
        hooks.log(self._recent, metrics)
        self._recent = []

    def losses(self) -> dict[str, float]:
        """Of the last update, by their names in the log."""
        losses: dict[str, float] = self._losses
        return losses

    def predict(
        self,
        observation: Any,
        state: tuple[np.ndarray, ...] | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...] | None]:
        """The best actions, or as in training, for a batch or a single observation; see `rlzoo.protocols.Policy`."""
        observation = each(np.asarray, observation)
        single = not is_vectorized_observation(observation, self.env.observation_space)
        batch = each(lambda part: part[None], observation) if single else observation
        actions = clipped(self.act(batch, deterministic=deterministic), self.env.action_space)
        return np.asarray(actions[0] if single else actions), state

    def state(self) -> State:
        """The networks and their optimizers, the counters, the generator, where the environments stand."""
        tensors: dict[str, Any] = dict(observation_state(self._observation, "observation"))
        for name, network in self.networks.items():
            tensors |= module_state(network, name)
        for name, optimizer in self.optimizers.items():
            tensors |= {f"{name}.{key}": tensor for key, tensor in optimizer.state().items()}
        counters = {name: getattr(self, name) for name in self.COUNTERS}
        log = {"recent": list(self._recent), "losses": copy(self._losses)}
        return State(tensors, {**counters, **log, "generator": generator_state(self._rng)})

    def restore(self, state: State) -> None:
        self._restore_networks(state)
        for name, optimizer in self.optimizers.items():
            optimizer.restore({key: state.tensors[f"{name}.{key}"] for key in optimizer.state()})
        for name in self.COUNTERS:
            setattr(self, name, type(getattr(self, name))(state.values[name]))  # a whole number, or a float
        self._recent = [(float(reward), int(length)) for reward, length in state.values["recent"]]
        losses = state.values["losses"]
        if type(losses) is not type(self._losses):
            raise ValueError(f"losses is a {type(losses).__name__}, not a {type(self._losses).__name__}")
        named = isinstance(losses, dict)
        self._losses = {key: float(loss) for key, loss in losses.items()} if named else [float(loss) for loss in losses]
        self._rng = restored_generator(state.values["generator"])
        self._observation = restored_observation(state.tensors, "observation")

    def restore_weights(self, state: State) -> None:
        """Take over the networks alone: the start of another training."""
        self._restore_networks(state)

    def _restore_networks(self, state: State) -> None:
        for name, network in self.networks.items():
            restore_module(network, name, state.tensors)

    def begin_episodes(self, observation: Any, rows: np.ndarray) -> None:
        """Restart the episodes of environments that could not be restored: `rows` (n_envs,) says which."""

        def replace(old: np.ndarray, new: np.ndarray) -> np.ndarray:
            replaced = np.array(old)
            replaced[rows] = np.asarray(new)[rows]
            return replaced

        self._observation = each(replace, self._observation, observation)


def each(function: Callable[..., Any], *observations: Any) -> Any:
    """`function` of observations, or of every part of dicts of them."""
    if isinstance(observations[0], dict):
        return {key: function(*(observation[key] for observation in observations)) for key in observations[0]}
    return function(*observations)


def observation_state(observation: Any, name: str) -> dict[str, np.ndarray]:
    """A copy, by names that start with `name`; nothing of None."""
    if observation is None:
        return {}
    parts = observation if isinstance(observation, dict) else {"": observation}
    return {f"{name}.{key}" if key else name: np.array(part) for key, part in parts.items()}


def restored_observation(tensors: Mapping[str, Any], name: str) -> Any:
    """What `observation_state` took, or None."""
    if name in tensors:
        return np.array(tensors[name])
    found = {
        key.removeprefix(f"{name}."): np.array(part) for key, part in tensors.items() if key.startswith(f"{name}.")
    }
    return found or None


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
