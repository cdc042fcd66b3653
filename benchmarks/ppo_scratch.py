"""PPO from scratch beside Stable-Baselines3's PPO with the same hyperparameters: speed, and equal learning.

Usage: `python -m benchmarks.ppo_scratch [cartpole lunarlander] [--repeats 5]` measures environment steps per CPU second
of `learn`, in a fresh process with one thread for every training, the variants in turn. `sb3` is Stable-Baselines3 as
its users run it, in environments of `make_vec_env`; `sb3 in rlzoo's environments` and `ppo_scratch` share theirs. The
result is written to `results/ppo_scratch_speed.json`.

`python -m benchmarks.ppo_scratch --learning cartpole` (or `lunarlander`) trains both sides with the tuned set of
`algo=ppo` over its whole budget, seed by seed, and plays every agent on the same episodes. A seed is a line of
`results/ppo_scratch_learning_<env>.jsonl`; those that are there are not trained again. What follows is written to
`results/ppo_scratch_learning_<env>.json`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ENVS = {"cartpole": ("CartPole", "CartPole-v1"), "lunarlander": ("LunarLander", "LunarLander-v3")}
SPEED_STEPS = {"cartpole": 25_600, "lunarlander": 32_768}
VARIANTS = ("sb3", "sb3 in rlzoo's environments", "ppo_scratch")
MARGIN = {"cartpole": 25.0, "lunarlander": 25.0}
"""Points of return: learning is equal if the whole interval of the difference of IQMs lies within; set beforehand."""
N_SEEDS = 10
"""Seeds a side by which learning is judged; more (`--n-seeds`) are reported beside them, not in their place."""
EVALUATION_SEEDS = range(20_000, 20_020)
"""Every agent is played greedily from these seeds, an episode each."""
N_BOOTSTRAP = 10_000
RESULTS = Path(__file__).parent / "results"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("envs", nargs="*", metavar="env", help=" | ".join(ENVS))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--learning", choices=list(ENVS))
    parser.add_argument("--n-seeds", type=int, default=N_SEEDS)
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    if arguments.learning:
        learning(arguments.learning, arguments.n_seeds)
    else:
        speed(arguments.envs or list(ENVS), arguments.repeats)


def speed(envs: list[str], repeats: int) -> None:
    path = RESULTS / "ppo_scratch_speed.json"
    results = json.loads(path.read_text()) if path.is_file() else {}
    for name in envs:
        runs: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
        for _ in range(repeats):
            for variant in VARIANTS:
                runs[variant].append(in_process(_measure, variant, name))
                print(name, variant, runs[variant][-1], "steps per CPU second", flush=True)
        medians = {variant: statistics.median(values) for variant, values in runs.items()}
        results[name] = {
            "hyperparameters": f"hyperparams/ppo/{ENVS[name][0]}.yaml",
            "environment steps": SPEED_STEPS[name],
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end",
            "median steps per CPU second": medians,
            "times sb3": round(medians["ppo_scratch"] / medians["sb3"], 2),
            "times sb3 in rlzoo's environments": round(medians["ppo_scratch"] / medians[VARIANTS[1]], 2),
            "runs": runs,
        }
        print(name, json.dumps({key: value for key, value in results[name].items() if key.startswith("times")}))
        path.write_text(json.dumps(results, indent=1) + "\n")


def learning(name: str, n_seeds: int) -> None:
    path = RESULTS / f"ppo_scratch_learning_{name}.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
    for seed in range(n_seeds):
        for side in ("sb3", "ppo_scratch"):
            if not any(line["side"] == side and line["seed"] == seed for line in lines):
                line = {"side": side, "seed": seed, **in_process(_learn, side, name, seed)}
                lines.append(line)
                with path.open("a") as file:
                    file.write(json.dumps(line) + "\n")
                print(json.dumps(line), flush=True)
    result = compare([line for line in lines if line["seed"] < N_SEEDS], MARGIN[name])
    if any(line["seed"] >= N_SEEDS for line in lines):
        result["with more seeds"] = compare(lines, MARGIN[name])
    path.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


def compare(lines: list[dict[str, Any]], margin: float) -> dict[str, Any]:
    """The difference of the interquartile means over seeds, with a 95 % bootstrap interval over seeds."""
    import numpy as np

    means = {
        side: np.array([line["mean"] for line in sorted(lines, key=lambda line: line["seed"]) if line["side"] == side])
        for side in ("sb3", "ppo_scratch")
    }
    generator = np.random.default_rng(0)
    resampled = {
        side: iqm(values[generator.integers(len(values), size=(N_BOOTSTRAP, len(values)))])
        for side, values in means.items()
    }
    low, high = np.percentile(resampled["ppo_scratch"] - resampled["sb3"], [2.5, 97.5])
    found = {side: float(iqm(values[None])[0]) for side, values in means.items()}
    return {
        "seeds a side": len(means["sb3"]),
        "mean return of every seed": {side: values.round(2).tolist() for side, values in means.items()},
        "iqm": {side: round(value, 2) for side, value in found.items()},
        "difference": round(found["ppo_scratch"] - found["sb3"], 2),
        "interval": [round(float(low), 2), round(float(high), 2)],
        "margin": margin,
        "equal": bool(-margin < low and high < margin),
    }


def iqm(values: Any) -> Any:
    """Interquartile means of rows (n, n_seeds): a quarter of the values, weighted at the edges, is cut off each end."""
    import numpy as np

    ordered, n = np.sort(values, axis=1), values.shape[1]
    covered = np.clip(np.arange(1, n + 1), n / 4, 3 * n / 4) - np.clip(np.arange(n), n / 4, 3 * n / 4)
    return ordered @ covered / covered.sum()


def in_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """The result of a function in a fresh process."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_call, args=(sender, function, arguments))
    process.start()
    sender.close()
    result = receiver.recv()
    process.join()
    return result


