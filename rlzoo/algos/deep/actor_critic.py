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
from stable_baselines3.common.vec_env import VecEnv

from rlzoo.algos.deep.actor import Critic, clipped, fast_forward
from rlzoo.algos.deep.networks import to_features
from rlzoo.algos.deep.policy_gradient import PolicyGradient
from rlzoo.algos.hooks import Watch
from rlzoo.protocols import Callback, EnvironmentStep, MetricLogger


class ActorCritic(PolicyGradient):
    """A policy that learns from how much better a step went than the critic expected, and a critic that learns to.

    Attributes:
        num_timesteps: environment steps taken so far, over all environments.
        n_episodes: whole episodes played so far, over all environments.
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
        super().__init__(
            env, net_arch, activation_fn, has_critic=True, max_grad_norm=max_grad_norm, seed=seed, device=device
        )
        self.critic: Critic
        self.learning_rate, self.value_learning_rate = learning_rate, value_learning_rate
        self.gamma, self.ent_coef = gamma, ent_coef
        self._values = fast_forward(self.critic, self.env.observation_space, self._device)

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
        self._minimize("critic", value_loss, self.value_learning_rate)
        self._minimize("actor", policy_loss + self.ent_coef * entropy_loss, self.learning_rate, progress_remaining)
        self.n_updates += 1
        self._losses = {
            "train/policy_loss": policy_loss.item(),
            "train/value_loss": value_loss.item(),
            "train/entropy_loss": entropy_loss.item(),
        }

    def _tensor(self, numbers: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(numbers, dtype=torch.float32, device=self._device)
