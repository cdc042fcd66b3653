"""What tests need from the system besides Python: whether it is there is tried, and what is missing is named."""

from __future__ import annotations

import subprocess
from functools import cache

import pytest

from rlzoo.doctor.doctor import probe


@cache
def lacks(*command: str) -> str:
    """Why a program cannot be used, in words for `skip`; nothing if this call of it ends well."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"needs {command[0]}: {error}"
    said = (done.stderr or done.stdout).strip().splitlines()
    return (
        f"needs {' '.join(command)}: {said[-1] if said else f'exit code {done.returncode}'}" if done.returncode else ""
    )


def needs(*command: str) -> pytest.MarkDecorator:
    """A mark for tests that start a program: they are skipped where this call of it does not end well."""
    return pytest.mark.skipif(bool(lacks(*command)), reason=lacks(*command))


@cache
def mujoco_cannot_draw() -> str:
    """Why, as a reason to skip: tried in a process of its own, as MuJoCo leaves a failure behind."""
    error = probe(["gl"])["gl"]["error"]
    return f"needs what MuJoCo draws with, apt-get install libegl1 libgl1-mesa-dri: {error}" if error else ""


@cache
def no_xvfb() -> str:
    """Why no virtual screen can be had, as a reason to skip: it needs programs and data of further packages."""
    try:
        with subprocess.Popen(
            ["Xvfb", "-displayfd", "1", "-screen", "0", "64x64x24"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as server:  # fmt: skip
            assert server.stdout is not None and server.stderr is not None
            number = server.stdout.readline()  # once it takes connections; nothing if it ends
            server.terminate()
            said = server.stderr.read().strip().splitlines()
    except OSError as error:
        return f"needs Xvfb, apt-get install xvfb: {error}"
    return "" if number.strip() else f"needs Xvfb, which does not start: {' '.join(said)[:200]}"
