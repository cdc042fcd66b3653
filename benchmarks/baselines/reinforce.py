"""REINFORCE as unit 4 of the Deep RL Course describes it: a forward pass and a saved log-probability for every step."""

from __future__ import annotations

from collections import deque
from itertools import pairwise

import gymnasium
import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Categorical

EPSILON = float(np.finfo(np.float32).eps)


class Policy(nn.Module):
    """Probabilities of discrete actions, behind hidden layers with ReLU."""

    def __init__(self, n_observations: int, n_actions: int, hidden: list[int]) -> None:
        super().__init__()
        sizes = [n_observations, *hidden, n_actions]
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(sizes))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            x = torch.relu(layer(x))
        return torch.softmax(self.layers[-1](x), dim=1)

    def act(self, observation: np.ndarray) -> tuple[int, Tensor]:
        distribution = Categorical(self(torch.from_numpy(observation).float().unsqueeze(0)))
        action = distribution.sample()
        return int(action.item()), distribution.log_prob(action)


def episode(env: gymnasium.Env, policy: Policy, max_steps: int, seed: int | None = None) -> tuple[list, list]:
    """Play an episode: its rewards and log-probabilities, (n_steps,) each."""
    rewards, log_probs = [], []
    observation, _ = env.reset(seed=seed)
    for _ in range(max_steps):
        action, log_prob = policy.act(observation)
        observation, reward, terminated, truncated, _ = env.step(action)
        rewards.append(float(reward))
        log_probs.append(log_prob)
        if terminated or truncated:
            break
    return rewards, log_probs


def loss(rewards: list[float], log_probs: list[Tensor], gamma: float) -> Tensor:
    """Minus the sum of each log-probability times the standardised return after it."""
    returns: deque[float] = deque()
    for reward in reversed(rewards):
        returns.appendleft(reward + gamma * (returns[0] if returns else 0.0))
    scaled = torch.tensor(returns)
    scaled = (scaled - scaled.mean()) / (scaled.std() + EPSILON)
    return torch.cat([-log_prob * value for log_prob, value in zip(log_probs, scaled, strict=True)]).sum()


def train(
    env: gymnasium.Env,
    policy: Policy,
    *,
    learning_rate: float,
    gamma: float,
    n_episodes: float = float("inf"),
    n_steps: float = float("inf"),
    max_steps: int = 1000,
    seed: int | None = None,
) -> list[tuple[float, int]]:
    """Train until so many episodes or steps have been played; return and length of every episode."""
    optimizer = torch.optim.Adam(policy.parameters(), lr=learning_rate)
    scores: list[tuple[float, int]] = []
    taken = 0
    while len(scores) < n_episodes and taken < n_steps:
        rewards, log_probs = episode(env, policy, max_steps, seed=None if scores else seed)
        optimizer.zero_grad()
        loss(rewards, log_probs, gamma).backward()
        optimizer.step()
        scores.append((sum(rewards), len(rewards)))
        taken += len(rewards)
    return scores
