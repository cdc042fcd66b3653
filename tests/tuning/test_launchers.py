"""Workers of a study through submitit, whose processes stand in for Slurm's, and through a Ray of this machine."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from short_studies import SHORT, started

from rlzoo.cli.main import main
from rlzoo.errors import ConfigError, ExitCode, RlzooError
from rlzoo.launchers import Job, launch
from rlzoo.tuning.progress import WORKER, StudyProgress
from rlzoo.tuning.request import plan
from rlzoo.tuning.storage.store import VARIABLE, Store
from rlzoo.tuning.worker import enter, offered

pytestmark = [
    pytest.mark.usefixtures("workdir"),
    pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix"),
]
SUBMITIT = ("launcher=submitit_slurm", "launcher.cluster=local", "launcher.cpus_per_task=1")
RAY = ("launcher=ray", "launcher.num_cpus=0.25")


def command(*words: str) -> subprocess.Popen[str]:
    call = [sys.executable, "-m", "rlzoo", "tune", *SHORT, *words]
    return subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def until(process: subprocess.Popen[str], found: Callable[[], list[int]]) -> list[int]:
    """What is found, once there is something, while the command runs."""
    deadline = time.monotonic() + 90
    while not (what := found()):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return what


def watched(*words: str) -> Callable[[], list[int]]:
    """The processes that train trials of the study."""
    queue = started(*words).queue
    return lambda: [t.user_attrs[WORKER]["pid"] for t in queue.progress().running if WORKER in t.user_attrs]


def finished(process: subprocess.Popen[str], *words: str) -> tuple[StudyProgress, str]:
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    progress = started(*words).queue.progress()
    assert not progress.running and not progress.waiting
    assert sorted(trial.user_attrs["place"] for trial in progress.finished) == list(range(progress.n_trials))
    return progress, errors


def a_killed_worker_costs_nothing(*words: str) -> str:
    words = ("n_trials=4", "workers=2", "total_timesteps=12000", "top_k=1", "final_seeds=1", *words)
    pids = watched(*words)
    process = command(*words)
    own = until(process, lambda: pids() if len(pids()) == 2 else [])
    assert os.getpid() not in own and process.pid not in own
    os.kill(own[0], signal.SIGKILL)
    progress, errors = finished(process, *words)
    assert len(progress.lost) == 1 and len(progress.finished) == 4
    assert progress.lost[0].params in [trial.params for trial in progress.finished]
    assert errors.count(" ended: ") == 1
    assert "final 2/2" in errors
    assert len(list(Path("studies/s/final").glob("*/seed0"))) == 2
    return errors


@pytest.mark.slow
def test_a_killed_worker_of_submitit_costs_no_trial_and_adds_none() -> None:
    pytest.importorskip("submitit")
    errors = a_killed_worker_costs_nothing(*SUBMITIT)
    assert "log: " in errors  # where the scheduler's words are
    assert not list(Path("studies/s/.locks").glob("command-*"))


@pytest.mark.slow
def test_a_killed_worker_of_ray_costs_no_trial_and_adds_none() -> None:
    pytest.importorskip("ray")
    assert a_killed_worker_costs_nothing(*RAY).count("RAY_AUTH_MODE") <= 1  # one Ray for the search and for its end


@pytest.mark.slow
def test_a_worker_whose_time_is_over_is_put_back_and_goes_on() -> None:
    pytest.importorskip("submitit")
    words = ("n_trials=2", "workers=1", "total_timesteps=20000", "storage=journal", *SUBMITIT)
    pids = watched(*words)
    process = command(*words)
    [first] = until(process, pids)
    os.kill(first, signal.SIGUSR2)
    progress, _ = finished(process, *words)
    assert len(progress.lost) == 1 and len(progress.finished) == 2
    assert all(trial.user_attrs[WORKER]["pid"] != first for trial in progress.finished)


@pytest.mark.slow  # submitit waits 15 s for the result of each job that ended without one
def test_ctrl_c_ends_the_workers_and_says_how_to_resume() -> None:
    pytest.importorskip("submitit")
    words = ("n_trials=2", "workers=2", "total_timesteps=500000", *SUBMITIT)
    pids = watched(*words)
    process = command(*words)
    own = until(process, lambda: pids() if len(pids()) == 2 else [])
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "to resume: rlzoo tune algo=q_learning" in errors
    assert "launcher=submitit_slurm" in errors
    assert not any(Path(f"/proc/{pid}").exists() for pid in own)
    progress = started(*words).queue.progress()
    assert len(progress.lost) == 2 and not progress.running


def problems(*words: str) -> dict[str, str]:
    with pytest.raises(ConfigError) as found:
        plan([*SHORT, *words])
    return {problem.key: problem.message for problem in found.value.problems}


@pytest.mark.skipif(shutil.which("sbatch") is not None, reason="there is a Slurm here")
def test_a_cluster_that_is_not_there_and_a_storage_that_does_not_reach_it_are_said_with_the_rest() -> None:
    found = problems("launcher=submitit_slurm", "workers=500", "n_trials=0")
    assert set(found) == {"launcher.cluster", "storage", "n_trials"}  # Slurm has the cores for 500 workers
    assert found["storage"].startswith("sqlite is for one machine: its locks do not hold on network disks")
    assert set(problems("launcher=submitit_slurm", "storage=journal")) == {"launcher.cluster"}
    assert main(["tune", *SHORT, "launcher=submitit_slurm", "storage=journal"]) == ExitCode.MISSING
    assert set(problems("launcher=ray", "launcher.address=auto")) == {"storage"}
    words = ["launcher=ray", "launcher.address=ray://127.0.0.1:9", "storage=journal"]
    assert problems(*words)["launcher.address"].startswith("there is no Ray cluster at 'ray://127.0.0.1:9': ")
    assert main(["tune", *SHORT, *words]) == ExitCode.MISSING
    assert not Path("studies").exists()


def test_a_database_that_the_environment_names_reaches_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = ("launcher=ray", "launcher.address=ray://127.0.0.1:9")
    assert set(problems(*ray)) == {"storage", "launcher.address"}
    monkeypatch.setenv(VARIABLE, "postgresql://me@host/studies")
    assert set(problems(*ray)) == {"launcher.address"}


def test_a_worker_that_does_not_reach_the_study_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    told = {"folder": str(tmp_path), "variable": False, "lock": None}
    enter(told)
    for change, said in (
        ({"folder": str(tmp_path / "away")}, "where the study was started, cannot be entered on"),
        ({"variable": True}, "RLZOO_STORAGE is set where the study was started, but not on"),
        ({"lock": str(tmp_path / "x.lock")}, "does not see the lock that the command which started it holds"),
    ):
        with pytest.raises(RlzooError, match=said) as found:
            enter({**told, **change})
        assert found.value.code == ExitCode.STORAGE


def test_a_worker_notices_the_lock_of_the_command() -> None:
    """As a process of its own sees it: where locks do not hold, two workers would take one trial."""
    with offered(Store("journal", Path("studies/s"))) as told:
        [result] = launch([Job(told, "rlzoo.tuning.worker:enter")], {"name": "local"})
        assert (result.exit_code, result.error) == (0, "")
    [result] = launch([Job(told, "rlzoo.tuning.worker:enter")], {"name": "local"})
    assert result.exit_code == ExitCode.STORAGE
