"""Workers in processes of their own, by the command: killed, stopped, started again."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from short_studies import SHORT, started

from rlzoo.tuning.progress import WORKER, state
from rlzoo.tuning.study import Study

pytestmark = pytest.mark.usefixtures("workdir")


def command(*words: str) -> subprocess.Popen[str]:
    call = [sys.executable, "-m", "rlzoo", "tune", *SHORT, *words]
    return subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str]) -> int:
    process.communicate(timeout=300)
    return process.returncode


def workers_of_running(study: Study) -> list[tuple[int, int]]:
    """Number and process of every trial that is being trained."""
    running = study.queue.progress().running
    return [(trial.number, trial.user_attrs[WORKER]["pid"]) for trial in running if WORKER in trial.user_attrs]


def kill_and_count(words: list[str], kills: int, wait: float, n_trials: int) -> None:
    study = started(*words)
    process = command(*words)
    killed: dict[int, float] = {}
    chance = random.Random(3)
    while len(killed) < kills:
        assert process.poll() is None, process.communicate()
        time.sleep(chance.uniform(0.1, wait))
        for number, pid in workers_of_running(study)[:1]:
            if number not in killed:
                os.kill(pid, signal.SIGKILL)
                killed[number] = time.monotonic()
    while waiting := killed.keys() - {trial.number for trial in study.queue.progress().lost}:
        assert all(time.monotonic() - killed[number] < 60 for number in waiting)
        time.sleep(0.1)
    out, errors = process.communicate(timeout=500)
    assert process.returncode == 0, errors
    progress = study.queue.progress()
    assert Counter(state(trial) for trial in progress.trials if state(trial) != "pruned")["lost"] == kills
    assert len(progress.finished) == n_trials
    assert sorted(trial.user_attrs["place"] for trial in progress.finished) == list(range(n_trials))
    assert not progress.running and not progress.waiting
    for number in killed:
        lost = progress.trials[number]
        again = next(trial for trial in progress.finished if trial.user_attrs["place"] == lost.user_attrs["place"])
        assert again.params == lost.params
    kept = {int(path.stem) for path in Path("studies/s/trials").glob("*.json")}
    assert kept == {trial.number for trial in progress.trials}
    assert errors.count("SIGKILL") == kills
    assert f"{n_trials - len(progress.pruned)} complete" in out


def test_a_killed_worker_costs_no_trial_and_adds_none() -> None:
    kill_and_count(["n_trials=6", "workers=2", "total_timesteps=5000"], kills=1, wait=0.5, n_trials=6)


@pytest.mark.slow
@pytest.mark.parametrize("storage", ["sqlite", "journal"])
def test_eight_workers_and_three_killed(storage: str) -> None:
    words = ["n_trials=80", "workers=8", "total_timesteps=400_000", f"storage={storage}"]
    kill_and_count(words, kills=3, wait=0.5, n_trials=80)


def test_a_stopped_search_says_how_to_resume_and_two_commands_that_do_share_it() -> None:
    words = ["n_trials=7", "total_timesteps=20000", "enqueue=[]"]
    study = started(*words)
    process = command(*words)
    while not workers_of_running(study) or not study.queue.progress().finished:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert "to resume: rlzoo tune algo=q_learning env=FrozenLake" in errors
    assert "rlzoo: stopped: " in errors
    progress = study.queue.progress()
    assert not progress.running
    lost = progress.lost  # none if the signal came between two trials
    for trial in lost:
        assert json.loads(Path(f"studies/s/trials/{trial.number:04}.json").read_text())["state"] == "lost"
    processes = [command(*words, "--json") for _ in range(2)]
    results = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], results
    progress = study.queue.progress()
    assert len({trial.user_attrs[WORKER]["pid"] for trial in progress.finished}) == 3
    assert len(progress.finished) == 7
    found = [json.loads(out) for out, _ in results]
    for one in found:
        assert one["trials"].get("lost", 0) == len(lost) <= 1
        assert sum(one["trials"].values()) == 7 + len(lost)
        assert one["best"][0]["score"] == max(trial.values[0] for trial in progress.complete)
        assert one["cost"]["steps"] > 20_000


@pytest.mark.slow
def test_interrupted_five_times_is_as_uninterrupted() -> None:
    words = ["n_trials=10", "total_timesteps=20000"]
    assert ended(command(*words, "study=whole")) == 0
    chance = random.Random(5)
    for _ in range(5):
        study = started(*words)
        before = len(study.queue.progress().finished)
        process = command(*words)
        while len(study.queue.progress().finished) == before or not workers_of_running(study):
            assert process.poll() is None
            time.sleep(0.02)
        time.sleep(chance.uniform(0, 0.3))
        process.send_signal(signal.SIGINT)
        assert ended(process) in (0, 130)
    assert ended(command(*words)) == 0
    found = [
        [
            (trial.params, trial.values, trial.intermediate_values)
            for trial in started(*words, name).queue.progress().finished
        ]
        for name in ("study=whole", "study=s")
    ]
    assert found[0] == found[1]
    assert len(found[0]) == 10
