"""Files that lie in the current folder under the name of any module that anybody looks for are not imported."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from warm import Warm

TRAIN = "algo=ppo env=CartPole total_timesteps=64 algo.n_steps=32 algo.batch_size=32 eval.final_n_episodes=1"
HOME = "http://127.0.0.1:9"
"""Where nobody listens."""

QUICK = f"""\
--help
train --help
list envs
list runs
list hub
show algo=ppo env=LunarLander
leaderboard env=CartPole
certify name=Ada source=runs
load-from-hub repo_id=sb3/ppo-CartPole-v1
train {TRAIN} --cfg job
evaluate run=. n_episodes=2 n_envs=2 env.vec_env=subproc
"""

SLOW = f"""\
list algos
list hyperparams
list experiments
show algo=ppo
doctor
validate
train {TRAIN} seed=0 --dry-run
train {TRAIN} -m seed=0,1 n_jobs=2
train {TRAIN} env.n_envs=2 env.vec_env=subproc seed=0
train {TRAIN} launcher=submitit_slurm launcher.cluster=local -m seed=0,1
train {TRAIN} launcher=ray -m seed=0,1
train {TRAIN} logger=[tensorboard,wandb,mlflow,trackio] logger.wandb.mode=offline
train algo=dqn env=SpaceInvaders algo.buffer_size=100 algo.learning_starts=20 total_timesteps=40 eval.max_steps=20
train algo=ppo env=HalfCheetah total_timesteps=32 algo.n_steps=32 algo.batch_size=32 eval.max_steps=20 seed=0
train resume=. total_timesteps=512
evaluate run=. n_episodes=1
enjoy run=. n_episodes=1 render=none
record run=. n_episodes=1
package run=. folder=packed n_episodes=1 video=false
evaluate run=packed n_episodes=1
evaluate policy=random env=CartPole n_episodes=1
push-to-hub run=. repo_id=me/x dry_run=true n_episodes=1 video=false
verify-resume run=.
reproduce run=.
tune {TRAIN} workers=2 n_trials=2 top_k=0
tune report
tune import storage=studies/ppo-CartPole algo=ppo env=CartPole study=again
"""

WATCH = """
import os, sys
def note(name):
    with open(os.environ["LOOKED_FOR"], "a") as file:
        file.write(name + "\\n")
class Everywhere:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if path is None:
            note(name)
class Here:
    @staticmethod
    def find_spec(name, target=None):
        note("in the folder: " + name)
def here(path):
    if path != os.environ["WATCHED"]:
        raise ImportError
    return Here
