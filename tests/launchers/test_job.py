"""One job in this process, and the exit code of a sweep."""

import pytest
import toy_jobs

from rlzoo.launchers import Job, JobResult, run_job, sweep_exit_code
from rlzoo.launchers.job import interrupted, stopped_by


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    monkeypatch.setenv("RLZOO_PLAIN", "0")  # restored after run_job has set it


def job(function, **config):
    return Job(config, f"{toy_jobs.__name__}:{function.__name__}")


def test_a_job_answers_with_its_run_and_result():
    assert run_job(job(toy_jobs.square, x=3), 4) == JobResult(4, 0, "runs/3", {"square": 9}, "")
    assert run_job(job(toy_jobs.nothing), 0) == JobResult(0)


def test_a_refused_job_keeps_its_code_and_hint():
    result = run_job(job(toy_jobs.refuse), 1)
    assert result.exit_code == 5
    assert result.error == "the disk is full\n  make room"


def test_an_unexpected_error_is_a_bug():
    assert run_job(job(toy_jobs.crash), 0) == JobResult(0, 1, error="ValueError: a bad number")


def test_a_job_that_cannot_be_imported_fails():
    result = run_job(Job({}, "toy_jobs:sqare"), 0)
    assert result.exit_code == 2
    assert "did you mean 'square'" in result.error


@pytest.mark.parametrize(
    ("codes", "expected"),
    [([], 0), ([0, 0], 0), ([0, 4, 2], 4), ([4, 130, 130], 130), ([0, 143], 143), ([137, 0], 137)],
)
def test_exit_code_of_a_sweep(codes, expected):
    assert sweep_exit_code([JobResult(index, code) for index, code in enumerate(codes)]) == expected


def test_interrupted_results_say_what_happened():
    assert interrupted(0, 2) == JobResult(0, 130, error="stopped by SIGINT")
    assert interrupted(1, 15, started=False) == JobResult(1, 143, error="not started: SIGTERM")


def test_a_job_stopped_with_another_signal_counts_under_the_sweeps():
    assert stopped_by([15], JobResult(0, 130, "run")) == JobResult(0, 143, "run")
    assert stopped_by([15, 2], JobResult(0, 4)) == JobResult(0, 4)
    assert stopped_by([], JobResult(0, 130)) == JobResult(0, 130)
