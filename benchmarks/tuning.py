"""Searches hyperparameters and says whether what was found beats Stable-Baselines3's defaults at the same budget.

Usage: `python benchmarks/tuning.py [ppo-CartPole dqn-LunarLander] [--workers 2] [--n-seeds 10]`

The search knows nothing of any tuned set: it begins with the defaults and draws the rest. Its winner, as `save=true`
writes it, and the defaults are then trained on ten seeds that the search never saw, and the policy that each training
ends with plays 100 episodes on the fixed seeds of `eval.seed`. An interval is Student's, over training seeds. A search
that was interrupted goes on. Results go to `benchmarks/results/tune-<name>.json`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from rlzoo.runs import find_runs
from rlzoo.tuning.intervals import of_difference, of_mean

RESULTS = Path(__file__).parent / "results"
FIRST_SEED = 100
"""Of the comparison; trials and the comparison inside of the search have drawn ones, of 31 bits."""
RECIPES = {
    "ppo-CartPole": ["algo=ppo", "env=CartPole", "env.n_envs=1", "total_timesteps=20_000"],
    "dqn-LunarLander": ["algo=dqn", "env=LunarLander", "env.n_envs=1", "total_timesteps=50_000"],
}
EXTRA = {"ppo-CartPole": ["seeds_per_trial=3", "top_k=5"], "dqn-LunarLander": []}
"""On CartPole the defaults are close to the most that there is: what one seed says about a set is mostly luck."""
SEARCH = ["hyperparams=none", "n_trials=40", "seed=1", "save=true"]
JUDGED = ["eval.freq=0", "eval.final_n_episodes=100", "checkpoint.freq=0"]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", default=list(RECIPES), choices=[*RECIPES, []])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--n-seeds", type=int, default=10)
    parser.add_argument("--runs-dir", default="runs/tuning", type=Path)
    options = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    for name in options.names:
        folder = options.runs_dir / name
        folder.mkdir(parents=True, exist_ok=True)
        how = [*SEARCH, *EXTRA[name]]
        found = search([*RECIPES[name], *how], folder, options.workers)
        report: dict[str, Any] = {"name": name, "words": RECIPES[name], "search words": how, "search": found}
        seeds = f"seed=range({FIRST_SEED},{FIRST_SEED + options.n_seeds})"
        sides = {"defaults": "none"}
        if found["saved"] is not None:
            sides["found"] = str((folder / found["saved"]).absolute())
            report["set"] = (folder / found["saved"]).read_text()
        for side, hyperparams in sides.items():
            words = [*RECIPES[name], f"hyperparams={hyperparams}", *JUDGED, seeds]
            report[side] = train(words, folder, side, options.workers)
        if "found" in report:
            scores, others = report["found"]["scores"], report["defaults"]["scores"]
            report["difference"] = of_difference(scores, others)
            report["apart"] = report["found"]["ci"][0] > report["defaults"]["ci"][1]
        (RESULTS / f"tune-{name}.json").write_text(json.dumps(report, indent=1) + "\n")
        show(report)


def search(words: list[str], folder: Path, workers: int) -> dict[str, Any]:
    """Search in a folder: what came of it, and what it took, the comparison at its end included."""
    command = [sys.executable, "-m", "rlzoo", "tune", *words, f"workers={workers}", "--json"]
    began = time.monotonic()
    done = subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE, text=True)
    (folder / "seconds.txt").open("a").write(f"{time.monotonic() - began:.0f}\n")
    found = json.loads(done.stdout)
    found["wall_seconds"] = sum(map(int, (folder / "seconds.txt").read_text().split()))
    found["workers"] = workers
    return found


def train(words: list[str], folder: Path, side: str, n_jobs: int) -> dict[str, Any]:
    """Train on every seed: the mean return of each, with the interval of their mean."""
    runs_dir = folder / "runs" / side
    if not runs_dir.is_dir():
        command = [
            sys.executable,
            "-m",
            "rlzoo",
            "train",
            "-m",
            *words,
            f"n_jobs={n_jobs}",
            f"runs_dir={runs_dir.absolute()}",
        ]
        subprocess.run(command, cwd=folder, check=True, stdout=sys.stderr)
    runs = sorted(find_runs(runs_dir), key=lambda run: run.read_config()["seed"])
    finals = [next(each for each in run.read_results() if each["checkpoint"] == "last") for run in runs]
    scores = [final["mean_reward"] for final in finals]
    interval = of_mean(scores)
    assert interval is not None
    return {
        "seeds": [run.read_config()["seed"] for run in runs],
        "scores": scores,
        "n_episodes": finals[0]["n_episodes"],
        "mean": interval.mean,
        "ci": [interval.low, interval.high],
        "versions": runs[0].read_info()["versions"],
    }


def show(report: dict[str, Any]) -> None:
    found, cost = report["search"], report["search"]["cost"]
    counts = ", ".join(f"{count} {state}" for state, count in found["trials"].items())
    spent = f"{cost['steps']:,} steps, {cost['cpu_hours']:.2f} CPU hours, {found['wall_seconds']} s"
    print(f"{report['name']}: {counts}; {spent}")
    for side in ("defaults", "found"):
        if side in report:
            each = report[side]
            low, high = each["ci"]
            print(f"  {side:8} {each['mean']:8.2f} [{low:.2f}, {high:.2f}] over {len(each['seeds'])} seeds")
    if "difference" not in report:
        print("  the search found nothing better than the defaults")
        return
    difference = report["difference"]
    how = "apart" if report["apart"] else "overlapping"
    print(f"  better by {difference.mean:.2f} [{difference.low:.2f}, {difference.high:.2f}]; the intervals are {how}")


if __name__ == "__main__":
    main()
