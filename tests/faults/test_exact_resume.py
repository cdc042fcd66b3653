"""A training that is killed and resumed in a new process ends with the weights and curves of one left alone."""

from __future__ import annotations

import os
import random

import numpy as np
import pytest
from warm import KILL

from rlzoo.algos.specs import ALGOS
from rlzoo.runs.checkpoints import read
from rlzoo.runs.compare import compare_tables
from rlzoo.runs.run import Run
from tests.small import SMALL

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")

COMMON = ["seed=3", "eval.freq=70", "eval.n_episodes=1", "eval.final_n_episodes=1", "checkpoint.freq=40"]


def by_kind():
    """The small configurations, one of each kind of algorithm in the default suite, all of them in the slow one."""
    seen = set()
    for name in SMALL:
        spec = ALGOS[name.partition("-")[0]]
        kind = (spec.backend, spec.family, spec.recurrent, spec.masked)
        yield pytest.param(name, marks=[pytest.mark.slow] if kind in seen else [])
        seen.add(kind)


@pytest.mark.parametrize("name", [*by_kind()])
def test_killed_and_resumed_it_is_the_same_training(name, warm, tmp_path, count, record_property):
    words = ["train", *COMMON, *SMALL[name]]
    child = warm.start(*words, "runs_dir=whole", cwd=tmp_path)
    assert child.wait() == 0, child.output
    whole = Run.open("latest", tmp_path / "whole")
    total = whole.read_config()["total_timesteps"]
    n_kills = count(1, 3)
    pick = random.Random(name)
    steps = sorted(pick.sample(range(int(0.3 * total), int(0.95 * total)), n_kills))
    words.append("runs_dir=pieces")
    for step in steps:
        child = warm.start(*words, cwd=tmp_path, before=KILL.format(step=step, signal=9))
        assert child.wait() == -9, child.output
        run = Run.open("latest", tmp_path / "pieces")
        assert run.checkpoints(), f"no checkpoint before step {step}"
        words = ["train", f"resume={run.path}"]
    child = warm.start(*words, cwd=tmp_path)
    assert child.wait() == 0, child.output
    assert "resume: exact" in child.output
    assert run.read_info()["resume"] == "exact"
    assert len(run.read_info()["resumed"]) == n_kills
    first, second = (read(each.checkpoint("last")).algorithm.tensors for each in (whole, run))
    assert first.keys() == second.keys()
    assert [key for key in first if not np.array_equal(first[key], second[key])] == []
    assert whole.metrics_file.read_bytes() == run.metrics_file.read_bytes()
    assert whole.evaluations_file.read_bytes() == run.evaluations_file.read_bytes()
    assert compare_tables(whole.episodes_file, run.episodes_file, but=["seconds"]) is None
    final = [
        [entry[key] for key in ("checkpoint", "returns")] for each in (whole, run) for entry in each.read_results()
    ]
    assert final[: len(final) // 2] == final[len(final) // 2 :]
    record_property("kills", n_kills)
    record_property("killed_at", steps)
