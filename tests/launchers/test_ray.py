"""Jobs through a Ray of two CPUs on this machine."""

import json
import os
import signal
import sys
from pathlib import Path

import pytest
import yaml
from watch import alive, start_sweep, wait_for

from rlzoo.launchers import Job, JobResult, launch

pytestmark = pytest.mark.slow
YAML = Path(__file__).parents[2] / "conf" / "launcher" / "ray.yaml"


def test_results_failures_overlap_and_fresh_workers():
    ray = pytest.importorskip("ray")
    functions = ["square", "crash", "refuse", "die", "about_me", "about_me"]
    jobs = [Job({"x": 7}, f"toy_jobs:{function}") for function in functions]
    jobs += [Job({"seconds": 6}, "toy_jobs:span")] * 2
    results = launch(jobs, yaml.safe_load(YAML.read_text()))
    assert results[0] == JobResult(0, 0, "runs/7", {"square": 49})
    assert results[1] == JobResult(1, 1, error="ValueError: a bad number")
    assert results[2] == JobResult(2, 5, error="the disk is full\n  make room")
    assert results[3].exit_code == 4
    assert [result.result["plain"] for result in results[4:6]] == ["1", "1"]
    assert results[4].result["pid"] != results[5].result["pid"]
    first, second = (result.result for result in results[6:])
    assert max(first["start"], second["start"]) < min(first["end"], second["end"])
    assert not ray.is_initialized()


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_a_signal_cancels_the_tasks_and_waits_for_them(tmp_path):
    pytest.importorskip("ray")
    process, pids = start_sweep(tmp_path, "ray", "num_cpus", "0.25", n_jobs=3)
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(timeout=60) == 143
    results = json.loads((tmp_path / "results.json").read_text())
    assert results == [[index, 143, str(tmp_path), "interrupted"] for index in range(3)]
    wait_for(lambda: not any(alive(pid) for pid in pids))
