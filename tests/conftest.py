"""What every test runs under: one thread, no screen, no network, and a folder of its own on request."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from rlzoo.doctor.doctor import gl_libraries

# Before torch, pygame, mujoco, wandb or huggingface_hub are imported; workers and child processes inherit them.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")  # the tests promise numbers of the CPU; `-m gpu` runs set it
os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ.setdefault("SDL_AUDIODRIVER", "dummy")
# `nohup make test &` ignores these, and all that the tests start would inherit it.
for _number, _default in ((signal.SIGINT, signal.default_int_handler), (getattr(signal, "SIGHUP", 0), signal.SIG_DFL)):
    if _number and signal.getsignal(_number) == signal.SIG_IGN:
        signal.signal(_number, _default)
for library in gl_libraries()[:1]:  # importing mujoco fails if it is told to take one that is not there
    os.environ.setdefault("MUJOCO_GL", library.lower())
os.environ["WANDB_MODE"] = "offline"
os.environ["WANDB_SILENT"] = "true"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["NO_COLOR"] = "1"
os.environ["COLUMNS"] = "200"  # tables of the command line keep their cells on one line
os.environ.pop("RLZOO_DEBUG", None)


@pytest.fixture
def workdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory: no `./conf` or `./hyperparams` of anybody's, and runs land in it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--faults", choices=["ci", "full"], default="ci", help="how often tests/faults do their harm")
