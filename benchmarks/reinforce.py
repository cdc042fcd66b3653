"""Our REINFORCE beside the loop of the Deep RL Course: speed, and whether it learns as well.

Usage: `python -m benchmarks.reinforce [--repeats 5] [--env CartPole]` for the speed, `--learning` for the returns of
ten seeds a side. Every measurement is a process of its own, and the two sides take turns. Speed is environment steps
per second of CPU time (process time, imports and construction left out) over the first steps of a training; ours goes
through rlzoo's own environments, the course's through `gymnasium.make`. The share of the environment is the time that
the same actions take without anybody choosing them.

What was measured is in `results/reinforce_speed.json` and `results/reinforce_learning.json`.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).parent / "results"
SETS: dict[str, dict[str, Any]] = {
    "CartPole": {"id": "CartPole-v1", "hidden": [16], "learning_rate": 0.01, "gamma": 1.0, "max_steps": 1000},
    "Pixelcopter": {
        "id": "Pixelcopter-PLE-v0",
        "hidden": [64, 128],
        "learning_rate": 0.0001,
        "gamma": 0.99,
        "max_steps": 10_000,
    },
}
"""The course's hyperparameters."""
SIDES = ("course", "ours")
N_EPISODES, N_SEEDS = 1000, 10
EVALUATION_SEEDS = range(10_000, 10_020)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=50_000)
    parser.add_argument("--env", choices=SETS, nargs="*", default=list(SETS))
    parser.add_argument("--learning", action="store_true")
    parser.add_argument("--one", nargs=4, metavar=("WHAT", "SIDE", "ENV", "SEED"), help="a single measurement")
    options = parser.parse_args()
    if options.one:
        what, side, env, seed = options.one
        measure = learn if what == "learning" else speed
        print(json.dumps(measure(side, env, int(seed), options.steps)))
    elif options.learning:
        measure_learning()
    else:
        measure_speed(options.env, options.repeats, options.steps)


def measure_speed(envs: list[str], repeats: int, steps: int) -> None:
    file = RESULTS / "reinforce_speed.json"
    rows = json.loads(file.read_text())["environments"] if file.exists() else {}
    for env in envs:
        runs: dict[str, list[dict]] = {side: [] for side in SIDES}
        for repeat in range(repeats):
            for side in SIDES:
                runs[side].append(in_process("speed", side, env, repeat, steps))
        rows[env] = {"steps": steps, "repeats": repeats}
        for side in SIDES:
            rows[env][side] = {key: statistics.median(run[key] for run in runs[side]) for key in runs[side][0]} | {
                "steps_per_second_of_each": [run["steps_per_second"] for run in runs[side]]
            }
        course, ours = (rows[env][side] for side in SIDES)
        rows[env]["ratio"] = statistics.median(
            one["steps_per_second"] / other["steps_per_second"]
            for one, other in zip(runs["ours"], runs["course"], strict=True)
        )
        rows[env]["ratio_without_environment"] = course["own_microseconds"] / ours["own_microseconds"]
        print(env, json.dumps(rows[env], indent=1))
        write(file, {**circumstances(), "environments": rows})


def measure_learning() -> None:
    file = RESULTS / "reinforce_learning.json"
    runs: dict[str, list[dict]] = {side: [] for side in SIDES}
    for seed in range(N_SEEDS):
        for side in SIDES:
            runs[side].append(in_process("learning", side, "CartPole", seed, 0))
            print(seed, side, runs[side][-1], flush=True)
        measured = {**circumstances(), "n_episodes": N_EPISODES, "evaluation_seeds": list(EVALUATION_SEEDS), **runs}
        for score in ("evaluation_mean", "last_100_mean"):
            course, ours = (np.array([run[score] for run in runs[side]]) for side in SIDES)
            measured[f"{score}_of_course_and_ours"] = [float(course.mean()), float(ours.mean())]
            measured[f"{score}_difference_95"] = difference(ours, course)
        write(file, measured)
    print(json.dumps({key: value for key, value in measured.items() if key not in SIDES}, indent=1))


