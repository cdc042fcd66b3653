"""Random damage to the checkpoints of a real run is seen or harmless, and the checkpoint before takes over."""

from __future__ import annotations

import random
import shutil
import signal
from pathlib import Path

import pytest
from warm import Warm

from rlzoo.errors import ExitCode, RlzooError
from rlzoo.runs import checkpoints
from rlzoo.runs.run import Run
from rlzoo.training.resume import newest_boundary
from tests.selected import with_best

WORDS = ["algo=dqn", "env=CartPole", "seed=3", "hyperparams=none", "total_timesteps=900", "algo.learning_starts=100"]
WORDS += ["algo.buffer_size=500", "checkpoint.freq=200", "eval.freq=300", "eval.n_episodes=1", "env.normalize=true"]
WORDS += ["eval.final_n_episodes=1", "algo.policy_kwargs={net_arch: [8]}"]
SEGMENTS = "from rlzoo.algos.sb3 import replay; replay.SEGMENT = 100"


@pytest.fixture(scope="module")
def trained(warm: Warm, tmp_path_factory) -> Run:
    """A run killed after its fourth checkpoint: `last` is the newest step, and there is the one before."""
    kill = """
import os, signal
from rlzoo.training.callbacks.progress import Progress
def on_step(self, algorithm):
    if algorithm.num_timesteps >= 850:
        os.kill(os.getpid(), signal.SIGKILL)
    return True
Progress.on_step = on_step
"""
    folder = tmp_path_factory.mktemp("trained")
    child = warm.start("train", *WORDS, cwd=folder, before=SEGMENTS + kill)
    assert child.wait() == -signal.SIGKILL, child.output
    run = Run.open("latest", folder / "runs")
    assert [checkpoint.name for checkpoint in run.checkpoints()] == ["600", "800", "last"]
    return with_best(run)


@pytest.fixture
def run(trained: Run, tmp_path: Path) -> Run:
    """A copy to damage, links among its checkpoints as they were."""
    copy = tmp_path / "run"
    shutil.copytree(trained.path, copy, ignore=shutil.ignore_patterns("checkpoints"))
    copies: dict[int, Path] = {}
    for path in sorted(trained.checkpoints_dir.rglob("*")):
        target = copy / path.relative_to(trained.path)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file() and (first := copies.setdefault(path.stat().st_ino, target)) is not target:
            target.hardlink_to(first)
        elif path.is_file():
            shutil.copyfile(path, target)
    return Run(copy)


def damage(path: Path, data: bytes, pick: random.Random, others: list[Path]) -> str:
    """Harm one file: a bit, its end, a hole, all of it, more of it, or what another file holds."""
    kind = pick.choice(["flip", "cut", "zero", "delete", "append", "swap"])
    at = pick.randrange(len(data))
    changed = {
        "flip": data[:at] + bytes([data[at] ^ 1 << pick.randrange(8)]) + data[at + 1 :],
        "cut": data[:at],
        "zero": data[:at] + bytes(len(data) - at),
        "append": data + pick.randbytes(1 + pick.randrange(100)),
    }
    if kind == "swap":
        same_name = [other for other in others if other.name == path.name and other != path]
        path.write_bytes(pick.choice(same_name or others).read_bytes())
    elif kind == "delete":
        path.unlink()
    else:
        path.write_bytes(changed[kind])
    return kind


