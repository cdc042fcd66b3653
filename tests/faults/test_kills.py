"""SIGKILL at random moments of real trainings, and at every step of writing a checkpoint: nothing written is lost."""

from __future__ import annotations

import itertools
import os
import random
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from warm import Warm

from rlzoo.runs import checkpoints
from rlzoo.runs.run import Run, find_runs
from rlzoo.training.resume import newest_boundary

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")

FREQ = 200
COMMON = ["seed=3", "hyperparams=none", f"checkpoint.freq={FREQ}", "eval.freq=400", "eval.n_episodes=1"]
COMMON += ["eval.final_n_episodes=1", "env.max_steps=40"]
TRAININGS = {
    "ppo": ["algo=ppo", "env=CartPole", "env.n_envs=2", "algo.n_steps=50", "algo.batch_size=50", "env.normalize=true"],
    "dqn": ["algo=dqn", "env=CartPole", "algo.learning_starts=100", "algo.buffer_size=700"],
}
STEPS = {"ppo": 2400, "dqn": 1600}
NOTE_STEPS = """
import os
from rlzoo.algos.sb3 import replay as replay_state
from rlzoo.training.callbacks.progress import Progress

replay_state.SEGMENT = 100
file = os.open("step", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
def on_step(self, algorithm, real=Progress.on_step):
    os.pwrite(file, b"%20d" % algorithm.num_timesteps, 0)
    return real(self, algorithm)
Progress.on_step = on_step
"""
"""Seven segments of replay instead of one, and the step that a killed process had come to."""


@pytest.mark.parametrize("name", TRAININGS)
def test_killed_at_random_moments(name, warm: Warm, tmp_path, count, record_property):
    """A training that is killed again and again ends with the weights and curves of one that was left alone."""
    words = [*TRAININGS[name], *COMMON, f"total_timesteps={STEPS[name]}"]
    begun = time.monotonic()
    child = warm.start("train", *words, "runs_dir=whole", cwd=tmp_path, before=NOTE_STEPS)
    assert child.wait() == 0, child.output
    took = time.monotonic() - begun
    whole = Run.open("latest", tmp_path / "whole")
    pick, kills, longest, goal = random.Random(name), 0, 0, count(5, 25)
    for training in itertools.count():  # some end before they are killed
        if kills == goal:
            break
        folder = tmp_path / f"runs{training}"
        while child := _start_or_resume(warm, words, tmp_path, folder):
            time.sleep(pick.uniform(0.1, took / 2))
            if child.poll() is None and kills < goal:
                child.kill()
                kills += 1
                longest = max(longest, _look(folder, tmp_path))
            elif child.wait() == 0:
                break
            else:
                pytest.fail(child.output)
        # one that was killed before its first checkpoint may have begun in the same second
        (run,) = [each for each in find_runs(folder) if each.read_info()["status"] == "finished"]
        _compare(whole, run)
        assert run.read_info()["status"] == "finished"
        assert [entry["checkpoint"] for entry in run.read_results()[-2:]][-1:] == ["last"]
        assert not [path.name for path in run.path.rglob(".*") if path != run.path / ".lock"]
    assert longest <= FREQ, "more than one interval was lost"
    record_property("kills", kills)
    record_property("longest_loss_steps", longest)


def test_killed_in_the_evaluation_at_the_end(warm: Warm, tmp_path):
    """All steps are taken, and nobody knows yet how good the agent is."""
    words = ["algo=ppo", "env=CartPole", "seed=1", "hyperparams=none", "algo.n_steps=100", "total_timesteps=200"]
    words += ["eval.freq=0", "checkpoint.freq=0"]
    child = warm.start("train", *words, "eval.final_n_episodes=3000", cwd=tmp_path)
    while not list(tmp_path.glob("runs/*/*/*/checkpoints/last")):
        time.sleep(0.01)
    time.sleep(0.3)
    child.kill()
    run = Run.open("latest", tmp_path / "runs")
    assert run.read_info()["status"] == "running"
    again = warm.start("train", f"resume={run.path}", "eval.final_n_episodes=2", cwd=tmp_path)
    assert again.wait() == 0, again.output
    assert "with the evaluation at the end" in again.output
    assert [entry["n_episodes"] for entry in run.read_results()] == [2]
    assert run.read_info()["status"] == "finished"


