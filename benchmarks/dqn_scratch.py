"""Environment steps per CPU second of `dqn_scratch` and of Stable-Baselines3's DQN, and memory per transition.

Usage: `python -m benchmarks.dqn_scratch [CartPole SpaceInvaders] [--pairs 3]`. Both train the same network with the
same hyperparameters in the same environments on one thread, in turn, each in a process of its own. What is counted
begins after the warm-up and ends with the training; environments are included. The result is written to
`results/dqn_scratch_speed.json`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import platform
import statistics
import time
from pathlib import Path
from typing import Any

ALWAYS = ["hyperparams=none", "seed=0", "algo.exploration_fraction=1e-6", "logger=[]"]  # greedy steps from the start
SETTINGS = {
    # the tuned set of dqn, hyperparams/dqn/CartPole.yaml
    "CartPole": [
        *("env=CartPole", "total_timesteps=5000", "algo.learning_starts=1000", "algo.learning_rate=0.0023"),
        *("algo.batch_size=64", "algo.buffer_size=100000", "algo.target_update_interval=10", "algo.train_freq=256"),
        *("algo.gradient_steps=128", "algo.exploration_final_eps=0.04"),
    ],
    # the course's set, hyperparams/dqn/SpaceInvaders.yaml, with a smaller buffer and an earlier start
    "SpaceInvaders": [
        *("env=SpaceInvaders", "total_timesteps=1500", "algo.learning_starts=500", "algo.buffer_size=10000"),
        *("algo.target_update_interval=1000", "algo.exploration_final_eps=0.01"),
    ],
}
SIDES = {
    "dqn": {"CartPole": ["algo.policy_kwargs={net_arch: [256, 256]}"]},
    "dqn_scratch": {"CartPole": ["algo.net_arch=[256, 256]"]},
    "dqn_scratch, all options": {"CartPole": ["algo.net_arch=[256, 256]"]},
}
OPTIONS = ["algo.double=true", "algo.dueling=true", "algo.prioritized=true", "algo.n_steps=3"]
RESULT = Path(__file__).parent / "results" / "dqn_scratch_speed.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("settings", nargs="*", metavar="setting", help=" | ".join(SETTINGS))
    parser.add_argument("--pairs", type=int, default=3)
    arguments = parser.parse_args()
    results = json.loads(RESULT.read_text()) if RESULT.is_file() else {}
    for name in arguments.settings or SETTINGS:
        found: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
        for _ in range(arguments.pairs):
            for side in SIDES:
                found[side].append(measure(words(side, name)))
                print(name, side, found[side][-1], flush=True)
        results[name] = {"words": SETTINGS[name], **summary(found)}
        print(json.dumps(results[name], indent=1))
        RESULT.write_text(json.dumps({**results, "machine": machine()}, indent=1) + "\n")


def words(side: str, name: str) -> list[str]:
    algo, _, options = side.partition(", ")
    return [f"algo={algo}", *ALWAYS, *SETTINGS[name], *SIDES[side].get(name, []), *(OPTIONS if options else [])]


def summary(found: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    rates = {side: [row["steps per CPU second"] for row in rows] for side, rows in found.items()}
    medians = {side: statistics.median(values) for side, values in rates.items()}
    ratios = {
        side: round(statistics.median(mine / theirs for mine, theirs in zip(values, rates["dqn"], strict=True)), 2)
        for side, values in rates.items()
    }
    return {
        "median steps per CPU second": medians,
        "median ratio to dqn": ratios,
        "bytes per transition": {side: rows[0]["bytes per transition"] for side, rows in found.items()},
        "steps per CPU second": rates,
    }


def machine() -> dict[str, Any]:
    from importlib.metadata import version

    packages = {package: version(package) for package in ("torch", "stable_baselines3", "numpy")}
    return {"python": platform.python_version(), "processor": platform.machine(), "threads": 1, **packages}


def measure(request: list[str]) -> dict[str, float]:
    """One training in a fresh process."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_train, args=(request, sender))
    process.start()
    sender.close()
    result: dict[str, float] = receiver.recv()
    process.join()
    return result


def _train(request: list[str], sender: Any) -> None:
    import numpy as np
    import torch

    from rlzoo.algos.create import create
    from rlzoo.config.compose import compose
    from rlzoo.config.parse import parse
    from rlzoo.envs.make import make
    from rlzoo.protocols import Callback

    torch.set_num_threads(1)
    config = parse(compose("train", request).values)
    env = make(config.env, n_envs=1, seed=0)
    algorithm: Any = create(config.algo, env, seed=0, device="cpu")
    starts = int(config.algo.hyperparams["learning_starts"]) + 300  # what is used for the first time is warm by then

    class Clock(Callback):
        begun = 0.0

        def on_step(self, algorithm: Any) -> bool:
            if algorithm.num_timesteps == starts:
                self.begun = time.process_time()
            return True

    clock = Clock()
    algorithm.learn(config.total_timesteps, [clock])
    seconds = time.process_time() - clock.begun
    arrays = [array for _, array in algorithm.replay_buffer.arrays()]
    if tree := getattr(algorithm.replay_buffer.buffer, "tree", None):
        arrays.append(tree.nodes)
    n_bytes = sum(np.asarray(array).nbytes for array in arrays)
    sender.send(
        {
            "steps per CPU second": round((algorithm.num_timesteps - starts) / seconds, 1),
            "bytes per transition": round(n_bytes / int(config.algo.hyperparams["buffer_size"])),
        }
    )
    env.close()


if __name__ == "__main__":
    main()
