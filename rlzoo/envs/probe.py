"""Runs somebody else's code once in a process of its own, with limits, and says what it did there.

What such code prints goes to nobody, and nothing that it starts, changes or breaks reaches this process. Standard
library only: the process is a copy of this one where that costs nothing and is safe.
"""

from __future__ import annotations

import faulthandler
import json
import math
import os
import pickle
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from rlzoo import console, errors, registry
from rlzoo.processes import engines
from rlzoo.registry import Imports, outside_the_folder

RESET_FACTOR = 3
"""A reset may take so many times as long as a step: many environments build their world in it."""
START_SECONDS = 60.0
"""What starts may take as long as a reset, and at least this: it imports what the environment needs."""
BEAT_SECONDS = 0.5
"""How often the process says that it still does something, at most."""
LOOK_SECONDS = 0.2
"""How often it is looked whether the process has died, at least."""
PATIENCE_SECONDS = 10.0
"""After so long in one call the user is told what is waited for."""
MAX_FRAMES = 100
"""What `faulthandler` writes of a stack, the innermost."""
_CALL = (
    "import sys, json; sys.path[:] = json.loads(sys.stdin.buffer.readline());"
    "from rlzoo.envs import probe; probe._serve()"
)
_FRAME = re.compile(r'^  File "(.+)", line (\d+) in ', re.MULTILINE)


@dataclass(frozen=True)
class End:
    """How a call ended that did not return.

    Attributes:
        during: what was being called: `step()`.
        how: what became of it: `ends the process with exit code 3`, `does not return within 20 s`.
        where: file and line, as far as they are known.
        is_hang: whether it would have needed more time.
    """

    during: str
    how: str
    where: str
    is_hang: bool = False


@dataclass(frozen=True)
class Heard:
    """What a process said: all values that it told under each name, and how it ended too early, if it did."""

    told: Mapping[str, list[Any]]
    end: End | None


class Line:
    """The process's end of the line to the one that started it.

    Attributes:
        doing: what it is in the middle of.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.doing, self._said = "", 0.0

    def begin(self, doing: str, seconds: float, where: Callable[[], str] | None = None) -> None:
        """Say what is called next, how long it may take, and where it is written, if nothing better will be known."""
        now = time.monotonic()
        if doing != self.doing or now - self._said > BEAT_SECONDS:
            self.doing, self._said = doing, now
            self.send({"doing": doing, "seconds": seconds + BEAT_SECONDS, "where": where() if where else ""})

    def tell(self, **found: Any) -> None:
        """Tell something of plain values, which is kept whatever happens next."""
        self.send({"told": found})

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a message as it is."""
        data = json.dumps(message).encode() + b"\n"
        while data:
            data = data[os.write(self._descriptor, data) :]


_kept: ContextVar[dict[str, Heard] | None] = ContextVar("kept", default=None)


@contextmanager
def once() -> Iterator[None]:
    """Within it, what was asked is not asked again: the jobs of a sweep have the same environment."""
    token = _kept.set({})
    try:
        yield
    finally:
        _kept.reset(token)


def ask(
    reference: str,
    question: Mapping[str, Any],
    given: Callable[[], Any] | None = None,
    *,
    starts: bool = True,
    name: str = "",
) -> Heard:
    """Call a function in a process of its own.

    Args:
        reference: `"module:function"`, called with the question, a `Line`, and what `given` gives.
        question: plain values.
        given: objects that a new interpreter could not find by itself.
        starts: whether it may start processes; they end with it.
        name: what the question is the same as another one by, for `once`.
    """
    kept = _kept.get()
    if kept is not None and name in kept:
        return kept[name]
    with tempfile.TemporaryFile() as output:
        reader, writer = os.pipe()
        try:
            mark = engines.new_mark() if starts else None
            process = _Process(_start(_Call(reference, question, mark, output.fileno(), writer), given), mark)
        finally:
            os.close(writer)
        try:
            heard = _listen(process, reader, output)
        finally:
            process.kill()
            os.close(reader)
    if kept is not None:
        kept[name] = heard
    return heard


class _Process:
    """A process that was started here, and whatever it starts.

    Attributes:
        status: what it ended with, once that is known.
    """

    def __init__(self, pid: int, mark: int | None) -> None:
        self.pid, self._mark = pid, mark
        self.status: int | None = None
        with suppress(OSError):  # it does so itself, maybe later than it is killed
            os.setpgid(pid, pid)

    def look(self) -> int | None:
        """What it ended with, if it did."""
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.status = status if pid else None
        return self.status

    def kill(self) -> None:
        """End it with all that it has started."""
        with suppress(OSError):
            os.killpg(self.pid, signal.SIGKILL)
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            self.status = os.waitpid(self.pid, 0)[1]
        if self._mark is not None:
            engines.end({self._mark}, patience=0)


@dataclass(frozen=True)
class _Call:
    """What the process is to call, and where it says and writes what."""

    reference: str
    question: Mapping[str, Any]
    mark: int | None
    output: int
    writer: int


