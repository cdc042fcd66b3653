"""What a child process tries for `rlzoo doctor`: whether packages really load. A crash in there ends only the child.

Run as a file, `python -P …/probe.py name ...`; standard library only. For each name it prints a line of JSON:
`{"name": ..., "error": null or text, "missing": the module that is not there or null, "facts": {...}}`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any


def main(names: list[str]) -> None:
    """Try one name after the other."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # some packages greet
    for name in names:
        answer: dict[str, Any] = {"name": name, "error": None, "missing": None, "facts": {}}
        try:
            answer["facts"] = FACTS[name]() if name in FACTS else _load(name)
        except ModuleNotFoundError as error:
            answer |= {"error": _reason(error), "missing": error.name}
        except BaseException as error:
            answer["error"] = _reason(error)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    os._exit(0)  # what the packages left running has no say


def _load(name: str) -> dict[str, Any]:
    version = getattr(import_module(name), "__version__", None)
    return {"version": version} if isinstance(version, str) else {}


def _torch() -> dict[str, Any]:
    import torch

    cuda = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "version": torch.__version__,
        "cuda": cuda,
        "cuda_version": torch.version.cuda,
        "mps": torch.backends.mps.is_available(),
        "threads": torch.get_num_threads(),
        "sum": float(torch.ones(3).sum()),
    }


def _ale_py() -> dict[str, Any]:
    import ale_py
    from ale_py import roms

    found = [name for name in roms.get_all_rom_ids() if roms.get_rom_path(name)]
    return {"version": ale_py.__version__, "roms": len(found), "space_invaders": "space_invaders" in found}


def _ffmpeg() -> dict[str, Any]:
    import subprocess

    import imageio_ffmpeg

    path = imageio_ffmpeg.get_ffmpeg_exe()
    result = subprocess.run([path, "-hide_banner", "-encoders"], capture_output=True, text=True, timeout=20, check=True)
    return {"path": path, "h264": "libx264" in result.stdout}


def _gl() -> dict[str, Any]:
    """One off-screen drawing context of MuJoCo's, in the way that MUJOCO_GL names."""
    mujoco = import_module("mujoco")
    context = mujoco.GLContext(16, 16)
    context.make_current()
    model = mujoco.MjModel.from_xml_string("<mujoco/>")
    mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100.value).free()  # a context may be made and not work
    context.free()
    return {"version": mujoco.__version__}


FACTS: dict[str, Callable[[], dict[str, Any]]] = {"torch": _torch, "ale_py": _ale_py, "ffmpeg": _ffmpeg, "gl": _gl}


def _reason(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


if __name__ == "__main__":
    main(sys.argv[1:])