def _start_or_resume(warm, words, tmp_path, folder):
    """A run of which a checkpoint was written is resumed; one that was killed before is started again."""
    (tmp_path / "step").unlink(missing_ok=True)
    runs = [run for run in find_runs(folder) if run.checkpoints()]
    more = [f"resume={runs[0].path}"] if runs else [*words, f"runs_dir={folder}"]
    return warm.start("train", *more, cwd=tmp_path, before=NOTE_STEPS)


def _look(folder: Path, tmp_path: Path) -> int:
    """Check all that a killed training left; returns the steps that were lost."""
    note = tmp_path / "step"
    step = int(note.read_text() or 0) if note.exists() else 0
    for run in find_runs(folder):
        assert run.read_info()["status"] in ("running", "finished")
        assert run.read_config()["seed"] == 3
        run.read_results()
        for table in (run.metrics_file, run.evaluations_file):
            assert not table.exists() or table.read_bytes().endswith(b"\n")
        for checkpoint in run.checkpoints():
            checkpoints.read(checkpoint)
        if not run.checkpoints():
            continue
        return max(0, step - newest_boundary(run).num_timesteps)
    return step


def _compare(whole: Run, run: Run) -> None:
    kept = [
        checkpoints.read(each.checkpoint("last")).parts["evaluations"].values["candidates"] for each in (whole, run)
    ]
    assert kept[0] and kept[0] == kept[1]
    names = [f"candidates/{step}" for step, _ in kept[0]]
    for name in ("last", *names):
        first, second = (checkpoints.read(each.checkpoint(name)).algorithm.tensors for each in (whole, run))
        assert first.keys() == second.keys()
        assert all(np.array_equal(first[key], second[key]) for key in first), name
    assert whole.metrics_file.read_bytes() == run.metrics_file.read_bytes()
    assert whole.evaluations_file.read_bytes() == run.evaluations_file.read_bytes()


SMALL_FILES = """
import os, signal, sys
count = 0
def hook(event, args):
    global count
    if event in ("open", "os.rename", "os.remove") and ".tmp" in str(args):
        count += 1
        if count == NUMBER:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(hook)
"""


def test_killed_while_a_small_file_is_replaced(warm: Warm, tmp_path, count):
    """config.yaml, info.json, results.json and the tables are the old or the new ones; the rest is cleared away."""
    words = ["algo=ppo", "env=CartPole", "seed=1", "hyperparams=none", "algo.n_steps=100", "total_timesteps=200"]
    words += ["checkpoint.freq=100", "eval.freq=150", "eval.n_episodes=1", "eval.final_n_episodes=1", "runs_dir=runs"]
    number, gone_on, finished = 1, 0, False
    while not finished:
        child = warm.start("train", *words, cwd=tmp_path, before=f"NUMBER = {number}\n{SMALL_FILES}")
        finished = child.wait() == 0
        for run in find_runs(tmp_path / "runs"):
            assert run.read_config()["seed"] == 1 and run.read_info()["status"] in ("running", "finished")
            assert len(run.read_results()) in (0, 1, 2)
            for table in (run.metrics_file, run.evaluations_file):
                assert not table.exists() or table.read_bytes().endswith(b"\n")
            if run.checkpoints() and not finished:
                again = warm.start("train", f"resume={run.path}", cwd=tmp_path)
                assert again.wait() == 0, again.output
                gone_on += 1
                assert not list(run.path.glob(".*.tmp"))
        shutil.rmtree(tmp_path / "runs")
        number += count(9, 1)
    assert number > 20 and gone_on


