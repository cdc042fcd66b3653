"""Small models of every algorithm as Stable-Baselines3 and sb3-contrib save them, and a child that reads files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecNormalize
from torch import nn

from rlzoo.envs import registration
from rlzoo.registry import load

ON: dict[str, Any] = {"n_steps": 16, "policy_kwargs": {"net_arch": [8]}}
BATCHES: dict[str, Any] = {**ON, "batch_size": 8}
OFF: dict[str, Any] = {
    "learning_starts": 8,
    "batch_size": 4,
    "buffer_size": 200,
    "policy_kwargs": {"net_arch": [8]},
}


class Pixels(gymnasium.Env):
    """Noise of 36 x 36 pixels, the smallest that the convolutions take."""

    observation_space = gymnasium.spaces.Box(0, 255, (36, 36, 1), np.uint8)
    action_space = gymnasium.spaces.Discrete(3)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        return self._pixels(), {}

    def step(self, action: int):
        return self._pixels(), float(action), bool(self.np_random.random() < 0.1), False, {}

    def _pixels(self) -> np.ndarray:
        return self.np_random.integers(0, 256, (36, 36, 1), dtype=np.uint8)


@dataclass(frozen=True)
class Model:
    """An algorithm of Stable-Baselines3 with keywords of its constructor."""

    algo: str
    entry: str
    env: str
    policy: str = "MlpPolicy"
    keywords: dict[str, Any] = field(default_factory=dict)
    normalized: bool = False

    @property
    def cls(self) -> Any:
        return load(self.entry)

    def make_env(self) -> VecEnv:
        registration.register()
        env: VecEnv = DummyVecEnv([Pixels if self.env == "pixels" else lambda: gymnasium.make(self.env)])
        return VecNormalize(env) if self.normalized else env

    def train(self) -> Any:
        model = self.cls(self.policy, self.make_env(), seed=0, device="cpu", **deepcopy(self.keywords))
        return model.learn(40)


MODELS = {
    "a2c": Model("a2c", "stable_baselines3:A2C", "Pendulum-v1", keywords={**ON, "use_sde": True}),
    "ddpg": Model("ddpg", "stable_baselines3:DDPG", "Pendulum-v1", keywords=OFF),
    "dqn": Model("dqn", "stable_baselines3:DQN", "CartPole-v1", keywords=OFF),
    "ppo": Model(
        "ppo",
        "stable_baselines3:PPO",
        "CartPole-v1",
        keywords={
            **BATCHES,
            "learning_rate": lambda progress: 1e-3 * progress,
            "policy_kwargs": {"net_arch": {"pi": [8], "vf": [4]}, "activation_fn": nn.ReLU},
        },
    ),
    "sac": Model("sac", "stable_baselines3:SAC", "Pendulum-v1", keywords=OFF, normalized=True),
    "td3": Model("td3", "stable_baselines3:TD3", "Pendulum-v1", keywords=OFF),
    "ars": Model("ars", "sb3_contrib:ARS", "Pendulum-v1", keywords={"n_delta": 1, "policy_kwargs": {"net_arch": [8]}}),
    "crossq": Model("crossq", "sb3_contrib:CrossQ", "Pendulum-v1", keywords=OFF),
    "maskable_ppo": Model("maskable_ppo", "sb3_contrib:MaskablePPO", "TaxiMasked-v0", keywords=BATCHES),
    "qrdqn": Model(
        "qrdqn",
        "sb3_contrib:QRDQN",
        "CartPole-v1",
        keywords={**OFF, "policy_kwargs": {"net_arch": [8], "n_quantiles": 5}},
    ),
    "ppo_lstm": Model(
        "ppo_lstm",
        "sb3_contrib:RecurrentPPO",
        "CartPole-v1",
        "MlpLstmPolicy",
        {**BATCHES, "policy_kwargs": {"lstm_hidden_size": 8, "net_arch": [8]}},
        normalized=True,
    ),
    "tqc": Model("tqc", "sb3_contrib:TQC", "Pendulum-v1", keywords={**OFF, "ent_coef": 0.1}),
    "trpo": Model("trpo", "sb3_contrib:TRPO", "CartPole-v1", keywords=BATCHES),
    "ars_linear": Model("ars", "sb3_contrib:ARS", "CartPole-v1", "LinearPolicy", {"n_delta": 1}),
    "ppo_pixels": Model(
        "ppo",
        "stable_baselines3:PPO",
        "pixels",
        "CnnPolicy",
        {**BATCHES, "policy_kwargs": {"features_extractor_kwargs": {"features_dim": 8}, "net_arch": []}},
    ),
}
"""One of each of the 13 algorithms, then a linear policy and one that sees images."""


def run_child(folder: Path, jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What reading these files did, in a process of its own under an audit hook."""
    jobs_file, results_file = folder / "jobs.json", folder / "results.json"
    jobs_file.write_text(json.dumps(jobs))
    child = Path(__file__).parents[1] / "hostile_child.py"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONWARNINGS": "ignore"}
    result = subprocess.run(
        [sys.executable, child, jobs_file, results_file],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert result.returncode == 0, f"{result.returncode}: {result.stdout[-300:]} {result.stderr[-4000:]}"
    return json.loads(results_file.read_text())
