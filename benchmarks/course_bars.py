"""Trains what the Deep RL Course certifies and says whether it reaches the course's bar (mean - std).

Usage: `python benchmarks/course_bars.py [name ...] [--seeds 0,1,2] [--jobs 2] [--words key=value ...]`

Every seed is trained by the shipped tuned set or experiment. The final evaluation plays 10 episodes (100 in unit 2) on
fixed seeds (eval.seed in `conf/train.yaml`, eval.seeds for Taxi), decided before any training; a second draw plays 100
episodes on other seeds. `last` and, if it is evaluated on the way, `best` are both reported. Results go to
`benchmarks/results/<name>.json`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from rlzoo import course

RESULTS = Path(__file__).parent / "results"
SECOND_DRAW = range(500_000, 500_100)
COURSE = Path(__file__).parents[1] / "conf" / "experiment" / "unit2_taxi.yaml"
TAXI_STARTS = f"eval.seeds={yaml.safe_load(COURSE.read_text())['eval']['seeds']}"
OFTEN = ["eval.n_episodes=20", "eval.freq=100_000"]
"""The best policy on the way is found by more than a few episodes."""
bar = course.bar
RECIPES: dict[str, dict[str, Any]] = {
    "ppo-LunarLander": {"words": ["algo=ppo", "env=LunarLander"], "bar": bar("unit1_lunarlander")},
    "dqn-SpaceInvaders": {"words": ["algo=dqn", "env=SpaceInvaders"], "bar": bar("unit3_spaceinvaders")},
    "unit2_frozenlake": {"words": ["experiment=unit2_frozenlake"], "bar": bar("unit2_frozenlake")},
    "unit2_taxi": {"words": ["experiment=unit2_taxi"], "bar": bar("unit2_taxi")},
    "q_learning-Taxi": {"words": ["algo=q_learning", "env=Taxi", TAXI_STARTS], "bar": bar("unit2_taxi")},
    "unit4_cartpole": {"words": ["experiment=unit4_cartpole"], "bar": bar("unit4_cartpole")},
    "unit4_pixelcopter": {"words": ["experiment=unit4_pixelcopter"], "bar": bar("unit4_pixelcopter")},
    "ppo_scratch-LunarLander": {
        "words": ["algo=ppo_scratch", "env=LunarLander", "eval.deterministic=false", *OFTEN],
        "bar": bar("unit1_lunarlander"),
    },
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", default=["ppo-LunarLander"], choices=[*RECIPES, []])
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--words", nargs="*", default=[])
    parser.add_argument("--runs-dir", default="runs/course_bars")
    options = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    for name in options.names:
        recipe = RECIPES[name]
        words = [*recipe["words"], *options.words]
        command = [sys.executable, "-m", "rlzoo", "train", "-m", *words, f"seed={options.seeds}"]
        subprocess.run([*command, f"n_jobs={options.jobs}", f"runs_dir={options.runs_dir}/{name}"], check=True)
        report = {"name": name, "words": words, "bar": recipe["bar"], **collect(Path(options.runs_dir) / name)}
        (RESULTS / f"{name}.json").write_text(json.dumps(report, indent=1) + "\n")
        show(report)


def collect(root: Path) -> dict[str, Any]:
    """The final evaluation and the second draw of every run below `root`, `last` and `best`."""
    import rlzoo
    from rlzoo.evaluation import summary
    from rlzoo.runs import find_runs

    seeds: dict[str, Any] = {}
    versions: dict[str, Any] = {}
    for run in sorted(find_runs(root), key=lambda run: run.read_config()["seed"]):
        info = run.read_info()
        versions = info.get("versions", {})
        entry: dict[str, Any] = {"wall_seconds": info["wall_seconds"]}
        finals = {e["checkpoint"]: e for e in run.read_results() if e["source"] == "train"}
        for checkpoint in ("last", "best"):
            if checkpoint in finals:
                second = summary(rlzoo.evaluate(run, checkpoint=checkpoint, seeds=list(SECOND_DRAW)))
                entry[checkpoint] = {"final": brief(finals[checkpoint]), "second draw": brief(second)}
        seeds[str(run.read_config()["seed"])] = entry
    return {"versions": versions, "seeds": seeds}


def brief(entry: dict[str, Any]) -> dict[str, Any]:
    keys = ("n_episodes", "mean_reward", "std_reward", "result", "iqm", "iqm_ci", "mean_length", "deterministic")
    return {key: entry[key] for key in keys} | {"seeds": [entry["seeds"][0], entry["seeds"][-1]]}


def show(report: dict[str, Any]) -> None:
    print(f"{report['name']}: bar {report['bar']} (mean - std)")
    for seed, entry in report["seeds"].items():
        for checkpoint in ("last", "best"):
            for draw, values in entry.get(checkpoint, {}).items():
                mark = "reached" if values["result"] >= report["bar"] else "missed"
                score = f"{values['mean_reward']:.2f} ± {values['std_reward']:.2f}, mean - std {values['result']:.2f}"
                print(f"  seed {seed} {checkpoint:4} {draw:18} {score}: {mark}")


if __name__ == "__main__":
    main()
