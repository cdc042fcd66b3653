"""Jobs through submitit, with its own local processes in the place of Slurm's."""

import json
import os
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
import yaml
from watch import alive, start_sweep, wait_for

import rlzoo
from rlzoo.errors import ExitCode, RlzooError
from rlzoo.launchers import Job, JobResult, launch
from rlzoo.launchers.submitit_slurm import Requeued
from rlzoo.registry import Imports
from rlzoo.runs.checkpoints import read
from rlzoo.runs.run import find_runs
from rlzoo.training.request import check_all, job_of, plan

submitit = pytest.importorskip("submitit")
YAML = Path(__file__).parents[2] / "conf" / "launcher" / "submitit_slurm.yaml"


@pytest.fixture
def options():
    return {**yaml.safe_load(YAML.read_text()), "cluster": "local", "cpus_per_task": 1, "timeout_min": 5}


def test_results_failures_and_logs(options, tmp_path):
    functions = ["square", "crash", "refuse", "die", "about_me"]
    jobs = [Job({"x": 7}, f"toy_jobs:{function}") for function in functions]
    reported = []
    results = launch(jobs, options, runs_dir=str(tmp_path), on_result=lambda result: reported.append(result.index))
    assert results[0] == JobResult(0, 0, "runs/7", {"square": 49})
    assert results[1] == JobResult(1, 1, error="ValueError: a bad number")
    assert results[2] == JobResult(2, 5, error="the disk is full\n  make room")
    assert results[3].exit_code == 4
    assert "log: " in results[3].error
    assert results[4].exit_code == 0
    assert results[4].result["plain"] == "1"
    assert results[4].result["threads"] == 1
    assert sorted(reported) == [0, 1, 2, 3, 4]
    [sweep] = (tmp_path / ".sweeps").iterdir()
    assert len(list(sweep.glob("*_log.err"))) == 5


@pytest.mark.skipif(shutil.which("sbatch") is not None, reason="there is a Slurm here")
def test_without_slurm_nothing_runs_elsewhere(options, tmp_path):
    with pytest.raises(RlzooError, match="no Slurm on this machine") as caught:
        launch([Job({}, "toy_jobs:nothing")], {**options, "cluster": "slurm"}, runs_dir=str(tmp_path))
    assert caught.value.code == ExitCode.MISSING
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_a_signal_cancels_the_jobs_and_waits_for_them(tmp_path):
    process, pids = start_sweep(tmp_path, "submitit_slurm", "cluster", "local", n_jobs=3)
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(timeout=60) == 143
    results = json.loads((tmp_path / "results.json").read_text())
    assert [(index, code) for index, code, *_ in results] == [(0, 143), (1, 143), (2, 143)]
    wait_for(lambda: not any(alive(pid) for pid in pids))
    assert len(list(tmp_path.glob("*.saved"))) == 3


@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
def test_a_job_whose_time_is_over_is_put_back_and_goes_on_with_its_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["algo=ppo", "env=CartPole", "seed=1", "total_timesteps=8000", "eval.freq=4000", "logger=[]"]
    whole = rlzoo.train(*words, "runs_dir=whole")
    (request,) = check_all(plan(words, multirun=False))
    executor = submitit.AutoExecutor(folder=tmp_path / "jobs", cluster="local")
    executor.update_parameters(timeout_min=5)
    job = Job(job_of(request), "rlzoo.training.request:run_job")
    handle = executor.submit(Requeued(1, Imports.here()), job, 0)
    wait_for(lambda: list(tmp_path.glob("runs/*/*/*/metrics.csv")))
    (task,) = psutil.Process(int(handle.job_id)).children()
    task.send_signal(signal.SIGUSR2)
    result = handle.result()
    assert result.exit_code == 0, result.error
    (run,) = find_runs(tmp_path / "runs")
    assert result.run == str(run.path.relative_to(tmp_path))
    info = run.read_info()
    assert info["status"] == "finished" and info["resume"] == "exact" and len(info["resumed"]) == 1
    assert "Requeued job" in Path(handle.paths.stderr).read_text() + Path(handle.paths.stdout).read_text()
    assert run.metrics_file.read_bytes() == whole.metrics_file.read_bytes()
    first, second = (read(each.checkpoint("last")).algorithm.tensors for each in (whole, run))
    assert all(np.array_equal(first[name], second[name]) for name in first)
