"""A disk that is full at every single write, out of inodes, read-only or not a folder at all."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from small_disk import BALLAST, SmallDisk
from warm import Warm

from rlzoo.errors import ExitCode, RlzooError
from rlzoo.loggers.csv import CsvTable
from rlzoo.protocols import State
from rlzoo.runs import checkpoints
from rlzoo.runs.run import Run, find_runs


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    disk = SmallDisk(folder)
    yield disk
    disk.close()


class Learner:
    """Something with a state, of some pages."""

    def __init__(self, num_timesteps: int) -> None:
        self.num_timesteps = num_timesteps

    def state(self) -> State:
        return State({"weights": np.full(3000, self.num_timesteps)})

    def save(self, path: Path) -> None:
        path.write_bytes(b"zip" * 3000)


def write_all(run: Run, n: int) -> list[RlzooError | OSError]:
    """What a training writes around its `n`-th checkpoint; the failures on the way."""
    learner, metrics = Learner(n), CsvTable(run.metrics_file)
    segments = {f"replay-{k}": State({"rows": np.full(1000, n)}) for k in range(2)}

    def save(name: str, **options) -> None:
        checkpoints.save(run, name, algorithm=learner, env=None, **options)

    def save_both() -> None:
        save("last", model_zip=True, others=segments)
        save(str(n), copy_of=run.checkpoint("last"))

    steps = [
        lambda: metrics.append({"step": n, "loss": 0.5, f"column_{n}": n}),
        save_both,
        lambda: save("best", model_zip=True),
        lambda: checkpoints.prune(run, 2),
        lambda: run.update_info(step=n, text="x" * 5000),
        lambda: run.append_result({"step": n, "text": "x" * 5000}),
        lambda: metrics.append({"step": n + 0.5, "loss": 0.25}),
    ]
    failures = []
    for step in steps:
        try:
            step()
        except (RlzooError, OSError) as error:
            failures.append(error)
    return failures


@pytest.mark.parametrize("resource", ["pages", "inodes"])
def test_every_single_write_may_find_the_disk_full(resource, disk, record_property):
    left = 0
    while True:
        run = Run.create(disk.root, algo="ppo", env_id="CartPole-v1", seed=0)
        run.write_info({})
        for n in (1, 2):
            assert not write_all(run, n)
        getattr(disk, f"leave_{resource}")(left)
        failures = write_all(run, 3)
        for error in failures:
            if isinstance(error, RlzooError):
                assert error.code == ExitCode.STORAGE
                assert "No space left on device" in error.message and "\n" not in error.message
        check(run, 3)
        disk_was_full = bool(failures)
        _remove_ballast(disk)
        assert not write_all(run, 4), "there is room again"
        check(run, 4)
        assert checkpoints.read(run.checkpoint("last")).num_timesteps == 4
        disk.clear()
        if not disk_was_full:
            break
        left += 1
    assert left > 10
    record_property(f"{resource}_left", left)


def _remove_ballast(disk: SmallDisk) -> None:
    ballast = disk.root / BALLAST
    if ballast.is_dir():
        for path in ballast.iterdir():
            path.unlink()
        ballast.rmdir()
    else:
        ballast.unlink(missing_ok=True)


def check(run: Run, n: int) -> None:
    """Everything is as it was before or as it is now, and nothing else lies about."""
    for checkpoint in run.checkpoints():
        contents = checkpoints.read(checkpoint)
        assert (contents.algorithm.tensors["weights"] == contents.num_timesteps).all()
    for name in ("last", "best"):
        assert checkpoints.read(run.checkpoint(name)).num_timesteps in range(1, n + 1)
    newest = checkpoints.read(run.checkpoint("last")).num_timesteps
    assert newest >= n - 1
    assert run.read_info()["step"] in (n - 1, n)
    assert [entry["step"] for entry in run.read_results()] in ([*range(1, n)], [*range(1, n + 1)], [1, 2, n])
    rows = run.metrics_file.read_text().splitlines()
    assert {row.count(",") for row in rows} == {rows[0].count(",")}, "no row is half-written"
    assert not [path.name for path in run.path.rglob(".*")], "nothing half-written lies about"


WORDS = ["algo=ppo", "env=CartPole", "seed=3", "hyperparams=none", "total_timesteps=400", "algo.n_steps=100"]
WORDS += ["algo.batch_size=50", "checkpoint.freq=100", "eval.freq=150", "eval.n_episodes=1", "eval.final_n_episodes=1"]
WORDS += ["algo.policy_kwargs={net_arch: [8]}"]


def test_a_training_on_a_disk_that_fills_up(disk, warm: Warm, tmp_path, full, record_property):
    """It ends well or with exit code 5 and a message; with room again it resumes to the end of an undisturbed one."""
    child = warm.start("train", *WORDS, f"runs_dir={tmp_path / 'whole'}", cwd=tmp_path)
    assert child.wait() == 0, child.output
    whole = Run.open("latest", tmp_path / "whole")
    pages = sum(-(-path.stat().st_size // 4096) for path in whole.path.rglob("*") if path.is_file())
    codes, resumed = [], 0
    for left in [*range(0, pages + 20, 1 if full else 20), 10**6]:  # the last one: there is room
        disk.leave_pages(left)
        child = warm.start("train", *WORDS, f"runs_dir={disk.root / 'runs'}", cwd=tmp_path)
        codes.append(child.wait())
        assert codes[-1] in (0, ExitCode.STORAGE), child.output
        assert "Traceback" not in child.output, child.output
        if codes[-1]:
            assert "rlzoo: " in child.output and "No space left on device" in child.output
        for run in find_runs(disk.root / "runs"):
            assert run.read_config()["seed"] == 3
            assert run.read_info()["status"] in ("running", "failed", "finished")
            names = [checkpoints.read(checkpoint).manifest["at_boundary"] for checkpoint in run.checkpoints()]
            if codes[-1] and names:
                assert f"to resume: rlzoo train resume={run.path}" in child.output, child.output
            _remove_ballast(disk)
            if codes[-1] and any(names):
                child = warm.start("train", f"resume={run.path}", cwd=tmp_path)
                assert child.wait() == 0, child.output
                resumed += 1
            if any(names):
                same(whole, run)
        disk.clear()
    assert set(codes) == {0, ExitCode.STORAGE}
    assert resumed
    record_property("trainings", len(codes))
    record_property("resumed", resumed)


def same(whole: Run, run: Run) -> None:
    first, second = (checkpoints.read(each.checkpoint("last")).algorithm.tensors for each in (whole, run))
    assert all(np.array_equal(first[key], second[key]) for key in first)


def test_folders_that_take_no_run_are_refused_before_training(disk, warm: Warm, tmp_path):
    """Read-only, a file in the way, a folder that nobody can make: one line, exit code 5, nothing trained."""
    (disk.root / "file").write_text("mine")
    disk.set_read_only(True)
    for runs_dir, why in {
        disk.root / "runs": "Read-only file system",
        disk.root / "file": "Read-only file system",
        "file": "File exists",
        "file/runs": "Not a directory",
        "/proc/nowhere/runs": "No such file or directory",
        "a" * 300: "File name too long",
    }.items():
        (tmp_path / "file").write_text("mine")
        child = warm.start("train", *WORDS, f"runs_dir={runs_dir}", cwd=tmp_path)
        assert child.wait() == ExitCode.STORAGE, child.output
        assert why in child.output or "Not a directory" in child.output, child.output
        assert "runs_dir=" in child.output and "Traceback" not in child.output
        assert "steps/s" not in child.output
        assert (tmp_path / "file").read_text() == "mine"


def test_a_disk_that_came_back_read_only(disk, warm: Warm, tmp_path):
    """As a drive does that failed: resuming is refused, and works when the drive is well again."""
    words = [*WORDS, "checkpoint.freq=100"]
    child = warm.start("train", *words, f"runs_dir={tmp_path / 'whole'}", cwd=tmp_path)
    assert child.wait() == 0, child.output
    child = warm.start("train", *words, f"runs_dir={disk.root / 'runs'}", cwd=tmp_path)
    while not list(disk.root.glob("runs/*/*/*/checkpoints/last")):
        time.sleep(0.001)
    child.kill()
    run = Run.open("latest", disk.root / "runs")
    disk.set_read_only(True)
    refused = warm.start("train", f"resume={run.path}", cwd=tmp_path)
    assert refused.wait() == ExitCode.STORAGE, refused.output
    assert "Traceback" not in refused.output and "Read-only file system" in refused.output
    disk.set_read_only(False)
    again = warm.start("train", f"resume={run.path}", cwd=tmp_path)
    assert again.wait() == 0, again.output
    same(Run.open("latest", tmp_path / "whole"), run)
