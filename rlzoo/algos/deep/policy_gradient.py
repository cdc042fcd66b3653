"""What REINFORCE and actor-critic share: networks of a policy and of values, and what a checkpoint holds of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from rlzoo.algos.base import VectorEnvironment
from rlzoo.algos.deep.actor import Actor, Critic, fast_forward
from rlzoo.algos.deep.flat_adam import FlatAdam
from rlzoo.algos.deep.observations import observation_state, replace_rows, restored_observation
from rlzoo.algos.deep.torch_state import module_state, restore_module, torch_device
from rlzoo.algos.generator import generator_state, own_generator, restored_generator
from rlzoo.algos.hooks import Watch
from rlzoo.protocols import State

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv


class PolicyGradient:
    """The base of the methods with a network for the policy and, perhaps, one for values; a method has `learn`.

    Attributes:
        actor: the policy's network.
        critic: the values', or None.
        num_timesteps: environment steps taken so far, over all environments.
        n_episodes: whole episodes played so far, over all environments.
        n_updates: gradient steps taken so far, of each network.

    Args:
        env: images go through a convolution, the parts of Dict observations side by side.
        net_arch: sizes of the hidden layers, of each network.
        activation_fn: behind each of them.
        has_critic: whether values are learned.
        max_grad_norm: gradients of each network are scaled down to this norm; None leaves them.
        seed: of the actions drawn in training.
        device: of the networks.
    """

    def __init__(
        self,
        env: VecEnv,
        net_arch: Sequence[int],
        activation_fn: type[torch.nn.Module],
        *,
        has_critic: bool,
        max_grad_norm: float | None,
        seed: int | None,
        device: str,
    ) -> None:
        self.env, self.max_grad_norm = VectorEnvironment(env), max_grad_norm
        self._device = torch_device(device)
        spaces = self.env.observation_space, self.env.action_space
        self.actor = Actor(*spaces, net_arch, activation_fn).to(self._device)
        self.critic = Critic(spaces[0], net_arch, activation_fn).to(self._device) if has_critic else None
        self._networks: dict[str, Actor | Critic] = {"actor": self.actor}
        if self.critic is not None:
            self._networks["critic"] = self.critic
        self._optimizers = {name: FlatAdam(network.parameters()) for name, network in self._networks.items()}
        self._outputs = fast_forward(self.actor, spaces[0], self._device)
        self._rng = own_generator(seed)
        self.num_timesteps = self.n_episodes = self.n_updates = 0
        self._observation: Any = None  # (n_envs, *observation_shape), where every environment stands
        self._recent: list[tuple[float, int]] = []  # return and length of episodes that are not in the log yet
        self._losses: dict[str, float] = {}  # of the last update

    def _minimize(
        self, network: str, loss: torch.Tensor, learning_rate: float | Callable[[float], float], progress: float = 1.0
    ) -> None:
        """One gradient step of a network; `progress` is the share of the training that remains, for schedules."""
        rate = learning_rate(progress) if callable(learning_rate) else learning_rate
        norm = np.inf if self.max_grad_norm is None else self.max_grad_norm
        self._optimizers[network].minimize(loss, learning_rate=rate, max_grad_norm=norm)

    def _log(self, watch: Watch) -> None:
        watch.log(self._recent, self._losses)
        self._recent = []

    def losses(self) -> dict[str, float]:
        """Of the last update, by their names in the log."""
        return self._losses

    def predict(
        self,
        observation: Any,
        state: tuple[np.ndarray, ...] | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...] | None]:
        """The likeliest actions, or drawn from the policy; see `rlzoo.protocols.Policy`."""
        return self.actor.predict(self._outputs, observation, deterministic=deterministic), state

    def state(self) -> State:
        """The networks and their optimizers, the counters, where the environments stand."""
        tensors: dict[str, Any] = dict(observation_state(self._observation, "observation"))
        for name, network in self._networks.items():
            tensors |= module_state(network, name)
            tensors |= {f"{name}_adam.{key}": value for key, value in self._optimizers[name].state().items()}
        counters = {name: getattr(self, name) for name in ("num_timesteps", "n_episodes", "n_updates")}
        log = {"recent": list(self._recent), "losses": dict(self._losses)}
        return State(tensors, {**counters, **log, "generator": generator_state(self._rng)})

    def restore(self, state: State) -> None:
        self.restore_weights(state)
        for name, optimizer in self._optimizers.items():
            start = f"{name}_adam."
            taken = {key.removeprefix(start): value for key, value in state.tensors.items() if key.startswith(start)}
            optimizer.restore(taken)
        values = state.values
        self.num_timesteps, self.n_episodes = int(values["num_timesteps"]), int(values["n_episodes"])
        self.n_updates, self._losses = int(values["n_updates"]), dict(values["losses"])
        self._recent = [(float(reward), int(length)) for reward, length in values["recent"]]
        self._rng = restored_generator(values["generator"])
        self._observation = restored_observation(state.tensors, "observation")

    def restore_weights(self, state: State) -> None:
        """Take over the networks alone: the start of another training."""
        for name, network in self._networks.items():
            restore_module(network, name, state.tensors)

    def begin_episodes(self, observation: Any, rows: np.ndarray) -> None:
        """Begin anew the episodes of environments that could not be put back: `rows` (n_envs,) says which."""
        self._observation = replace_rows(self._observation, observation, rows)