def difference(one: np.ndarray, other: np.ndarray) -> list[float]:
    """Difference of the means, and its 95 % interval by bootstrap over the seeds of each side."""
    rng = np.random.default_rng(0)
    means = [rng.choice(side, (10_000, len(side))).mean(axis=1) for side in (one, other)]
    return [float(one.mean() - other.mean()), *map(float, np.percentile(means[0] - means[1], [2.5, 97.5]))]


def in_process(what: str, side: str, env: str, seed: int, steps: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.reinforce", "--steps", str(steps), "--one", what, side, env, str(seed)]
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=RESULTS.parents[1])
    measured: dict[str, float] = json.loads(result.stdout)
    return measured


def speed(side: str, name: str, seed: int, steps: int) -> dict[str, float]:
    """Of a training's first steps, and of the same actions again in a new environment."""
    run = course_run if side == "course" else our_run
    taken, seconds = run(name, seed, steps)
    actions: list[Any] = []
    run(name, seed, steps, actions)
    env, step, reset = (course_env if side == "course" else our_env)(name, seed)
    begin = time.process_time()
    reset()
    for action in actions:
        if step(action):
            reset()
    env_seconds = time.process_time() - begin
    env.close()
    return {
        "steps_per_second": taken / seconds,
        "microseconds": 1e6 * seconds / taken,
        "env_microseconds": 1e6 * env_seconds / taken,
        "own_microseconds": 1e6 * (seconds - env_seconds) / taken,
    }


def course_run(name: str, seed: int, steps: int, actions: list[Any] | None = None) -> tuple[int, float]:
    """Steps and CPU seconds of a training; what it does is written down in `actions`."""
    from benchmarks.baselines import reinforce

    env, policy, options = course_side(name, seed)
    if actions is not None:
        env.step = noting(env.step, actions)
    begin = time.process_time()
    scores = reinforce.train(env, policy, n_steps=steps, seed=seed, **options)
    return sum(length for _, length in scores), time.process_time() - begin


def our_run(name: str, seed: int, steps: int, actions: list[Any] | None = None) -> tuple[int, float]:
    """The same of ours."""
    algorithm = our_side(name, seed)
    if actions is not None:
        algorithm.env.step = noting(algorithm.env.step, actions)
    begin = time.process_time()
    algorithm.learn(steps)
    return algorithm.num_timesteps, time.process_time() - begin


def noting(step: Callable[[Any], Any], actions: list[Any]) -> Callable[[Any], Any]:
    def noted(action: Any) -> Any:
        actions.append(action)
        return step(action)

    return noted


def course_env(name: str, seed: int) -> tuple[Any, Callable[[Any], bool], Callable[[], Any]]:
    """The environment, a step of it that says whether the episode is over, and its reset."""
    env, _, _ = course_side(name, seed)

    def step(action: Any) -> bool:
        _, _, terminated, truncated, _ = env.step(action)
        return bool(terminated or truncated)

    seeds = iter([seed])
    return env, step, lambda: env.reset(seed=next(seeds, None))


def our_env(name: str, seed: int) -> tuple[Any, Callable[[Any], bool], Callable[[], Any]]:
    """The same of ours, which resets by itself."""
    algorithm = our_side(name, seed)
    resets = iter([algorithm.env.reset])

    def step(action: Any) -> bool:
        algorithm.env.step(action)
        return False

    return algorithm.env.env, step, next(resets)


def course_side(name: str, seed: int) -> tuple[Any, Any, dict[str, Any]]:
    """Environment, policy and keywords of the course's loop."""
    import gymnasium
    import torch

    from benchmarks.baselines.reinforce import Policy
    from rlzoo.envs import registration

    registration.register()
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    chosen = SETS[name]
    env = gymnasium.make(chosen["id"])
    policy = Policy(env.observation_space.shape[0], env.action_space.n, chosen["hidden"])  # type: ignore
    return env, policy, {key: chosen[key] for key in ("learning_rate", "gamma", "max_steps")}


