"""Jobs side by side on this machine: order, overlap, threads, failures, signals, no orphans."""

import json
import os
import signal
import subprocess
import sys
import time
from multiprocessing import forkserver
from pathlib import Path

import pytest
import toy_jobs
from watch import alive, start_sweep, wait_for

from rlzoo.launchers import Job, JobResult, launch
from rlzoo.launchers.local import available_cpus
from rlzoo.training.request import check_all, job_of, plan

LOCAL = {"name": "local"}


def job(function, **config):
    return Job(config, f"{toy_jobs.__name__}:{function.__name__}")


def test_results_are_in_the_order_of_the_jobs_and_reported_as_they_end():
    jobs = [job(toy_jobs.square, x=x, seconds=0.6 if x == 0 else 0.0) for x in range(3)]
    reported = []
    results = launch(jobs, LOCAL, n_jobs=2, on_result=lambda result: reported.append(result.index))
    assert results == [JobResult(x, 0, f"runs/{x}", {"square": x**2}) for x in range(3)]
    assert sorted(reported) == [0, 1, 2]
    assert reported[0] == 1


def test_failures_do_not_stop_the_others():
    functions = [toy_jobs.crash, toy_jobs.die, toy_jobs.leave, toy_jobs.refuse, toy_jobs.unsendable, toy_jobs.nothing]
    results = launch([job(function) for function in functions], LOCAL, n_jobs=2)
    assert [result.exit_code for result in results] == [1, 137, 4, 5, 1, 0]
    assert results[0].error == "ValueError: a bad number"
    assert results[1].error == "the process was ended by SIGKILL (was the memory full?)"
    assert results[2].error.startswith("os._exit was called: 5 (")
    assert results[3].error == "the disk is full\n  make room"
    assert results[4].error.startswith("the result cannot be sent:")


def test_two_jobs_overlap_and_a_third_waits():
    results = launch([job(toy_jobs.span, seconds=0.8) for _ in range(3)], LOCAL, n_jobs=2)
    first, second, third = (result.result for result in results)
    assert max(first["start"], second["start"]) < min(first["end"], second["end"])
    assert third["start"] > min(first["end"], second["end"])


def test_one_job_at_a_time_does_not_overlap():
    first, second = (result.result for result in launch([job(toy_jobs.span, seconds=0.2)] * 2, LOCAL, n_jobs=1))
    assert second["start"] > first["end"]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_each_job_has_a_fresh_process_and_its_share_of_the_threads(n_jobs, monkeypatch, tmp_path):
    monkeypatch.setenv("RLZOO_TEST_MARKER", "here")
    monkeypatch.chdir(tmp_path)
    results = [result.result for result in launch([job(toy_jobs.about_me)] * 2, LOCAL, n_jobs=n_jobs)]
    threads = max(1, available_cpus() // n_jobs)
    for result in results:
        assert result["threads"] == threads
        assert result["omp"] == str(threads)
        assert result["plain"] == "1"
        assert result["marker"] == "here"
        assert result["cwd"] == str(tmp_path)
    assert len({os.getpid(), *(result["pid"] for result in results)}) == 3


@pytest.mark.skipif(sys.platform != "linux", reason="other systems start each process anew")
def test_a_job_finds_torch_loaded_and_may_use_threads_after_the_parent_did():
    """In a parent of its own: one that has used subprocess environments has a fork server without torch already."""
    code = (
        "import json, toy_jobs, torch; from rlzoo.launchers import Job, launch\n"
        "torch.set_num_threads(2); (torch.ones(600, 600) @ torch.ones(600, 600)).sum()\n"
        "[result] = launch([Job({'use_threads': True}, 'toy_jobs:about_me')], {'name': 'local'})\n"
        "print(json.dumps(result.result))\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    command = [sys.executable, "-c", code]
    output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120).stdout
    result = json.loads(output.splitlines()[-1])
    assert result["dynamo"]
    assert result["product"] == 600.0**3


def test_an_error_in_the_parent_ends_the_jobs(tmp_path):
    def fail(result):
        raise RuntimeError("the table cannot be drawn")

    jobs = [job(toy_jobs.nothing), job(toy_jobs.span, seconds=60)]
    start = time.monotonic()
    with pytest.raises(RuntimeError, match="cannot be drawn"):
        launch(jobs, LOCAL, n_jobs=2, on_result=fail)
    assert time.monotonic() - start < 30


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
@pytest.mark.parametrize("to_group", [False, True], ids=["process", "group"])
@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_reaches_each_job_once_starts_no_other_and_leaves_no_process(tmp_path, signum, code, to_group):
    process, pids = start_sweep(tmp_path, "local", n_jobs=2)
    (os.killpg if to_group else os.kill)(process.pid, signum)
    assert process.wait(timeout=30) == code
    results = json.loads((tmp_path / "results.json").read_text())
    assert results == [
        [0, code, str(tmp_path), "interrupted"],
        [1, code, str(tmp_path), "interrupted"],
        [2, code, None, f"not started: {signum.name}"],
    ]
    assert {path.read_text() for path in tmp_path.glob("*.saved")} == {str([int(signum)])}
    assert len(list(tmp_path.glob("*.saved"))) == 2
    assert not any(alive(pid) for pid in pids)


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_jobs_of_a_killed_parent_clean_up_and_end(tmp_path):
    process, pids = start_sweep(tmp_path, "local", n_jobs=2)
    process.kill()
    process.wait()
    wait_for(lambda: len(list(tmp_path.glob("*.saved"))) == 2)
    wait_for(lambda: not any(alive(pid) for pid in pids))
    assert {path.read_text() for path in tmp_path.glob("*.saved")} == {str([int(signal.SIGTERM)])}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has the fork server")
def test_what_every_job_needs_is_imported_once_by_the_server(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["algo=ppo", "env=CartPole", "total_timesteps=64", "algo.n_steps=32", "env.n_envs=1", "algo.batch_size=32"]
    (request,) = check_all(plan([*words, "eval.n_episodes=1", "eval.final_n_episodes=1"], multirun=False))
    forkserver._forkserver._stop()  # the one of another test may have loaded something else
    entry = f"{toy_jobs.__name__}:{toy_jobs.train_and_say_what_is_imported.__name__}"
    (result,) = launch([Job(job_of(request), entry)], LOCAL, n_jobs=1)
    assert result.exit_code == 0, result.error
    assert set(result.result["new"]) <= {"torch.profiler._cupti_monitor"}  # asks for a GPU
