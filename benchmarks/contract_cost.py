"""What it costs to copy and check what an environment hands over, where nothing of it is known to be needed.

Usage: `python benchmarks/contract_cost.py [--rounds 9]`. The same trainings, each with and without `Contract` around
its environment, in turn in one process; shipped environments have none otherwise. It is CPU seconds that count. The
result is printed and written to `results/contract_cost.json`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

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
KNOWN = old_gym.SPEAK_GYMNASIUM


def seconds(words: tuple[str, ...], n_steps: int, *, checked: bool) -> float:
    """CPU time of one training."""
    cfg = compose(*words, "seed=0")
    set_threads(cfg)
    old_gym.SPEAK_GYMNASIUM = () if checked else KNOWN
    env = make(cfg.env, n_envs=cfg.env.n_envs, seed=0, on_nan="stop")
    try:
        algorithm = create(cfg.algo, env, seed=0, device="cpu")
        began = time.process_time()
        algorithm.learn(n_steps, [], None)
        return time.process_time() - began
    finally:
        env.close()
        old_gym.SPEAK_GYMNASIUM = KNOWN


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=9)
    found: dict[str, dict[str, object]] = {}
    for name, (words, n_steps) in TRAININGS.items():
        seconds(words, n_steps // 4, checked=True)  # imports, and what is compiled at the first use
        ratios, plain = [], []
        for index in range(parser.parse_args().rounds):
            took = {checked: seconds(words, n_steps, checked=checked) for checked in ([False, True][:: (-1) ** index])}
            ratios.append(took[True] / took[False])
            plain.append(took[False])
        quartiles = statistics.quantiles(ratios, n=4)
        found[name] = {
            "cost_percent": round(100 * (statistics.median(ratios) - 1), 2),
            "quartiles_percent": [round(100 * (quartiles[0] - 1), 2), round(100 * (quartiles[2] - 1), 2)],
            "cpu_seconds_without": round(statistics.median(plain), 2),
            "n_steps": n_steps,
            "rounds": len(ratios),
        }
        print(name, json.dumps(found[name]), flush=True)
    RESULT.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
