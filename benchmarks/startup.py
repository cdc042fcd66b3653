"""CPU time of short commands beside the imports they avoid, interleaved; medians of several processes each.

Usage: `python benchmarks/startup.py [--repeats 7]`. The result is printed and written to `results/startup.json`.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

RLZOO = [sys.executable, "-m", "rlzoo"]
CASES = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import hydra": [sys.executable, "-c", "import hydra"],
    "import torch": [sys.executable, "-c", "import torch"],
    "import stable_baselines3": [sys.executable, "-c", "import stable_baselines3"],
    "rlzoo --help": [*RLZOO, "--help"],
    "rlzoo train --help": [*RLZOO, "train", "--help"],
    "rlzoo list envs": [*RLZOO, "list", "envs"],
    "rlzoo train --cfg job": [*RLZOO, "train", "algo=dqn", "env=SpaceInvaders", "--cfg", "job"],
    "rlzoo show": [*RLZOO, "show", "algo=ppo", "env=LunarLander"],
    "a request with three mistakes": [*RLZOO, "train", "algo.gamma=2", "algo.n_stepz=5", "total_timesteps=0"],
    "an unsuitable action space, made to find out": [*RLZOO, "train", "algo=sac", "env=gym", "env.id=CartPole-v1"],
    "rlzoo validate (everything shipped)": [*RLZOO, "validate"],
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=7)
    repeats = parser.parse_args().repeats
    times: dict[str, list[float]] = {name: [] for name in CASES}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(repeats):
            for name, command in CASES.items():
                times[name].append(cpu_seconds(command, folder))
    rows = {name: {"median": statistics.median(values), "min": min(values)} for name, values in times.items()}
    for name, row in rows.items():
        print(f"{name:46} {row['median']:7.3f} s CPU (least {row['min']:.3f})")
    result = Path(__file__).parent / "results" / "startup.json"
    result.write_text(json.dumps({"repeats": repeats, "python": sys.version.split()[0], "cpu_seconds": rows}, indent=1))


def cpu_seconds(command: list[str], folder: str) -> float:
    """User and system time of a child process and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=folder, capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)


if __name__ == "__main__":
    main()
