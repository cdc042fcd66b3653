"""Which checkpoint should ship? The rule of `evaluation.selection` beside the one before it, on returns really played.

`python -m benchmarks.selection collect` trains with ten checkpoints each and plays every one of them in the same 200
episodes: their means are the true values, their returns the noise. It goes on run by run where it stopped.
`python -m benchmarks.selection simulate` draws evaluations and selections from these returns, 2,000 times a run.

Rules: `last` always; `before`, the best of ten evaluations of five episodes (of equals the later), as rlzoo had it;
`now`, three episodes on the way and at most 20 in the selection. `before, 20` and `now, 80` have more episodes: 20 on
the way before, twelve on the way and 80 in the selection now. Each pair costs the same at most.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from rlzoo.evaluation.selection import N_CANDIDATES, choose

RESULTS = Path(__file__).parent / "results"
RETURNS = RESULTS / "selection_returns.jsonl"
SIMULATED = RESULTS / "selection.json"
N_EPISODES, N_CHECKPOINTS, N_DRAWS = 200, 10, 2000
FIRST_SEED = 5_000_000
HARM = 0.02
"""Share of a task's range by which a shipped agent may be worse than the last one before it counts as harm."""
TASKS = {
    "Taxi": ("experiment=unit2_taxi", "checkpoint.freq=33_000"),
    "CartPole": ("experiment=unit4_cartpole", "checkpoint.freq=20_000"),
    "LunarLander": ("algo=ppo", "env=LunarLander", "total_timesteps=300_000", "checkpoint.freq=30_000"),
    "Pixelcopter": ("experiment=unit4_pixelcopter", "stop.episodes=20_000", "checkpoint.freq=50_000"),
}
SEEDS = {"Taxi": 4, "CartPole": 4, "LunarLander": 4, "Pixelcopter": 3}
RULES = {
    # on the way, in the selection; None: no selection, the best on the way ships
    "last": (0, 0),
    "before": (5, None),
    "now": (3, 20),
    "before, 20": (20, None),
    "now, 80": (12, 80),
}


def collect(runs_dir: str = "runs") -> None:
    import rlzoo

    done = {(row["task"], row["seed"]) for row in _rows()}
    for seed in range(1000, 1000 + max(SEEDS.values())):
        for task, words in TASKS.items():
            if seed - 1000 >= SEEDS[task] or (task, seed) in done:
                continue
            extra = ["eval.freq=0", "checkpoint.keep=1000", "checkpoint.minutes=0", "torch_threads=1"]
            extra += ["eval.seeds=[1]", f"runs_dir={runs_dir}"]
            run = rlzoo.train(*words, *extra, f"seed={seed}")
            last = run.checkpoint("last").num_timesteps
            steps = [found.name for found in run.checkpoints() if found.name.isdigit() and int(found.name) != last]
            chosen = [steps[round(k * (len(steps) - 1) / (N_CHECKPOINTS - 1))] for k in range(N_CHECKPOINTS)]
            seeds = list(range(FIRST_SEED, FIRST_SEED + N_EPISODES))
            returns = {}
            for name in (*dict.fromkeys(chosen), "last"):
                evaluation = rlzoo.load(run, name).evaluate(seeds=seeds, n_envs=8)
                returns[f"last:{last}" if name == "last" else name] = [round(value, 3) for value in evaluation.returns]
            with RETURNS.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"task": task, "seed": seed, "words": words, "returns": returns}) + "\n")


def simulate() -> None:
    rows = _rows()
    report: dict[str, Any] = {"draws": N_DRAWS, "harm": HARM, "tasks": {}}
    for task in dict.fromkeys(row["task"] for row in rows):
        runs = [np.array(list(row["returns"].values())) for row in rows if row["task"] == task]  # (11, 200) each
        values = np.concatenate([played.mean(axis=1) for played in runs])
        spread = float(values.max() - values.min())
        found = {rule: [_simulate(played, rule, seed=k) for k, played in enumerate(runs)] for rule in RULES}
        report["tasks"][task] = {"runs": len(runs), "range": round(spread, 2), "rules": {}}
        for rule, outcomes in found.items():
            regret, change, cost, other = (np.concatenate(column) for column in zip(*outcomes, strict=True))
            report["tasks"][task]["rules"][rule] = {
                "harm": round(float(np.mean(change < -HARM * spread)), 4),
                "gain": round(float(np.mean(change > HARM * spread)), 4),
                "regret": round(float(np.mean(regret)), 3),
                "ships another": round(float(np.mean(other)), 4),
                "episodes": round(float(np.mean(cost)), 1),
                "episodes at most": int(cost.max()),
            }
    SIMULATED.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    _print(report)


def _simulate(played: np.ndarray, rule: str, seed: int) -> tuple[np.ndarray, ...]:
    """Regret against the best of all, change against the last, episodes and whether another ships; (draws,) each.

    `played` is (checkpoints, episodes), the last checkpoint in its last row.
    """
    on_the_way, in_selection = RULES[rule]
    rng = np.random.default_rng(seed)
    true = played.mean(axis=1)
    last, n = len(played) - 1, len(played) - 1
    rows = []
    for _ in range(N_DRAWS):
        cost, ships = n * on_the_way, last
        if on_the_way:
            means = np.array([played[k, rng.choice(N_EPISODES, on_the_way, replace=False)].mean() for k in range(n)])
            order = sorted(range(n), key=lambda k: (means[k], k))
            if in_selection is None:
                ships = order[-1]
                cost += 20  # the final evaluation of both
            else:
                candidates = sorted(order[-N_CANDIDATES:])
                episodes = rng.permutation(N_EPISODES)
                rest = (candidates, episodes)

                def play(k: int, first: int, count: int, rest: Any = rest) -> Any:
                    return played[last if k < 0 else rest[0][k], rest[1][first : first + count]]

                choice = choose(play, len(candidates), in_selection)
                ships = last if choice.winner is None else candidates[choice.winner]
                cost += choice.n_episodes + (10 if ships == last else 20)
        else:
            cost += 10
        rows.append((true.max() - true[ships], true[ships] - true[last], cost, ships != last))
    return tuple(np.array(column) for column in zip(*rows, strict=True))


def _rows() -> list[dict[str, Any]]:
    return [json.loads(line) for line in RETURNS.read_text().splitlines()] if RETURNS.exists() else []


def _print(report: dict[str, Any]) -> None:
    for task, found in report["tasks"].items():
        print(f"{task}: {found['runs']} runs, true values span {found['range']}")
        for rule, numbers in found["rules"].items():
            print(f"  {rule:12}", "  ".join(f"{key} {value}" for key, value in numbers.items()))


if __name__ == "__main__":
    {"collect": collect, "simulate": simulate}[sys.argv[1]](*sys.argv[2:])
