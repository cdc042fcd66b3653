"""What the code of an environment does to the process that it runs in: put back, or a failure like any other."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import math
import os
import posix
import re
import signal
import subprocess
import sys
import threading
import time
import warnings
import weakref
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from rlzoo import console, errors
from rlzoo.cli import main
from rlzoo.envs import make, registration, wrappers
from rlzoo.envs.contract import N_WATCHED
from rlzoo.envs.vector import watchdog
from rlzoo.errors import ExitCode, RlzooError
from rlzoo.processes import leaving
from tests.misbehaving import METHODS, Masked

CHANGES = {
    "directory": lambda: Path.cwd().name == "elsewhere" or os.chdir("elsewhere"),
    "interrupt": lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    "terminate": lambda: signal.signal(signal.SIGTERM, lambda *_: None),
    "alarm": lambda: signal.signal(signal.SIGALRM, lambda *_: None),
    "warnings": lambda: warnings.simplefilter("error", ImportWarning),
    "permissions": lambda: os.umask(0o777),
    "output": lambda: setattr(sys, "stdout", None),
    "hook": lambda: setattr(sys, "excepthook", print),
    "logging": lambda: logging.disable(logging.CRITICAL),
    "numpy": lambda: np.seterr(all="raise"),
    "dtype": lambda: torch.set_default_dtype(torch.float64),
    "gradients": lambda: torch.set_grad_enabled(False),
    "threads": lambda: torch.set_num_threads(torch.get_num_threads() + 1),
    "device": lambda: torch.set_default_device("meta"),
    "profiler": lambda: signal.signal(signal.SIGPROF, lambda *_: None),
    "timer": lambda: signal.setitimer(signal.ITIMER_VIRTUAL, 1000),
    "recursion": lambda: sys.setrecursionlimit(sys.getrecursionlimit() - 100),
}


def state() -> tuple[Any, ...]:
    umask = os.umask(0o022)
    os.umask(umask)
    timers = [signal.getitimer(which)[0] > 0 for which in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL)]
    handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM, signal.SIGPROF)]
    of_python = sys.stdout, sys.excepthook, sys.getrecursionlimit(), logging.root.manager.disable, [*warnings.filters]
    of_torch = torch.get_default_dtype(), torch.get_default_device(), torch.is_grad_enabled(), torch.get_num_threads()
    return Path.cwd(), umask, handlers, timers, of_python, np.geterr(), of_torch


class Changing(Masked):
    """Does what `DOES` says, in the method that it says."""

    def misbehaves(self, method: str) -> bool:
        if DOES.get("where") == method:
            DOES["places"].append(Path.cwd().name)
            DOES["what"]()
        return False


DOES: dict[str, Any] = {}
gymnasium.register("Changing-v0", Changing)


@pytest.fixture
def begin(env_config, workdir):
    """`begin("step", what)`: such environments, in this process."""
    made = []

    def begin(where: str, what: Any, n_envs: int = 2, **changes: Any) -> Any:
        DOES.update(where=where, what=what, places=[])
        settings = {"render_mode": "rgb_array"} if where == "render" else {}
        cfg = env_config("gym", id=f"{__name__}:Changing-v0", **changes)
        made.append(make(cfg, n_envs=n_envs, seed=0, **settings))
        return made[-1]

    (workdir / "elsewhere" / "elsewhere").mkdir(parents=True)
    yield begin
    DOES["what"] = lambda: None
    for env in made:
        env.close()
    DOES.clear()


def play(env: Any, where: str, n_steps: int = 12) -> None:
    env.reset()
    for _ in range(n_steps):
        env.step(np.zeros(env.num_envs, int))
    if where == "action_masks":
        env.env_method("action_masks")
    if where == "render":
        env.get_images()
    if where == "close":
        env.close()


@pytest.mark.parametrize("where", METHODS[:5])
@pytest.mark.parametrize("what", CHANGES)
def test_what_is_changed_is_put_back(begin, where, what):
    play(begin("", None), "close")
    before = state()
    env = begin(where, CHANGES[what], n_envs=1)
    play(env, where)
    assert DOES["places"] and state() == before


@pytest.mark.parametrize("what", ["dtype", "gradients"])
def test_what_spoils_an_update_is_put_back_after_every_step(begin, what):
    env = begin("", None, n_envs=1)
    play(env, "", n_steps=N_WATCHED + 2)
    before = state()
    DOES.update(where="step", what=CHANGES[what])
    env.step(np.zeros(1, int))
    assert DOES["places"] and state() == before


def test_folders_of_modules_that_an_import_takes_away_are_back(workdir, monkeypatch):
    monkeypatch.syspath_prepend(workdir)
    before = list(sys.path)
    (workdir / "emptying.py").write_text("import sys\nsys.path[:] = ['mine']\n")
    registration.register(["emptying"])
    assert sys.path == ["mine", *dict.fromkeys(before)]


@pytest.mark.parametrize("what", CHANGES)
def test_what_an_import_changes_is_put_back(begin, workdir, monkeypatch, what):
    """The module of an environment, of an entry point, and of a wrapper."""
    monkeypatch.syspath_prepend(workdir)
    env = begin("", None, n_envs=1).envs[0]
    DOES["what"] = CHANGES[what]
    names = [f"changes_{what}_{index}" for index in range(3)]
    for name in names:
        does = f"from {__name__} import DOES\nDOES['places'].append('')\nDOES['what']()\n"
        (workdir / f"{name}.py").write_text(f"{does}class Wrapper:\n    def __new__(cls, env):\n        return env\n")
    before = state()
    registration.register(names[:1])
    assert state() == before
    registration.creator(f"{names[1]}:Wrapper")
    assert state() == before
    wrappers.apply(env, {f"{names[2]}:Wrapper": {}})
    assert state() == before and len(DOES["places"]) == 3


def test_what_an_import_silences_stays_silent(workdir, monkeypatch):
    monkeypatch.syspath_prepend(workdir)
    (workdir / "silencing.py").write_text("import warnings\nwarnings.filterwarnings('ignore', 'of mine')\n")
    with warnings.catch_warnings():
        registration.register(["silencing"])
        warnings.warn("of mine", stacklevel=1)


FORKS = """
import os, sys
from pathlib import Path
import gymnasium
from gymnasium.envs.classic_control import CartPoleEnv

