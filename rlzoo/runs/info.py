"""What a run records of its circumstances: versions, machine, threads, determinism, git, command line."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from rlzoo.redaction import redact, redact_command
from rlzoo.registry import outside_the_folder, version_of

PACKAGES = (
    "hydra-rlzoo", "stable-baselines3", "sb3-contrib", "torch", "gymnasium", "numpy", "hydra-core", "omegaconf",
    "safetensors", "ale-py", "opencv-python", "opencv-python-headless", "box2d", "mujoco",
)  # fmt: skip
"""Distributions whose version can change a result; what is not installed is left out."""

VARIABLES = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ATEN_CPU_CAPABILITY", "PYTHONHASHSEED",
    "CUDA_VISIBLE_DEVICES", "CUBLAS_WORKSPACE_CONFIG", "NVIDIA_TF32_OVERRIDE",
)  # fmt: skip
"""Environment variables that can change a result; those that are not set are left out."""

DIFF_BYTES = 1024 * 1024
"""Of the uncommitted changes, at most this much is kept."""

GIT_SECONDS = 5.0
"""How long one question to git may take."""

GIT_SETTINGS = ("core.fsmonitor=false", f"core.hooksPath={os.devnull}", "protocol.allow=never")
"""Programs that git would start, and where it would fetch what is missing, off."""
GIT_NO_FILTER = {"clean": "", "process": "", "required": "false"}


def collect() -> dict[str, Any]:
    """The circumstances as JSON-able values. torch is asked only if it has been imported."""
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": redact_command(sys.argv),
        "versions": dict(versions()),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": cpu_model(),
        "cpu_count": os.cpu_count(),
        "memory_gib": _memory_gib(),
        "variables": {name: os.environ[name] for name in VARIABLES if name in os.environ},
        "git": git_state(),
        **device(),
    }


@cache
def versions() -> dict[str, str]:
    """What is installed of `PACKAGES`."""
    return {name: found for name in PACKAGES if (found := version_of(name)) is not None}


def device() -> dict[str, Any]:
    """GPU, threads and determinism settings of torch, as they are now; nothing if torch has not been imported."""
    if "torch" not in sys.modules:
        return {}
    import torch

    return {
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "torch_threads": torch.get_num_threads(),
        "determinism": {
            "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
            "cudnn_deterministic": torch.backends.cudnn.deterministic,
            "cudnn_benchmark": torch.backends.cudnn.benchmark,
            "float32_matmul_precision": torch.get_float32_matmul_precision(),
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        },
    }


@cache
def cpu_model() -> str | None:
    """The name of the processor, None where the system does not tell it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        if sys.platform == "darwin":
            return _output("sysctl", "-n", "machdep.cpu.brand_string")
        return platform.processor() or None
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine() or None)


def git_state() -> dict[str, Any] | None:
    """Commit of the current folder and whether files differ from it; None outside of a repository."""
    git = _git()
    commit = None if git is None else _output(*git.command, "rev-parse", "HEAD", env=git.environment)
    if git is None or commit is None:
        return None
    changes = _output(*git.command, "status", "--porcelain", "--ignore-submodules=dirty", env=git.environment)
    return {"commit": commit, "dirty": bool(changes)}


def git_diff() -> str:
    """How the tracked files differ from the commit, without secrets, cut where it gets long; empty if they do not."""
    git = _git()
    if git is None:
        return ""
    options = ("--no-color", "--no-ext-diff", "--no-textconv", "--ignore-submodules=dirty")
    command, pipe, nowhere = [*git.command, "diff", "HEAD", *options], subprocess.PIPE, subprocess.DEVNULL
    try:
        with subprocess.Popen(command, stdout=pipe, stderr=nowhere, env=git.environment) as process:
            assert process.stdout is not None
            timer = threading.Timer(GIT_SECONDS, process.kill)
            timer.start()
            try:
                data = process.stdout.read(DIFF_BYTES + 1)
            finally:
                timer.cancel()
                process.kill()  # it may have more to say than is kept
    except OSError:
        return ""
    text = redact(data[:DIFF_BYTES].decode("utf-8", errors="replace"))
    return text if len(data) <= DIFF_BYTES else f"{text}\n[cut: more than {DIFF_BYTES // 1024} KiB]\n"


class _Git(NamedTuple):
    """How git is asked, so that it runs nothing that the repository's own settings name: they may be a stranger's."""

    command: tuple[str, ...]
    environment: dict[str, str]


def _git() -> _Git | None:
    """How git is asked; None where the current folder is in no repository, or in one whose files lie elsewhere."""
    here = Path.cwd().resolve()
    home = next((folder for folder in (here, *here.parents) if (folder / ".git").exists()), None)
    if home is None:  # two processes less for every run
        return None
    with outside_the_folder():
        environment = {**os.environ, "GIT_NO_LAZY_FETCH": "1", "GIT_TERMINAL_PROMPT": "0"}
    command = ("git", "--no-optional-locks", *(word for setting in GIT_SETTINGS for word in ("-c", setting)))
    top = _output(*command, "rev-parse", "--show-toplevel", env=environment)
    settings = _output(*command, "config", "--list", "--show-scope", "-z", env=environment)
    if top is None or settings is None or home != Path(top).resolve():
        return None
    parts = settings.split("\0")
    theirs = [entry for scope, entry in zip(parts[::2], parts[1::2], strict=False) if scope in ("local", "worktree")]
    names = (entry.partition("\n")[0] for entry in theirs if entry.startswith("filter."))
    filters = dict.fromkeys(name.rpartition(".")[0] for name in names)  # not the user's own, as of Git LFS
    off = [(f"{name}.{key}", value) for name in filters for key, value in GIT_NO_FILTER.items()]
    first = int(os.environ.get("GIT_CONFIG_COUNT") or 0)
    for index, (name, value) in enumerate(off, first):
        environment |= {f"GIT_CONFIG_KEY_{index}": name, f"GIT_CONFIG_VALUE_{index}": value}
    return _Git(command, {**environment, "GIT_CONFIG_COUNT": str(first + len(off))})


def _memory_gib() -> float:
    import psutil

    return round(psutil.virtual_memory().total / 2**30, 1)


def _output(*command: str, env: Mapping[str, str] | None = None) -> str | None:
    try:
        result = subprocess.run(
            command, capture_output=True, encoding="utf-8", errors="replace", timeout=GIT_SECONDS, check=True, env=env
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip()
