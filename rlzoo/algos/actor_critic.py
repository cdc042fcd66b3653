"""One-step actor-critic: the policy gradient with the error of a learned value in place of the return.

Barto, Sutton and Anderson 1983, Neuronlike adaptive elements that can solve difficult learning control problems; Sutton
and Barto, Reinforcement Learning, 2nd edition, section 13.5. Equation numbers are those of the book; as usual, the
factor gamma^t of its update is left out.

Both networks learn after every step, so nothing has to be kept of an episode, and the error of one step varies far less
than a return; but it is only as right as the critic.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.type_aliases import Schedule
from stable_baselines3.common.vec_env import VecEnv

from rlzoo.algos.actor import Actor, Critic, clipped, fast_forward
from rlzoo.algos.core.flat_adam import FlatAdam
from rlzoo.algos.core.generator import generator_state, own_generator, restored_generator
from rlzoo.algos.networks import to_features
from rlzoo.algos.observations import observation_state, replace_rows, restored_observation
from rlzoo.algos.torch_state import module_state, restore_module, torch_device
from rlzoo.algos.vector_environment import VectorEnvironment
from rlzoo.algos.watch import Watch
from rlzoo.protocols import Callback, EnvironmentStep, MetricLogger, State


class ActorCritic:
    """A policy that learns from how much better a step went than the critic expected, and a critic that learns to.

    Attributes:
        actor: the policy's network.
        critic: the value's network.
        num_timesteps: environment steps taken so far, over all environments.
        n_episodes: whole episodes played so far, over all environments.
        n_updates: gradient steps taken so far, of each network.
    """

    def __init__(
        self,
        env: VecEnv,
        *,
        learning_rate: float | Schedule = 0.001,
        value_learning_rate: float = 0.01,
        gamma: float = 0.99,
        ent_coef: float = 0.0,
        max_grad_norm: float | None = 0.5,
        net_arch: list[int] = [64],  # noqa: B006 - it never changes
        activation_fn: type[torch.nn.Module] = torch.nn.Tanh,
        seed: int | None = None,
        device: str = "auto",
    ) -> None:
        """Begin with torch's own random weights.

        Args:
            env: every step of all its environments is one batch; images go through a convolution.
            learning_rate: step size of Adam for the policy.
            value_learning_rate: step size of Adam for the value.
            gamma: discount of future rewards per step.
            ent_coef: weight of the entropy, which keeps the policy from settling early.
            max_grad_norm: gradients of each network are scaled down to this norm; None leaves them.
            net_arch: sizes of the hidden layers, of policy and value each.
            activation_fn: behind each of them.
            seed: of the actions drawn in training.
            device: of the networks.
        """
        self.env = VectorEnvironment(env)
        self.learning_rate, self.value_learning_rate = learning_rate, value_learning_rate
        self.gamma, self.ent_coef, self.max_grad_norm = gamma, ent_coef, max_grad_norm
        self._device = torch_device(device)
        spaces = self.env.observation_space, self.env.action_space
        self.actor = Actor(*spaces, net_arch, activation_fn).to(self._device)
        self.critic = Critic(spaces[0], net_arch, activation_fn).to(self._device)
        self._networks = {"actor": self.actor, "critic": self.critic}
        self._optimizers = {name: FlatAdam(network.parameters()) for name, network in self._networks.items()}
        self._outputs = fast_forward(self.actor, spaces[0], self._device)
        self._values = fast_forward(self.critic, spaces[0], self._device)
        self._rng = own_generator(seed)
        self.num_timesteps = self.n_episodes = self.n_updates = 0
        self._observation: Any = None  # (n_envs, *observation_shape), where every environment stands
        self._recent: list[tuple[float, int]] = []  # return and length of episodes that are not in the log yet
        self._losses: dict[str, float] = {}  # of the last update

    def learn(
        self, total_timesteps: int, callbacks: Sequence[Callback] = (), logger: MetricLogger | None = None
    ) -> None:
        """Train until `num_timesteps` has reached `total_timesteps`, or a callback says stop."""
        watch = Watch(self, callbacks, logger)
        if self._observation is None:
            self._observation = self.env.reset()
        watch.start()
        while watch.goes_on(total_timesteps):
            actions = self.actor.sample(self._outputs, self._observation, self._rng)
            step = self.env.step(clipped(actions, self.env.action_space))
            self._update(self._observation, actions, step, 1 - self.num_timesteps / total_timesteps)
            self._observation = step.observation
            self.num_timesteps += self.env.n_envs
            self.n_episodes += len(step.episodes)
            self._recent += step.episodes
            watch.log_episodes_of(step)
            if len(self._recent) >= watch.log_interval:
                self._log(watch)
            watch.step()
        if self._recent:
            self._log(watch)
        watch.end()

    def _update(self, observation: Any, actions: np.ndarray, step: EnvironmentStep, progress_remaining: float) -> None:
        """One gradient step of each network on one step of all environments."""
        next_values = self._values(step.final_observation)[:, 0]  # (n_envs,), before any reset
        targets = step.reward + self.gamma * next_values * ~step.terminated  # a step that was cut has a future
        inputs = to_features(observation, self.env.observation_space, self._device)
        values = self.critic(inputs)  # (n_envs,)
        errors = self._tensor(targets) - values  # delta = R + gamma v(S') - v(S)
        advantages = errors.detach()
        value_loss = errors.square().mean() / 2  # its gradient: w <- w + alpha delta grad v(S)
        log_prob, entropy = self.actor(inputs, torch.as_tensor(actions, device=self._device))
        policy_loss = -(log_prob * advantages).mean()  # (13.14): theta <- theta + alpha delta grad ln pi(A|S)
        entropy_loss = -entropy.mean()
        rate = self.learning_rate(progress_remaining) if callable(self.learning_rate) else self.learning_rate
        self._minimize("critic", value_loss, self.value_learning_rate)
        self._minimize("actor", policy_loss + self.ent_coef * entropy_loss, rate)
        self.n_updates += 1
        self._losses = {
            "train/policy_loss": policy_loss.item(),
            "train/value_loss": value_loss.item(),
            "train/entropy_loss": entropy_loss.item(),
        }

    def _minimize(self, network: str, loss: torch.Tensor, learning_rate: float) -> None:
        norm = np.inf if self.max_grad_norm is None else self.max_grad_norm
        self._optimizers[network].minimize(loss, learning_rate=learning_rate, max_grad_norm=norm)

    def _tensor(self, numbers: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(numbers, dtype=torch.float32, device=self._device)

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
        """All there is: the networks and their optimizers, the counters, where the environments stand."""
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
