"""Trains while SIGTERM or SIGKILL comes every 20 to 60 seconds; was anything lost?

Usage: `python benchmarks/soak.py [--minutes 60] [--seed 0]`, on Linux. Two trainings go on with `rlzoo train resume=`
after every signal, each for half that time, and what is left of them then runs to its end. Their environments take real
time, as those of a robot do, so that an hour of training is cheap; the same configuration without the waiting,
undisturbed, is what they are compared with: weights, metrics.csv and evaluations.csv, byte for byte. The result is
printed and written to `results/soak.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from rlzoo.runs.checkpoints import read
from rlzoo.runs.run import Run

RESULT = Path(__file__).parent / "results" / "soak.json"
SIGNALS = (signal.SIGTERM, signal.SIGKILL)
PAUSE = (20, 60)  # s between two signals
STEP_SECONDS = 0.02  # of an environment that takes real time
BUSY = 0.75  # share of the time in which steps are taken: the rest goes into starting, learning and evaluating
ORPHAN_SECONDS = 10  # after which no process of a training that was ended may be left

ENVIRONMENT = """
import os, time
import gymnasium
from gymnasium.envs.classic_control.cartpole import CartPoleEnv

class RealTimeCartPole(CartPoleEnv):
    def step(self, action):
        time.sleep(float(os.environ.get("SOAK_STEP_SECONDS", "0")))
        return super().step(action)

gymnasium.register("RealTimeCartPole-v0", RealTimeCartPole, max_episode_steps=200)
"""
COMMON = ["env=gym", "env.id=soak_env:RealTimeCartPole-v0", "hyperparams=none", "seed=7", "checkpoint.minutes=0.1"]
COMMON += ["checkpoint.freq=0", "eval.n_episodes=2", "eval.final_n_episodes=2", "eval.max_steps=100"]
TRAININGS = {
    "ppo, two processes, normalised": {
        "n_envs": 2,
        "words": ["algo=ppo", "env.n_envs=2", "env.vec_env=subproc", "env.normalize=true", "algo.n_steps=128"],
    },
    "dqn, replay buffer": {
        "n_envs": 1,
        "words": [
            "algo=dqn",
            "algo.buffer_size=30_000",
            "algo.learning_starts=1000",
            "algo.target_update_interval=500",
        ],
    },
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0, help="of the signals and their moments")
    options = parser.parse_args()
    pick = random.Random(options.seed)
    found: dict[str, Any] = {"minutes": options.minutes, "seed": options.seed, "trainings": {}}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "soak_env.py").write_text(ENVIRONMENT)
        for name, training in TRAININGS.items():
            seconds = options.minutes * 60 / len(TRAININGS)
            steps = seconds * BUSY / STEP_SECONDS * training["n_envs"]
            words = [*training["words"], *COMMON, f"total_timesteps={round(steps)}"]
            found["trainings"][name] = soak(Path(folder), words, seconds, training["n_envs"], pick)
            print(name, json.dumps(found["trainings"][name], indent=1), flush=True)
            found["seconds"] = round(sum(entry["seconds"] for entry in found["trainings"].values()))
            found["identical"] = all(all(entry["identical"].values()) for entry in found["trainings"].values())
            RESULT.write_text(json.dumps(found, indent=1) + "\n")


def soak(folder: Path, words: list[str], seconds: float, n_envs: int, pick: random.Random) -> dict[str, Any]:
    """Train once undisturbed and once under signals, and compare."""
    whole = undisturbed(folder, words)
    print(f"undisturbed: {whole.path}", flush=True)
    run, found = under_signals(folder, words, seconds, n_envs, pick)
    first, second = (read(each.checkpoint("last")).algorithm.tensors for each in (whole, run))
    same = first.keys() == second.keys() and all(np.array_equal(first[key], second[key]) for key in first)
    hidden = [*run.path.glob(".*"), *run.checkpoints_dir.glob(".*")]
    return {
        **found,
        "identical": {
            "weights": same,
            "metrics.csv": whole.metrics_file.read_bytes() == run.metrics_file.read_bytes(),
            "evaluations.csv": whole.evaluations_file.read_bytes() == run.evaluations_file.read_bytes(),
        },
        "status": run.read_info()["status"],
        "resume": run.read_info().get("resume"),
        "final_evaluations": len(run.read_results()),
        "leftovers": [path.name for path in hidden],
    }


def undisturbed(folder: Path, words: list[str]) -> Run:
    root = folder / f"whole-{words[0]}"
    subprocess.run([sys.executable, "-m", "rlzoo", "train", *words, f"runs_dir={root}"], cwd=folder, check=True)
    return Run.open("latest", root)


def under_signals(
    folder: Path, words: list[str], seconds: float, n_envs: int, pick: random.Random
) -> tuple[Run, dict[str, Any]]:
    """Start, signal and go on for so many seconds, then let the training end; what happened on the way."""
    root = folder / f"signals-{words[0]}"
    command = ["train", *words, f"runs_dir={root}"]
    counts = dict.fromkeys((number.name for number in SIGNALS), 0)
    lost, ending, orphans, begun = [0.0], [0.0], 0, time.monotonic()
    is_over = False
    while not is_over:
        is_over = time.monotonic() - begun > seconds
        environment = os.environ | {"SOAK_STEP_SECONDS": "0" if is_over else str(STEP_SECONDS)}
        process = subprocess.Popen(
            [sys.executable, "-m", "rlzoo", *command], cwd=folder, env=environment, start_new_session=True
        )
        try:
            process.wait(None if is_over else pick.uniform(*PAUSE))
        except subprocess.TimeoutExpired:
            run, number, sent = Run.open("latest", root), pick.choice(SIGNALS), time.time()
            counts[number.name] += 1
            process.send_signal(number)
            process.wait()
            ending.append(time.time() - sent)
            lost.append(time.time() - newest_moment(run, since=sent))
            print(f"{number.name}: ended with {process.returncode} after {ending[-1]:.1f} s", flush=True)
            expected = -signal.SIGKILL if number == signal.SIGKILL else 128 + number
            if process.returncode not in (expected, 0):
                raise SystemExit(f"{number.name} ended the training with {process.returncode}") from None
            command = ["train", f"resume={run.path}"] if run.checkpoints() else command
        else:
            is_over = True
            if process.returncode:
                raise SystemExit(f"rlzoo {' '.join(command)} ended with {process.returncode}")
        orphans += left_behind(process.pid)
    return Run.open("latest", root), {
        "seconds": round(time.monotonic() - begun),
        "signals": counts,
        "restarts": sum(counts.values()),
        "longest_end_seconds": round(max(ending), 1),
        "longest_loss_seconds": round(max(lost), 1),
        "longest_loss_steps_at_most": round(max(lost) / STEP_SECONDS * n_envs),
        "orphans": orphans,
    }


def newest_moment(run: Run, since: float) -> float:
    """When the run's newest checkpoint was written; `since` if it has none yet or the training had barely begun."""
    return max((checkpoint.manifest.stat().st_mtime for checkpoint in run.checkpoints()), default=since)


def left_behind(session: int) -> int:
    """How many processes of a session outlive its leader for long."""
    deadline = time.monotonic() + ORPHAN_SECONDS
    while (alive := _members(session)) and time.monotonic() < deadline:
        time.sleep(0.2)
    return len(alive)


def _members(session: int) -> list[int]:
    found = []
    for pid in psutil.pids():
        try:
            if os.getsid(pid) == session and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                found.append(pid)
        except (OSError, psutil.NoSuchProcess):
            continue
    return found


if __name__ == "__main__":
    main()
