"""No link leads out of a run, a checkpoint or a package; the folder of runs, and a whole run, may be links."""

from __future__ import annotations

import inspect
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest

from rlzoo import contained
from rlzoo.cli import listing, validate
from rlzoo.config import assignments
from rlzoo.console import LogFile
from rlzoo.course import certificate
from rlzoo.course.scores import runs_named
from rlzoo.errors import ExitCode, RlzooError
from rlzoo.evaluation.record import Film
from rlzoo.hub import pull, push
from rlzoo.hub.formats import rlzoo
from rlzoo.hub.formats.source import Origin, Repository
from rlzoo.hub.privacy import refuse_leaks
from rlzoo.loggers import csv, tensorboard
from rlzoo.runs import checkpoints, tables
from rlzoo.runs.run import Checkpoint, Run, find_runs, write_text
from rlzoo.runs.trust import require_trusted
from rlzoo.training import init_from, verify_resume
from tests.results import entry, make_run

SECRET = "precious: true\n"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder of the user that nothing may be read from or written to."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "file").write_text(SECRET)
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return make_run(tmp_path / "runs", "ppo", "CartPole-v1", [entry(500.0, 0.0)])


def put_link(run: Run, name: str, target: Path) -> None:
    path = run.path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def refused(action, *arguments, **options) -> RlzooError:
    with pytest.raises(RlzooError) as error:
        action(*arguments, **options)
    assert error.value.code == ExitCode.UNSAFE, error.value
    return error.value


NAMES = "config.yaml info.json results.json metrics.csv train.log .lock git.diff videos/a.mp4 wandb/run/x.json".split()


@pytest.mark.parametrize("name", NAMES)
def test_a_run_with_a_link_to_elsewhere_is_not_opened(name, run, elsewhere):
    put_link(run, name, elsewhere / "file")
    assert name in refused(Run.open, run.path).message
    assert name in refused(Run.open, "ppo/CartPole-v1", run.path.parents[2]).message
    assert refused(require_trusted, run, {}, trust=True)  # one's own too, and whatever is said about it
    for folder in ("checkpoints", "tensorboard", "videos"):
        put_link(run, folder, elsewhere)
        assert folder in refused(Run.open, run.path).message


def test_a_link_to_a_sibling_by_a_longer_name_leads_out(run):
    """`runs/a` is no beginning of `runs/ab`."""
    sibling = run.path.with_name(run.path.name + "b")
    sibling.mkdir()
    (sibling / "x").write_text("")
    for index, target in enumerate((sibling, sibling / "x", Path("..") / sibling.name, Path("..", "..", "nowhere"))):
        put_link(run, f"link{index}", target)
    assert sorted(contained.leading_out(run.path)) == [f"link{index}" for index in range(4)]


def test_links_above_a_run_and_within_it_are_the_users_own(run, tmp_path):
    scratch = tmp_path / "scratch"
    (tmp_path / "runs").rename(scratch)
    (tmp_path / "runs").symlink_to(scratch)
    (tmp_path / "favourite").symlink_to(run.path)
    put_link(run, "newest.json", Path("info.json"))
    for opened in (
        Run.open(run.path),
        Run.open("latest", tmp_path / "runs"),
        Run.open(tmp_path / "favourite"),
        next(find_runs(tmp_path / "runs")),
    ):
        assert opened.read_info()["status"] == "finished" and opened.read_results()
        require_trusted(opened, opened.read_config())
        opened.append_result(entry(1.0, 0.0))
    assert [row["status"] for row in listing.runs(str(tmp_path / "runs"))] == ["finished"]
    assert Run.create(tmp_path / "runs", algo="ppo", env_id="X-v0", seed=0).path.is_dir()


@pytest.mark.parametrize("name", ["config.yaml", "info.json", "results.json"])
def test_looking_through_runs_reads_nothing_elsewhere(name, run, elsewhere, tmp_path, capsys):
    put_link(run, name, elsewhere / "file")
    (row,) = listing.runs(str(tmp_path / "runs"))
    assert row["status"] == "damaged"
    with pytest.raises(RlzooError):
        runs_named([str(run.path)], "runs")
    assert "precious" not in capsys.readouterr().err


@pytest.fixture
def deeper() -> Iterator[Callable[[Path], None]]:
    """Puts more folders into each other than Python can follow by calling itself."""

    def put(home: Path) -> None:
        for depth in range(1, 301):
            (home / "/".join("a" * depth)).mkdir()

    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + 200)
    yield put
    sys.setrecursionlimit(limit)


