"""One writer per run: others are refused with the owner's name, and a dead owner stands in nobody's way."""

import json
import multiprocessing
import os
import time
from pathlib import Path

import pytest

from rlzoo.cli.main import main
from rlzoo.errors import ExitCode, RlzooError
from rlzoo.runs import lock
from rlzoo.runs.run import Run

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="holds locks in forked processes")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Run.create(tmp_path, algo="ppo", env_id="CartPole-v1", seed=0)
    run.write_info({"status": "running"})
    return run


@pytest.fixture
def owner(run: Run):
    """Another process that holds the run."""
    context = multiprocessing.get_context("fork")
    ready = context.Event()

    def hold() -> None:
        with lock.held(run):
            ready.set()
            time.sleep(60)

    process = context.Process(target=hold)
    process.start()
    assert ready.wait(30)
    yield process
    process.kill()
    process.join()


def test_a_run_in_use_is_refused_with_its_owner(run, owner):
    assert lock.in_use(run)
    with (
        pytest.raises(RlzooError, match=rf"is in use by process {owner.pid} on .+ since 20\d\d-") as error,
        lock.held(run),
    ):
        pass
    assert error.value.code == ExitCode.STORAGE
    assert run.read_info()["owner"]["pid"] == owner.pid


def test_the_lock_of_a_killed_owner_is_free(run, owner):
    owner.kill()
    owner.join()
    assert not lock.in_use(run)
    with lock.held(run):
        assert run.read_info()["owner"]["pid"] == os.getpid()
        assert lock.in_use(run)
    assert not lock.in_use(run)


def test_the_list_of_runs_tells_the_killed_from_the_running(run, owner, capsys):
    run.write_config({"algo": {"name": "ppo"}, "env": {"id": "CartPole-v1"}, "seed": 0})

    def status() -> str:
        assert main(["list", "runs", f"runs_dir={run.path.parents[2]}", "--json"]) == 0
        (row,) = json.loads(capsys.readouterr().out)
        return row["status"]

    assert status() == "running"
    owner.kill()
    owner.join()
    assert status() == "killed"


@pytest.mark.parametrize("kind", ["symlink", "dangling", "directory"])
def test_what_was_planted_in_its_place_is_not_followed(kind, run, tmp_path):
    target = tmp_path / "target"
    if kind == "symlink":
        target.write_text("precious")
    if kind == "directory":
        run.lock_file.mkdir()
    else:
        run.lock_file.symlink_to(target)
    with pytest.raises(RlzooError, match="cannot be locked") as error, lock.held(run):
        pass
    assert error.value.code == ExitCode.STORAGE
    assert not lock.in_use(run)
    assert (target.read_text() if kind == "symlink" else not target.exists()) in ("precious", True)
