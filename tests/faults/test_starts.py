"""Twenty starts in the same moment: twenty runs; and of twenty that resume one run, one does."""

from __future__ import annotations

import os
import signal
import time

import pytest
from warm import KILL, Warm

from rlzoo.errors import ExitCode
from rlzoo.runs.checkpoints import read
from rlzoo.runs.run import Run, find_runs

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="starts forked processes")

STARTS = 20
WORDS = ["algo=ppo", "env=CartPole", "seed=3", "hyperparams=none", "algo.n_steps=50", "algo.batch_size=50"]
WORDS += ["eval.freq=0", "eval.final_n_episodes=1", "algo.policy_kwargs={net_arch: [8]}", "algo.n_epochs=1"]


def test_twenty_starts_in_one_moment_make_twenty_runs(warm: Warm, tmp_path, record_property):
    words = [*WORDS, "total_timesteps=50"]
    at = time.time() + 3
    children = [warm.start("train", *words, cwd=tmp_path, at=at) for _ in range(STARTS)]
    for child in children:
        assert child.wait() == 0, child.output
    runs = list(find_runs(tmp_path / "runs"))
    assert len(runs) == STARTS
    assert {run.read_info()["status"] for run in runs} == {"finished"}
    weights = [read(run.checkpoint("last")).algorithm.tensors for run in runs]
    assert all((one[key] == weights[0][key]).all() for one in weights for key in one), "nobody wrote into another's"
    record_property("runs", len(runs))
    listing = warm.start("list", "runs", "--json", cwd=tmp_path)
    assert listing.wait() == 0 and all(run.path.name in listing.output for run in runs)


def test_twenty_that_go_on_with_one_run_are_one_and_nineteen_refusals(warm: Warm, tmp_path, record_property):
    words = [*WORDS, "total_timesteps=20000", "checkpoint.freq=100"]  # all are there before the first has ended
    first = warm.start("train", *words, cwd=tmp_path)
    while not list(tmp_path.glob("runs/*/*/*/checkpoints/last")):
        time.sleep(0.002)
    run = Run.open("latest", tmp_path / "runs")

    in_use = warm.start("train", f"resume={run.path}", cwd=tmp_path)
    assert in_use.wait() == ExitCode.STORAGE, in_use.output
    assert f"is in use by process {first.pid} on" in in_use.output and "since" in in_use.output
    first.kill()

    at = time.time() + 3
    children = [warm.start("train", f"resume={run.path}", cwd=tmp_path, at=at) for _ in range(STARTS)]
    codes = [child.wait() for child in children]
    assert sorted(codes) == [0] + [ExitCode.STORAGE] * (STARTS - 1), [child.output for child in children]
    winner = children[codes.index(0)]
    for child in children:
        if child is not winner:
            assert f"is in use by process {winner.pid} on" in child.output and "Traceback" not in child.output
    assert run.read_info()["status"] == "finished"
    assert len(run.read_info()["resumed"]) == 1
    record_property("refusals", codes.count(ExitCode.STORAGE))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_the_lock_of_a_dead_owner_is_taken_over(number, warm: Warm, tmp_path):
    words = [*WORDS, "total_timesteps=600", "checkpoint.freq=100"]
    first = warm.start("train", *words, cwd=tmp_path, before=KILL.format(step=350, signal=int(number)))
    assert first.wait() == -number
    run = Run.open("latest", tmp_path / "runs")
    again = warm.start("train", f"resume={run.path}", cwd=tmp_path)
    assert again.wait() == 0, again.output
    assert run.read_info()["owner"]["pid"] == again.pid
