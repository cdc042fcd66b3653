"""How the winner of a search is best chosen: many trainings of some configurations, and rules tried on them.

Usage: `python -m benchmarks.tuning_choice collect ppo-CartPole [--n-seeds 8]`, then the same with `compare`.

`collect` draws configurations from the shipped space, trains each on one seed, and trains the best of them, the
defaults and the tuned set on many seeds. Every training is a line of
`benchmarks/results/tuning_choice-<name>.jsonl`, written when it ends; what is there already is not trained again.

`compare` resamples these tables, 1,000 times, and 200 times for each configuration that plays the defaults' part: one
seed of each stands for its search, the others are fresh seeds, and each rule spends about twenty trainings on its
choice. A configuration is truly worth its mean over all seeds. What is reported of a rule: how far its choice is from
the best, as a share of the distance between the best and the worst; how often the choice is not the defaults and truly
worse than they; and the trainings. Beside the real
defaults every configuration plays their part in turn, as the real ones are sometimes far below all others. Results go
to `benchmarks/results/tuning_choice.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import optuna

from rlzoo.config.compose import Composition, lay
from rlzoo.config.parse import parse
from rlzoo.training.preflight import find_problems
from rlzoo.tuning.race import budget_of, p_value, race
from rlzoo.tuning.request import plan
from rlzoo.tuning.trial import train_once

RESULTS = Path(__file__).parent / "results"
FIRST_SEED = 1000
"""Of the trainings; the seed of the screening is the one before it."""
DRAWS_SEED = 14
DEFAULTS, TUNED = "defaults", "tuned"
N_RESAMPLES, MIN_SEEDS = 200, 4


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
    parser.add_argument("what", choices=["collect", "compare"])
    parser.add_argument("name", nargs="?", choices=TABLES, help="what to collect")
    parser.add_argument("--n-seeds", type=int, default=None, help="fewer than the table is to have")
    options = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    if options.what == "compare":
        compare()
    elif options.name is None:
        parser.error("name what to collect")
    else:
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


def compare() -> None:
    """Try every rule on every table."""
    report = {}
    for name, scores in _tables().items():
        found = {"configurations": {label: [len(each), fmean(each)] for label, each in scores.items()}}
        for part, roles in (("the defaults", [DEFAULTS]), ("each in turn as the defaults", list(scores))):
            generator = np.random.default_rng(DRAWS_SEED)
            found[part] = {
                rule: _judged(scores, roles, choose, generator, N_RESAMPLES if len(roles) > 1 else 5 * N_RESAMPLES)
                for rule, choose in RULES.items()
            }
        report[name] = found
        print(name, {label: f"{mean:.2f} ({n})" for label, (n, mean) in found["configurations"].items()})
        for rule in RULES:
            print(f"  {rule:42}", *(" ".join(f"{v:7.3f}" for v in found[p][rule].values()) for p in list(found)[1:]))
    (RESULTS / "tuning_choice.json").write_text(json.dumps(report, indent=1) + "\n")


def _tables() -> dict[str, dict[str, list[float]]]:
    """Scores by configuration, of every table that has enough of them."""
    found: dict[str, dict[str, list[float]]] = {}
    for name in TABLES:
        scores: dict[str, list[float]] = {}
        for line in _lines(RESULTS / f"tuning_choice-{name}.jsonl"):
            scores.setdefault(line["configuration"], []).append(last(line, 3))
        scores = {label: each for label, each in scores.items() if len(each) >= MIN_SEEDS}
        if len(scores) > 3:
            found[name] = scores
    earlier = json.loads((RESULTS / "tuning_choice-earlier.json").read_text())
    return found | {f"{name}, earlier": scores for name, scores in earlier.items() if name != "from"}


def _judged(
    scores: Mapping[str, Sequence[float]], roles: Sequence[str], choose: Rule, generator: Any, n: int
) -> dict[str, float]:
    truth = {label: fmean(each) for label, each in scores.items()}
    best, worst = max(truth.values()), min(truth.values())
    regrets, worse, costs = [], [], []
    for role in roles:
        for _ in range(n):
            draws = {label: generator.permutation(each) for label, each in scores.items()}
            others = sorted((label for label in scores if label != role), key=lambda label: -draws[label][0])
            asked: set[tuple[str, int]] = set()

            def fresh(label: str, k: int, draws: Any = draws, asked: Any = asked) -> float:
                asked.add((label, k))
                there = draws[label][1:]
                return float(there[k] if k < len(there) else generator.choice(there))

            chosen = choose(fresh, others, role)
            regrets.append((best - truth[chosen]) / (best - worst))
            worse.append(chosen != role and truth[chosen] < truth[role])
            costs.append(len(asked))
    return {"regret": fmean(regrets), "worse": fmean(worse), "trainings": fmean(costs)}


Fresh = Callable[[str, int], float]
"""The score of a configuration on the k-th fresh seed."""
Rule = Callable[[Fresh, Sequence[str], str], str]
"""Gets fresh scores, the candidates in the order of their search, and the defaults; says which to take."""


def same_for_all(n: int, n_seeds: int, level: float = 1.0) -> Rule:
    """The best mean of n candidates and the defaults; below a level the defaults stay unless a test says otherwise."""

    def choose(fresh: Fresh, candidates: Sequence[str], defaults: str) -> str:
        scores = {label: [fresh(label, k) for k in range(n_seeds)] for label in [defaults, *candidates[:n]]}
        found = max(scores, key=lambda label: fmean(scores[label]))
        return found if found == defaults or _beats(scores[found], scores[defaults], level) else defaults

    return choose


def wilcoxon(n: int, budget: int) -> Rule:
    """Seeds one at a time for all; who is worse than the best by a paired Wilcoxon test (p < 0.1) is out."""

    def choose(fresh: Fresh, candidates: Sequence[str], defaults: str) -> str:
        from scipy.stats import wilcoxon as test

        running = [defaults, *candidates[:n]]
        scores: dict[str, list[float]] = {label: [] for label in running}
        spent = 0
        while len(running) > 1 and spent + len(running) <= budget:
            for label in running:
                scores[label].append(fresh(label, len(scores[label])))
            spent += len(running)
            best = max(running, key=lambda label: fmean(scores[label]))
            differences = {label: np.subtract(scores[best], scores[label]) for label in running}
            running = [
                label
                for label, each in differences.items()
                if not each.any() or test(each, alternative="greater", zero_method="zsplit").pvalue >= 0.1
            ]
        return max(running, key=lambda label: fmean(scores[label]))

    return choose


def halving(n: int, budget: int, n_defaults: int, level: float = 1.0) -> Rule:
    """A race; its winner is judged by all its seeds, also by those that made it the winner."""

    def choose(fresh: Fresh, candidates: Sequence[str], defaults: str) -> str:
        found = _raced(fresh, candidates[:n], budget)
        winner = next(iter(found))
        return winner if _beats(found[winner], [fresh(defaults, k) for k in range(n_defaults)], level) else defaults

    return choose


def race_then_compare(n: int, n_seeds: int, level: float = 1.0) -> Rule:
    """A race, and its winner and the defaults on seeds that decided nothing before; `rlzoo tune` has a level of 0.2."""

    def choose(fresh: Fresh, candidates: Sequence[str], defaults: str) -> str:
        found = _raced(fresh, candidates[:n], budget_of(n, n_seeds) if n > 1 else 0)
        winner, used = next(iter(found)), max(map(len, found.values()))
        scores = [fresh(winner, used + k) for k in range(n_seeds)]
        return winner if _beats(scores, [fresh(defaults, k) for k in range(n_seeds)], level) else defaults

    return choose


def _raced(fresh: Fresh, candidates: Sequence[str], budget: int) -> dict[str, list[float]]:
    return race(candidates, budget, lambda labels, seeds: {each: [fresh(each, k) for k in seeds] for each in labels})


def _beats(scores: Sequence[float], others: Sequence[float], level: float) -> bool:
    """Whether a mean is higher, and below a level of 1 whether the test of `rlzoo tune` says so."""
    return fmean(scores) > fmean(others) and (level == 1.0 or p_value(scores, others) <= level)


RULES: dict[str, Rule] = {
    "top 3 and defaults, 5 seeds each": same_for_all(3, 5),
    "top 3, defaults stay unless p < 0.05": same_for_all(3, 5, 0.05),
    "top 3, defaults stay unless p < 0.2": same_for_all(3, 5, 0.2),
    "Wilcoxon, top 3": wilcoxon(3, 20),
    "Wilcoxon, top 6": wilcoxon(6, 20),
    "halving of 6, defaults 5 seeds": halving(6, 15, 5),
    "halving of 6, defaults stay unless p < 0.2": halving(6, 15, 5, 0.2),
    "race of 3, then 5 other seeds": race_then_compare(3, 5),
    "race of 3, defaults stay unless p < 0.05": race_then_compare(3, 5, 0.05),
    "race of 3, defaults stay unless p < 0.2": race_then_compare(3, 5, 0.2),
    "no race: the best trial, 10 seeds": race_then_compare(1, 10),
}
"""All at about twenty trainings."""


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
