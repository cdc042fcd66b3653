"""Many runs in one process leave no thread, no file and no memory behind."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import textwrap

import psutil
import pytest

MANY = """
    import gc, json, sys, threading
    import psutil
    import rlzoo

    words = sys.argv[2:]
    process = psutil.Process()
    found = []
    for number in range(int(sys.argv[1])):
        rlzoo.train(*words, f"seed={number}", f"runs_dir=runs{number}")
        gc.collect()
        memory = process.memory_info().rss
        found.append([memory, threading.active_count(), process.num_fds(), len(process.children())])
    print(json.dumps(found))
"""
COMMON = ["hyperparams=none", "eval.freq=100", "eval.n_episodes=1", "eval.final_n_episodes=1", "env.max_steps=20"]
TRAININGS = {
    "ppo": ["algo=ppo", "env=CartPole", "algo.n_steps=100", "algo.batch_size=50", "total_timesteps=200"],
    "sac": ["algo=sac", "env=Pendulum", "algo.learning_starts=50", "total_timesteps=100", "algo.buffer_size=5000"],
}
RUNS_BEFORE = 10  # what libraries keep for good is there by then
GROWTH_PER_RUN = 10 / 90  # MiB: ten after the tenth of a hundred


@pytest.mark.skipif(not hasattr(psutil.Process, "num_fds"), reason="counts file descriptors")
@pytest.mark.parametrize("name", ["ppo", pytest.param("sac", marks=pytest.mark.slow)])
def test_many_runs_in_one_process(name, tmp_path, count, record_property):
    n = count(16, 100)
    command = [sys.executable, "-c", textwrap.dedent(MANY), str(n), *TRAININGS[name], *COMMON]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout.splitlines()[-1])
    counts, last = found[RUNS_BEFORE - 1][1:], found[-1]
    # what the allocator holds goes up and down by some MiB from run to run
    before, after = (statistics.median(row[0] for row in rows) for rows in (found[5:RUNS_BEFORE], found[-5:]))
    grown = (after - before) / 2**20
    record_property("runs", n)
    record_property("mib_after_the_tenth", round(grown, 2))
    assert last[1:] == counts, "threads, file descriptors, child processes"
    assert grown <= max(2.0, GROWTH_PER_RUN * (n - RUNS_BEFORE)), [round(row[0] / 2**20, 1) for row in found]