def _call(sender: Any, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    sender.send(function(*arguments))


def _measure(variant: str, name: str) -> float:
    algorithm = _create(variant, name, seed=0, total_timesteps=SPEED_STEPS[name])
    algorithm.learn(2_000)  # what is imported and allocated once is not a matter of speed
    begun, steps = time.process_time(), algorithm.num_timesteps
    if variant == "ppo_scratch":
        algorithm.learn(SPEED_STEPS[name] + steps)
    else:
        algorithm.learn(SPEED_STEPS[name], reset_num_timesteps=False)
    return round((algorithm.num_timesteps - steps) / (time.process_time() - begun), 1)


def _learn(side: str, name: str, seed: int) -> dict[str, Any]:
    from rlzoo import compose
    from rlzoo.envs.make import make, set_episode_seeds

    total = compose("algo=ppo", f"env={ENVS[name][0]}").total_timesteps
    variant = VARIANTS[1] if side == "sb3" else side
    algorithm = _create(variant, name, seed=seed, total_timesteps=total)
    begun = time.process_time()
    algorithm.learn(total)
    cpu = time.process_time() - begun
    cfg = compose("algo=ppo", f"env={ENVS[name][0]}", "env.normalize=false").env
    env = make(cfg, n_envs=1, seed=0, training=False)
    returns: list[float] = []
    set_episode_seeds(env, list(EVALUATION_SEEDS))
    observation = env.reset()
    while len(returns) < len(EVALUATION_SEEDS):
        actions, _ = algorithm.predict(observation, deterministic=True)
        observation, _, _, infos = env.step(actions)
        returns += [float(info["episode"]["r"]) for info in infos if "episode" in info]
    mean = statistics.fmean(returns)
    return {"steps": algorithm.num_timesteps, "cpu": round(cpu, 1), "mean": round(mean, 3), "returns": returns}


def _create(variant: str, name: str, *, seed: int, total_timesteps: int) -> Any:
    """An algorithm with the tuned hyperparameters of `algo=ppo`, and the same schedule over the updates."""
    import torch
    from stable_baselines3 import PPO as SB3PPO
    from stable_baselines3.common.env_util import make_vec_env

    from rlzoo import compose
    from rlzoo.algos.create import resolve
    from rlzoo.algos.deep.ppo_scratch import PPO
    from rlzoo.algos.schema.check import find_signature
    from rlzoo.algos.specs import find_spec
    from rlzoo.envs.make import make
    from rlzoo.envs.seeding import seed_everything

    torch.set_num_threads(1)
    config = compose("algo=ppo", f"env={ENVS[name][0]}")
    keywords = resolve(config.algo.hyperparams, find_signature(find_spec("ppo")), policy="MlpPolicy", n_actions=1)
    n_envs = config.env.n_envs
    env = (
        make_vec_env(ENVS[name][1], n_envs=n_envs, seed=seed)
        if variant == "sb3"
        else make(config.env, n_envs=n_envs, seed=seed)
    )
    seed_everything(seed)
    if variant != "ppo_scratch":
        return SB3PPO("MlpPolicy", env, seed=seed, device="cpu", **{k: v for k, v in keywords.items() if k != "policy"})
    shared = ["n_steps", "batch_size", "n_epochs", "gamma", "gae_lambda", "normalize_advantage", "ent_coef"]
    shared += ["max_grad_norm", "clip_range_vf"]
    rollout = config.algo.hyperparams["n_steps"] * n_envs
    n_updates = total_timesteps // rollout

    def as_in_sb3(value: Any) -> Any:
        """Its progress is taken after a rollout, over all steps; ours before, over whole updates."""
        if not callable(value):
            return value
        return lambda progress: value(1 - (n_updates * (1 - progress) + 1) * rollout / total_timesteps)

    return PPO(
        env,
        **{key: keywords[key] for key in shared},
        learning_rate=as_in_sb3(keywords["learning_rate"]),
        clip_range=as_in_sb3(keywords["clip_range"]),
        vf_coef=2 * keywords["vf_coef"],  # of half the squared error
        seed=seed,
        device="cpu",
    )


if __name__ == "__main__":
    main()
