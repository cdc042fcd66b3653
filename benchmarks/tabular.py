"""Our tabular algorithms beside the Q-learning loop of the course: speed, and whether Q-learning learns as well.

Usage: `python -m benchmarks.tabular [--repeats 5]`. Every measurement is a process of its own, the sides take turns.
Speed is environment steps per second of CPU time: of the course's whole training, and of ours over many more steps,
both with the course's hyperparameters, through `learn`. Compiling is left out and given beside it. `same_training` is
the ratio of CPU times per step in trainings of the course's length, with everything that `learn` does once, such as
comparing the table with its environment. Learning: greedy episodes after the course's number of episodes, ten seeds a
side.

What was measured is in `results/tabular_speed.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

RESULT = Path(__file__).parent / "results" / "tabular_speed.json"
COURSE: dict[str, Any] = {"learning_rate": 0.7, "gamma": 0.95, "max_epsilon": 1.0, "min_epsilon": 0.05}
LAKE = {**COURSE, "decay_rate": 0.0005}
TASKS: dict[str, dict[str, Any]] = {
    "FrozenLake-v1, no slipping": {
        **{"id": "FrozenLake-v1", "kwargs": {"is_slippery": False}, "n_episodes": 10_000, "hyperparams": LAKE},
    },
    "FrozenLake-v1, slippery": {"id": "FrozenLake-v1", "kwargs": {}, "n_episodes": 10_000, "hyperparams": LAKE},
    "Taxi-v4": {
        **{"id": "Taxi-v4", "kwargs": {}, "n_episodes": 25_000, "hyperparams": {**COURSE, "decay_rate": 0.005}},
    },
}
"""The course's tasks and hyperparameters."""
MAX_STEPS, N_SEEDS, N_STEPS, N_EVALUATED = 99, 10, 20_000_000, 100
OTHERS = ("sarsa", "expected_sarsa", "monte_carlo", "dyna_q", "td0", "mc_prediction")
"""For information: with their own defaults, a tenth of the steps."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--child", nargs=3, metavar=("side", "task", "seed"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        side, task, seed = arguments.child
        print(json.dumps(course(task, int(seed)) if side == "course" else ours(side, task, int(seed))))
        return
    found = {}
    for task in TASKS:
        sides: dict[str, list[dict[str, Any]]] = {"course": [], "q_learning": []}
        for seed in range(N_SEEDS):
            for side, measured in sides.items():
                measured.append(child(side, task, seed))
        for side in OTHERS:
            sides[side] = [child(side, task, seed) for seed in range(min(3, arguments.repeats))]
        found[task] = summary(sides, arguments.repeats)
        print(task, json.dumps({key: value for key, value in found[task].items() if key != "measured"}), flush=True)
    compiled = {side: compiling(side, task) for side in ("q_learning", *OTHERS)}
    about = {"command": "python -m benchmarks.tabular", "date": time.strftime("%Y-%m-%d"), "cpu": platform.processor()}
    versions = {"python": platform.python_version(), "numpy": np.__version__}
    RESULT.write_text(
        json.dumps({**about, **versions, "CPU seconds of a first learn": compiled, "tasks": found}, indent=1) + "\n"
    )


def compiling(side: str, task: str) -> dict[str, float]:
    """CPU seconds of a first short `learn`: with nothing compiled yet, and with machine code of an earlier process."""
    with tempfile.TemporaryDirectory() as folder:
        cold, cached = (child(side, task, 0, NUMBA_CACHE_DIR=folder)["first_learn_cpu_s"] for _ in range(2))
    return {"nothing compiled": cold, "cached": cached}


def child(side: str, task: str, seed: int, **environment: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.tabular", "--child", side, task, str(seed)]
    result = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **environment})
    return json.loads(result.stdout)  # type: ignore[no-any-return]


def summary(sides: dict[str, list[dict[str, Any]]], repeats: int) -> dict[str, Any]:
    rates = {side: statistics.median(one["steps_per_cpu_s"] for one in rows[:repeats]) for side, rows in sides.items()}
    pairs = list(zip(sides["course"], sides["q_learning"], strict=True))
    returns = {side: [one["return"] for one in sides[side]] for side in ("course", "q_learning")}
    difference = np.mean(returns["q_learning"]) - np.mean(returns["course"])
    error = np.sqrt(sum(np.var(each, ddof=1) / len(each) for each in returns.values()))
    return {
        "steps per CPU second": {side: round(rate) for side, rate in rates.items()},
        "times the course": {side: round(rate / rates["course"], 1) for side, rate in rates.items()},
        "same_training": round(
            statistics.median(
                a["cpu_s"] / a["steps"] / (b["same_cpu_s"] / b["same_steps"]) for a, b in pairs[:repeats]
            ),
            1,
        ),
        "mean greedy returns": returns,
        "difference of means": round(float(difference), 4),
        "its 95 % interval": [round(float(difference + sign * 1.96 * error), 4) for sign in (-1, 1)],
        "measured": sides,
    }


def course(task: str, seed: int) -> dict[str, Any]:
    import gymnasium

    from benchmarks.baselines.tabular import train

    about = TASKS[task]
    env = gymnasium.make(about["id"], **about["kwargs"])
    began = time.process_time()
    q_table, n_steps = train(
        env, n_episodes=about["n_episodes"], max_steps=MAX_STEPS, seed=seed, **about["hyperparams"]
    )
    cpu = time.process_time() - began
    return {"steps": n_steps, "cpu_s": cpu, "steps_per_cpu_s": n_steps / cpu, "return": evaluated(q_table, task)}


def ours(name: str, task: str, seed: int) -> dict[str, Any]:
    """Speed over many steps, the training of the course's length, and what compiling takes."""
    import gymnasium
    from stable_baselines3.common.monitor import Monitor
    from stable_baselines3.common.vec_env import DummyVecEnv

    from rlzoo.algos.specs import ALGOS
    from rlzoo.protocols import Algorithm, Callback, Patience
    from rlzoo.registry import load

    about = TASKS[task]
    options = about["hyperparams"] if name == "q_learning" else {}

    class Episodes(Callback):
        def on_step(self, algorithm: Algorithm) -> bool:
            return algorithm.n_episodes < about["n_episodes"]

        def patience(self, algorithm: Algorithm) -> Patience:
            return Patience(episodes=about["n_episodes"] - algorithm.n_episodes)

    def fresh() -> Any:
        env = DummyVecEnv(
            [lambda: Monitor(gymnasium.make(about["id"], max_episode_steps=MAX_STEPS, **about["kwargs"]))]
        )
        return load(ALGOS[name].entry_point)(env, seed=seed, **options)

    began = time.process_time()
    fresh().learn(1000)
    first_learn_cpu = time.process_time() - began
    result: dict[str, Any] = {"first_learn_cpu_s": round(first_learn_cpu, 3)}
    if name == "q_learning":
        algorithm = fresh()
        began = time.process_time()
        algorithm.learn(2**62, [Episodes()])
        result |= {"same_cpu_s": time.process_time() - began, "same_steps": algorithm.num_timesteps}
        result["return"] = evaluated(algorithm.q_values, task)
    n_steps = N_STEPS if name == "q_learning" else N_STEPS // 10
    algorithm = fresh()
    began = time.process_time()
    algorithm.learn(n_steps)
    cpu = time.process_time() - began
    return {**result, "steps": n_steps, "cpu_s": cpu, "steps_per_cpu_s": n_steps / cpu}


def evaluated(q_table: np.ndarray, task: str) -> float:
    """Mean return of greedy episodes from the seeds 10,000 and on."""
    import gymnasium

    env, total = gymnasium.make(TASKS[task]["id"], **TASKS[task]["kwargs"]), 0.0
    for seed in range(10_000, 10_000 + N_EVALUATED):
        state, _ = env.reset(seed=seed)
        for _ in range(MAX_STEPS):
            state, reward, terminated, truncated, _ = env.step(int(q_table[state].argmax()))
            total += float(reward)
            if terminated or truncated:
                break
    return total / N_EVALUATED


if __name__ == "__main__":
    main()
