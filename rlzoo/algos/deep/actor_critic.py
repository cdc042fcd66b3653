"""One-step actor-critic: the policy gradient with the error of a learned value in place of the return.

Barto, Sutton and Anderson 1983, Neuronlike adaptive elements that can solve difficult learning control problems; Sutton
and Barto, Reinforcement Learning, 2nd edition, section 13.5. Equation numbers are those of the book; as usual, the
factor gamma^t of its update is left out.

Both networks learn after every step, so nothing has to be kept of an episode, and the error of one step varies far less
than a return; but it is only as right as the critic.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Ge, Gt, Interval
from stable_baselines3.common.type_aliases import Schedule
from stable_baselines3.common.utils import FloatSchedule
from stable_baselines3.common.vec_env import VecEnv

from rlzoo.algos.deep.base import TorchAgent
from rlzoo.algos.deep.flat_adam import FlatAdam
from rlzoo.algos.deep.networks import Actor, Critic, fast_forward, to_features
from rlzoo.protocols import Callback, EnvironmentStep, MetricLogger


class ActorCritic(TorchAgent):
    """A policy that learns from how much better a step went than the critic expected, and a critic that learns to.

    Attributes:
        actor: the policy's network.
        critic: the values'.
        n_updates: gradient steps taken so far, of each network.
    """

    def __init__(
        self,
        env: VecEnv,
        *,
        learning_rate: Annotated[float | Schedule, Gt(0)] = 0.001,
        value_learning_rate: Annotated[float, Gt(0)] = 0.01,
        gamma: Annotated[float, Interval(ge=0, le=1)] = 0.99,
        ent_coef: Annotated[float, Ge(0)] = 0.0,
        max_grad_norm: Annotated[float | None, Gt(0)] = 0.5,
        net_arch: list[int] = [64],  # noqa: B006 - it never changes
        activation_fn: type[torch.nn.Module] = torch.nn.Tanh,
        seed: int | None = None,
        device: str = "auto",
    ) -> None:
        """Begin with torch's own random weights.

        Args:
            env: every step of all its environments is one batch; images go through a convolution.
            learning_rate: step size of the policy's optimizer; a number or a schedule: {linear: 0.001}.
            value_learning_rate: step size of the value's optimizer.
            gamma: discount of future rewards per step, 0 to 1.
            ent_coef: weight of the entropy bonus in the loss.
            max_grad_norm: gradients are scaled down to this norm; None leaves them.
            net_arch: sizes of the hidden layers, of policy and value each.
            activation_fn: behind each hidden layer.
            seed: of the actions drawn in training.
            device: of the networks.
        """
        super().__init__(env, seed=seed, device=device)
        self.learning_rate, self.value_learning_rate = FloatSchedule(learning_rate), value_learning_rate
        self.gamma, self.ent_coef, self.max_grad_norm = gamma, ent_coef, max_grad_norm
        self.actor = Actor(env.observation_space, env.action_space, net_arch, activation_fn).to(self.device)
        self.critic = Critic(env.observation_space, net_arch, activation_fn).to(self.device)
        self.networks = {"actor": self.actor, "critic": self.critic}
        self.optimizers = {f"{name}_adam": FlatAdam(net.parameters()) for name, net in self.networks.items()}
        self._outputs = fast_forward(self.actor, env.observation_space, self.device)
        self._values = fast_forward(self.critic, env.observation_space, self.device)

    def learn(
        self, total_timesteps: int, callbacks: Sequence[Callback] = (), logger: MetricLogger | None = None
    ) -> None:
        """Train until `num_timesteps` has reached `total_timesteps`, or a callback says stop."""
        hooks = self._begin(callbacks, logger)
        while hooks.continues(total_timesteps):
            observation, progress_remaining = self._observation, 1 - self.num_timesteps / total_timesteps
            actions = self.actor.sample(self._outputs, observation, self._rng)
            step = self._step(actions, hooks)
            self._update(observation, actions, step, progress_remaining)
            if len(self._recent) >= hooks.log_interval:
                self._log(hooks, self._losses)
            hooks.step()
        if self._recent:
            self._log(hooks, self._losses)
        hooks.end()

    def _update(self, observation: Any, actions: np.ndarray, step: EnvironmentStep, progress_remaining: float) -> None:
        """One gradient step of each network on one step of all environments."""
        next_values = self._values(step.final_observation)[:, 0]  # (n_envs,), before any reset
        targets = step.reward + self.gamma * next_values * ~step.terminated  # a step that was cut has a future
        inputs = to_features(observation, self.env.observation_space, self.device)
        values = self.critic(inputs)  # (n_envs,)
        errors = torch.as_tensor(targets, dtype=torch.float32, device=self.device) - values  # R + gamma v(S') - v(S)
        value_loss = errors.square().mean() / 2  # its gradient: w <- w + alpha delta grad v(S)
        log_prob, entropy = self.actor(inputs, torch.as_tensor(actions, device=self.device))
        policy_loss = -(log_prob * errors.detach()).mean()  # (13.14): theta <- theta + alpha delta grad ln pi(A|S)
        entropy_loss = -entropy.mean()
        rates = self.value_learning_rate, self.learning_rate(progress_remaining)
        losses = value_loss, policy_loss + self.ent_coef * entropy_loss
        for name, loss, rate in zip(("critic_adam", "actor_adam"), losses, rates, strict=True):
            self.optimizers[name].minimize(loss, learning_rate=rate, max_grad_norm=self.max_grad_norm)
        self.n_updates += 1
        self._losses = {
            "train/policy_loss": policy_loss.item(),
            "train/value_loss": value_loss.item(),
            "train/entropy_loss": entropy_loss.item(),
        }

    def act(self, observation: Any, *, deterministic: bool) -> np.ndarray:
        return self.actor.sample(self._outputs, observation, None if deterministic else np.random)
