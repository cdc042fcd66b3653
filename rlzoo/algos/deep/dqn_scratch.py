"""Deep Q-learning with a replay memory and a target network, and four extensions, each off by default.

Mnih et al. 2015, Human-level control through deep reinforcement learning (DQN: algorithm 1). The extensions: `double`
of van Hasselt et al. 2016, `dueling` of Wang et al. 2016, `prioritized` of Schaul et al. 2016, and `n_steps` of Sutton
and Barto, Reinforcement Learning, 2nd edition, section 7.1. All of them at once are Rainbow (Hessel et al. 2018)
without its noisy networks and distributions. Equation numbers say which of these papers they are of.

The loss is Huber's, as in Stable-Baselines3; its gradient is that of the clipped error of Mnih et al. 2015.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
import torch
from annotated_types import Ge, Gt, Interval
from gymnasium import Space
from stable_baselines3.common.torch_layers import NatureCNN
from stable_baselines3.common.type_aliases import Schedule
from stable_baselines3.common.utils import FloatSchedule
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor, nn
from torch.nn import functional

from rlzoo.algos.deep.base import TorchAgent, restore_module
from rlzoo.algos.deep.flat_adam import flat_parameters
from rlzoo.algos.deep.networks import features, layers, to_features
from rlzoo.algos.deep.replay import Replay, ReplayState, Transitions, stacked_frames
from rlzoo.protocols import Callback, MetricLogger, State

LOG_INTERVAL = 10
"""Whole episodes from one line of the log to the next."""


class DQNScratch(TorchAgent):
    """Learns the value of every action with a network, from steps of long ago drawn at random.

    Attributes:
        q_network: the values that are acted on and learned.
        target_network: an older copy that says what to learn towards.
        n_updates: gradient steps so far.
    """

    COUNTERS = (*TorchAgent.COUNTERS, "_n_calls", "_total_timesteps", "_empty_at", "_max_priority")

    def __init__(  # noqa: PLR0913  every hyperparameter
        self,
        env: VecEnv,
        *,
        learning_rate: Annotated[float | Schedule, Gt(0)] = 1e-4,
        buffer_size: Annotated[int, Ge(1)] = 1_000_000,
        learning_starts: Annotated[int, Ge(0)] = 100,
        batch_size: Annotated[int, Ge(1)] = 32,
        tau: Annotated[float, Interval(gt=0, le=1)] = 1.0,
        gamma: Annotated[float, Interval(ge=0, le=1)] = 0.99,
        train_freq: Annotated[int, Ge(1)] = 4,
        gradient_steps: Annotated[int, Ge(1)] | Literal[-1] = 1,
        target_update_interval: Annotated[int, Ge(1)] = 10_000,
        exploration_fraction: Annotated[float, Interval(gt=0, le=1)] = 0.1,
        exploration_initial_eps: Annotated[float, Interval(ge=0, le=1)] = 1.0,
        exploration_final_eps: Annotated[float, Interval(ge=0, le=1)] = 0.05,
        max_grad_norm: Annotated[float, Gt(0)] = 10.0,
        double: bool = False,
        dueling: bool = False,
        prioritized: bool = False,
        prioritized_alpha: Annotated[float, Interval(ge=0, le=1)] = 0.6,
        prioritized_beta0: Annotated[float, Interval(ge=0, le=1)] = 0.4,
        prioritized_eps: Annotated[float, Gt(0)] = 1e-6,
        n_steps: Annotated[int, Ge(1)] = 1,
        net_arch: list[int] | None = None,
        activation_fn: type[nn.Module] = nn.ReLU,
        seed: int | None = None,
        device: str = "auto",
    ) -> None:
        """Begin with two equal networks and an empty memory, which takes its place when it is first used.

        Args:
            env: its actions are 0 to n_actions - 1; its observations vectors, images (channels first), a Dict of these
                or discrete.
            learning_rate: step size of the optimizer; a number or a schedule: {linear: 0.001}.
            buffer_size: transitions kept for replay, over all environments.
            learning_starts: environment steps of random actions before the first gradient step.
            batch_size: transitions in each gradient step.
            tau: share of the new weights in each update of the target network, above 0 to 1.
            gamma: discount of future rewards per step, 0 to 1.
            train_freq: steps of every environment between updates.
            gradient_steps: gradient steps in each update; -1 is as many as steps were taken.
            target_update_interval: environment steps between updates of the target network.
            exploration_fraction: share of the training in which random actions fall to their final rate.
            exploration_initial_eps: share of random actions at the start.
            exploration_final_eps: share of random actions after exploration_fraction.
            max_grad_norm: gradients are scaled down to this norm.
            double: the network chooses the next action, the target network only judges it (Double DQN).
            dueling: the value of a state and the advantages of its actions are learned apart (Dueling networks).
            prioritized: transitions are drawn by how wrong their value was (prioritised replay).
            prioritized_alpha: how much that decides, 0 (not at all) to 1.
            prioritized_beta0: share of the bias by it that is corrected at the start, 0 to 1; in the end it is 1.
            prioritized_eps: added to every error, so that each transition keeps a chance.
            n_steps: steps of reward in each target return (n-step returns).
            net_arch: hidden layers behind the features; None is [64, 64], for images none (with dueling one of 512).
            activation_fn: between hidden layers.
            seed: of random actions and of what is drawn from the memory.
            device: `auto` is a GPU if there is one.
        """
        super().__init__(env, seed=seed, device=device)
        self.learning_rate, self.gamma, self.tau = FloatSchedule(learning_rate), gamma, tau
        self.buffer_size, self.learning_starts, self.batch_size = buffer_size, learning_starts, batch_size
        self.train_freq, self.target_update_interval = train_freq, target_update_interval
        self.gradient_steps = gradient_steps if gradient_steps >= 0 else train_freq * self.env.n_envs
        self.exploration = exploration_initial_eps, exploration_final_eps, exploration_fraction
        self.max_grad_norm, self.double, self.n_steps = max_grad_norm, double, n_steps
        self.prioritized, self.prioritized_alpha = prioritized, prioritized_alpha
        self.prioritized_beta0, self.prioritized_eps = prioritized_beta0, prioritized_eps
        self.n_actions = int(env.action_space.n)  # type: ignore[attr-defined]
        network = env.observation_space, self.n_actions, net_arch, activation_fn, dueling
        self.q_network, self.target_network = QNetwork(*network).to(self.device), QNetwork(*network).to(self.device)
        self.networks = {"q_network": self.q_network, "target_network": self.target_network}
        self._weights, self._target_weights = flat_parameters(self.q_network), flat_parameters(self.target_network)
        self._target_weights.data.copy_(self._weights.data)
        fused = self.device.type in ("cpu", "cuda")
        self.optimizer = torch.optim.Adam([self._weights], lr=self.learning_rate(1.0), fused=fused)
        self._replay: Replay | None = None
        self._n_stack = stacked_frames(env)
        self._n_calls = 0  # steps of the vectorised environment
        self._total_timesteps = 1
        self._empty_at = 0  # environment steps at which the memory was empty: it is warmed up from there
        self._max_priority = 1.0  # that of new transitions: the largest so far
        self._losses: list[float] = []  # of gradient steps that are not in the log yet

    def learn(
        self, total_timesteps: int, callbacks: Sequence[Callback] = (), logger: MetricLogger | None = None
    ) -> None:
        """Train until `num_timesteps` has reached `total_timesteps`, over which exploration and schedules run."""
        self._total_timesteps = total_timesteps
        hooks = self._begin(callbacks, logger)
        while hooks.continues(total_timesteps):
            observation = self._observation
            actions = self._explore(observation)
            step = self._step(actions, hooks)
            going_on = hooks.step()  # callbacks remember what the next line overwrites in the memory
            self.replay.add(observation, actions, step, self._max_priority)
            self._n_calls += 1
            if len(self._recent) >= LOG_INTERVAL:
                self._log(hooks, self._metrics())
            if self._n_calls % max(self.target_update_interval // self.env.n_envs, 1) == 0:
                self._target_weights.data.lerp_(self._weights.data, self.tau)  # theta- <- tau theta + (1 - tau) theta-
            if going_on and self._n_calls % self.train_freq == 0 and self.num_timesteps > self._warm_at:
                for _ in range(self.gradient_steps):
                    self._update(self._sample())
        if self._recent or self._losses:
            self._log(hooks, self._metrics())
        hooks.end()

    def _explore(self, observation: Any) -> np.ndarray:
        """The best action of each environment, or with the chance `exploration_rate` any; (n_envs,)."""
        epsilon = self.exploration_rate if self.num_timesteps >= self._warm_at else 1.0
        explores = self._rng.random(self.env.n_envs) < epsilon
        actions = self._rng.integers(self.n_actions, size=self.env.n_envs)
        return actions if explores.all() else np.where(explores, actions, self._best(observation))

    @torch.no_grad()
    def _best(self, observation: Any) -> np.ndarray:
        """The actions (n,) of the highest values, the first of equals."""
        inputs = to_features(observation, self.env.observation_space, self.device)
        return np.asarray(self.q_network(inputs).argmax(dim=1).cpu().numpy())

    def _sample(self) -> Transitions:
        draw = self.batch_size, self.n_steps, self.gamma
        if not self.prioritized:
            return self.replay.sample(*draw, self._rng)
        beta = linear_schedule(self.prioritized_beta0, 1.0, 1.0, self._done)  # Schaul et al., section 3.4
        return self.replay.sample_prioritized(*draw, beta, self._rng)

    def _update(self, batch: Transitions) -> None:
        """One gradient step."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate(max(1.0 - self._done, 0.0))
        errors = self.errors(batch)  # (batch_size,)
        huber = functional.huber_loss(errors, torch.zeros_like(errors), reduction="none")
        loss = (torch.as_tensor(batch.weights, device=self.device) * huber).mean()
        assert self._weights.grad is not None
        self._weights.grad.zero_()
        loss.backward()
        nn.utils.clip_grad_norm_([self._weights], self.max_grad_norm)
        self.optimizer.step()
        self._losses.append(loss.item())
        self.n_updates += 1
        if self.prioritized:
            # Schaul et al., p_i = |delta_i| + epsilon, here already to the power of alpha as in (1)
            sizes = np.abs(errors.detach().cpu().numpy()).astype(float)
            priorities = (sizes + self.prioritized_eps) ** self.prioritized_alpha
            self._max_priority = max(self._max_priority, float(priorities.max()))
            self.replay.set_priorities(batch.indices, priorities)

    def errors(self, batch: Transitions) -> Tensor:
        """How much each value of a batch exceeds its target, (n,), with a gradient towards less of it."""
        space, device = self.env.observation_space, self.device
        observations = to_features(batch.observations, space, device)
        with torch.no_grad():
            following = to_features(batch.next_observations, space, device)
            target_q = self.target_network(following)  # Q'(s', .), (n, n_actions)
            # a*: the target network chooses and judges (Mnih et al.), or only judges (van Hasselt et al., Double DQN)
            best = (self.q_network(following) if self.double else target_q).argmax(dim=1, keepdim=True)
            next_values = target_q.gather(1, best).squeeze(1)
            returns, discounts = (torch.as_tensor(part, device=device) for part in (batch.returns, batch.discounts))
            targets = returns + discounts * next_values  # y = r + gamma Q'(s', a*), and r where the episode terminated
        actions = torch.as_tensor(batch.actions, device=device).unsqueeze(1)
        values: Tensor = self.q_network(observations).gather(1, actions).squeeze(1)  # Q(s, a)
        return values - targets

    def act(self, observation: Any, *, deterministic: bool) -> np.ndarray:
        """The best actions, or as in training with the chance of a random one."""
        actions = self._best(observation)
        if deterministic:
            return actions
        explores = np.random.random(len(actions)) < self.exploration_rate
        return np.where(explores, np.random.randint(self.n_actions, size=len(actions)), actions)

    @property
    def exploration_rate(self) -> float:
        """The share of random actions by now."""
        return linear_schedule(*self.exploration, self._done)

    @property
    def _done(self) -> float:
        """The share of the training that is over."""
        return self.num_timesteps / self._total_timesteps

    @property
    def _warm_at(self) -> int:
        return self._empty_at + self.learning_starts

    def _metrics(self) -> dict[str, float]:
        metrics = {"rollout/exploration_rate": self.exploration_rate}
        if self._losses:
            metrics["train/loss"] = float(np.mean(self._losses))
            metrics["train/learning_rate"] = float(self.optimizer.param_groups[0]["lr"])
            metrics["train/n_updates"] = float(self.n_updates)
            self._losses = []
        return metrics

    @property
    def replay(self) -> Replay:
        """The memory; an agent that only predicts never has one."""
        if self._replay is None:
            space, n_envs = self.env.observation_space, self.env.n_envs
            capacity = max(self.buffer_size // n_envs, 1)
            self._replay = Replay(space, capacity, n_envs, n_stack=self._n_stack, prioritized=self.prioritized)
        return self._replay

    @property
    def replay_buffer(self) -> ReplayState:
        """The memory as something a checkpoint can hold."""
        return ReplayState(self.replay)

    def warm_up_again(self) -> None:
        """Collect `learning_starts` more steps before the next update, as at the start: the memory is empty."""
        self._empty_at = self.num_timesteps

    def losses(self) -> dict[str, float]:
        """The loss of the last gradient step, if it is not in the log yet."""
        return {"train/loss": self._losses[-1]} if self._losses else {}

    def not_finite(self) -> list[str]:
        """What is NaN or infinite by now: the first parameter, the last loss."""
        found = {key: value for key, value in self.losses().items() if not np.isfinite(value)}
        if not torch.isfinite(self._weights.data.sum()):
            bad = ((name, tensor[~tensor.isfinite()]) for name, tensor in self.q_network.named_parameters())
            found |= dict([(name, float(values[0])) for name, values in bad if len(values)][:1])
        return [f"{name} is {'NaN' if np.isnan(value) else 'infinite'}" for name, value in found.items()]

    def state(self) -> State:
        """All there is but the memory, which is `replay_buffer`; Adam's moments as `optimizer.0.<moment>`."""
        state, adam = super().state(), self.optimizer.state_dict()
        moments = {
            f"optimizer.0.{key}": value.detach().cpu().clone() for key, value in adam["state"].get(0, {}).items()
        }
        rates = [float(group["lr"]) for group in adam["param_groups"]]
        return State({**state.tensors, **moments}, {**state.values, "optimizer.learning_rates": rates})

    def restore(self, state: State) -> None:
        super().restore(state)
        groups = self.optimizer.state_dict()["param_groups"]
        groups[0]["lr"] = state.values["optimizer.learning_rates"][0]
        start = "optimizer.0."
        found = {name.removeprefix(start): part for name, part in state.tensors.items() if name.startswith(start)}
        moments = {name: torch.as_tensor(part).clone() for name, part in found.items()}
        self.optimizer.load_state_dict({"state": {0: moments} if moments else {}, "param_groups": groups})

    def restore_weights(self, state: State) -> None:
        """Take over the network alone, as both networks: the start of another training."""
        restore_module(self.q_network, "q_network", state.tensors)
        self._target_weights.data.copy_(self._weights.data)

    def begin_episodes(self, observation: Any, rows: np.ndarray) -> None:
        self.replay.cut(self._observation, rows)
        super().begin_episodes(observation, rows)


def linear_schedule(start: float, end: float, fraction: float, done: float) -> float:
    """From `start` to `end` while the share `done` of a training goes from 0 to `fraction`, and `end` after that."""
    return end if done >= fraction else start + (end - start) * done / fraction


class QNetwork(nn.Module):
    """Observations, as `to_features` makes them, to the value of every action (n, n_actions)."""

    def __init__(
        self,
        space: Space,
        n_actions: int,
        net_arch: Sequence[int] | None,
        activation_fn: type[nn.Module],
        dueling: bool,
    ) -> None:
        super().__init__()
        extractor = features(space)
        self.features: nn.Module = extractor
        n_features, hidden = extractor.features_dim, [64, 64]
        if isinstance(extractor, NatureCNN):
            hidden = [512] if dueling else []
            if dueling:  # only the convolutions are shared: Wang et al. 2016, section 4.2
                self.features = extractor.cnn
                n_features = next(extractor.linear.children()).in_features  # type: ignore[assignment]
        sizes = [n_features, *(hidden if net_arch is None else net_arch)]
        self.value = layers([*sizes, 1], activation_fn) if dueling else None
        self.advantage = layers([*sizes, n_actions], activation_fn)  # without `value`, the action values themselves

    def forward(self, inputs: Any) -> Tensor:
        found = self.features(inputs)
        advantages: Tensor = self.advantage(found)
        if self.value is None:
            return advantages
        # Q = V + A - mean A: Wang et al., (9)
        values: Tensor = self.value(found) + advantages - advantages.mean(dim=1, keepdim=True)
        return values