def test_every_damage_is_seen_or_harmless(run, count, record_property):
    """What is read after the damage is exactly what was written, or it is refused by name with exit code 5."""
    pick = random.Random(0)
    files = sorted(path for path in run.checkpoints_dir.rglob("*") if path.is_file())
    whole = {path: path.read_bytes() for path in files}
    harmless = 0
    for number in range(count(200, 1000)):
        path = pick.choice(files)
        kind = damage(path, whole[path], pick, files)
        hit = {other for other in files if not other.exists() or other.read_bytes() != whole[other]}  # links share it
        for checkpoint in [run.checkpoint(name) for name in ("600", "800", "best", "last")]:
            is_hit = any(other.parent == checkpoint.path for other in hit)
            try:
                checkpoints.verify(checkpoint)
                assert not is_hit, (number, kind, path)
            except RlzooError as error:
                assert is_hit, (number, kind, path)
                assert str(checkpoint.path) in error.message and "\n" not in error.message
                assert error.code == ExitCode.STORAGE or "update rlzoo" in error.hint
        try:
            found = newest_boundary(run)
            assert not any(other.parent == found.path for other in hit), (number, kind, path)
        except RlzooError as error:
            assert error.code == ExitCode.TRAINING_FAILED and hit  # links: all of them held the damaged file
        harmless += not hit
        for other in hit:
            other.unlink(missing_ok=True)
        for other in hit:
            other.write_bytes(whole[other])
    record_property("damages", number + 1)
    record_property("harmless", harmless)
    assert harmless < number / 4


@pytest.mark.parametrize("name", ["algorithm.safetensors", "replay-0.safetensors", "standing.json", "manifest.json"])
def test_the_checkpoint_before_takes_over(name, run, warm: Warm, tmp_path):
    """The newest two checkpoints are the same moment; where both are damaged the one before is used, and said."""
    for checkpoint in ("800", "last"):
        path = run.checkpoint(checkpoint).path / name
        data = path.read_bytes()
        path.unlink()  # its other name, in an older checkpoint, stays whole
        path.write_bytes(data[: len(data) // 2])
    child = warm.start("train", f"resume={run.path}", cwd=tmp_path, before=SEGMENTS)
    assert child.wait() == 0, child.output
    assert "is damaged" in child.output and "going back to step 600" in child.output
    assert f"{name} has" in child.output or f"{name} cannot be read" in child.output
    assert run.read_info()["status"] == "finished" and "Traceback" not in child.output


def test_going_on_after_damage_ends_where_an_undamaged_run_does(run, trained, warm: Warm, tmp_path):
    child = warm.start("train", *WORDS, f"runs_dir={tmp_path / 'whole'}", cwd=tmp_path, before=SEGMENTS)
    assert child.wait() == 0, child.output
    whole = Run.open("latest", tmp_path / "whole")
    for checkpoint in ("800", "last"):
        (run.checkpoint(checkpoint).path / "generators.json").unlink()
    child = warm.start("train", f"resume={run.path}", cwd=tmp_path, before=SEGMENTS)
    assert child.wait() == 0, child.output
    first, second = (checkpoints.read(each.checkpoint("last")).algorithm.tensors for each in (whole, run))
    assert all((first[key] == second[key]).all() for key in first)
    assert whole.metrics_file.read_bytes() == run.metrics_file.read_bytes()
    assert whole.evaluations_file.read_bytes() == run.evaluations_file.read_bytes()


def test_without_a_whole_checkpoint_each_damage_is_named(run, warm: Warm, tmp_path):
    for checkpoint in ("600", "800", "last"):
        (run.checkpoint(checkpoint).path / "standing.json").unlink()
    child = warm.start("train", f"resume={run.path}", cwd=tmp_path)
    assert child.wait() == ExitCode.TRAINING_FAILED
    assert child.output.count("standing.json is missing") == 3 and "Traceback" not in child.output


@pytest.mark.parametrize("name", ["algorithm.safetensors", "normalization.json", "manifest.json"])
def test_evaluating_a_damaged_checkpoint(name, run, warm: Warm, tmp_path):
    path = run.checkpoint("best").path / name
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    child = warm.start("evaluate", f"run={run.path}", "n_episodes=1", cwd=tmp_path)
    assert child.wait() == 0, child.output
    assert "best is damaged" in child.output and name in child.output and "taking last instead" in child.output
    assert run.read_results()[-1]["checkpoint"] == "last"
    asked = warm.start("evaluate", f"run={run.path}", "checkpoint=best", "n_episodes=1", cwd=tmp_path)
    assert asked.wait() == ExitCode.STORAGE, asked.output
    assert "best is damaged" in asked.output and "the run also has: 600, 800, last" in asked.output
    assert "Traceback" not in asked.output