def our_side(name: str, seed: int) -> Any:
    """Our algorithm on our environments, as `rlzoo train` builds them."""
    import torch

    from rlzoo import compose
    from rlzoo.algos.create import create
    from rlzoo.envs.make import make

    torch.set_num_threads(1)
    chosen = SETS[name]
    words = [f"algo.{key}={chosen[key]}" for key in ("learning_rate", "gamma")]
    words += [f"algo.net_arch={chosen['hidden']}", f"seed={seed}", f"env.max_steps={limit(chosen)}"]
    cfg = compose("algo=reinforce", f"env={name}", "hyperparams=none", *words)
    env = make(cfg.env, n_envs=1, seed=seed, gamma=chosen["gamma"], on_nan=cfg.on_nan)
    return create(cfg.algo, env, seed=seed, device="cpu")


def limit(chosen: dict[str, Any]) -> str:
    """Steps of an episode at most, where the environment has no limit of its own."""
    return "null" if chosen["id"] == "CartPole-v1" else str(chosen["max_steps"])


def learn(side: str, name: str, seed: int, _steps: int) -> dict[str, float]:
    """A whole training, and an evaluation of what it ends with, actions drawn as in training."""
    scores, act, env = (learn_course if side == "course" else learn_ours)(name, seed)
    returns = []
    for evaluation_seed in EVALUATION_SEEDS:
        observation, total, over = env.reset(seed=evaluation_seed)[0], 0.0, False
        while not over:
            observation, reward, terminated, truncated, _ = env.step(act(observation))
            total, over = total + float(reward), terminated or truncated
        returns.append(total)
    return {
        "evaluation_mean": float(np.mean(returns)),
        "evaluation_std": float(np.std(returns)),
        "last_100_mean": float(np.mean(scores[-100:])),
        "mean_of_all": float(np.mean(scores)),
        "n_episodes": len(scores),
    }


def learn_course(name: str, seed: int) -> tuple[list[float], Callable[[Any], int], Any]:
    """Returns of the training, the policy, a new environment."""
    import torch

    from benchmarks.baselines import reinforce

    env, policy, options = course_side(name, seed)
    scores = reinforce.train(env, policy, n_episodes=N_EPISODES, seed=seed, **options)
    torch.manual_seed(seed)
    return [score for score, _ in scores], lambda observation: policy.act(observation)[0], course_side(name, seed)[0]


def learn_ours(name: str, seed: int) -> tuple[list[float], Callable[[Any], int], Any]:
    """The same of ours."""
    from rlzoo.protocols import Algorithm, Callback

    class Episodes(Callback):
        def on_step(self, algorithm: Algorithm) -> bool:
            return algorithm.n_episodes < N_EPISODES

    algorithm = our_side(name, seed)
    scores: list[float] = []
    real = algorithm.env.step

    def step(actions: Any) -> Any:
        taken = real(actions)
        scores.extend(score for score, _ in taken.episodes)
        return taken

    algorithm.env.step = step
    algorithm.learn(10**9, [Episodes()])
    np.random.seed(seed)
    return scores, lambda observation: int(algorithm.predict(observation)[0]), course_side(name, seed)[0]


def circumstances() -> dict[str, Any]:
    import gymnasium
    import torch

    versions = {"torch": torch.__version__, "numpy": np.__version__, "gymnasium": gymnasium.__version__}
    return {"python": platform.python_version(), **versions, "machine": platform.machine()}


def write(file: Path, measured: dict[str, Any]) -> None:
    file.write_text(json.dumps(measured, indent=1) + "\n")


if __name__ == "__main__":
    main()
