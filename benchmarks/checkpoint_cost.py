"""What checkpoints cost: whole trainings with the default cadence and with none, in turn, in CPU seconds.

Usage: `python benchmarks/checkpoint_cost.py [ppo-LunarLander | dqn-SpaceInvaders ...] [--pairs 3]`. Each training is a
process of its own. The time spent in writing checkpoints is also taken directly, inside the trainings that write them,
because it is smaller than the difference between two equal trainings on a machine that does other things. The result is
written to `results/checkpoint_cost.json`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

COMMON = ["seed=0", "eval.freq=0", "eval.final_n_episodes=1", "logger=[]", "device=cpu"]
# Shorter than the tuned sets' trainings, with the checkpoint frequency of these: a twentieth of 1M and of 10M steps. So
# that the short DQN training has some, it has one a minute instead of the default's one in five, which costs more.
SETTINGS = {
    "ppo-LunarLander": ["algo=ppo", "env=LunarLander", "total_timesteps=210_000", "checkpoint.freq=50_000"],
    "dqn-SpaceInvaders": [
        *("algo=dqn", "env=SpaceInvaders", "total_timesteps=12_000", "algo.learning_starts=1_000"),
        *("checkpoint.freq=500_000", "checkpoint.minutes=1"),
    ],
}
OFF = ["checkpoint.freq=0", "checkpoint.minutes=0"]
RESULT = Path(__file__).parent / "results" / "checkpoint_cost.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("settings", nargs="*", metavar="setting", help=" | ".join(SETTINGS))
    parser.add_argument("--pairs", type=int, default=3)
    arguments = parser.parse_args()
    results = json.loads(RESULT.read_text()) if RESULT.is_file() else {}
    for name in arguments.settings or SETTINGS:
        words = [*SETTINGS[name], *COMMON]
        pairs = []
        for _ in range(arguments.pairs):
            pairs.append({"on": measure(words), "off": measure([*words, *OFF])})
            print(name, json.dumps(pairs[-1]), flush=True)
        results[name] = {"words": words, **summary(pairs), "pairs": pairs}
        print(name, json.dumps(summary(pairs)))
        RESULT.write_text(json.dumps(results, indent=1) + "\n")


def summary(pairs: list[dict[str, Any]]) -> dict[str, float]:
    on, off = (statistics.median(pair[kind]["cpu"] for pair in pairs) for kind in ("on", "off"))
    return {
        "median CPU seconds with": round(on, 2),
        "median CPU seconds without": round(off, 2),
        "difference": round(on / off - 1, 4),
        "share of CPU spent writing": round(
            statistics.median(p["on"]["saving_cpu"] / p["on"]["cpu"] for p in pairs), 5
        ),
        "share of wall time spent writing": round(
            statistics.median(p["on"]["saving_wall"] / p["on"]["wall"] for p in pairs), 5
        ),
    }


def measure(words: list[str]) -> dict[str, Any]:
    """One training in a fresh process: its CPU and wall seconds, and those in `Checkpoints.on_boundary`."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_train, args=(words, sender))
    process.start()
    sender.close()
    result = receiver.recv()
    process.join()
    return result


def _train(words: list[str], sender: Any) -> None:
    import rlzoo
    from rlzoo.training.callbacks.checkpoint import Checkpoints

    spent = {"saves": 0, "saving_cpu": 0.0, "saving_wall": 0.0}
    whole = Checkpoints._save_last, Checkpoints.on_boundary

    def on_boundary(self: Checkpoints, algorithm: Any) -> None:
        cpu, wall = time.process_time(), time.perf_counter()
        whole[1](self, algorithm)
        spent["saving_cpu"] += time.process_time() - cpu
        spent["saving_wall"] += time.perf_counter() - wall

    def save_last(self: Checkpoints, *arguments: Any, **options: Any) -> Any:
        spent["saves"] += 1
        return whole[0](self, *arguments, **options)

    Checkpoints.on_boundary, Checkpoints._save_last = on_boundary, save_last
    with tempfile.TemporaryDirectory() as folder:
        wall = time.perf_counter()
        before = resource.getrusage(resource.RUSAGE_SELF)
        rlzoo.train(*words, f"runs_dir={folder}")
        after = resource.getrusage(resource.RUSAGE_SELF)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        wall = time.perf_counter() - wall
    sender.send({"cpu": round(cpu, 2), "wall": round(wall, 2), **{k: round(v, 4) for k, v in spent.items()}})


if __name__ == "__main__":
    main()
