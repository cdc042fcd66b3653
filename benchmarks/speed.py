"""Whole commands beside rl_zoo3's, to the same boundary: CPU and wall seconds of interleaved processes, one thread.

Usage: `python -m benchmarks speed [row ...] [--repeats 5] [--peer PYTHON]`

Both sides train with the same tuned set, for the same number of steps, on the CPU, without evaluation on the way and
with one saved model at the end; rlzoo plays one final episode besides, which cannot be left out, and writes its logs.
CPU seconds are user and system time of the command and of everything that it started. A ratio is the peer's median by
ours; its range is that of the ratios of neighbours. rl_zoo3 is installed into `build/peers` once, unless `--peer` names
a Python that has it; without it the rows show rlzoo alone. Results go to `results/speed.json` and, as a table, to
`docs/speed.md`; rows that were not measured stay as they are.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULT = Path(__file__).parent / "results" / "speed.json"
PAGE = ROOT / "docs" / "speed.md"
PEER = "rl_zoo3==2.9.2"
PACKAGES = ("hydra-rlzoo", "stable-baselines3", "sb3-contrib", "torch", "gymnasium", "numpy")
PR_SET_CHILD_SUBREAPER = 36
OURS = [sys.executable, "-m", "rlzoo"]
ALONE = ["eval.freq=0", "eval.final_n_episodes=1", "eval.random=false", "checkpoint.freq=0", "device=cpu", "seed=1"]
THEIRS = ["--eval-freq", "-1", "--save-freq", "-1", "--num-threads", "1", "--device", "cpu", "--seed", "1"]


@dataclass(frozen=True)
class Row:
    """A workload: rlzoo's words, and those of `python -m rl_zoo3.train`; the cost of one of `jobs` after two.

    One that `plays` uses the agent that both have trained first, by the row of that name.
    """

    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    jobs: int = 0
    plays: str = ""


def training(algo: str, env: str, steps: int, peer_env: str, peer_algo: str | None = None, jobs: int = 0) -> Row:
    ours = ["train", f"algo={algo}", f"env={env}", f"total_timesteps={steps}", *ALONE]
    theirs = ["--algo", peer_algo or algo, "--env", peer_env, "-n", str(steps), *THEIRS]
    return Row(tuple(ours), tuple(theirs), jobs)


ROWS = {
    "--help": Row(("--help",), ("--help",)),
    "train --help": Row(("train", "--help"), ("--help",)),
    "256 steps": training("ppo", "CartPole", 256, "CartPole-v1"),
    "a job of a sweep, 256 steps": training("ppo", "CartPole", 256, "CartPole-v1", jobs=12),
    "evaluate, 1,000 steps": Row(
        ("evaluate", "run=latest", "n_timesteps=1000", "device=cpu"),
        ("--algo", "ppo", "--env", "CartPole-v1", "--no-render", "-n", "1000", *THEIRS[4:8]),
        plays="256 steps",
    ),
    "PPO CartPole, 100k": training("ppo", "CartPole", 100_000, "CartPole-v1"),
    "PPO LunarLander, 200k": training("ppo", "LunarLander", 200_000, "LunarLander-v3"),
    "PPO from scratch LunarLander, 200k": training("ppo_scratch", "LunarLander", 200_000, "LunarLander-v3", "ppo"),
    "A2C CartPole, 50k": training("a2c", "CartPole", 50_000, "CartPole-v1"),
    "DQN CartPole, 50k": training("dqn", "CartPole", 50_000, "CartPole-v1"),
    "QR-DQN CartPole, 20k": training("qrdqn", "CartPole", 20_000, "CartPole-v1"),
    "SAC Pendulum, 5k": training("sac", "Pendulum", 5_000, "Pendulum-v1"),
    "DQN SpaceInvaders, 8k": training("dqn", "SpaceInvaders", 8_000, "SpaceInvadersNoFrameskip-v4"),
    "PPO Pong, 8k": training("ppo", "Pong", 8_000, "PongNoFrameskip-v4"),
}


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks speed", description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", metavar="row", help=" | ".join(ROWS))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--peer", type=Path, help="a Python that has rl_zoo3")
    options = parser.parse_args(argv)
    unknown = [name for name in options.rows if name not in ROWS]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}")
    peer = peer_python(options.peer)
    kept = json.loads(RESULT.read_text()) if RESULT.is_file() else {"rows": {}}
    for name in options.rows or ROWS:
        found = measure(ROWS[name], peer, options.repeats)
        kept["rows"][name] = {**found, "circumstances": circumstances(peer)}
        RESULT.write_text(json.dumps(kept, indent=1) + "\n")
        PAGE.write_text(page(kept))
        print(row_text(name, found))


def peer_python(given: Path | None) -> Path | None:
    """The Python that has the peer, installed on first use; None, said, where it cannot be installed."""
    folder = ROOT / "build" / "peers"
    python = given or folder / "bin" / "python"
    if not python.is_file():
        print(f"installing {PEER} into {folder}")
        install = [str(python), "-m", "pip", "install", "-q", "-c", str(ROOT / "constraints.txt")]
        try:
            subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
            subprocess.run([*install, f"torch=={version('torch').partition('+')[0]}"], check=True)
            # its enjoy imports requests, which it does not ask for
            subprocess.run([*install, PEER, "gymnasium[box2d]", "ale-py", "requests"], check=True)
        except subprocess.CalledProcessError as error:
            print(f"{PEER} cannot be installed ({error}); measuring rlzoo alone")
            return None
    return python


def measure(row: Row, peer: Path | None, repeats: int) -> dict[str, Any]:
    """CPU and wall seconds of both sides, in turn."""
    times: dict[str, list[tuple[float, float]]] = {"rlzoo": [], "peer": []}
    with tempfile.TemporaryDirectory() as folder:
        if row.plays:
            seconds([*OURS, *ROWS[row.plays].ours], folder)
            if peer is not None:
                seconds(peer_command(peer, ROWS[row.plays], folder), folder)
        for _ in range(repeats):
            times["rlzoo"].append(cost(row, folder))
            if peer is not None:
                times["peer"].append(seconds(peer_command(peer, row, folder), folder))
    found: dict[str, Any] = {side: summary(values) for side, values in times.items() if values}
    if peer is not None:
        ratios = [b[0] / a[0] for a, b in zip(times["rlzoo"], times["peer"], strict=True)]
        found["ratio"] = found["peer"]["cpu"] / found["rlzoo"]["cpu"]
        found["ratio_range"] = [min(ratios), max(ratios)]
    return found


def peer_command(peer: Path, row: Row, folder: str) -> list[str]:
    logs = [] if row.theirs == ("--help",) else ["-f", f"{folder}/logs"]
    return [str(peer), "-m", f"rl_zoo3.{'enjoy' if row.plays else 'train'}", *row.theirs, *logs]


def cost(row: Row, folder: str) -> tuple[float, float]:
    """Of the command, or of one job of a sweep: what ten more of them cost, by ten."""
    if not row.jobs:
        return seconds([*OURS, *row.ours], folder)
    words = [word for word in row.ours if not word.startswith("seed=")]
    sweep = [*OURS, *words, "-m", "launcher=local", "n_jobs=1"]
    few, many = (seconds([*sweep, f"seed=range({n})"], folder) for n in (2, row.jobs))
    return (many[0] - few[0]) / (row.jobs - 2), (many[1] - few[1]) / (row.jobs - 2)


def seconds(command: list[str], folder: str) -> tuple[float, float]:
    """CPU and wall seconds of a command with all that it starts, whoever waits for it.

    Raises:
        RuntimeError: if it fails.
    """
    variables = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    began = time.monotonic()
    pid = os.fork()
    if pid == 0:  # adopts what its own child leaves behind
        code = 1
        try:
            ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
            quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            code = subprocess.run(command, cwd=folder, env=variables, check=False, **quiet).returncode  # type: ignore[call-overload]
            while True:
                os.wait()
        except ChildProcessError:
            pass
        finally:
            os._exit(code != 0)
    _, status, usage = os.wait4(pid, 0)
    if status:
        raise RuntimeError(f"this failed: {' '.join(command)}")
    return usage.ru_utime + usage.ru_stime, time.monotonic() - began


def summary(times: list[tuple[float, float]]) -> dict[str, Any]:
    cpu, wall = ([round(value, 3) for value in column] for column in zip(*times, strict=True))
    return {
        "cpu": statistics.median(cpu),
        "cpu_range": [min(cpu), max(cpu)],
        "wall": statistics.median(wall),
        "wall_range": [min(wall), max(wall)],
        "repeats": len(times),
    }


def circumstances(peer: Path | None) -> dict[str, Any]:
    from rlzoo.runs.info import cpu_model

    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
        "peer": PEER if peer is not None else None,
    }


HEAD = """\
<!-- Made by `python -m benchmarks speed` from benchmarks/results/speed.json: edit neither. -->

