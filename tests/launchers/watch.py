"""Starts a sweep in a process of its own, and watches processes."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


def start_sweep(folder: Path, launcher: str, *words: str, n_jobs: int) -> tuple[subprocess.Popen[bytes], list[int]]:
    """A sweep of three jobs of which `n_jobs` are running, as a process group of its own, and the jobs' process ids."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{HERE}"}
    yaml = ROOT / "conf" / "launcher" / f"{launcher}.yaml"
    command = [sys.executable, str(HERE / "sweep_of_signals.py"), str(folder), str(n_jobs), str(yaml), *words]
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    wait_for(lambda: len([path for path in folder.glob("*.pid") if path.read_text()]) == n_jobs)
    return process, [int(path.read_text()) for path in folder.glob("*.pid")]


def wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits to be collected does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
