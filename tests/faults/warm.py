"""The `rlzoo` command in processes forked from a warm one: real processes that start in a tenth of a second.

`Warm().start("train", "algo=ppo", cwd=folder)` is what a shell does, except that torch has been imported already. The
process can be killed, signalled and waited for; everything it prints is in `child.output`.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from os import _exit
from pathlib import Path
from typing import Any

BEFORE = "before.py"

KILL = """
import os
from rlzoo.training.callbacks.progress import Progress

def on_step(self, algorithm, real=Progress.on_step):
    if algorithm.num_timesteps >= {step}:
        os.kill(os.getpid(), {signal})
    return real(self, algorithm)
Progress.on_step = on_step
"""
"""To run before a training: it ends itself by a signal at a step."""


class Warm:
    """The warm process; it forks a child for every request."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._n = 0
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=self._folder.name
        )

    def start(
        self,
        *words: str,
        cwd: Path,
        env: Mapping[str, str | None] | None = None,
        before: str = "",
        at: float | None = None,
        stdout: str | None = None,
    ) -> Child:
        """Run `rlzoo <words>` in a process of its own.

        Args:
            words: the command line.
            cwd: its current folder.
            env: environment variables that differ from this process's; None takes one away.
            before: Python source that the process runs first (limits, audit hooks).
            at: the time (`time.time()`) to begin at: many processes at the same moment.
            stdout: a file or named pipe for standard output alone; else both streams go to `output`.
        """
        self._n += 1
        output = Path(self._folder.name) / f"{self._n}.txt"
        script = Path(self._folder.name) / f"{self._n}.{BEFORE}"
        script.write_text(before)
        request = {
            "words": words,
            "cwd": str(cwd),
            "env": dict(env or {}),
            "before": str(script),
            "at": at,
            "output": str(output),
            "stdout": stdout,
        }
        return Child(self, int(self.ask(request)), output)

    def ask(self, request: dict[str, Any]) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._folder.cleanup()


class Child:
    """One command that runs."""

    def __init__(self, warm: Warm, pid: int, output: Path) -> None:
        self.pid = pid
        self._warm, self._output = warm, output
        self.returncode: int | None = None

    @property
    def output(self) -> str:
        return self._output.read_text(errors="replace") if self._output.exists() else ""

    def poll(self) -> int | None:
        """The exit code, or minus the signal that ended it; None while it runs."""
        if self.returncode is None:
            self.returncode = self._warm.ask({"poll": self.pid})
        return self.returncode

    def wait(self, timeout: float = 120) -> int:
        deadline = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > deadline:
                self.kill()
                raise TimeoutError(f"still running after {timeout} s: {self.output}")
            time.sleep(0.005)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)
        self.wait()


def _serve() -> None:
    from rlzoo.algos import lazy_dynamo

    lazy_dynamo.install()  # as a command does
    import rlzoo.cli.commands.evaluate
    import rlzoo.cli.commands.list
    import rlzoo.cli.commands.train
    import rlzoo.cli.main
    import rlzoo.training.request
    from rlzoo.launchers.warm import modules

    for name in modules():
        importlib.import_module(name)
    rlzoo.training.request.check_all(rlzoo.training.request.plan(["algo=ppo", "env=CartPole"], multirun=False))
    for line in sys.stdin:
        request = json.loads(line)
        if "poll" in request:
            pid, status = os.waitpid(request["poll"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        else:
            answer = os.fork()
            if answer == 0:
                _child(request)
        print(json.dumps(answer), flush=True)


def _child(request: dict[str, Any]) -> None:
    from rlzoo import redaction
    from rlzoo.cli.main import main
    from rlzoo.errors import own_process

    own_process()
    code = 1
    try:
        os.setpgid(0, 0)
        os.close(0)
        os.open(os.devnull, os.O_RDONLY)
        output = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(output, 2)
        if request["stdout"]:
            output = os.open(request["stdout"], os.O_WRONLY | os.O_CREAT)
        os.dup2(output, 1)
        os.close(output)
        os.chdir(request["cwd"])
        for name, value in request["env"].items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        redaction._stored.cache_clear()  # a new process reads the stored secrets of its own home
        redaction._known_values.cache_clear()
        _run_file(Path(request["before"]))
        if request["at"]:
            time.sleep(max(0.0, request["at"] - time.time()))
        code = main(request["words"])
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except SystemExit as error:
        code = int(error.code or 0)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        _exit(code)


def _run_file(path: Path) -> None:
    from importlib.machinery import SourceFileLoader
    from importlib.util import module_from_spec, spec_from_loader

    if path.stat().st_size:
        loader = SourceFileLoader("before", str(path))
        spec = spec_from_loader("before", loader)
        assert spec is not None
        loader.exec_module(module_from_spec(spec))


if __name__ == "__main__":
    _serve()