def fork(where):
    Path(f"{where}.{os.getpid()}").touch()
    if not os.fork() and where == "leaving":
        sys.exit(3)

class Forking(CartPoleEnv):
    n = 0
    def __init__(self, render_mode=None):
        super().__init__(render_mode)
        if Path("runs").exists():
            fork("made")
    def step(self, action):
        self.n += 1
        if Path("runs").exists() and self.n in (30, 100, 130):
            fork({30: "watched", 100: "unwatched", 130: "leaving"}[self.n])
        return super().step(action)

fork("imported")
gymnasium.register("Forking-v0", Forking)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_fork_that_comes_back_is_no_second_training(tmp_path):
    (tmp_path / "forking.py").write_text(FORKS)
    words = ["algo=a2c", "env=gym", "env.id=forking:Forking-v0", "env.n_envs=1", "logger=csv", "total_timesteps=200"]
    command = [sys.executable, "-m", "rlzoo", "train", *words, "eval.freq=0", "eval.final_n_episodes=1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert len({*tmp_path.glob("runs/*/*/*/info.json")}) == 1
    for where in ("imported", "made", "watched", "unwatched", "leaving"):
        assert [*tmp_path.glob(f"{where}.*")], where
    ended = re.findall(r"comes back from its code into rlzoo, and is ended \(forking\.py:(\d+)\)", done.stderr)
    assert set(ended) == {"9"} and len(ended) >= 4
    assert done.stderr.count("200/200") == 1


def test_a_timer_interrupts_whoever_set_it(begin, monkeypatch):
    before = signal.signal(signal.SIGALRM, main._ring)
    try:
        signal.raise_signal(signal.SIGALRM)  # where no environment is
        env = begin("step", lambda: signal.raise_signal(signal.SIGALRM), n_envs=1, max_restarts=0)
        with pytest.raises(RlzooError, match=rf"SIGALRM has come, which nothing handles.*\({__file__}:"):
            play(env, "step")
    finally:
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("where", METHODS[:4])
def test_closed_files_of_rlzoo_are_an_error_and_open_again(begin, where, workdir, monkeypatch):
    monkeypatch.setattr(leaving, "_held", {})
    with Path("output").open("w") as file:
        leaving.hold(file.fileno())
        with pytest.raises(RlzooError, match="has closed files that others have opened") as caught:
            play(begin(where, lambda: os.close(file.fileno()), n_envs=1, max_restarts=2), where)
        assert caught.value.code is ExitCode.TRAINING_FAILED
        file.write("still there")
    assert Path("output").read_text() == "still there"
    for copy in leaving._held.values():
        os.close(copy)


class Deleted:
    def __del__(self) -> None:
        os._exit(0)


class Broken:
    def __del__(self) -> None:
        raise ValueError("mine")


def test_a_destructor_that_ends_the_process_is_one_line(ours, monkeypatch, capsys):
    monkeypatch.setattr(sys, "unraisablehook", leaving.say_unraisable)
    for _ in range(2):
        Deleted()
    (line,) = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"warning: os\._exit was called: 0 \(.*\.py:\d+\) in a destructor, where it ends nothing", line)
    Broken()
    said = capsys.readouterr().err
    assert re.fullmatch(r"warning: ValueError: mine \(.*\.py:\d+\) in a destructor, where it ends nothing\n", said)


