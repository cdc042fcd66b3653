"""Small jobs for the launchers' tests. They are imported by the jobs' own processes."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from rlzoo.errors import ExitCode, RlzooError
from rlzoo.registry import load


def square(config: dict[str, Any]) -> dict[str, Any]:
    time.sleep(config.get("seconds", 0.0))
    return {"run": Path("runs") / str(config["x"]), "result": {"square": config["x"] ** 2}}


def nothing(config: dict[str, Any]) -> None:
    return None


def refuse(config: dict[str, Any]) -> None:
    raise RlzooError("the disk is full", "make room", ExitCode.STORAGE)


def crash(config: dict[str, Any]) -> None:
    raise ValueError("a bad number")


def die(config: dict[str, Any]) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def leave(config: dict[str, Any]) -> None:
    os._exit(5)


def unsendable(config: dict[str, Any]) -> dict[str, Any]:
    return {"result": {"function": lambda: None}}


def about_me(config: dict[str, Any]) -> dict[str, Any]:
    import torch

    result = {
        "pid": os.getpid(),
        "threads": torch.get_num_threads(),
        "omp": os.environ["OMP_NUM_THREADS"],
        "plain": os.environ.get("RLZOO_PLAIN"),
        "marker": os.environ.get("RLZOO_TEST_MARKER"),
        "cwd": str(Path.cwd()),
        "dynamo": "torch._dynamo" in sys.modules,
    }
    if config.get("use_threads"):
        torch.set_num_threads(2)
        result["product"] = float((torch.ones(600, 600) @ torch.ones(600, 600)).sum())
    return {"result": result}


def span(config: dict[str, Any]) -> dict[str, Any]:
    """When the job ran, on the clock that all processes share."""
    start = time.monotonic()
    time.sleep(config["seconds"])
    return {"result": {"start": start, "end": time.monotonic()}}


def until_signal(config: dict[str, Any]) -> dict[str, Any]:
    """Run until a signal comes, then clean up as a training does, and say which came and how often."""
    received: list[int] = []
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, lambda number, _frame: received.append(number))
    Path(config["folder"], f"{config['x']}.pid").write_text(str(os.getpid()))
    deadline = time.monotonic() + 60
    while not received and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.5)
    Path(config["folder"], f"{config['x']}.saved").write_text(str(received))
    return {"run": config["folder"], "exit_code": 128 + received[0], "error": "interrupted"}


def train_and_say_what_is_imported(config: dict[str, Any]) -> dict[str, Any]:
    """Train, and tell which modules the server of this process had not loaded."""
    before = set(sys.modules)
    answer = load("rlzoo.training.request:run_job")(config)
    return {**answer, "result": {"new": sorted(set(sys.modules) - before)}}
