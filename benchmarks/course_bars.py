"""Trains what the Deep RL Course certifies and says whether it reaches the course's bar (mean - std).

Usage: `python -m benchmarks.course_bars [name ...] [--seeds 100,101] [--runs-dir DIR] [--report-only]`

The protocol: a recipe is chosen on the seeds 0 to 4, by at most two tries, and then reported once on the seeds 100 to
104 (Pixelcopter: one try on 0 to 2, reported on 100 to 102), whatever comes out. The final evaluation plays the
course's number of episodes on fixed seeds (eval.seed in `conf/train.yaml`, eval.seeds for Taxi), a second draw 100
episodes on other seeds; of the last checkpoint and of the one that ships. A training that was interrupted is resumed.
Results go to `benchmarks/results/<name>.json`, and as rows of the table in docs/course.md to the screen. A seed that is
reported there and was not trained below DIR stays as it is: seeds may be trained one by one, but no seed twice.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from rlzoo.config import assignments
from rlzoo.runs.run import find_runs

RESULTS = Path(__file__).parent / "results"
SECOND_DRAW = range(500_000, 500_100)
COURSE = Path(__file__).parents[1] / "conf" / "experiment" / "unit2_taxi.yaml"
TAXI_STARTS = f"eval.seeds={yaml.safe_load(COURSE.read_text())['eval']['seeds']}"
bar = assignments.bar
RECIPES: dict[str, dict[str, Any]] = {
    "unit1_lunarlander": {"words": ["experiment=unit1_lunarlander"], "bar": bar("unit1_lunarlander")},
    "unit2_frozenlake": {"words": ["experiment=unit2_frozenlake"], "bar": bar("unit2_frozenlake")},
    "unit2_taxi": {"words": ["experiment=unit2_taxi"], "bar": bar("unit2_taxi")},
    "q_learning-Taxi": {"words": ["algo=q_learning", "env=Taxi", TAXI_STARTS], "bar": bar("unit2_taxi")},
    "unit3_spaceinvaders": {
        "words": ["experiment=unit3_spaceinvaders", "total_timesteps=1_000_000"],
        "bar": bar("unit3_spaceinvaders"),
        "seeds": (100,),
    },
    "unit4_cartpole": {"words": ["experiment=unit4_cartpole"], "bar": bar("unit4_cartpole")},
    "unit4_pixelcopter": {
        "words": ["experiment=unit4_pixelcopter"],
        "bar": bar("unit4_pixelcopter"),
        "seeds": (100, 101, 102),
    },
    "unit8_lunarlander": {"words": ["experiment=unit8_lunarlander"], "bar": None},
    "ppo_scratch-LunarLander": {
        "words": ["algo=ppo_scratch", "env=LunarLander", "eval.deterministic=false", "eval.freq=100_000"],
        "bar": bar("unit1_lunarlander"),
    },
}
REPORTED = (100, 101, 102, 103, 104)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", choices=[*RECIPES, []])
    parser.add_argument("--seeds", type=lambda text: tuple(map(int, text.split(","))))
    parser.add_argument("--runs-dir", default="runs/course_bars")
    parser.add_argument("--report-only", action="store_true")
    options = parser.parse_args()
    for name in options.names or RECIPES:
        recipe = RECIPES[name]
        seeds = options.seeds or recipe.get("seeds", REPORTED)
        root, kept = Path(options.runs_dir) / name, RESULTS / f"{name}.json"
        earlier = json.loads(kept.read_text()) if kept.is_file() else {}
        reported = earlier["seeds"] if earlier.get("words") == recipe["words"] else {}
        todo = tuple(seed for seed in seeds if str(seed) not in reported)
        if not options.report_only:
            for seed in todo:
                train(recipe["words"], seed, root)
        found = dict(sorted({**reported, **collect(root, todo)}.items(), key=lambda item: int(item[0])))
        report = {"name": name, "words": recipe["words"], "bar": recipe["bar"], "seeds": found}
        if not set(seeds) & {0, 1, 2, 3, 4}:  # what a recipe was chosen on is no result
            kept.write_text(json.dumps(report, indent=1) + "\n")
        show(report)


def train(words: list[str], seed: int, root: Path) -> None:
    """Train, or resume, or leave alone what is finished."""
    if any(run.read_config()["seed"] == seed and run.read_info()["status"] == "finished" for run in find_runs(root)):
        return
    command = [sys.executable, "-m", "rlzoo", "train", *words, f"seed={seed}", f"runs_dir={root}", "resume=auto"]
    subprocess.run(command, check=True)


def collect(root: Path, wanted: tuple[int, ...]) -> dict[str, dict[str, Any]]:
    """The final evaluation and the second draw of every run below `root`, of `last` and of what ships."""
    import rlzoo
    from rlzoo.evaluation.evaluate import summary

    seeds: dict[str, Any] = {}
    for run in sorted(find_runs(root), key=lambda run: run.read_config()["seed"]):
        seed, info = run.read_config()["seed"], run.read_info()
        if seed not in wanted or info["status"] != "finished":
            continue
        finals = {entry["checkpoint"]: entry for entry in run.read_results() if entry["source"] == "train"}
        shipped = run.find_checkpoint().name
        entry: dict[str, Any] = {"ships": shipped, "trained_timesteps": finals["last"]["trained_timesteps"]}
        entry["versions"] = info.get("versions", {})
        for checkpoint in dict.fromkeys(("last", shipped)):
            second = summary(rlzoo.load(run, checkpoint).evaluate(seeds=list(SECOND_DRAW)))
            entry[checkpoint] = {"final": brief(finals[checkpoint]), "second draw": brief(second)}
        seeds[str(seed)] = entry
    return seeds


def brief(entry: dict[str, Any]) -> dict[str, Any]:
    keys = ("n_episodes", "mean_reward", "std_reward", "result", "iqm", "iqm_ci", "mean_length", "deterministic")
    return {key: entry[key] for key in keys} | {"seeds": [entry["seeds"][0], entry["seeds"][-1]]}


def show(report: dict[str, Any]) -> None:
    """Rows of docs/course.md; what misses the bar is in brackets."""
    bar = report["bar"]
    for which, draw in (("ships", "final"), ("ships", "second draw"), ("last", "final"), ("last", "second draw")):
        cells = []
        for entry in report["seeds"].values():
            result = entry[entry["ships"] if which == "ships" else "last"][draw]["result"]
            cells.append(f"{result:.2f}" if bar is None or result >= bar else f"({result:.2f})")
        print(f"| {report['name']} | {which} | {draw} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