def endless(kind: str) -> dict[str, Any]:
    info: dict[str, Any] = {"shared": [[1]] * 2}
    there: list[Any] = []
    there.append(({"deep": there},))
    info[kind] = {"itself": info, "list": there, "inside": {"a": [info]}}[kind]
    return info


class Endless(Masked):
    def step(self, action: int) -> Any:
        return *super().step(action)[:4], endless(DOES["kind"])


gymnasium.register("EndlessInfo-v0", Endless)


@pytest.mark.parametrize("kind", ["itself", "list", "inside"])
def test_an_info_that_contains_itself_is_left_out(env_config, kind, capsys, monkeypatch):
    monkeypatch.setattr(console, "_warned", set())
    monkeypatch.setitem(DOES, "kind", kind)
    env = make(env_config("gym", id=f"{__name__}:EndlessInfo-v0"), n_envs=1, seed=0)
    env.reset()
    for _ in range(3):
        _, _, _, (info,) = env.step(np.zeros(1, int))
    assert kind not in info and info["shared"] == [[1], [1]]
    assert capsys.readouterr().err.count(f"info['{kind}'] of the environment is left out, as it contains itself") == 1
    env.close()


CLOSES = """
import os, sys
from pathlib import Path
import gymnasium
from gymnasium.envs.classic_control import CartPoleEnv

class Closing(CartPoleEnv):
    n = 0
    def __init__(self, render_mode=None):
        super().__init__(render_mode)
        if Path("runs").exists():
            print("in the way")
            sys.stdout.close()
            sys.stderr.close()
            os.close(1)
            os.close(2)
    def step(self, action):
        self.n += 1
        if Path("runs").exists() and self.n == 100:
            print("still here")
            os.closerange(3, 200)
        return super().step(action)

gymnasium.register("Closing-v0", Closing)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="descriptors of POSIX")
def test_an_environment_closes_no_output_and_fails_where_it_closes_the_files_of_the_run(tmp_path):
    (tmp_path / "closing.py").write_text(CLOSES)
    words = ["algo=a2c", "env=gym", "env.id=closing:Closing-v0", "env.n_envs=1", "logger=csv", "total_timesteps=200"]
    command = [sys.executable, "-m", "rlzoo", "train", *words, "eval.freq=0", "checkpoint.freq=50"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == ExitCode.TRAINING_FAILED
    assert "still here" in done.stdout
    assert (
        re.search("has closed files that others.*\n.*kept: .*resume=", done.stderr) and "Traceback" not in done.stderr
    )
    (info,) = tmp_path.glob("runs/*/*/*/info.json")
    assert json.loads(info.read_text())["status"] == "failed"


@pytest.mark.parametrize("where", ["constructor", "reset", "step"])
def test_an_environment_is_again_where_it_went(begin, where, workdir):
    def go() -> None:
        if Path.cwd() == workdir:
            os.chdir("elsewhere")

    env = begin(where, go, n_envs=1)
    play(env, where)
    DOES.update(where="reset", what=lambda: None, places=[])
    play(env, where)
    assert set(DOES["places"]) == {"elsewhere"} and Path.cwd() == workdir


def test_where_an_environment_was_may_be_gone(begin, workdir):
    def go() -> None:
        os.chdir("elsewhere/elsewhere")
        Path.cwd().rmdir()

    env = begin("reset", go, n_envs=1)
    env.reset()
    DOES["what"] = lambda: None
    play(env, "reset")
    assert Path.cwd() == workdir


class Odd(BaseException):
    pass


class MuteError(Exception):
    def __str__(self) -> str:
        return str(1 / 0)


def raising(error: BaseException) -> Any:
    def do() -> None:
        raise error

    return do


ENDS = {
    "exit": (lambda: sys.exit(0), r"called sys\.exit"),
    "exit with words": (lambda: sys.exit("closed"), r"called sys\.exit .*closed"),
    "interrupt": (raising(KeyboardInterrupt()), "raised KeyboardInterrupt"),
    "generator": (raising(GeneratorExit()), "raised GeneratorExit"),
    "cancelled": (raising(asyncio.CancelledError()), "raised CancelledError"),
    "odd": (raising(Odd("my own")), "raised Odd .*my own"),
    "stop": (raising(StopIteration()), "raised StopIteration"),
    "mute": (raising(MuteError()), "raised MuteError .*: its __str__ raises ZeroDivisionError"),
    "at once": (lambda: os._exit(0), r"called os\._exit .*: 0 \("),
    "at once, of C": (lambda: posix._exit(0), r"called os\._exit .*: 0 \("),
    "another program": (lambda: os.execvp("/bin/true", ["true"]), r"called os\.execv .*: /bin/true"),
}


@pytest.fixture
def ours():
    """The process as a command has it: Ctrl-C is told from what others raise, and nobody else ends it."""

    def handle(number: int, frame: Any) -> None:
        raise errors.Interrupted

    handle.tells = True
    before = signal.signal(signal.SIGINT, handle)
    take_back = leaving.refuse()
    yield
    take_back()
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("where", METHODS[:6])
def test_whatever_ends_it_is_a_failure_of_the_environment(begin, ours, where, end, capsys):
    what, words = ENDS[end]
    if where == "close":
        play(begin(where, what), where)
        assert capsys.readouterr().err.count("in close") == 2  # of two environments
        return
    with pytest.raises(RlzooError, match=words) as caught:
        play(begin(where, what, max_restarts=2, n_envs=1), where)
    assert caught.value.code is ExitCode.TRAINING_FAILED
    assert f"{__file__}:" in caught.value.message
    assert capsys.readouterr().err.count("restarted") == (2 if where in ("reset", "step") else 0)
    assert ("max_restarts" in caught.value.hint) == (where in ("reset", "step"))


def test_a_real_interrupt_is_one(begin, ours, capsys):
    env = begin("step", lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(errors.Interrupted):
        play(env, "step")
    assert "restarted" not in capsys.readouterr().err


def test_an_interrupt_that_nobody_tells_apart_is_believed(begin, capsys):
    env = begin("step", raising(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        play(env, "step")
    assert "restarted" not in capsys.readouterr().err


def swallow() -> None:
    while True:
        try:
            time.sleep(1000)
        except BaseException:
            DOES["swallowed"] = DOES.get("swallowed", 0) + 1
            if DOES["swallowed"] > 2:
                raise


def spin() -> None:
    while True:
        pass


HANGS = {"sleep": lambda: time.sleep(1000), "spin": spin, "swallow": swallow}


@pytest.mark.parametrize("hang", HANGS)
@pytest.mark.parametrize("where", ["reset", "step", "render", "close", "action_masks"])
def test_a_call_that_hangs_ends(begin, where, hang, capsys, monkeypatch):
    monkeypatch.setattr(watchdog, "LAST_SECONDS", 2.0)
    env = begin(where, HANGS[hang], step_timeout=0.2, n_envs=1)
    if where == "close":
        play(env, where)
        assert f"did not answer for 0.2 s in close: it is in {__file__}:" in capsys.readouterr().err
        return
    words = r"environment 0 did not answer for 0\.[26]\d* s .*it is in .*test_foreign_code\.py:"
    with pytest.raises(RlzooError, match=words) as caught:
        play(env, where)
    assert caught.value.code is ExitCode.TRAINING_FAILED
    assert "env.vec_env=subproc recreates it; env.step_timeout=2 waits longer" in caught.value.hint
    assert "max_restarts" not in caught.value.hint and "restarted" not in capsys.readouterr().err


class Lingering:
    def __del__(self) -> None:
        time.sleep(1000)


@pytest.mark.parametrize("kept", ["by the environment", "in a cycle"])
def test_a_destructor_that_hangs_ends(begin, kept, capsys, monkeypatch):
    monkeypatch.setattr(leaving, "_told", set())
    monkeypatch.setattr(sys, "unraisablehook", leaving.say_unraisable)
    env = begin("", None, step_timeout=0.2, n_envs=1)
    left = env.envs[0].unwrapped.left = Lingering()
    if kept == "in a cycle":
        left.itself = left
    del left
    env.close()
    gc.collect()
    (line,) = capsys.readouterr().err.splitlines()
    assert re.fullmatch(rf"warning: Hung: did not answer for 0\.2 s \({__file__}:\d+\) in a destructor, .*", line)


def test_a_constructor_that_hangs_ends(begin, monkeypatch):
    monkeypatch.setattr("rlzoo.envs.vector.restarts.START_SECONDS", 0.3)
    with pytest.raises(RlzooError, match=r"environment 0 did not answer for 0\.3 s while starting"):
        begin("constructor", HANGS["sleep"], step_timeout=0.01)


def test_slow_is_not_hung(begin):
    env = begin("step", lambda: time.sleep(0.15), step_timeout=0.5)
    play(env, "step", n_steps=4)


def test_a_debugger_may_take_its_time(begin):
    source = "import time\ndef interaction():\n    time.sleep(0.6)\n"
    there: dict[str, Any] = {"__name__": "pdb"}
    exec(source, there)
    env = begin("step", there["interaction"], step_timeout=0.2, n_envs=1)
    play(env, "step", n_steps=1)


@pytest.mark.parametrize("end", ["import sys; sys.exit(0)", "raise ValueError('no')", "1 / 0"])
def test_a_module_that_ends_on_import_is_a_wrong_request(tmp_path, monkeypatch, end):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / f"ends{abs(hash(end))}.py").write_text(f"\n{end}\n")
    with pytest.raises(RlzooError, match=r"importing ends\d+ failed: .*ends\d+\.py:2\)") as caught:
        registration.register([f"ends{abs(hash(end))}"])
    assert caught.value.code is ExitCode.WRONG_REQUEST


IN_C = """
import ctypes, os, threading
from pathlib import Path
import gymnasium
from gymnasium.envs.classic_control import CartPoleEnv
C, PYTHON_C = ctypes.CDLL(None), ctypes.PyDLL(None)  # the second one holds Python meanwhile