# Speed

Whole commands beside rl_zoo3's: CPU seconds (user and system time, with everything that a command starts), median and
range of processes that ran in turn, one thread each. Both train with the same tuned set on the CPU, without evaluation
on the way; rlzoo plays one final episode besides and writes its logs. The ratio is the peer's median by rlzoo's, its
range that of neighbouring processes. `python -m benchmarks speed "256 steps"` measures a row again.

| command | rlzoo | rl_zoo3 | ratio | repeats |
|---|---|---|---|---|
"""


def page(kept: dict[str, Any]) -> str:
    """The results as a page of the documentation."""
    lines, where = [], []
    for name in (name for name in ROWS if name in kept["rows"]):
        found = kept["rows"][name]
        cells = [name, cell(found["rlzoo"]), "", "", str(found["rlzoo"]["repeats"])]
        if "ratio" in found:
            low, high = found["ratio_range"]
            cells[2:4] = [cell(found["peer"]), f"{found['ratio']:.2f} ({low:.2f} to {high:.2f})"]
        lines.append(f"| {' | '.join(cells)} |")
        where.append(circumstances_text(found["circumstances"]))
    return f"{HEAD}{chr(10).join(lines)}\n\n{chr(10).join(dict.fromkeys(where))}\n"


def cell(side: dict[str, Any]) -> str:
    low, high = side["cpu_range"]
    return f"{side['cpu']:.2f} ({low:.2f} to {high:.2f})"


def circumstances_text(found: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    cores = f"{found['cores']} cores at a load of {found['load']}"
    return (
        f"Measured {found['date']} on {found['cpu']}, {cores}: Python {found['python']}, {versions}; {found['peer']}."
    )


def row_text(name: str, found: dict[str, Any]) -> str:
    text = f"{name:36} {found['rlzoo']['cpu']:8.3f} CPU s"
    if "ratio" in found:
        low, high = found["ratio_range"]
        text += f"   peer {found['peer']['cpu']:8.3f}   ratio {found['ratio']:.2f} ({low:.2f} to {high:.2f})"
    return text


if __name__ == "__main__":
    main()
