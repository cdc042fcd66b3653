"""Whole trainings in which environments raise, die and hang, at chosen steps and at random moments."""

import random
import re
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

import rlzoo
from rlzoo.config.compose import compose
from rlzoo.config.parse import dump
from rlzoo.envs.seeding import episode_seeds
from rlzoo.errors import ExitCode, RlzooError
from rlzoo.protocols import Callback
from rlzoo.runs.run import Run
from rlzoo.training.preflight import check
from rlzoo.training.train import train

ENV = ("env=gym", "env.id=faulty:Faulty-v0", "env.n_envs=2", "hyperparams=none", "seed=0", "eval.freq=0")
PPO = ("algo=ppo", *ENV, "algo.n_steps=32", "algo.batch_size=32", "total_timesteps=128", "eval.final_n_episodes=2")
DQN = ("algo=dqn", *ENV, "algo.learning_starts=10", "total_timesteps=80", "eval.final_n_episodes=2")
EACH = [("subproc", "raise"), ("subproc", "exit"), ("subproc", "kill"), ("subproc", "hang"), ("dummy", "raise")]
WHAT = {
    "raise": r"raised ValueError at step 15, restarted \(1 of 3\): the arm is out of its range",
    "exit": r"died \(exit code 3\) at step 15, restarted \(1 of 3\)",
    "kill": r"died \(SIGKILL\) at step 15, restarted \(1 of 3\)",
    "hang": r"did not answer for 1 s at step 15, restarted \(1 of 3\)",
}


class Keep(Callback):
    """Keeps the replay buffer's content."""

    def on_end(self, algorithm):
        buffer = getattr(algorithm.model, "replay_buffer", None)
        if buffer is not None:
            names = ("observations", "next_observations", "rewards", "dones", "timeouts")
            self.buffer = {name: np.array(getattr(buffer, name)[: buffer.pos]) for name in names}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(Path(__file__).parents[1])


def begin(words):
    cfg = check(compose("train", list(words))).config
    run = Run.create(Path("runs"), algo=cfg.algo.name, env_id=cfg.env.id, seed=cfg.seed)
    run.write_config(dump(cfg))
    run.write_info({"status": "running"})
    return cfg, run


def workers(before=()):
    """Every process that this one or its processes have started since."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if process.status() != psutil.STATUS_ZOMBIE and process not in before:
                found.append(process)
        except psutil.NoSuchProcess:
            pass
    return found


def none_left(before, seconds=3.0):
    """Whether all of them end, but for multiprocessing's two servers, which stay for the next environments."""
    deadline = time.monotonic() + seconds
    while (left := [p for p in workers(before) if not is_server(p)]) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not left


def is_server(process):
    try:
        return process.parent() == psutil.Process()
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("base", ["ppo", "dqn"])
@pytest.mark.parametrize(("vec_env", "how"), EACH)
def test_a_training_goes_on_after_a_fault(base, vec_env, how, capsys, record_property):
    before = workers()
    words = [*(PPO if base == "ppo" else DQN), f"env.vec_env={vec_env}", "env.step_timeout=1"]
    cfg, run = begin([*words, f"env.kwargs={{faults: {{1: {how}}}, at: 15}}"])
    keep = Keep()
    began = time.monotonic()
    train(cfg, run, [keep])
    record_property("seconds", round(time.monotonic() - began, 2))
    assert run.read_info()["status"] == "finished"
    log = run.log_file.read_text()
    assert len(re.findall("restarted", log)) == 1
    for told in (log, capsys.readouterr().err):
        assert re.search(f"environment 1 {WHAT[how]}", told)
    assert ("Traceback" in log) == (how == "raise")
    assert none_left(before)
    if base == "dqn":
        seed = episode_seeds(1, 1, 1)[0]
        observations, following = keep.buffer["observations"], keep.buffer["next_observations"]
        assert observations[14].tolist() == [[0, 4], [1, 4]]
        assert following[14].tolist() == [[0, 5], [1, 4]]  # nothing happened, and the task goes on
        assert keep.buffer["rewards"][14].tolist() == [1, 0]
        assert keep.buffer["dones"][14].tolist() == [0, 1] and keep.buffer["timeouts"][14].tolist() == [0, 1]
        assert observations[15].tolist() == [[0, 5], [seed % 2**31, 0]]
        ends = np.flatnonzero(keep.buffer["dones"][:, 1]).tolist()
        assert ends == [9, 14, 24, 34]
        assert np.flatnonzero(keep.buffer["timeouts"][:, 1]).tolist() == [14]


@pytest.mark.parametrize("vec_env", ["subproc", "dummy"])
def test_a_training_whose_environment_always_fails_ends_with_its_words(vec_env, capsys):
    before = workers()
    kwargs = "env.kwargs={faults: {any: raise}, at: 15, after: runs}"
    with pytest.raises(RlzooError, match="raised ValueError at step 45, after 2 restarts: the arm is out") as caught:
        rlzoo.train(*PPO, f"env.vec_env={vec_env}", "env.max_restarts=2", kwargs)
    assert caught.value.code is ExitCode.TRAINING_FAILED and "env.max_restarts=12" in caught.value.hint
    assert capsys.readouterr().err.count("restarted (2 of 2)") == 2
    (run,) = map(Run, Path("runs").glob("*/*/*"))
    assert run.read_info()["status"] == "failed"
    assert run.log_file.read_text().count("Traceback") == 5  # of two restarts each, and of the end
    assert none_left(before)


class Killer(Callback):
    """Kills `n` processes at random moments, while they step and while nobody looks; the training ends after that."""

    def __init__(self, find, n, seed):
        self.left, self._find, self._random, self._last = n, find, random.Random(seed), 64
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def on_start(self, algorithm):
        self._thread.start()

    def on_step(self, algorithm):
        self._last -= not self.left
        return self._last > 0

    def on_end(self, algorithm):
        self._stop.set()
        self._thread.join()

    def _run(self):
        while self.left and not self._stop.wait(self._random.uniform(0.02, 0.2)):
            victims = self._find()
            if victims:
                try:
                    self._random.choice(victims).kill()
                except psutil.NoSuchProcess:
                    continue
                self.left -= 1


def test_processes_killed_at_random_moments(count, capsys, record_property):
    n = count(5, 50)
    before = workers()
    killer = Killer(lambda: [p for p in workers(before) if not is_server(p)], n, seed=1)
    words = [*PPO, "env.vec_env=subproc", "env.max_restarts=1000", "total_timesteps=1000000", "checkpoint.freq=0"]
    cfg, run = begin(words)
    train(cfg, run, [killer])
    assert killer.left == 0
    n_restarts = len(re.findall(r"died \(SIGKILL\) .*, restarted", run.log_file.read_text()))
    record_property("kills", n)
    record_property("restarts", n_restarts)
    assert 0 < n_restarts <= n  # one that is killed twice before anybody asked is recreated once
    assert run.read_info()["status"] == "finished"
    assert none_left(before)
