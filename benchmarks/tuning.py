"""Searches hyperparameters and says whether what was found beats Stable-Baselines3's defaults at the same budget.

Usage: `python benchmarks/tuning.py [ppo-CartPole dqn-LunarLander] [--workers 2] [--n-seeds 10]`

The search knows nothing of any tuned set: it begins with the defaults and draws the rest. Its winner, as `save=true`
writes it, and the defaults are then trained on ten seeds that the search never saw. Three numbers of each training
are compared: `last` and `ships`, the mean returns over 100 episodes on the fixed seeds of `eval.seed` of the policy
that it ends with and of the checkpoint that ships (which `rlzoo evaluate`, `record` and `push-to-hub` take), and
`area`, the mean of its ten evaluations on the way. PPO's defaults end with nearly the most that CartPole has, 500,
and nothing is above that; there the search is for the area: what learns faster. An interval is Student's, over
training seeds. The same command goes on after an interruption: with the search, and with the seeds that are not
trained yet. Results go to `benchmarks/results/tune-<name>.json`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import fmean
from typing import Any

from rlzoo.evaluation.evaluate import MIN_SEEDS
from rlzoo.evaluation.plot import evaluation_curve
from rlzoo.runs.run import Run, find_runs
from rlzoo.tuning.race import of_difference, of_mean

RESULTS = Path(__file__).parent / "results"
FIRST_SEED = 100
"""Of the comparison; trials and the comparison inside of the search have drawn ones, of 31 bits."""
RECIPES = {
    "ppo-CartPole": ["algo=ppo", "env=CartPole", "env.n_envs=1", "total_timesteps=20_000"],
    "dqn-LunarLander": ["algo=dqn", "env=LunarLander", "env.n_envs=1", "total_timesteps=50_000"],
}
OBJECTIVE = {"ppo-CartPole": "area", "dqn-LunarLander": "last"}
NUMBERS = ("last", "ships", "area")
SEARCH = ["hyperparams=none", "n_trials=40", "seed=1", "save=true"]
JUDGED = ["eval.final_n_episodes=100", "checkpoint.freq=0", "checkpoint.minutes=0"]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", help=f"of {', '.join(RECIPES)}; all by default")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--n-seeds", type=int, default=10)
    parser.add_argument("--runs-dir", default="runs/tuning", type=Path)
    options = parser.parse_args()
    if options.n_seeds < MIN_SEEDS:
        parser.error(f"an interval takes {MIN_SEEDS} seeds")
    RESULTS.mkdir(exist_ok=True)
    if unknown := set(options.names) - set(RECIPES):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    for name in options.names or RECIPES:
        folder = options.runs_dir / name
        folder.mkdir(parents=True, exist_ok=True)
        how = [*SEARCH, f"objective={OBJECTIVE[name]}"]
        found = search([*RECIPES[name], *how], folder, options.workers)
        report: dict[str, Any] = {"name": name, "words": RECIPES[name], "search words": how, "search": found}
        sides = {"defaults": "none"}
        if found["saved"] is not None:
            sides["found"] = str((folder / found["saved"]).absolute())
            report["set"] = (folder / found["saved"]).read_text()
        for side, hyperparams in sides.items():
            words = [*RECIPES[name], f"hyperparams={hyperparams}", *JUDGED]
            report[side] = train(words, folder / "runs" / side, options.n_seeds, options.workers)
        if "found" in report:
            report["comparison"] = {by: compare(report["found"][by], report["defaults"][by]) for by in NUMBERS}
            report["judged by"] = OBJECTIVE[name]
        (RESULTS / f"tune-{name}.json").write_text(json.dumps(report, indent=1) + "\n")
        show(report)


def search(words: list[str], folder: Path, workers: int) -> dict[str, Any]:
    """Search in a folder: what came of it, and what it took, the comparison at its end included."""
    command = [sys.executable, "-m", "rlzoo", "tune", *words, f"workers={workers}", "--json"]
    began = time.monotonic()
    try:
        done = subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE, text=True)
    finally:
        with (folder / "seconds.txt").open("a") as file:
            file.write(f"{time.monotonic() - began:.0f}\n")
    found = json.loads(done.stdout)
    found["wall_seconds"] = sum(map(int, (folder / "seconds.txt").read_text().split()))
    found["workers"] = workers
    return found


def train(words: list[str], runs_dir: Path, n_seeds: int, n_jobs: int) -> dict[str, Any]:
    """Train on every seed that is not trained yet: the mean return of each, with the interval of their mean."""
    runs = finished(runs_dir)
    if todo := sorted(set(range(FIRST_SEED, FIRST_SEED + n_seeds)) - set(runs)):
        seeds = f"seed={','.join(map(str, todo))}"
        places = [f"n_jobs={n_jobs}", f"runs_dir={runs_dir.absolute()}"]
        command = [sys.executable, "-m", "rlzoo", "train", "-m", *words, seeds, *places]
        subprocess.run(command, check=True, stdout=sys.stderr)
        runs = finished(runs_dir)
    found = [runs[seed] for seed in sorted(runs)]
    return {
        "seeds": sorted(runs),
        "last": of_seeds([at_the_end(run)["last"] for run in found]),
        "ships": of_seeds([at_the_end(run)["ships"] for run in found]),
        "area": of_seeds([fmean(evaluation_curve(run).means) for run in found]),
        "versions": found[0].read_info()["versions"],
    }


def finished(runs_dir: Path) -> dict[int, Run]:
    """The runs of a folder that were trained and evaluated to their end, by seed."""
    runs = find_runs(runs_dir) if runs_dir.is_dir() else []
    return {run.read_config()["seed"]: run for run in runs if run.read_info().get("status") == "finished"}


def at_the_end(run: Run) -> dict[str, float]:
    """The mean returns of the last checkpoint and of the one that ships in the evaluation at the end."""
    entries = run.read_results()
    ships = next(each["mean_reward"] for each in entries if each["ships"])
    return {"last": next(each["mean_reward"] for each in entries if each["checkpoint"] == "last"), "ships": ships}


def of_seeds(scores: list[float]) -> dict[str, Any]:
    interval = of_mean(scores)
    assert interval is not None
    return {"scores": scores, "mean": interval.mean, "ci": [interval.low, interval.high]}


def compare(found: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """By what the set that was found is better, by Welch, and whether the two intervals lie apart."""
    return {
        "difference": of_difference(found["scores"], defaults["scores"]),
        "apart": found["ci"][0] > defaults["ci"][1],
    }


def show(report: dict[str, Any]) -> None:
    found, cost = report["search"], report["search"]["cost"]
    counts = ", ".join(f"{count} {state}" for state, count in found["trials"].items())
    spent = f"{cost['steps']:,} steps, {cost['cpu_hours']:.2f} CPU hours, {found['wall_seconds']} s"
    print(f"{report['name']}: {counts}; {spent}")
    for by in NUMBERS:
        for side in ("defaults", "found"):
            if side in report:
                low, high = report[side][by]["ci"]
                print(f"  {by:5} {side:8} {report[side][by]['mean']:8.2f} [{low:.2f}, {high:.2f}]")
        if "comparison" in report:
            difference = report["comparison"][by]["difference"]
            how = "intervals apart" if report["comparison"][by]["apart"] else "they overlap"
            print(f"        better by {difference.mean:.2f} [{difference.low:.2f}, {difference.high:.2f}]; {how}")
    if "comparison" not in report:
        print("  the search found nothing better than the defaults")


if __name__ == "__main__":
    main()
