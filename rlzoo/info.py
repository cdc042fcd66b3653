"""What info.json records of the circumstances of a run: versions, machine, git, command line."""

from __future__ import annotations

import os
import platform
import re
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

PACKAGES = (
    "hydra-rlzoo", "stable-baselines3", "sb3-contrib", "torch", "gymnasium", "numpy", "hydra-core", "omegaconf",
    "safetensors", "ale-py", "opencv-python", "opencv-python-headless", "box2d", "mujoco",
)  # fmt: skip
"""Distributions whose version can change a result; what is not installed is left out."""

SECRET = re.compile(r"(?i)([\w.]*(?:token|password|passwd|secret|api_?key)[\w.]*=|://[^/\s:@]+:)([^\s@]+)")


def collect() -> dict[str, Any]:
    """The circumstances as JSON-able values. torch is asked only if it has been imported."""
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": redact(shlex.join(sys.argv)),
        "versions": {name: found for name in PACKAGES if (found := _version(name)) is not None},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu_count": os.cpu_count(),
        "git": git_state(),
        **device(),
    }


def device() -> dict[str, Any]:
    """CPU threads of torch and the name of the GPU, as they are now; nothing if torch has not been imported."""
    if "torch" not in sys.modules:
        return {}
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {"torch_threads": torch.get_num_threads(), "gpu": gpu}


def git_state() -> dict[str, Any] | None:
    """Commit of the current folder and whether files differ from it; None outside of a repository."""
    commit = _git("rev-parse", "HEAD")
    return None if commit is None else {"commit": commit, "dirty": bool(_git("status", "--porcelain"))}


def redact(text: str) -> str:
    """Text without the values of settings named like secrets, and without passwords in URLs."""
    return SECRET.sub(r"\1***", text)


def _git(*arguments: str) -> str | None:
    try:
        result = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip()


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
