"""Trains algorithms of rlzoo's own on a small environment and writes their learning curves to `results/curves/`.

Usage: `python benchmarks/curves.py [algo ...] [--seeds 0,1,2] [--jobs 1] [--runs-dir runs/curves]`

A curve is a CSV file with what every seed measured, and the command and the versions in comments above. `make docs`
draws it on the page of the algorithm. An algorithm is measured if it has a row in `CURVES`.
"""

from __future__ import annotations

import argparse
import csv
import math
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rlzoo.runs.run import Run, find_runs

RESULTS = Path(__file__).parent / "results" / "curves"
PACKAGES = ("hydra-rlzoo", "torch", "gymnasium", "numpy")


@dataclass(frozen=True)
class Curve:
    """What one algorithm is measured by.

    Attributes:
        words: what `rlzoo train` gets besides `algo=` and the seeds.
        column: of `metrics.csv`; None is the mean reward of evaluations.
        name: of the column in the result, `mean_reward` or what the column of `metrics.csv` says, with its unit.
    """

    words: str
    column: str | None = None
    name: str = "mean_reward"


FROZEN_LAKE = "env=FrozenLake env.kwargs.is_slippery=false total_timesteps=5_000 eval.freq=100 eval.n_episodes=1"
"""Without slipping one greedy episode says all: every other one is the same."""
SEARCH = "env=CartPole total_timesteps=40_000 eval.freq=2_000 eval.n_episodes=10"
CART_POLE = "env=CartPole total_timesteps=100_000 eval.freq=5_000 eval.n_episodes=10"
VALUES = Curve("env=FrozenLake total_timesteps=50_000", "train/value_mean", "mean_value_of_states")
CURVES = {
    "q_learning": Curve(FROZEN_LAKE),
    "sarsa": Curve(FROZEN_LAKE),
    "expected_sarsa": Curve(FROZEN_LAKE),
    "monte_carlo": Curve(FROZEN_LAKE),
    "dyna_q": Curve(FROZEN_LAKE),
    "mc_prediction": VALUES,
    "td0": VALUES,
    "reinforce": Curve(CART_POLE),
    "actor_critic": Curve(CART_POLE),
    "ppo_scratch": Curve(CART_POLE),
    "dqn_scratch": Curve("env=CartPole total_timesteps=15_000 eval.freq=1_000 eval.n_episodes=5"),
    "hill_climbing": Curve(SEARCH),
    "simulated_annealing": Curve(SEARCH),
    "cem": Curve(SEARCH),
    "evolution_strategies": Curve(SEARCH),
}
"""How algorithms are measured. Planning has no training to draw."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", default=list(CURVES), choices=[*CURVES, []])
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--runs-dir", default="runs/curves")
    options = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    for name in options.names:
        measure(name, options.seeds, options.jobs, Path(options.runs_dir) / f"{name}-{datetime.now(UTC):%Y%m%d-%H%M%S}")


def measure(name: str, seeds: str, jobs: int, folder: Path) -> None:
    """Train one algorithm and write its curve; the runs stay in `folder`."""
    curve = CURVES[name]
    words = ["train", "-m", f"algo={name}", *curve.words.split(), f"seed={seeds}"]
    subprocess.run(
        [sys.executable, "-m", "rlzoo", *words, f"n_jobs={jobs}", "logger=csv", f"runs_dir={folder}"], check=True
    )
    runs = sorted(find_runs(folder), key=lambda run: run.read_config()["seed"])
    lines = [f"# {key}: {value}" for key, value in about(["rlzoo", *words], runs[-1], curve).items()]
    lines.append(f"seed,timesteps,{curve.name}")
    for run in runs:
        seed = run.read_config()["seed"]
        lines += [f"{seed},{timesteps},{value:.6g}" for timesteps, value in points(run, curve)]
    path = RESULTS / f"{name}.csv"
    path.write_text("\n".join(lines) + "\n")
    print(f"wrote {path}")


def about(command: list[str], run: Run, curve: Curve) -> dict[str, str]:
    """What the comments above a curve say."""
    config, info = run.read_config(), run.read_info()
    versions = ", ".join(f"{package} {info['versions'][package]}" for package in PACKAGES)
    kwargs = ", ".join(f"{key}={value}" for key, value in config["env"]["kwargs"].items())
    return {
        "command": " ".join(command),
        "environment": config["env"]["id"] + (f" ({kwargs})" if kwargs else ""),
        "point": f"{curve.column} of metrics.csv" if curve.column else evaluation(run),
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "versions": f"Python {info['python']}, {versions}",
    }


def evaluation(run: Run) -> str:
    """What one evaluation of a run is."""
    with run.evaluations_file.open(newline="") as file:
        first = next(csv.DictReader(file))
    kind = "greedy" if first["deterministic"] == "True" else "sampled"
    return f"{first['n_episodes']} episode{'s' if int(first['n_episodes']) > 1 else ''}, {kind} actions"


def points(run: Run, curve: Curve) -> Iterator[tuple[int, float]]:
    """The steps and the value of every measurement of a run."""
    file, step, column = (
        (run.evaluations_file, "timesteps", "mean_reward")
        if curve.column is None
        else (run.metrics_file, "step", curve.column)
    )
    with file.open(newline="") as opened:
        for row in csv.DictReader(opened):
            if row[column] and math.isfinite(float(row[column])):
                yield int(row[step]), float(row[column])


if __name__ == "__main__":
    main()
