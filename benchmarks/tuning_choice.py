"""How the winner of a search is best chosen: many trainings of some configurations, and rules tried on them.

Usage: `python benchmarks/tuning_choice.py collect ppo-CartPole [--n-seeds 8]`.

`collect` draws configurations from the shipped space, trains each on one seed, and trains the best of them, the
defaults and the tuned set on many seeds. Every training is a line of
`benchmarks/results/tuning_choice-<name>.jsonl`, written when it ends; what is there already is not trained again.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna

from rlzoo.config.compose import Composition, lay
from rlzoo.config.parse import parse
from rlzoo.preflight import find_problems
from rlzoo.tuning.request import plan
from rlzoo.tuning.trial import train_once

RESULTS = Path(__file__).parent / "results"
FIRST_SEED = 1000
"""Of the trainings; the seed of the screening is the one before it."""
DRAWS_SEED = 14
DEFAULTS, TUNED = "defaults", "tuned"


@dataclass(frozen=True)
class Table:
    """What is trained.

    Attributes:
        words: the task; the same for all.
        own: words that the tuned set, which says how many environments it wants, does without.
        n_drawn: configurations that are drawn and trained on one seed.
        n_kept: the best of them that do not take too long, which are trained on all seeds.
        n_seeds: of each configuration.
        seconds: of CPU time that a training may take for its configuration to be kept.
    """

    words: tuple[str, ...]
    own: tuple[str, ...]
    n_drawn: int
    n_kept: int
    n_seeds: int
    seconds: float


TABLES = {
    "q_learning-FrozenLake": Table(
        ("algo=q_learning", "env=FrozenLake", "total_timesteps=20_000", "eval.n_episodes=20"), (), 40, 10, 40, 60
    ),
    "ppo-CartPole": Table(
        ("algo=ppo", "env=CartPole", "total_timesteps=20_000", "eval.n_episodes=3"), ("env.n_envs=1",), 30, 6, 20, 12
    ),
    "dqn-LunarLander": Table(
        ("algo=dqn", "env=LunarLander", "total_timesteps=50_000", "eval.n_episodes=3"), ("env.n_envs=1",), 8, 4, 8, 100
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["collect"])
    parser.add_argument("name", choices=TABLES)
    parser.add_argument("--n-seeds", type=int, default=None, help="fewer than the table is to have")
    options = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    collect(options.name, options.n_seeds)


def collect(name: str, n_seeds: int | None) -> None:
    """Train what is not trained yet, one after another."""
    table, path = TABLES[name], RESULTS / f"tuning_choice-{name}.jsonl"
    drawn = dict(_drawn(table))
    compositions = {**drawn, **_given(table)}
    there = {(each["configuration"], each["seed"]) for each in _lines(path)}

    def done(label: str, seed: int, settings: Mapping[str, Any] | None) -> None:
        if (label, seed) not in there:
            _append(path, _trained(label, compositions[label][1], settings, seed))

    for label, (settings, _) in drawn.items():
        done(label, FIRST_SEED - 1, settings)
    screened = {each["configuration"]: each for each in _lines(path) if each["seed"] == FIRST_SEED - 1}
    quick = [label for label in drawn if screened[label]["cpu_seconds"] <= table.seconds]
    ranked = sorted(quick, key=lambda label: -last(screened[label], 3))
    for seed in range(FIRST_SEED, FIRST_SEED + (n_seeds or table.n_seeds)):
        for label in (*_given(table), *ranked[: table.n_kept]):
            done(label, seed, compositions[label][0])


def last(line: Mapping[str, Any], n_last: int) -> float:
    """The score of a training: the mean of its last evaluations up to the budget."""
    means = [mean for _, mean in line["evaluations"]][-n_last:]
    return sum(means) / len(means)


def _drawn(table: Table) -> Iterator[tuple[str, tuple[dict[str, Any], Composition]]]:
    """Configurations of the space that may be tried, with what they set."""
    request = plan([*table.words, *table.own, "hyperparams=none"])
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=DRAWS_SEED))
    found = 0
    while found < table.n_drawn:
        values = request.space.draw(study.ask())
        settings = request.space.settings(values)
        composition = lay(request.base, settings)
        if request.space.broken(values, composition.values) or find_problems(composition, make_env=False)[1]:
            continue
        found += 1
        yield f"drawn {found}", (settings, composition)


def _given(table: Table) -> dict[str, tuple[None, Composition]]:
    return {
        DEFAULTS: (None, plan([*table.words, *table.own, "hyperparams=none"]).base),
        **({TUNED: (None, tuned)} if (tuned := plan(list(table.words)).base).hyperparams else {}),
    }


def _trained(label: str, composition: Composition, settings: Mapping[str, Any] | None, seed: int) -> dict[str, Any]:
    began = os.times()
    folder = Path(tempfile.mkdtemp(prefix="tuning_choice-"))
    try:
        cfg = replace(parse(composition.values), seed=seed)
        trained = train_once(cfg, folder / "run", objective="last", n_last=3)
        rows = (folder / "run" / "evaluations.csv").read_text().splitlines()[1:]
        steps = [int(row.partition(",")[0]) for row in rows]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    budget = cfg.total_timesteps
    evaluations = [[step, round(mean, 4)] for step, mean in zip(steps, trained.means, strict=True) if step <= budget]
    ended = os.times()
    return {
        "configuration": label,
        "seed": seed,
        "steps": trained.steps,
        "evaluations": evaluations,
        "cpu_seconds": round(ended.user + ended.system - began.user - began.system, 2),
        **({"settings": settings} if settings is not None and seed == FIRST_SEED - 1 else {}),
    }


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def _append(path: Path, line: Mapping[str, Any]) -> None:
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")
    print(line["configuration"], line["seed"], f"{last(line, 3):.1f}", f"{line['cpu_seconds']:.1f} s", flush=True)


if __name__ == "__main__":
    main()