class World(CartPoleEnv):
    def step(self, action):
        if any(Path("runs").glob("*/*/*/checkpoints/last")):
            WHAT
        return super().step(action)

gymnasium.register("World-v0", World)
"""
LOCKS = "lock = ctypes.create_string_buffer(64); [C.pthread_mutex_lock(lock) for _ in range(2)]"
IN_C_ENDS = {
    "exit": ("C.exit(0)", ExitCode.TRAINING_FAILED),
    "exit_in_python": ("PYTHON_C.exit(0)", ExitCode.TRAINING_FAILED),
    "exit_in_thread": ("end = threading.Thread(target=lambda: C.exit(0)); end.start(); end.join()", 4),
    "lock": (LOCKS, ExitCode.TRAINING_FAILED),
    "held": ("PYTHON_C.pause()", -signal.SIGABRT),
}


@pytest.mark.parametrize(
    "how", ["exit", *(pytest.param(how, marks=pytest.mark.slow) for how in IN_C_ENDS if how != "exit")]
)
@pytest.mark.skipif(sys.platform != "linux", reason="calls the C library")
def test_a_library_that_ends_or_never_comes_back_takes_the_command_with_it(tmp_path, how):
    code, returncode = IN_C_ENDS[how]
    (tmp_path / "world.py").write_text(IN_C.replace("WHAT", code))
    words = ["algo=ppo", "env=gym", "env.id=world:World-v0", "algo.n_steps=16", "algo.batch_size=16", "logger=[]"]
    words += ["total_timesteps=100", "env.step_timeout=1", "checkpoint.freq=16", "eval.freq=0", "eval.random=false"]
    command = [sys.executable, "-m", "rlzoo", "train", *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == returncode
    (info,) = tmp_path.glob("runs/*/*/*/info.json")
    line = IN_C[: IN_C.index("WHAT")].count("\n") + 1
    if how == "held":
        assert "Python is held by a library in C: the command is ended" in done.stderr
        assert re.search(rf"world\.py\", line {line} in step", done.stderr)
        return
    what = "did not answer for 1 s in step" if how == "lock" else r"a library in C called exit\(\)"
    assert re.search(rf"{what} \(world\.py:{line}\)", done.stderr)
    assert re.search("kept: .*last; .*rlzoo train resume=", done.stderr)
    assert json.loads(info.read_text())["status"] == "failed"
    if how == "lock":
        assert "pthread_mutex_lock" in info.with_name("train.log").read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="calls the C library")
def test_a_fork_may_end_as_it_likes(tmp_path):
    (tmp_path / "world.py").write_text(IN_C.replace("WHAT", "C.done = hasattr(C, 'done') or os.fork() or C.exit(0)"))
    words = ["algo=ppo", "env=gym", "env.id=world:World-v0", "algo.n_steps=16", "algo.batch_size=16", "logger=[]"]
    words += ["total_timesteps=32", "checkpoint.freq=16", "eval.freq=0", "eval.random=false", "eval.final_n_episodes=1"]
    command = [sys.executable, "-m", "rlzoo", "train", *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and "exit()" not in done.stderr


def test_environments_may_come_while_the_watchdog_looks(monkeypatch):
    """A set that grows while another thread goes through it raises; the thread would be gone."""
    monkeypatch.setattr(watchdog, "_calls", weakref.WeakSet())
    made: list[watchdog.Calls] = []
    done, before = threading.Event(), sys.getswitchinterval()
    failed: list[BaseException] = []

    def look():
        try:
            while not done.is_set():
                watchdog._all()
        except RuntimeError as error:
            failed.append(error)

    sys.setswitchinterval(1e-6)
    try:
        looks = threading.Thread(target=look)
        looks.start()
        for _ in range(5000):
            made.append(watchdog.Calls(math.inf))  # which alone does not enter the set
            watchdog._calls.add(made[-1])
        done.set()
        looks.join()
    finally:
        sys.setswitchinterval(before)
    assert not failed and len(watchdog._all()) == len(made)
