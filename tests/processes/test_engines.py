"""What environments start ends with the process that they are in; everything else is left alone."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.starting import STARTED, WAYS, n_noted

TESTS = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="nothing is marked elsewhere")

PROGRAM = """
import os, signal, sys, time
from rlzoo.processes import engines
from rlzoo.registry import outside_the_folder
from starting import WAYS, n_noted, program

program()  # before, and not an environment's
with engines.held():
    for way in WAYS.values():
        way()
    with outside_the_folder():
        program()
    while n_noted() < len(WAYS) + 2:  # some have to begin first
        time.sleep(0.01)
    if sys.argv[1] == "wait":
        print("ready", flush=True)
        time.sleep(1000)
program()
if sys.argv[1] == "raise":
    raise ValueError
if sys.argv[1] == "exit":
    sys.exit(3)
if sys.argv[1] == "leave":
    os._exit(4)
if sys.argv[1] == "crash":
    os.kill(os.getpid(), signal.SIGSEGV)
"""


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file of what was started; nothing of it is left after the test."""
    file = tmp_path / "started"
    monkeypatch.setenv(STARTED, str(file))
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    yield file
    for process in running(file):
        process.kill()


def running(file: Path) -> list[psutil.Process]:
    """What was started and still runs, known by when it began."""
    found = []
    for line in file.read_text().splitlines() if file.exists() else ():
        pid, began = line.split()
        try:
            process = psutil.Process(int(pid))
            if process.create_time() == float(began) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.NoSuchProcess:
            pass
    return found


def settled(file: Path, n: int = 0, seconds: float = 10) -> list[psutil.Process]:
    """What still runs once no more than `n` do, or after so many seconds."""
    deadline = time.monotonic() + seconds
    while len(running(file)) > n and time.monotonic() < deadline:
        time.sleep(0.01)
    return running(file)


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ("return", 0),
        ("raise", 1),
        ("exit", 3),
        ("leave", 4),
        ("crash", -signal.SIGSEGV),
        *((number, -number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL)),
    ],
)
def test_whatever_was_started_in_whatever_way_ends_however_the_process_ends(
    started: Path, tmp_path: Path, how: str | signal.Signals, code: int
) -> None:
    waits = isinstance(how, signal.Signals)
    (tmp_path / "program.py").write_text(PROGRAM)
    words = [sys.executable, tmp_path / "program.py", "wait" if waits else str(how)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        if waits:
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
            assert len(running(started)) == len(WAYS) + 2
            process.send_signal(how)
        assert process.wait(60) == code
    n_foreign = 2 if waits else 3  # before, in the middle and, if it comes to that, after
    left = settled(started, n_foreign)
    assert n_noted() == len(WAYS) + n_foreign
    assert len(left) == n_foreign and all(process.name() == "sleep" for process in left)


NESTED = """
import os, sys, time
from multiprocessing import get_context
from rlzoo.processes import engines
from starting import program, note

def other(mark):
    engines.enter(mark)
    note()
    program()
    with engines.held():  # as an environment that is made in it does
        program()
    time.sleep(1000)

with engines.held():
    pass
marks = [engines.new_mark(), engines.new_mark()]
for mark in marks:
    get_context("fork").Process(target=other, args=[mark], daemon=True).start()
sys.stdin.readline()
engines.end({marks[0]})
print("ended", flush=True)
sys.stdin.readline()
os._exit(0)
"""


def test_of_several_processes_of_environments_each_is_ended_with_what_it_started(started: Path) -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", NESTED], stdin=pipe, stdout=pipe, text=True) as process:
        while n_noted() < 6:
            time.sleep(0.01)
        assert len(running(started)) == 6
        assert process.stdin is not None and process.stdout is not None
        print(file=process.stdin, flush=True)
        assert process.stdout.readline() == "ended\n"
        assert len(running(started)) == 3
    assert settled(started) == []
    assert process.returncode == 0


ESCAPED = """
import os, resource, subprocess, sys
import gymnasium
import starting

def unlimited():
    resource.setrlimit(resource.RLIMIT_RSS, (-1, -1))  # not to be found by its mark

class Escaped(gymnasium.Env):
    observation_space = gymnasium.spaces.Discrete(2)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self):
        words = ["sh", "-c", "echo the engine says this; exec sleep 4242"]
        starting.note(subprocess.Popen(words, preexec_fn=unlimited, start_new_session=True).pid)
        os.write(1, b"and a library this\\n")

    def reset(self, *, seed=None, options=None):
        return 0, {}

    def step(self, action):
        return 0, 1.0, True, False, {}

gymnasium.register("Escaped-v0", Escaped)
"""


def test_what_is_started_has_no_hold_of_the_output(started: Path, tmp_path: Path) -> None:
    """The reader of a pipe gets what the command prints, and its end, also where something stays."""
    (tmp_path / "escaped.py").write_text(ESCAPED)
    words = ["evaluate", "policy=random", "env=gym", "env.id=escaped:Escaped-v0", "env.imports=[starting]", "--json"]
    (tmp_path / "starting.py").symlink_to(TESTS / "starting.py")
    with (tmp_path / "err").open("w") as err:
        command = [sys.executable, "-m", "rlzoo", *words, "n_episodes=2"]
        with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=err, text=True) as process:
            assert process.stdout is not None
            found = json.loads(process.stdout.read())
    assert process.returncode == 0 and found["returns"] == [1, 1]
    assert running(started)
    said = (tmp_path / "err").read_text()
    assert "the engine says this" in said and "and a library this" in said
