"""Whatever environments start ends with the command: every command, in process and in others, however it ends."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
import pytest
from warm import Child, Warm

from tests.starting import STARTED

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="nothing is marked elsewhere")

TESTS = Path(__file__).parents[1]
ENV = ["env=gym", "env.id=starting_env:Starting-v0", "env.imports=[starting]", "env.max_restarts=0"]
KWARGS = "env.kwargs={{ways: [stubborn, fork, daemon, session], at: {at}, end: {end}, pause: {pause}}}"
TRAIN = ["train", "algo=ppo", *ENV, "hyperparams=none", "device=cpu", "algo.n_steps=16", "algo.batch_size=16"]
TRAIN += ["algo.n_epochs=1", "eval.freq=0", "eval.final_n_episodes=2", "logger=[]", "signal_grace=1"]
SEARCH = ["tune", *TRAIN[1:], "eval.freq=30", "eval.n_episodes=1", "n_trials=2", "workers=2", "sampler=random"]
SEARCH += ["pruner=none", "top_k=0", "final_seeds=1", "search_space=lr"]
SPACE = "learning_rate: {type: float, low: 1.0e-5, high: 1.0e-3, log: true}\n"
RANDOM = ["policy=random", *ENV]
COMMANDS = {
    "train": TRAIN,
    "dry-run": [*TRAIN, "--dry-run"],
    "sweep": [*TRAIN, "-m", "seed=1,2", "n_jobs=2"],
    "tune": SEARCH,
    "evaluate": ["evaluate", *RANDOM],
    "enjoy": ["enjoy", *RANDOM, "render=none"],
    "record": ["record", *RANDOM],
    "package": ["package", "run=latest"],
}
IN_OTHERS = {"train": ["env.n_envs=2"], "sweep": ["env.n_envs=2"], "tune": ["env.n_envs=2"], "evaluate": ["n_envs=2"]}
"""The commands that can play in subprocesses."""
N_RUNS = {"train": 1, "sweep": 2, "tune": 2}
SIGNALS = {number.name: number for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL)}
STEPS = {"train": "total_timesteps={}", "sweep": "total_timesteps={}", "tune": "total_timesteps={}"}
STEPS |= {"evaluate": "n_timesteps={}", "enjoy": "n_timesteps={}", "record": "n_timesteps={}"}
AT = ("constructor", "reset", "step")

IN_EVERY_RUN = {
    *(("train", vec_env, end) for vec_env in ("dummy", "subproc") for end in ("end", "SIGKILL")),
    *(("train", "dummy", end) for end in ("raise", "SIGTERM", "SIGHUP")),
    *(("evaluate", "dummy", "SIGKILL"), ("evaluate", "subproc", "SIGINT"), ("record", "dummy", "SIGTERM")),
    ("dry-run", "dummy", "end"),
}
CASES = [
    pytest.param(command, vec_env, end, marks=[] if (command, vec_env, end) in IN_EVERY_RUN else pytest.mark.slow)
    for command in COMMANDS
    for vec_env in ("dummy", "subproc")
    for end in ("end", "raise", "exit", *SIGNALS)
    if (vec_env == "dummy" or command in IN_OTHERS)
    and (end in ("end", *SIGNALS) or command in STEPS)  # what the others play does not last so long
    and not (command == "dry-run" and end != "end")
]


@pytest.fixture(scope="module")
def trained(warm: Warm, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run."""
    folder = tmp_path_factory.mktemp("trained")
    put_modules(folder)
    words = [*TRAIN, KWARGS.format(at="constructor", end="null", pause=0.01), "seed=0", "total_timesteps=32"]
    child = warm.start(*words, cwd=folder, env=environment(folder / "started"))
    assert child.wait() == 0, child.output
    assert left(folder / "started") == []
    return folder


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Path]:
    """The file of what is started; nothing of it is left after the test."""
    put_modules(tmp_path)
    yield tmp_path / "started"
    for process in of_this(tmp_path / "started"):
        process.kill()


def put_modules(folder: Path) -> None:
    (folder / "conf" / "search_space").mkdir(parents=True)
    (folder / "conf" / "search_space" / "lr.yaml").write_text(SPACE)
    for name in ("starting.py", "starting_env.py"):
        (folder / name).symlink_to(TESTS / name)


def environment(started: Path) -> Mapping[str, str]:
    return {STARTED: str(started)}


def of_this(started: Path) -> list[psutil.Process]:
    """What was started, and everything else that runs in the same environment: workers, servers, guards."""
    noted = {tuple(line.split()) for line in started.read_text().splitlines()} if started.exists() else set()
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and (
                (str(process.pid), str(process.create_time())) in noted
                or process.environ().get(STARTED) == str(started)
            ):
                found.append(process)
        except psutil.Error:
            pass
    return found


def left(started: Path, seconds: float = 60) -> list[object]:
    """What still runs after so many seconds."""
    deadline = time.monotonic() + seconds
    while (found := of_this(started)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return [process.as_dict(["pid", "ppid", "cmdline", "status"]) for process in found]


def await_started(child: Child, started: Path, n_runs: int) -> None:
    """Wait until environments have started something; those of trainings, until each has learned from its own."""
    deadline = time.monotonic() + 120
    while (
        not started.exists()
        or len(started.read_text().splitlines()) < 4
        or len(list(started.parent.rglob("metrics.csv"))) < n_runs
    ):
        assert child.poll() is None and time.monotonic() < deadline, child.output
        time.sleep(0.01)


@pytest.mark.parametrize(("command", "vec_env", "end"), CASES)
def test_nothing_outlives_the_command(
    command: str, vec_env: str, end: str, warm: Warm, started: Path, request: pytest.FixtureRequest
) -> None:
    stops = end in SIGNALS
    at = AT[len(command + vec_env + end) % len(AT)] if command != "dry-run" else "constructor"
    words = [*COMMANDS[command]]
    if command in STEPS:
        words.append(STEPS[command].format(100000 if stops else 60))
    if command != "package":
        fault = end if end in ("raise", "exit") else "null"
        words.append(KWARGS.format(at=at, end=fault, pause=0.01 if stops else 0))
    if command in IN_OTHERS:
        words += [f"env.vec_env={vec_env}", *(IN_OTHERS[command] if vec_env == "subproc" else [])]
    cwd = request.getfixturevalue("trained") if command == "package" else started.parent
    child = warm.start(*words, cwd=cwd, env=environment(started))
    if stops:
        await_started(child, started, N_RUNS.get(command, 0))
        time.sleep(0.5)
        os.kill(child.pid, SIGNALS[end])
    code = child.wait()
    assert started.read_text(), child.output
    assert left(started) == [], child.output
    if stops:
        assert code in (128 + SIGNALS[end], -SIGNALS[end]), child.output
    elif end == "end":
        assert code == 0, child.output
    elif end == "raise":
        assert code != 0, child.output
