"""An environment that misbehaves in each of its methods in each way, in each command: how that ends, and what is left.

`misbehaving.py` has the methods and the ways. In a training all is well up to its first checkpoint.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from rlzoo.runs.run import Run
from tests.misbehaving import METHODS, WAYS

SOURCE = Path(__file__).parents[1] / "misbehaving.py"
ALGO = {
    "action_masks": ("algo=maskable_ppo", "env.id=misbehaving:Masked-v0", "algo.n_steps=16", "algo.batch_size=16"),
    "compute_reward": (
        *("algo=dqn", "env.id=misbehaving:Goals-v0", "algo.replay_buffer_class=her", "algo.learning_starts=22"),
        *("algo.buffer_size=100", "algo.batch_size=8"),
    ),
}
PPO = ("algo=ppo", "env.id=misbehaving:Misbehaving-v0", "algo.n_steps=16", "algo.batch_size=16", "algo.n_epochs=1")
COMMON = (
    *("env=gym", "hyperparams=none", "seed=1", "total_timesteps=128", "logger=[]", "checkpoint.freq=32"),
    *("eval.freq=64", "eval.n_episodes=2", "eval.final_n_episodes=2", "eval.selection_n_episodes=0"),
    *("env.step_timeout=2", "env.max_restarts=2"),
)
OWN_PROCESS = "from rlzoo.cli.main import _own_process; _own_process()"
CALLED = {
    "training": [method for method in METHODS if method != "render"],
    "evaluation": ["constructor", "reset", "step", "close", "action_masks"],
    "recording": ["constructor", "reset", "step", "render", "close", "action_masks"],
}
HARMLESS = ("prints", "reuses", "forks")
CASES = [
    (phase, vec_env, where, how)
    for phase in CALLED
    for vec_env in (("dummy",) if phase == "recording" else ("dummy", "subproc"))
    for where in METHODS
    for how in WAYS
]
EARLY = [
    ("training", "dummy", "step", "leaves"),
    ("training", "dummy", "reset", "hangs"),
    ("training", "dummy", "compute_reward", "garbage"),
    ("training", "subproc", "action_masks", "raises"),
    ("training", "dummy", "close", "hangs"),
    ("evaluation", "subproc", "step", "hangs"),
    ("evaluation", "dummy", "step", "prints"),
    ("recording", "dummy", "render", "garbage"),
]


@pytest.fixture(scope="module")
def trained(warm: Any, tmp_path_factory: Any) -> Any:
    """`trained("step")`: a folder with a finished run of the algorithm that calls this method."""
    made: dict[Any, Path] = {}

    def train(where: str) -> Path:
        words = ALGO.get(where, PPO)
        if words not in made:
            made[words] = folder = tmp_path_factory.mktemp("trained")
            shutil.copy(SOURCE, folder)
            assert warm.start("train", *words, *COMMON, "env.vec_env=subproc", cwd=folder).wait() == 0
        return made[words]

    return train


@pytest.fixture
def command(warm: Any, trained: Any, tmp_path: Path) -> Any:
    """`command("training", "dummy", "step", "raises")`: the process when it has ended, and the folder."""

    def run(phase: str, vec_env: str, where: str, how: str) -> Any:
        folder = tmp_path / "here"
        asked = {"where": where, "how": how}
        if phase == "training":
            folder.mkdir()
            shutil.copy(SOURCE, folder)
            asked["after"] = "runs/*/*/*/checkpoints/*/manifest.json"
            words = ["train", *ALGO.get(where, PPO), *COMMON, "env.n_envs=2", "eval.n_envs=2", f"env.vec_env={vec_env}"]
        else:
            shutil.copytree(trained(where), folder)
            n_envs = 2 if vec_env == "subproc" else 1
            own = ["n_episodes=2", f"n_envs={n_envs}", "--json"] if phase == "evaluation" else []
            words = ["record" if phase == "recording" else "evaluate", "run=latest", *own]
        (folder / "misbehave.json").write_text(json.dumps(asked))
        child = warm.start(*words, cwd=folder, stdout=str(tmp_path / "out"), before=OWN_PROCESS)
        child.wait()
        return child, folder

    return run


def expected(phase: str, vec_env: str, where: str, how: str) -> tuple[int, str]:
    """The exit code, and what is said."""
    if where not in CALLED[phase] or how in HARMLESS or (where == "close" and how == "garbage"):
        return 0, ""
    if how == "leaves" and vec_env == "subproc":
        return (0, "") if where == "close" else (4, r"died \(exit code 0\)|called os\._exit")
    words = {
        "raises": f"raised ValueError .*no {where} today",
        "exits": r"called sys\.exit",
        "leaves": r"called os\._exit",
        "hangs": r"did not (answer|close)",
        "garbage": "must|is None|has shape",
    }[how]
    return (0 if where == "close" else 4), words


def check(phase: str, vec_env: str, where: str, how: str, child: Any, folder: Path) -> None:
    code, words = expected(phase, vec_env, where, how)
    told = child.output
    assert child.returncode == code, told
    assert "Traceback" not in told
    if words:
        assert re.search(words, told), told
        if not (where == "close" and how == "hangs" and vec_env == "subproc"):
            assert re.search(r"misbehaving\.py:\d+", told), told
    again = code == 4 and where in ("reset", "step") and how in ("raises", "exits", "leaves")
    again |= code == 4 and where != "constructor" and how in ("hangs", "leaves") and vec_env == "subproc"
    assert ("restarted" in told) == (again and phase != "recording"), told
    out = folder.parent / "out"
    if phase == "evaluation" and code == 0:
        assert json.loads(out.read_text())["n_episodes"] == 2
    if phase == "recording" and code == 0:
        assert list(folder.glob("runs/*/*/*/videos/*.mp4"))
    if phase == "training":
        (run,) = map(Run, folder.glob("runs/*/*/*"))
        assert run.read_info()["status"] == ("failed" if code else "finished")
        assert run.checkpoint("last").exists()
        assert not code or "rlzoo train resume=" in told
    pids = folder / "pids"
    for pid in map(int, pids.read_text().split() if pids.exists() else ()):
        assert_gone(pid)
    if how == "forks" and where in CALLED[phase]:
        assert pids.exists()


def assert_gone(pid: int) -> None:
    deadline = time.monotonic() + 5
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, f"process {pid} is still there"
        time.sleep(0.05)


@pytest.mark.parametrize(("phase", "vec_env", "where", "how"), EARLY)
def test_a_misbehaving_environment(command: Any, phase: str, vec_env: str, where: str, how: str) -> None:
    check(phase, vec_env, where, how, *command(phase, vec_env, where, how))


@pytest.mark.slow
@pytest.mark.parametrize(("phase", "vec_env", "where", "how"), [case for case in CASES if case not in EARLY])
def test_every_misbehaving_environment(command: Any, phase: str, vec_env: str, where: str, how: str) -> None:
    check(phase, vec_env, where, how, *command(phase, vec_env, where, how))
