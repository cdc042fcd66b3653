"""REINFORCE: the Monte Carlo policy gradient, with whole episodes and no value to bootstrap from.

Williams 1992, Simple statistical gradient-following algorithms for connectionist reinforcement learning; Sutton and
Barto, Reinforcement Learning, 2nd edition, chapter 13. Equation numbers are Sutton and Barto's; as usual, the factor
gamma^t of their update is left out.

The defaults are those of the Hugging Face Deep RL Course: one hidden layer, an update after every episode, and returns
standardised within it. An episode that was cut by a time limit counts as one that ended: plain returns know nothing of
what would have come. Where the only reward is the last one and nothing is discounted, all returns of an episode are the
same, and standardised within it they are 0: nothing is learned. `normalize_returns=batch` is for such tasks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
import torch
from annotated_types import Ge, Gt, Interval
from stable_baselines3.common.type_aliases import Schedule
from stable_baselines3.common.utils import FloatSchedule
from stable_baselines3.common.vec_env import VecEnv

from rlzoo.algos.base import TrainingHooks
from rlzoo.algos.deep.base import TorchAgent, each, observation_state, restored_observation
from rlzoo.algos.deep.flat_adam import FlatAdam
from rlzoo.algos.deep.networks import Actor, Critic, fast_forward, to_features
from rlzoo.algos.deep.returns import full_return, rewards_to_go, standardized
from rlzoo.protocols import Callback, MetricLogger, State


class Reinforce(TorchAgent):
    """Makes actions likelier by how good the return was that followed them.

    Every environment plays `n_episodes_per_update` whole episodes with the same weights, then these change. One that is
    done before the others continues, and nothing is learned from what it plays then: its episode begins with other
    weights than it ends with, and taking the first episodes that end would prefer the short ones.

    Attributes:
        actor: the policy's network.
        critic: the baseline's, or None.
        n_updates: gradient steps taken so far, of each network.
    """

    def __init__(  # noqa: PLR0913  every hyperparameter
        self,
        env: VecEnv,
        *,
        learning_rate: Annotated[float | Schedule, Gt(0)] = 0.01,
        n_episodes_per_update: Annotated[int, Ge(1)] = 1,
        gamma: Annotated[float, Interval(ge=0, le=1)] = 1.0,
        reward_to_go: bool = True,
        normalize_returns: Literal["episode", "batch"] | None = "episode",
        baseline: bool = False,
        value_learning_rate: Annotated[float, Gt(0)] = 0.01,
        ent_coef: Annotated[float, Ge(0)] = 0.0,
        max_grad_norm: Annotated[float | None, Gt(0)] = None,
        net_arch: list[int] = [16],  # noqa: B006 - it never changes
        activation_fn: type[torch.nn.Module] = torch.nn.ReLU,
        seed: int | None = None,
        device: str = "auto",
    ) -> None:
        """Begin with torch's own random weights.

        Args:
            env: images go through a convolution, the parts of Dict observations side by side.
            learning_rate: step size of the policy's optimizer; a number or a schedule: {linear: 0.01}.
            n_episodes_per_update: whole episodes of every environment for each update.
            gamma: discount of future rewards per step, 0 to 1.
            reward_to_go: judge an action by the rewards after it; False by all rewards of its episode.
            normalize_returns: to mean 0 and standard deviation 1, over each episode or over an update (batch); None:
                not.
            baseline: learn the value of observations, and judge an action by how much better it went.
            value_learning_rate: step size of the baseline's optimizer.
            ent_coef: weight of the entropy bonus in the loss.
            max_grad_norm: gradients are scaled down to this norm; None leaves them.
            net_arch: sizes of the hidden layers, of policy and baseline each.
            activation_fn: behind each hidden layer.
            seed: of the actions drawn in training.
            device: of the networks.
        """
        super().__init__(env, seed=seed, device=device)
        self.learning_rate, self.value_learning_rate = FloatSchedule(learning_rate), value_learning_rate
        self.n_episodes_per_update, self.gamma, self.reward_to_go = n_episodes_per_update, gamma, reward_to_go
        self.normalize_returns, self.ent_coef, self.max_grad_norm = normalize_returns, ent_coef, max_grad_norm
        self.actor = Actor(env.observation_space, env.action_space, net_arch, activation_fn).to(self.device)
        self.critic = Critic(env.observation_space, net_arch, activation_fn).to(self.device) if baseline else None
        self.networks = {"actor": self.actor} if self.critic is None else {"actor": self.actor, "critic": self.critic}
        self.optimizers = {f"{name}_adam": FlatAdam(net.parameters()) for name, net in self.networks.items()}
        self._outputs = fast_forward(self.actor, env.observation_space, self.device)
        # The rollout: one entry for each step of the vectorised environment since the last update, rows are n_envs
        self._observations: list[Any] = []
        self._actions: list[np.ndarray] = []
        self._rewards: list[np.ndarray] = []
        self._begun: list[int | None] = [0] * env.num_envs  # where in it an episode began; None: before it
        self._episodes: list[tuple[int, int, int]] = []  # environment, first step and last + 1: what is learned from

    def learn(
        self, total_timesteps: int, callbacks: Sequence[Callback] = (), logger: MetricLogger | None = None
    ) -> None:
        """Train until `num_timesteps` has reached `total_timesteps`, or a callback says stop.

        A rollout that has begun by then is kept, for a training that is resumed.

        Raises:
            ValueError: if all returns that are standardised together would be the same.
        """
        together = 1 if self.normalize_returns == "episode" else self.n_episodes_per_update * self.env.n_envs
        if not self.reward_to_go and self.normalize_returns and together == 1:
            raise ValueError("reward_to_go=False gives all steps of an episode one return: normalise over several")
        hooks = self._begin(callbacks, logger)
        while hooks.continues(total_timesteps):
            self._play(hooks, total_timesteps)
        if self._recent:
            self._log(hooks, self._losses)
        hooks.end()

    def _play(self, hooks: TrainingHooks, total_timesteps: int) -> None:
        """Play until the weights have changed or the training ends."""
        n_updates, going_on = self.n_updates, True
        while going_on and self.n_updates == n_updates and self.num_timesteps < total_timesteps:
            observation = self._observation
            actions = self.actor.sample(self._outputs, observation, self._rng)
            step = self._step(actions, hooks)
            self._observations.append(observation)
            self._actions.append(actions)
            self._rewards.append(step.reward)
            over = (step.terminated | step.truncated).tolist()  # (n_envs,)
            if True in over:
                self._keep_whole_episodes(over)
            if len(self._episodes) == self.n_episodes_per_update * self.env.n_envs:
                self._update(1 - self.num_timesteps / total_timesteps)
                if len(self._recent) >= hooks.log_interval:
                    self._log(hooks, self._losses)
            going_on = hooks.step()

    def _keep_whole_episodes(self, over: Sequence[bool]) -> None:
        """Note the episodes that end with this step; one that began before the rollout, or one too many, is left."""
        for index, is_over in enumerate(over):
            if is_over:
                begin, end = self._begun[index], len(self._rewards)
                share = sum(env == index for env, _, _ in self._episodes)
                if begin is not None and share < self.n_episodes_per_update:
                    self._episodes.append((index, begin, end))
                self._begun[index] = end

    def _update(self, progress_remaining: float) -> None:
        """One gradient step on the episodes of the rollout, which is empty then."""
        observations, actions, returns = self._batch()
        inputs = to_features(observations, self.env.observation_space, self.device)
        advantages = returns
        if self.critic is not None:
            values = self.critic(inputs)  # (n_steps,)
            advantages = returns - values.detach().cpu().numpy()  # (13.11): G_t - b(S_t)
            self._fit_values(values, returns)
        if self.normalize_returns == "batch":
            advantages = standardized(advantages)
        elif self.normalize_returns == "episode":
            ends = np.cumsum([end - begin for _, begin, end in self._episodes])
            advantages = np.concatenate([standardized(part) for part in np.split(advantages, ends[:-1])])
        log_prob, entropy = self.actor(inputs, torch.as_tensor(actions, device=self.device))
        weights = torch.as_tensor(advantages, dtype=torch.float32, device=self.device)
        n_episodes = len(self._episodes)
        policy_loss = -log_prob.dot(weights) / n_episodes  # (13.8), a sum over the steps of an episode
        entropy_loss = -entropy.sum() / n_episodes
        loss = policy_loss + self.ent_coef * entropy_loss if self.ent_coef else policy_loss
        rate = self.learning_rate(progress_remaining)
        self.optimizers["actor_adam"].minimize(loss, learning_rate=rate, max_grad_norm=self.max_grad_norm)
        self._losses |= {"train/policy_loss": policy_loss.item(), "train/entropy_loss": entropy_loss.item()}
        self.n_updates += 1
        self._begun = [0 if begin == len(self._rewards) else None for begin in self._begun]
        self._observations, self._actions, self._rewards, self._episodes = [], [], [], []

    def _fit_values(self, values: torch.Tensor, returns: np.ndarray) -> None:
        targets = torch.as_tensor(returns, dtype=torch.float32, device=self.device)
        loss = (targets - values).square().mean()  # its gradient: section 13.4, w <- w + alpha (G - v) grad v
        rate = self.value_learning_rate
        self.optimizers["critic_adam"].minimize(loss, learning_rate=rate, max_grad_norm=self.max_grad_norm)
        self._losses["train/value_loss"] = loss.item()

    def _batch(self) -> tuple[Any, np.ndarray, np.ndarray]:
        """Observations (n_steps, *observation_shape), actions and returns of the episodes that are learned from."""
        rewards = np.array(self._rewards)  # (n_steps, n_envs)
        of_episode = rewards_to_go if self.reward_to_go else full_return
        returns = [of_episode(rewards[begin:end, env].tolist(), self.gamma) for env, begin, end in self._episodes]

        def chosen(part: np.ndarray) -> np.ndarray:
            return np.concatenate([part[begin:end, env] for env, begin, end in self._episodes])

        return each(chosen, stacked(self._observations)), chosen(stacked(self._actions)), np.concatenate(returns)

    def act(self, observation: Any, *, deterministic: bool) -> np.ndarray:
        return self.actor.sample(self._outputs, observation, None if deterministic else np.random)

    def state(self) -> State:
        """All there is, with the episodes that are half played."""
        state = super().state()
        tensors = dict(state.tensors)
        if self._rewards:
            tensors |= observation_state(stacked(self._observations), "rollout.observations")
            tensors |= {"rollout.actions": stacked(self._actions), "rollout.rewards": np.array(self._rewards)}
        return State(tensors, {**state.values, "begun": list(self._begun), "episodes": list(self._episodes)})

    def restore(self, state: State) -> None:
        super().restore(state)
        values = state.values
        self._begun, self._episodes = list(values["begun"]), [tuple(episode) for episode in values["episodes"]]
        n_steps = len(state.tensors.get("rollout.rewards", ()))
        observations = restored_observation(state.tensors, "rollout.observations")
        self._observations = [each(lambda part, t=t: part[t], observations) for t in range(n_steps)]
        self._actions = list(np.array(state.tensors["rollout.actions"])) if n_steps else []
        self._rewards = list(np.array(state.tensors["rollout.rewards"])) if n_steps else []

    def begin_episodes(self, observation: Any, rows: np.ndarray) -> None:
        super().begin_episodes(observation, rows)
        for index in np.flatnonzero(rows).tolist():
            self._begun[index] = len(self._rewards)


def stacked(batches: Sequence[Any]) -> Any:
    """One batch (n_steps, n_envs, *shape) of several (n_envs, *shape), at least one."""

    def stack(*parts: np.ndarray) -> np.ndarray:
        return np.concatenate(parts).reshape(len(parts), *parts[0].shape)  # np.stack takes three times as long

    return each(stack, *batches)