def test_folders_in_folders_in_folders(run, deeper, tmp_path):
    package = tmp_path / "package"
    (package / "rlzoo").mkdir(parents=True)
    (package / "rlzoo" / "info.json").write_text('{"package": {"name": "x", "files": ["rlzoo/info.json"]}}')
    (package / "x.yaml").write_text("a: 1\n")
    deeper(run.path)
    deeper(package)
    assert "64 deep" in refused(Run.open, run.path).message
    assert refused(require_trusted, run, {}, trust=True)
    assert [found.path for found in find_runs(tmp_path / "runs")] == [run.path]
    assert Repository(package, Origin("x")).names() == ["rlzoo/info.json", "x.yaml"]
    assert validate._files_below(package) == [package / "x.yaml"]
    assert set(push.files_of(package)) == {"rlzoo/info.json", "x.yaml"}
    refuse_leaks(package)
    (package / "x.yaml").unlink()
    refused(rlzoo.require_free, package, "x")  # or it could not be removed


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes as Unix has them")
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(run):
    os.mkfifo(run.log_file)
    with pytest.raises(OSError, match="No such device"):  # nobody reads it
        LogFile(run.log_file)
    reader = os.open(run.log_file, os.O_RDONLY | os.O_NONBLOCK)
    for mode in ("ab", "rb", "r+b"):
        with pytest.raises(OSError, match="it is not a file"):
            contained.opened(run.log_file, mode)
    os.close(reader)


def test_what_is_written_into_a_run_is_not_written_through_a_link(run, elsewhere):
    before = (elsewhere / "file").read_text()
    for name in ("metrics.csv", "train.log", ".results.json.tmp"):
        put_link(run, name, elsewhere / "file")
    refused(csv.CsvLogger, run)
    with pytest.raises(OSError):
        LogFile(run.log_file)
    put_link(run, "results.json", elsewhere / "file")
    write_text(run.results_file, "[]")  # takes the place of the link
    assert run.read_results() == []
    put_link(run, f".info.json.{os.getpid()}.tmp", elsewhere / "file")
    with pytest.raises(RlzooError, match="cannot write"):
        run.update_info(status="finished")
    put_link(run, "tensorboard", elsewhere)
    refused(tensorboard.open_logger, run, {})
    assert (elsewhere / "file").read_text() == before
    assert [path.name for path in elsewhere.iterdir()] == ["file"]


def test_what_a_checkpoint_and_a_table_hold_is_not_read_through_a_link(run, elsewhere):
    checkpoint = Checkpoint(run.checkpoints_dir / "last")
    checkpoint.path.mkdir(parents=True)
    (elsewhere / "manifest.json").write_text('{"num_timesteps": 5}')
    put_link(run, "checkpoints/last/manifest.json", elsewhere / "manifest.json")
    refused(checkpoints.read_manifest, checkpoint)
    refused(lambda: checkpoint.num_timesteps)
    put_link(run, "evaluations.csv", elsewhere / "file")
    refused(tables.read_evaluations, run.evaluations_file)


def test_no_way_leads_through_somebodys_folder_to_elsewhere(run, elsewhere, tmp_path):
    """What the user names may lie anywhere, but a link in a run, a study or a package does not lead there."""
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "study.yaml").write_text("")
    (tmp_path / "package" / "rlzoo").mkdir(parents=True)
    (tmp_path / "package" / "rlzoo" / "info.json").write_text("{}")
    (tmp_path / "plain").mkdir()
    for home in (run.path, tmp_path / "study", tmp_path / "package", tmp_path / "plain"):
        (home / "link").symlink_to(elsewhere)
    other = make_run(tmp_path / "others", "ppo", "CartPole-v1", [])
    level = assignments.level(len(assignments.certified()))
    assert level is not None
    for home in (run.path, tmp_path / "study", tmp_path / "package"):
        way = home / "link"
        refused(Film, way / "film.mp4", None)
        refused(rlzoo.require_free, way / "package", "ppo-CartPole-v1")
        refused(rlzoo.require_package, way)
        refused(certificate.write, "Ada", level, (), way, date(2026, 11, 20))
        refused(verify_resume._folder(way / "new").__enter__)
        refused(pull.load_from_hub, "owner/name", folder=way / "new")
        refused(init_from.find, str(way / "file"), "runs")
        refused(Run.create, way, algo="ppo", env_id="X-v0", seed=0)
        (home / "run").symlink_to(other.path)
        refused(Run.open, home / "run")
    assert rlzoo.require_free(tmp_path / "plain" / "link" / "new", "ppo-CartPole-v1") == ""
    assert [path.name for path in elsewhere.iterdir()] == ["file"]


def test_a_package_that_is_replaced_keeps_no_text_of_elsewhere(elsewhere, tmp_path):
    """Its README.md is merged with what is there, and published."""
    folder = tmp_path / "package"
    (folder / "rlzoo").mkdir(parents=True)
    package = {"name": "ppo-CartPole-v1", "files": ["README.md", "rlzoo/info.json"]}
    (folder / "rlzoo" / "info.json").write_text(json.dumps({"package": package}))
    (folder / "README.md").symlink_to(elsewhere / "file")
    refused(rlzoo.require_free, folder, "ppo-CartPole-v1")


@pytest.mark.parametrize("name", ["config.yaml", "results.json"])
def test_a_pipe_is_not_waited_for(name, run, tmp_path):
    (run.path / name).unlink()
    os.mkfifo(run.path / name)
    rows = listing.runs(str(tmp_path / "runs"))
    assert [row["status"] for row in rows] == (["damaged"] if name == "config.yaml" else ["finished"])