PROTOCOL = """
    import os, resource, signal, sys
    from pathlib import Path
    import numpy as np
    import safetensors.numpy
    import rlzoo.envs.vector.normalization
    from rlzoo.runs import checkpoints
    from rlzoo.protocols import State
    from rlzoo.runs.run import Run

    run, size = Run(Path(sys.argv[1])), int(sys.argv[2])
    SEGMENTS = 3

    class Learner:
        def __init__(self, n):
            self.num_timesteps = n
        def state(self):
            return State({"weights": np.full(size, self.num_timesteps)})
        def save(self, path):
            path.write_bytes(b"zip")

    def segment(n, k):
        return State({"rows": np.full(size, n - (n - k) % SEGMENTS)})  # as it was when it last changed

    def write(n):
        '''As a training does: `last` with one changed segment of replay, the step, a new best one; the oldest goes.'''
        previous = run.checkpoint("last") if n > 1 else None
        changed = {f"replay-{k}": segment(n, k) for k in range(SEGMENTS) if previous is None or (n - k) % SEGMENTS == 0}
        unchanged = {f"replay-{k}": previous for k in range(SEGMENTS) if f"replay-{k}" not in changed}
        learner = Learner(n)
        last = checkpoints.save(
            run, "last", algorithm=learner, env=None, model_zip=True, others=changed, unchanged=unchanged
        )
        checkpoints.save(run, str(n), algorithm=learner, env=None, copy_of=last)
        checkpoints.save(run, "best", algorithm=learner, env=None, model_zip=True)
        checkpoints.prune(run, 2)

    def at_call(number):
        '''Die before the `number`-th file operation below the run.'''
        count = 0
        def step(*what):
            nonlocal count
            count += 1
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)
        def hook(event, args):
            if event.startswith(("open", "os.", "shutil.")) and event != "os.kill" and str(run.path) in str(args):
                step()
        def fsync(handle, real=os.fsync):
            step()
            real(handle)
        sys.addaudithook(hook)
        os.fsync = fsync  # no audit event tells of it

    def at_byte(number):
        '''Die where a file would grow beyond `number` bytes; what comes before is written.'''
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (number, number))

    def child(n, prepare, number):
        pid = os.fork()
        if pid == 0:
            prepare(number)
            write(n)
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def check(n):
        '''Everything that is listed is whole, and the newest is of this moment or the one before.'''
        for each in run.checkpoints():
            contents = checkpoints.read(each)
            step = contents.num_timesteps
            assert (contents.algorithm.tensors["weights"] == step).all()
            for k in range(SEGMENTS if each.name != "best" else 0):
                assert (contents.parts[f"replay-{k}"].tensors["rows"] == segment(step, k).tensors["rows"]).all()
        newest = checkpoints.read(run.find_checkpoint("last")).num_timesteps
        assert newest in (n - 1, n), (newest, n)
        assert checkpoints.read(run.find_checkpoint("best")).num_timesteps <= n
        return newest

    write(1)
    write(2)
    write(3)
    n, kills = 3, 0
    for prepare, numbers in ((at_call, range(1, 10_000)), (at_byte, range(0, 10_000_000, 20 + size // 5))):
        for number in numbers:
            code = child(n + 1, prepare, number)
            if code == 0:
                n += 1
                break
            assert code == -(signal.SIGKILL if prepare is at_call else signal.SIGXFSZ), code
            kills += 1
            n = check(n + 1)
            checkpoints.recover(run)  # what the next start does
            assert not run.leftovers()
            if not run.checkpoint("last").exists() or number % 5 == 0:
                write(n + 1)
                n += 1
            check(n)
    print(kills)
"""


@pytest.mark.parametrize("size", [10, 2000])  # of an array: the manifest is the largest file, or the weights are
def test_killed_at_every_step_of_writing_checkpoints(size, tmp_path, record_property):
    in_memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else tmp_path  # syncing thousands of files takes minutes
    with tempfile.TemporaryDirectory(dir=in_memory) as folder:
        run = Run.create(folder, algo="ppo", env_id="CartPole-v1", seed=0)
        script = [sys.executable, "-c", textwrap.dedent(PROTOCOL), str(run.path), str(size)]
        result = subprocess.run(script, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    kills = int(result.stdout)
    assert (
        kills > 100
    )  # every file operation of three saves and a prune was a moment to die, and every byte of the first
    record_property("kills", kills)
