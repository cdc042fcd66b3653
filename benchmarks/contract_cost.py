"""What it costs to copy and check what an environment hands over, where nothing of it is known to be needed.

Usage: `python benchmarks/contract_cost.py [--rounds 200]`. Two environments, one with `Contract` around it and one
without, as shipped ones are, take the same steps in turn, a few at a time: what the difference is of the CPU time that
the quickest of some trainings takes for a step. It is printed and written to `results/contract_cost.json`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

from rlzoo.algos.create import create
from rlzoo.envs import make, old_gym
from rlzoo.training.preflight import compose
from rlzoo.training.train import set_threads

RESULT = Path(__file__).parent / "results" / "contract_cost.json"
TRAININGS = {
    "ppo CartPole": (("algo=ppo", "env=CartPole", "hyperparams=none"), 6144),
    "ppo LunarLander": (("algo=ppo", "env=LunarLander", "hyperparams=none"), 6144),
    "dqn SpaceInvaders": (
        ("algo=dqn", "env=SpaceInvaders", "algo.learning_starts=200", "algo.buffer_size=2000", "env.n_envs=1"),
        1000,
    ),
}
N_TRAININGS = 4
N_STEPS = 100
"""In a row, of each of the two."""
KNOWN = old_gym.SPEAK_GYMNASIUM


def made(words: tuple[str, ...], *, checked: bool) -> Any:
    cfg = compose(*words, "seed=0")
    set_threads(cfg)
    old_gym.SPEAK_GYMNASIUM = () if checked else KNOWN
    env = make(cfg.env, n_envs=cfg.env.n_envs, seed=0, on_nan="stop")
    old_gym.SPEAK_GYMNASIUM = KNOWN
    return cfg, env


def trained(words: tuple[str, ...], n_steps: int) -> float:
    """CPU microseconds of a step of a training, as many times as it takes to be left alone once."""
    took = []
    for _ in range(N_TRAININGS):
        cfg, env = made(words, checked=False)
        algorithm = create(cfg.algo, env, seed=0, device="cpu")
        began = time.process_time()
        algorithm.learn(n_steps, [], None)
        took.append((time.process_time() - began) / n_steps)
        env.close()
    return 1e6 * min(took)


def added(words: tuple[str, ...], n_rounds: int) -> tuple[float, float, list[float]]:
    """CPU microseconds of a step without and with the contract, and the quartiles of the difference."""
    envs = [made(words, checked=checked)[1] for checked in (False, True)]
    for env in envs:
        env.reset()
    generator = np.random.default_rng(0)
    took: tuple[list[float], list[float]] = ([], [])
    for index in range(n_rounds):
        actions = [np.array([envs[0].action_space.sample() for _ in range(envs[0].num_envs)]) for _ in range(N_STEPS)]
        for which in generator.permutation(2) if index else (0, 1):
            began = time.process_time()
            for action in actions:
                envs[which].step(action)
            took[which].append(1e6 * (time.process_time() - began) / N_STEPS / envs[0].num_envs)
    for env in envs:
        env.close()
    differences = [one - other for one, other in zip(took[1], took[0], strict=True)]
    quartiles = statistics.quantiles(differences, n=4)
    return statistics.median(took[0]), statistics.median(differences), [quartiles[0], quartiles[2]]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=200)
    n_rounds = parser.parse_args().rounds
    found: dict[str, dict[str, object]] = {}
    for name, (words, n_steps) in TRAININGS.items():
        step, more, quartiles = added(words, n_rounds)
        whole = trained(words, n_steps)
        found[name] = {
            "training_us_per_step": round(whole, 1),
            "environment_us_per_step": round(step, 1),
            "contract_us_per_step": round(more, 2),
            "quartiles_us": [round(each, 2) for each in quartiles],
            "cost_percent": round(100 * more / whole, 2),
            "rounds": n_rounds,
        }
        print(name, json.dumps(found[name]), flush=True)
    RESULT.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