def _start(call: _Call, given: Callable[[], Any] | None) -> int:
    if _may_fork():
        pid = os.fork()
        if pid == 0:
            _live(call, None)
        return pid
    request = (call, _packed(given), Imports.here(), str(Path.cwd()))
    with outside_the_folder():
        process = subprocess.Popen(
            [sys.executable, "-c", _CALL],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=call.output,
            pass_fds=(call.output, call.writer),
        )
    process.returncode = 0  # it is waited for by its number
    assert process.stdin is not None
    with suppress(BrokenPipeError), process.stdin:
        process.stdin.write(json.dumps(sys.path).encode() + b"\n" + pickle.dumps(request))
    return process.pid


def _may_fork() -> bool:
    """Whether a copy of this process is sound: where no other thread can hold a lock that nobody would open again."""
    if sys.platform != "linux":
        return False
    with suppress(OSError):
        return len(list(Path("/proc/self/task").iterdir())) == 1
    return False


def _packed(given: Callable[[], Any] | None) -> bytes | None:
    if given is None:
        return None
    import cloudpickle

    try:
        return cloudpickle.dumps(given())
    except Exception:
        return None  # the process says that it does not find it


def _unpacked(packed: bytes | None) -> Any:
    with suppress(Exception):  # of a module that is not found here, or not there any more
        return None if packed is None else pickle.loads(packed)  # of the process that started this one, by a pipe


def _serve() -> None:
    call, packed, imports, folder = pickle.load(sys.stdin.buffer)  # the same pipe: nothing of a stranger's
    os.chdir(folder)
    imports.apply()
    _live(call, packed)


def _live(call: _Call, packed: bytes | None) -> None:
    """The whole life of the process: it never returns."""
    code = 70
    try:
        _settle(call.output)
        engines.enter(call.mark)
        line = Line(call.writer)
        try:
            registry.load(call.reference)(call.question, line, _unpacked(packed))
        except BaseException:
            import traceback

            line.send({"bug": traceback.format_exc()})
        line.send({"done": True})
        code = 0
    finally:
        _leave(code)


_leave = os._exit


def _settle(output: int) -> None:
    """Leave the terminal to the parent, end with it, and leave word of what ends this process."""
    os.setpgid(0, 0)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGABRT"):
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(nothing, descriptor)
    os.dup2(output, 2)
    sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w")
    faulthandler.disable()  # where the parent has enabled it, its signals are gone by now
    faulthandler.enable(2)
    own = os.getpid()

    def leave(status: int) -> None:
        if os.getpid() == own:
            faulthandler.dump_traceback(2)
        _leave(status)

    os._exit = leave  # type: ignore[assignment]


def _listen(process: _Process, reader: int, output: IO[bytes]) -> Heard:
    """Hear the process until it is done, has ended, or does not answer any more."""
    told: dict[str, list[Any]] = {}
    doing, seconds, where, rest = "start", START_SECONDS, "", b""
    begun = since = time.monotonic()
    while True:
        status = process.look()  # before its last words are read
        wait = max(0.0, min(LOOK_SECONDS, since + seconds - time.monotonic()))
        data = os.read(reader, 1 << 16) if select.select([reader], [], [], wait)[0] else b""
        *lines, rest = (rest + data).split(b"\n")
        for message in map(json.loads, lines):
            if "doing" in message:
                since = time.monotonic()
                begun = since if message["doing"] != doing else begun
                doing, seconds, where = message["doing"], message["seconds"], message["where"]
            elif "bug" in message:
                raise RuntimeError(f"in the process that tries the environment:\n{message['bug']}")
            elif "done" in message:
                return Heard(told, None)
            else:
                for name, value in message["told"].items():
                    told.setdefault(name, []).append(value)
        if status is not None and not data:
            if doing == "start":
                output.seek(0)
                raise RuntimeError(f"the process that tries the environment did not start:\n{output.read().decode()}")
            return Heard(told, End(doing, _way(status), _place(output) or where))
        now = time.monotonic()
        if status is None and now - since >= seconds:
            os.kill(process.pid, signal.SIGABRT)  # it leaves a traceback
            time.sleep(LOOK_SECONDS)
            how = f"does not return within {seconds - BEAT_SECONDS:g} s"
            return Heard(told, End(doing, how, _place(output) or where, is_hang=True))
        if begun <= now - PATIENCE_SECONDS:
            begun = math.inf
            console.say(f"trying the environment: {doing} takes its time; it may take {seconds - BEAT_SECONDS:g} s")


def _way(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        return f"crashes the process ({signal.Signals(-code).name})"
    return f"ends the process with exit code {code}"


def _place(output: IO[bytes]) -> str:
    output.seek(0)
    return place_in(output.read().decode(errors="replace"))


def place_in(traceback: str) -> str:
    """The author's line where a process was when `faulthandler` wrote this; empty if it wrote nothing."""
    stacks = traceback.split("Current thread ")
    stack = re.split(r"^Thread ", stacks[-1], flags=re.MULTILINE)[0] if len(stacks) > 1 else ""
    frames = [(file, int(line)) for file, line in _FRAME.findall(stack)]
    if len(frames) == MAX_FRAMES:  # the author's may be among those that are left out
        frames = [frame for frame in frames if errors.distance(frame[0]) == 0]
    return errors.author_frame(reversed(frames)) or ""
