"""PPO from scratch: proximal policy optimisation with a clipped objective, in one file.

Schulman et al. 2017, Proximal Policy Optimization Algorithms (arXiv:1707.06347); equation numbers are theirs.
Advantages are those of Schulman et al. 2016 (`returns.py`). The details that the papers leave out are those of
Huang et al. 2022, The 37 Implementation Details of Proximal Policy Optimization, which the Deep RL Course teaches:
orthogonal weights, Adam's epsilon, an annealed learning rate, normalised advantages, a clipped value loss, an entropy
bonus, clipped gradients.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod, sqrt
from types import SimpleNamespace
from typing import Annotated, Any, Literal

import numpy as np
import torch
from annotated_types import Ge, Gt, Interval
from gymnasium import Space, spaces
from stable_baselines3.common.preprocessing import preprocess_obs
from stable_baselines3.common.type_aliases import Schedule
from stable_baselines3.common.utils import FloatSchedule, LinearSchedule, obs_as_tensor
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor, nn

from rlzoo.algos.base import TrainingHooks, VectorEnvironment
from rlzoo.algos.deep.base import TorchAgent, each
from rlzoo.algos.deep.distributions import distribution_of
from rlzoo.algos.deep.flat_adam import FlatAdam
from rlzoo.algos.deep.networks import Pair, fast_forward, features, layers
from rlzoo.algos.deep.returns import explained_variance, generalized_advantages
from rlzoo.protocols import Callback, MetricLogger, State


class PPO(TorchAgent):
    """Plays a rollout, then takes several epochs of small gradient steps on it, none far from the policy that played.

    Attributes:
        network: the actor and the critic.
        n_updates: rollouts learned from so far.
    """

    def __init__(  # noqa: PLR0913  every hyperparameter
        self,
        env: VecEnv,
        *,
        learning_rate: Annotated[float | Schedule, Gt(0)] = LinearSchedule(2.5e-4, 0.0, 1.0),  # noqa: B008 - it never changes
        n_steps: Annotated[int, Ge(1)] = 128,
        batch_size: Annotated[int, Ge(1)] = 128,
        n_epochs: Annotated[int, Ge(1)] = 4,
        gamma: Annotated[float, Interval(ge=0, le=1)] = 0.99,
        gae_lambda: Annotated[float, Interval(ge=0, le=1)] = 0.95,
        bootstrap_truncated: bool = True,
        clip_range: Annotated[float | Schedule, Gt(0)] = 0.2,
        clip_range_vf: Annotated[float | Schedule | Literal["auto"] | None, Gt(0)] = "auto",
        normalize_advantage: bool = True,
        ent_coef: Annotated[float, Ge(0)] = 0.01,
        vf_coef: Annotated[float, Ge(0)] = 0.5,
        max_grad_norm: Annotated[float, Gt(0)] = 0.5,
        target_kl: Annotated[float | None, Gt(0)] = None,
        net_arch: list[int] = [64, 64],  # noqa: B006 - it never changes
        activation_fn: type[nn.Module] = nn.Tanh,
        seed: int | None = None,
        device: str = "auto",
    ) -> None:
        """Begin with an actor that takes every action about equally often.

        Args:
            env: what it learns from, with any observations and actions but a Tuple of them.
            learning_rate: step size of the optimizer; a number or a schedule over the updates of the training.
            n_steps: steps of every environment in each rollout.
            batch_size: samples in each gradient step.
            n_epochs: passes over each rollout.
            gamma: discount of future rewards per step, 0 to 1.
            gae_lambda: bias against variance of advantages, 0 to 1; 1 is the plain return.
            bootstrap_truncated: an episode cut by a limit is worth what its last observation promises; False as if it
                ended.
            clip_range: limit on the change of the policy's probability ratio; a number or a schedule.
            clip_range_vf: limit on the change of the value; a number, a schedule, auto as clip_range, or None for none.
            normalize_advantage: scale advantages of a minibatch to mean 0 and standard deviation 1.
            ent_coef: weight of the entropy bonus in the loss.
            vf_coef: weight of the value loss, half the squared error: 1.0 is vf_coef=0.5 of algo=ppo.
            max_grad_norm: gradients are scaled down to this norm.
            target_kl: stop an update's epochs beyond this KL divergence; None is never.
            net_arch: sizes of the hidden layers, of the actor and of the critic.
            activation_fn: between the layers.
            seed: of the actions and of the order of samples.
            device: `auto`, `cpu` or `cuda[:i]`.
        """
        super().__init__(env, seed=seed, device=device)
        self.learning_rate, self.clip_range = FloatSchedule(learning_rate), FloatSchedule(clip_range)
        self.clip_range_vf = None
        if clip_range_vf is not None:
            self.clip_range_vf = self.clip_range if isinstance(clip_range_vf, str) else FloatSchedule(clip_range_vf)
        self.n_steps, self.batch_size, self.n_epochs = n_steps, batch_size, n_epochs
        self.gamma, self.gae_lambda, self.bootstrap_truncated = gamma, gae_lambda, bootstrap_truncated
        self.normalize_advantage, self.ent_coef, self.vf_coef = normalize_advantage, ent_coef, vf_coef
        self.max_grad_norm, self.target_kl = max_grad_norm, target_kl
        self.network = ActorCritic(env.observation_space, env.action_space, net_arch, activation_fn).to(self.device)
        self.optimizer = FlatAdam(self.network.parameters(), eps=1e-5)
        self.networks, self.optimizers = {"network": self.network}, {"optimizer": self.optimizer}
        actor = SimpleNamespace(features=self.network.features, layers=self.network.actor_and_critic.alone(0))
        self._outputs = fast_forward(actor, env.observation_space, self.device)  # (n_envs, n_outputs)

    def learn(
        self, total_timesteps: int, callbacks: Sequence[Callback] = (), logger: MetricLogger | None = None
    ) -> None:
        """Train until `num_timesteps` has reached `total_timesteps`, or a callback says stop."""
        rollout = Rollout(self.n_steps, self.env, self.network.distribution.n_outputs)
        n_updates = max(total_timesteps // (self.n_steps * self.env.n_envs), 1)
        hooks = self._begin(callbacks, logger)
        began, first = time.monotonic(), self.num_timesteps
        while hooks.continues(total_timesteps):
            update = 1 + self.num_timesteps // (self.n_steps * self.env.n_envs)
            if not self._collect(rollout, hooks):
                break
            metrics = self._update(rollout, progress_remaining=max(1 - (update - 1) / n_updates, 0.0))
            metrics["time/fps"] = (self.num_timesteps - first) / (time.monotonic() - began)
            self._log(hooks, metrics)
        hooks.end()

    def _collect(self, rollout: Rollout, hooks: TrainingHooks) -> bool:
        """Play `n_steps` with the policy as it is; False if the training is to end."""
        rollout.finals = []
        for t in range(self.n_steps):
            _write(rollout.observations, t, self._observation)
            outputs = self._outputs(self._observation)  # (n_envs, n_outputs)
            actions = self.network.distribution.actions(outputs, self._rng)
            rollout.outputs[t], rollout.actions[t] = outputs, actions  # what is learned from is not clipped
            step = self._step(actions, hooks)
            rollout.rewards[t], rollout.terminated[t] = step.reward, step.terminated
            rollout.ended[t] = step.terminated | step.truncated
            for i in np.flatnonzero(step.truncated).tolist():
                rollout.finals.append((t, i, each(lambda part, i=i: np.array(part[i]), step.final_observation)))
            if not hooks.step():
                return False
        return True

    @torch.no_grad()
    def _samples(self, rollout: Rollout) -> Samples:
        """A rollout laid flat, with what the critic and the actor that played it say."""
        observations = obs_as_tensor(each(_flat, rollout.observations), self.device)
        actions, outputs = (
            torch.as_tensor(_flat(part), device=self.device) for part in (rollout.actions, rollout.outputs)
        )
        values = self._values(observations).reshape(rollout.rewards.shape)
        next_values = np.concatenate([values[1:], self._values(obs_as_tensor(self._observation, self.device))[None]])
        for t, i, final in rollout.finals:
            next_values[t, i] = self._values(obs_as_tensor(each(lambda part: part[None], final), self.device))[0]
        advantages = generalized_advantages(
            rollout.rewards,
            values,
            next_values,
            rollout.terminated if self.bootstrap_truncated else rollout.ended,
            rollout.ended,
            gamma=self.gamma,
            gae_lambda=self.gae_lambda,
        )
        returns = advantages + values
        judged = torch.as_tensor(np.stack([advantages, returns, values]).reshape(3, -1), device=self.device)
        log_probs = self.network.distribution(outputs, actions)[0]
        numbers = torch.cat([judged, log_probs[None]])
        return Samples(observations, actions, numbers, explained_variance(values, returns))

    def _update(self, rollout: Rollout, *, progress_remaining: float) -> dict[str, float]:
        """Several epochs of gradient steps on a rollout; what there is to log of them."""
        learning_rate, clip_range = self.learning_rate(progress_remaining), self.clip_range(progress_remaining)
        clip_range_vf = None if self.clip_range_vf is None else self.clip_range_vf(progress_remaining)
        samples = self._samples(rollout)
        losses: list[Tensor] = []
        changes: list[tuple[Tensor, Tensor]] = []  # of each epoch
        for _ in range(self.n_epochs):
            log_ratios = []
            order = torch.as_tensor(self._rng.permutation(len(samples.actions)), device=self.device)
            for rows in order.split(self.batch_size):
                advantage, target, old_value, old_log_prob = samples.numbers.index_select(1, rows).unbind()
                seen = each(lambda part, rows=rows: part.index_select(0, rows), samples.observations)
                outputs, value = self.network(seen)
                log_prob, entropy = self.network.distribution(outputs, samples.actions.index_select(0, rows))
                with torch.no_grad():
                    log_ratio = log_prob - old_log_prob
                    advantage = self._normalized(advantage)
                    policy_loss, policy_slope = clipped_policy_loss(log_ratio.exp(), advantage, clip_range)
                    value_loss, value_slope = clipped_value_loss(value, old_value, target, clip_range_vf)
                mean_entropy = entropy.mean()
                # (9), as a loss: a sum that has the gradient of policy_loss + vf_coef * value_loss - ent_coef * entropy
                loss = policy_slope.dot(log_prob) + self.vf_coef * value_slope.dot(value) - self.ent_coef * mean_entropy
                self.optimizer.minimize(loss, learning_rate=learning_rate, max_grad_norm=self.max_grad_norm)
                losses += policy_loss, value_loss, -mean_entropy.detach()
                log_ratios.append(log_ratio)
            changes.append(policy_change(torch.cat(log_ratios), clip_range))
            if self.target_kl is not None and policy_change(log_ratios[-1], clip_range)[0] > self.target_kl:
                break

        means = torch.stack(losses).view(-1, 3).mean(dim=0).tolist()
        means += float(changes[-1][0]), float(sum(share for _, share in changes)) / len(changes)
        names = ("policy_gradient_loss", "value_loss", "entropy_loss", "approx_kl", "clip_fraction")
        metrics = {f"train/{name}": mean for name, mean in zip(names, means, strict=True)}
        self.n_updates, self._losses = self.n_updates + 1, dict(list(metrics.items())[:3])
        metrics["train/old_approx_kl"] = -float(torch.cat(log_ratios).mean())  # Schulman's k1, which may be negative
        metrics["train/explained_variance"] = samples.explained_variance
        return metrics | {"train/learning_rate": float(learning_rate), "train/clip_range": float(clip_range)}

    def _normalized(self, advantage: Tensor) -> Tensor:
        if not self.normalize_advantage or len(advantage) == 1:
            return advantage
        return (advantage - advantage.mean()) / (advantage.std() + 1e-8)

    def _values(self, observations: Any) -> np.ndarray:
        n = len(next(iter(observations.values())) if isinstance(observations, dict) else observations)
        parts = [
            self.network(each(lambda part, start=start: part[start : start + MOST_ROWS], observations))[1]
            for start in range(0, n, MOST_ROWS)
        ]
        return torch.cat(parts).cpu().numpy()

    def act(self, observation: Any, *, deterministic: bool) -> np.ndarray:
        return self.network.distribution.actions(self._outputs(observation), None if deterministic else np.random)

    def restore(self, state: State) -> None:
        since = {"n_updates": 0, "losses": {}}  # older checkpoints lack them
        super().restore(State(state.tensors, {**since, **state.values}))


MOST_ROWS = 4096
"""Observations that pass through the critic at once: convolutions take much memory."""


class ActorCritic(nn.Module):
    """Two networks side by side; what turns images or a Dict into features is shared.

    All weights are orthogonal, with a gain of 0.01 where actions come out, so that none is preferred at first.
    """

    def __init__(
        self, observations: Space[Any], actions: Space[Any], net_arch: list[int], activation_fn: type[nn.Module]
    ) -> None:
        super().__init__()
        self.space = observations
        self.features = features(observations)
        for module in self.features.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.orthogonal_(module.weight, sqrt(2))
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        self.distribution = distribution_of(actions)
        sizes = [self.features.features_dim, *net_arch]
        actor = layers([*sizes, self.distribution.n_outputs], activation_fn, gain=sqrt(2), last_gain=0.01)
        critic = layers([*sizes, 1], activation_fn, gain=sqrt(2), last_gain=1.0)
        self.actor_and_critic = Pair(actor, critic)

    def forward(self, observations: Any) -> tuple[Tensor, Tensor]:
        """Outputs of the actor (n, n_outputs) and values (n,) for observations (n, *observation_shape)."""
        outputs, values = self.actor_and_critic(self.features(preprocess_obs(observations, self.space)))
        return outputs, values.squeeze(1)


def clipped_policy_loss(ratio: Tensor, advantages: Tensor, clip_range: float) -> tuple[Tensor, Tensor]:
    """The clipped objective with its sign turned, and its derivative with respect to the log-probabilities (n,).

    There is nothing to gain from a ratio beyond 1 +- clip_range on the side where the advantage would have it, so the
    derivative is 0 there. Everywhere else, the way back from the other side included, it is that of ratio * advantage.
    Autograd says the same, and takes longer for these few numbers than for a small network.
    """
    plain = ratio * advantages
    kept = ratio.clamp(1 - clip_range, 1 + clip_range) * advantages
    loss = -torch.minimum(plain, kept).mean()  # (7)
    return loss, torch.where(plain <= kept, plain, 0) / -len(ratio)  # d ratio / d log-probability = ratio


def clipped_value_loss(
    values: Tensor, old_values: Tensor, returns: Tensor, clip_range: float | None
) -> tuple[Tensor, Tensor]:
    """Half the squared error, and its derivative with respect to the values (n,).

    The error is the larger one, of the value and of the value kept within `clip_range` of the old one; where the latter
    is larger, the derivative is 0.
    """
    error = values - returns
    if clip_range is None:
        return 0.5 * error.square().mean(), error / len(values)
    change = values - old_values
    kept_error = old_values + change.clamp(-clip_range, clip_range) - returns
    size, kept_size = error.abs(), kept_error.abs()
    learns = (change.abs() <= clip_range) | (size >= kept_size)
    return 0.5 * torch.maximum(size, kept_size).square().mean(), torch.where(learns, error, 0) / len(values)


def policy_change(log_ratio: Tensor, clip_range: float) -> tuple[Tensor, Tensor]:
    """An estimate of the divergence KL(old, new) that is never negative, and the share of ratios that are clipped.

    Schulman 2020, Approximating KL Divergence: the mean of (ratio - 1) - log ratio.
    """
    difference = log_ratio.expm1()
    return (difference - log_ratio).mean(), (difference.abs() > clip_range).float().mean()


class Rollout:
    """What was played, in arrays (n_steps, n_envs, ...) that the next rollout writes over.

    Attributes:
        outputs: what the actor put out.
        ended: whether the step was the last of its episode, terminated or cut.
        finals: step, environment and last observation of every episode that was cut.
    """

    def __init__(self, n_steps: int, env: VectorEnvironment, n_outputs: int) -> None:
        shape = (n_steps, env.n_envs)
        self.observations = _empty(env.observation_space, shape)
        self.outputs = np.empty((*shape, n_outputs), dtype=np.float32)
        discrete = not isinstance(env.action_space, spaces.Box)
        self.actions = np.empty((*shape, *(env.action_space.shape or ())), dtype=np.int64 if discrete else np.float32)
        self.rewards = np.empty(shape, dtype=np.float32)
        self.terminated, self.ended = np.empty(shape, dtype=bool), np.empty(shape, dtype=bool)
        self.finals: list[tuple[int, int, Any]] = []


@dataclass(frozen=True)
class Samples:
    """A rollout laid flat: n is n_steps * n_envs.

    Attributes:
        observations: (n, *observation_shape).
        actions: (n, *action_shape).
        numbers: (4, n): advantages, returns, values and log-probabilities, before the update.
        explained_variance: how well these values predict these returns.
    """

    observations: Any
    actions: Tensor
    numbers: Tensor
    explained_variance: float


def _flat(array: np.ndarray) -> np.ndarray:
    return array.reshape(prod(array.shape[:2]), *array.shape[2:])


def _empty(space: Space[Any], shape: tuple[int, ...]) -> Any:
    if isinstance(space, spaces.Dict):
        return {key: _empty(part, shape) for key, part in space.spaces.items()}
    return np.empty((*shape, *(space.shape or ())), dtype=space.dtype)


def _write(array: Any, index: Any, observation: Any) -> None:
    if isinstance(array, dict):
        for key, part in array.items():
            part[index] = observation[key]
    else:
        array[index] = observation
