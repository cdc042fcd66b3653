"""What happens to a run's folder while it is trained into: noticed, said, and nothing made in its old place."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import rlzoo
from rlzoo.config.parse import dump
from rlzoo.errors import ExitCode, RlzooError
from rlzoo.protocols import Algorithm, Callback
from rlzoo.runs.run import Run
from rlzoo.training import train as training
from rlzoo.training.callbacks import in_place
from rlzoo.training.preflight import compose

WORDS = ("algo=q_learning", "env=FrozenLake", "hyperparams=none", "total_timesteps=400", "checkpoint.freq=100")
WORDS += ("eval.freq=0", "eval.final_n_episodes=2", "seed=0", "logger=csv")


class Meddler(Callback):
    """Does something to the folder once there is a checkpoint in it."""

    def __init__(self, run: Run, deed: Callable[[Path], object]) -> None:
        self.run, self.deed, self.done = run, deed, False

    def on_boundary(self, algorithm: Algorithm) -> None:
        if not self.done and algorithm.num_timesteps >= 150:
            self.done = True
            assert self.run.checkpoint("last").exists()
            self.deed(self.run.path)


@pytest.fixture
def run(workdir, monkeypatch):
    monkeypatch.setattr(in_place, "PAUSE", 0.0)
    cfg = compose(*WORDS)
    run = Run.create("runs", algo="q_learning", env_id="FrozenLake-v1", seed=0)
    run.write_config(dump(cfg))
    run.write_info({"status": "running", "run": run.path.name, "words": list(WORDS)})
    return run


def meddled(run: Run, deed: Callable[[Path], object]) -> None:
    training.train(compose(*WORDS), run, [Meddler(run, deed)])


def replaced(path: Path) -> None:
    path.rename("elsewhere")
    path.mkdir()
    (path / "config.yaml").write_text("somebody else's")


def with_parents(path: Path) -> None:
    Path("runs").rename("elsewhere")


def became_a_file(path: Path) -> None:
    path.rename("elsewhere")
    path.write_text("no folder")


@pytest.mark.parametrize("pause", [0.0, 1000.0])
@pytest.mark.parametrize("deed", [lambda path: path.rename("elsewhere"), replaced, with_parents, became_a_file])
def test_a_folder_that_is_moved_ends_the_training_and_is_found(deed, pause, run, workdir, monkeypatch):
    monkeypatch.setattr(in_place, "PAUSE", pause)  # at the latest it is noticed when a checkpoint is due, or at the end
    before = {path.name for path in run.path.parent.iterdir()}
    with pytest.raises(RlzooError) as caught:
        meddled(run, deed)
    assert caught.value.code == ExitCode.STORAGE
    moved = Run(next(path.parent for path in workdir.joinpath("elsewhere").rglob("info.json")))
    assert f"was moved to {moved.path}" in caught.value.message
    kept, _, resume = caught.value.hint.partition("resume=")
    assert "last" in kept and Path.cwd() / resume == moved.path
    assert moved.read_info()["status"] == "failed"
    if run.path.is_dir() and not pause:
        assert not {path.name for path in run.path.iterdir()} - {"config.yaml", "episodes.csv"}
    assert not run.path.parent.exists() or {path.name for path in run.path.parent.iterdir()} <= before
    resumed = rlzoo.train(f"resume={moved.path}")
    assert resumed.read_info()["status"] == "finished" and resumed.trained_timesteps() == 400


def test_a_folder_that_is_deleted_ends_the_training_and_stays_away(run):
    with pytest.raises(RlzooError) as caught:
        meddled(run, shutil.rmtree)
    assert caught.value.code == ExitCode.STORAGE
    assert "is not there any more" in caught.value.message and caught.value.hint == "nothing is kept"
    assert not run.path.exists()


def emptied(path: Path) -> None:
    (path / "info.json").write_text("")


@pytest.mark.parametrize(
    "deed",
    [
        lambda path: (path / "info.json").unlink(),
        emptied,
        lambda path: (path / "info.json").write_text('{"status": "run'),
        lambda path: (path / "config.yaml").unlink(),
        lambda path: [(path / name).unlink() for name in ("info.json", "config.yaml")],
    ],
)
def test_what_rlzoo_knows_of_a_run_is_written_anew(deed, run):
    meddled(run, deed)
    found = Run.open(run.path)
    info = found.read_info()
    assert (info["status"], info["run"], info["words"]) == ("finished", run.path.name, list(WORDS))
    assert found.is_own() and rlzoo.evaluate(found, n_episodes=1).n_episodes == 1


def test_an_info_that_somebody_else_wrote_is_not_made_up(run):
    copied = Run(run.path.with_name("copied"))
    shutil.copytree(run.path, copied.path)
    emptied(copied.path)
    with pytest.raises(RlzooError, match="is damaged"):
        copied.update_info(status="finished")


def test_another_current_folder_changes_nothing(run, workdir, tmp_path_factory):
    meddled(run, lambda path: os.chdir(tmp_path_factory.mktemp("far")))
    found = Run(workdir / run.path)
    assert found.read_info()["status"] == "finished" and found.trained_timesteps() == 400
    assert len(found.read_results()) == 1 and found.episodes_file.is_file()
    assert not any(Path.cwd().iterdir())