sys.meta_path.insert(0, Everywhere)
sys.path_hooks.insert(0, here)
"""
"""Every Python process notes each name that it looks for, and each that it looks for in the folder."""

ENTRY_POINTS = "".join(
    f"[{group}]\nplanted_plugin = planted_plugin:Thing\n"
    for group in ("rlzoo.algorithms", "gymnasium.envs", "torch.backends", "optuna.storages", "mlflow.plugins")
)


@pytest.fixture
def sent(warm: Warm, tmp_path: Path) -> Path:
    """A run that somebody else made, and what lies beside its files."""
    child = warm.start("train", *TRAIN.split(), "seed=1", cwd=tmp_path, env={"XDG_STATE_HOME": str(tmp_path / "other")})
    assert child.wait() == 0, child.output
    (run,) = (path.parent for path in tmp_path.glob("runs/*/*/*/info.json"))
    shutil.copytree(run, tmp_path / "sent")
    (tmp_path / "sent" / "planted-1.0.dist-info").mkdir()
    (tmp_path / "sent" / "planted-1.0.dist-info" / "entry_points.txt").write_text(ENTRY_POINTS)
    (tmp_path / "sent" / "planted-1.0.dist-info" / "METADATA").write_text("Name: planted\nVersion: 1.0\n")
    return tmp_path / "sent"


def rlzoo(words: str, folder: Path, watch: Path | None = None) -> int:
    """The command as a shell starts it: its exit code."""
    env = {**os.environ, "XDG_STATE_HOME": str(folder.parent / "state"), "HF_ENDPOINT": HOME, "HF_HUB_OFFLINE": "0"}
    if watch is not None:
        watch.mkdir(exist_ok=True)
        (watch / "sitecustomize.py").write_text(WATCH)
        env |= {"PYTHONPATH": str(watch), "LOOKED_FOR": str(watch / "names.txt"), "WATCHED": str(folder)}
    script = Path(sys.executable).with_name("rlzoo")
    return subprocess.run([script, *words.split()], cwd=folder, env=env, capture_output=True, check=False).returncode


def test_nothing_is_looked_for_in_the_current_folder(sent: Path, tmp_path: Path) -> None:
    for words in QUICK.splitlines():
        assert rlzoo(words, sent, tmp_path / "watch") in (0, 2, 6), words
    names = (tmp_path / "watch" / "names.txt").read_text().splitlines()
    assert {"org", "hydra_plugins", "signal", "torch"} <= set(names)
    assert not [name for name in names if name.startswith("in the folder") or "planted" in name]
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "watch"), "WATCHED": str(sent)}
    environment |= {"LOOKED_FOR": str(tmp_path / "control.txt")}
    subprocess.run([sys.executable, "-c", "import no_such_module"], cwd=sent, env=environment, capture_output=True)
    assert "in the folder: no_such_module\n" in (tmp_path / "control.txt").read_text()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_name_that_is_looked_for_may_be_planted(sent: Path, tmp_path: Path, record_property) -> None:
    commands = (QUICK + SLOW).splitlines()
    shutil.copytree(sent, tmp_path / "clean")
    before = [rlzoo(words, tmp_path / "clean", tmp_path / "watch") for words in commands]
    names = set((tmp_path / "watch" / "names.txt").read_text().splitlines())
    planted = {name for name in names if name.isidentifier()} | {"planted_plugin"}
    record_property("names", len(planted))
    assert len(planted) > 300
    canary = tmp_path / "canary"
    for name in planted:
        (sent / f"{name}.py").write_text(f"open({str(canary)!r}, 'a').write({name!r} + '\\n')\n")
    (sent / "hydra_plugins").mkdir()
    (sent / "hydra_plugins" / "planted.py").write_text(f"open({str(canary)!r}, 'a').write('hydra_plugins\\n')\n")
    for words, code in zip(commands, before, strict=True):
        assert rlzoo(words, sent) == code, words
        assert not canary.exists(), (words, canary.read_text())


LIBRARY = """
import os, subprocess, sys
from rlzoo import registry
from rlzoo.cli import main
registry.allow_imports(["mine"])
main._own_process()
if sys.argv[1:]:
    import mine
os.environ["LD_LIBRARY_PATH"] = "/nowhere:" + os.environ.get("LD_LIBRARY_PATH", "")  # as OpenCV does
subprocess.run([sys.executable, "-c", "import planted"])  # as GLFW does
print(*(name for name in registry.SEARCHED if "" in os.environ.get(name, "x").split(os.pathsep)))
print("org" in sys.modules or any(os.path.samefile(each or ".", ".") for each in sys.path if os.path.exists(each)))
"""


@pytest.mark.parametrize(("words", "runs"), [((), False), (("own",), True)], ids=["nobody's", "the user's own"])
def test_what_libraries_start_finds_nothing_in_the_folder_either(words, runs: bool, tmp_path: Path) -> None:
    (tmp_path / "planted.py").write_text("print('it ran')\n")
    (tmp_path / "mine.py").touch()
    env = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"} | {"PYTHONPATH": ":/nowhere"}
    command = [sys.executable, "-P", "-c", LIBRARY, *words]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    output = done.stdout + done.stderr
    assert ("it ran" in output, done.stdout.splitlines()[-2:]) == (runs, ["", "False"]), output
