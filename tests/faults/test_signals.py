"""Signals to real trainings at random moments of every phase: they end in time and are resumed exactly."""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from warm import Child, Warm

from rlzoo.runs.checkpoints import read
from rlzoo.runs.run import Run, find_runs
from rlzoo.training.resume import newest_boundary

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")

ENVIRONMENT = """
import os, time
from pathlib import Path
import gymnasium
from gymnasium.envs.classic_control.cartpole import CartPoleEnv

class Slow(CartPoleEnv):
    def reset(self, **keywords):
        time.sleep(float(os.environ.get("RESET_SECONDS", "0")))
        return super().reset(**keywords)

    def step(self, action):
        time.sleep(float(os.environ.get("STEP_SECONDS", "0")))
        while Path("hang").exists():
            time.sleep(60)
        return super().step(action)

gymnasium.register("Slow-v0", Slow, max_episode_steps=25)
"""

MARKS = """
import os, time
from stable_baselines3 import DQN, PPO
from rlzoo.evaluation import agent
from rlzoo.runs import checkpoints
from rlzoo.training.callbacks import evaluate

file = os.open("phases", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
phases = ["between"]

def write():
    os.write(file, f"{time.monotonic()} {phases[-1]}\\n".encode())

def mark(owner, method, phase):
    inner = getattr(owner, method)
    def outer(*arguments, **keywords):
        phases.append(phase)
        write()
        try:
            return inner(*arguments, **keywords)
        finally:
            phases.pop()
            write()
    setattr(owner, method, outer)

for algorithm in (DQN, PPO):
    mark(algorithm, "collect_rollouts", "rollout")
    mark(algorithm, "train", "update")
mark(evaluate, "evaluate", "evaluation")
mark(agent.Agent, "evaluate", "final evaluation")
mark(checkpoints, "save", "saving")
"""

COMMON = ["env=gym", "env.id=slow_env:Slow-v0", "hyperparams=none", "seed=3", "device=cpu", "total_timesteps=256"]
COMMON += ["eval.freq=70", "eval.n_episodes=2", "eval.final_n_episodes=2", "logger=[]"]
PPO = ["algo=ppo", *COMMON, "algo.n_steps=64", "algo.batch_size=16", "algo.n_epochs=20"]
DQN = ["algo=dqn", *COMMON, "algo.learning_starts=32", "algo.train_freq=32", "algo.gradient_steps=50"]
DQN += ["algo.buffer_size=100"]  # rows are overwritten from the fourth boundary on
SLOW = {"STEP_SECONDS": "0.004"}

PHASES = {"rollout": 2, "update": 2, "evaluation": 2}
"""How many signals each phase gets in CI."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("signals")
    (folder / "slow_env.py").write_text(ENVIRONMENT)
    return folder


@pytest.fixture(scope="module")
def whole(place: Path, warm: Warm) -> dict[str, Run]:
    """The trainings that nothing disturbed."""
    for name, words in {"ppo": PPO, "dqn": DQN}.items():
        child = warm.start("train", *words, f"runs_dir=whole-{name}", cwd=place)
        assert child.wait() == 0, child.output
    return {name: only_run(place / f"whole-{name}") for name in ("ppo", "dqn")}


def only_run(folder: Path) -> Run:
    (run,) = find_runs(folder)
    return run


class Training:
    """A training that is watched: its child process, and when it entered which phase."""

    def __init__(self, warm: Warm, place: Path, name: str, *words: str, env: dict[str, str] | None = None) -> None:
        self.cwd = place / name
        self.cwd.mkdir()
        (self.cwd / "slow_env.py").symlink_to(place / "slow_env.py")
        self._warm = warm
        self.child: Child = warm.start(*words, cwd=self.cwd, env={**SLOW, **(env or {})}, before=MARKS)

    def phases(self) -> list[tuple[float, str]]:
        path = self.cwd / "phases"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(float(when), phase) for when, _, phase in (line.partition(" ") for line in lines)]

    def await_phase(self, phase: str, times: int = 1) -> None:
        deadline = time.monotonic() + 60
        while self.count(phase) < times:
            assert self.child.poll() is None, self.child.output
            assert time.monotonic() < deadline, f"no {phase}: {self.child.output}"
            time.sleep(0.001)

    def count(self, phase: str) -> int:
        return [name for _, name in self.phases()].count(phase)

    def phase_at(self, moment: float) -> str:
        return [phase for when, phase in self.phases() if when <= moment][-1]

    def seconds_in(self, phase: str) -> float:
        """How long the phase took at its first time; a guess while that has not ended."""
        phases = self.phases()
        first = [name for _, name in phases].index(phase)
        return phases[first + 1][0] - phases[first][0] if first + 1 < len(phases) else 0.05

    def signal(self, number: int) -> float:
        moment = time.monotonic()
        os.kill(self.child.pid, number)
        return moment

    def end(self, since: float, timeout: float = 30) -> float:
        """Seconds from a signal to the end of the process."""
        self.child.wait(timeout)
        return time.monotonic() - since

    @property
    def run(self) -> Run:
        return only_run(self.cwd / "runs")

    def check_record(self, code: int) -> None:
        """Exit code, status, and the command that resumes it."""
        assert self.child.returncode == code, self.child.output
        assert self.run.read_info()["status"] == "interrupted"
        assert f"to resume: rlzoo train resume={self.run.path.relative_to(self.cwd)}" in self.child.output
        assert "Traceback" not in self.child.output

    def check_resumes(self, whole: Run) -> None:
        """That it is resumed, to exactly where the undisturbed training came."""
        child = self._warm.start("train", f"resume={self.run.path}", cwd=self.cwd)
        assert child.wait() == 0, child.output
        first, second = read(whole.checkpoint("last")), read(self.run.checkpoint("last"))
        for name, tensor in first.algorithm.tensors.items():
            assert np.array_equal(tensor, second.algorithm.tensors[name]), name
        assert self.run.metrics_file.read_bytes() == whole.metrics_file.read_bytes()
        assert self.run.evaluations_file.read_bytes() == whole.evaluations_file.read_bytes()
        assert [entry["returns"] for entry in self.run.read_results()] == [
            entry["returns"] for entry in whole.read_results()
        ]


@pytest.mark.parametrize("phase", PHASES)
def test_a_signal_at_a_random_moment(phase, place, warm, whole, count, record_property):
    """Half of the trainings have no grace for the next boundary, and go back to the last one."""
    wanted, hits, slowest = count(PHASES[phase], 20), 0, 0.0
    moments = random.Random(f"signals in {phase}")
    for attempt in range(4 * wanted):
        number, code = ((signal.SIGINT, 130), (signal.SIGTERM, 143))[(attempt + attempt // 2) % 2]
        grace = ("10", "0.02")[attempt % 2]
        words = ["train", *PPO, f"signal_grace={grace}"]
        training = Training(warm, place, f"{phase}-{attempt}", *words)
        training.await_phase(phase, times=moments.randint(1, 2))
        time.sleep(moments.uniform(0, training.seconds_in(phase)))
        if training.child.poll() is not None:
            continue
        moment = training.signal(number)
        slowest = max(slowest, training.end(moment))
        training.check_record(code)
        training.check_resumes(whole["ppo"])
        hits += training.phase_at(moment) == phase
        if hits == wanted:
            break
    record_property("signals in this phase", hits)
    record_property("seconds to the exit at most", round(slowest, 2))
    assert hits == wanted
    assert slowest <= 10


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_a_signal_during_a_film(number, code, place, warm, whole, tmp_path):
    """Nothing is left of it; of a process that was killed, nothing after the next film."""
    path = tmp_path / "films" / "film.mp4"
    words = ["record", f"run={whole['ppo'].path}", f"path={path}", "device=cpu"]
    child = warm.start(*words, "n_timesteps=100000", "gif=true", cwd=place, env=SLOW)
    deadline = time.monotonic() + 60
    while not list(path.parent.glob(".film.*.tmp.mp4")):
        assert child.poll() is None, child.output
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(random.Random(code).uniform(0, 0.3))
    os.kill(child.pid, number)
    assert child.wait(10) == code
    if number != signal.SIGKILL:
        assert "interrupted; nothing was recorded" in child.output
        assert list(path.parent.iterdir()) == []
    assert warm.start(*words, "n_timesteps=2", cwd=place).wait() == 0
    assert [file.name for file in path.parent.iterdir()] == ["film.mp4"]


@pytest.mark.parametrize("phase", ["rollout", "update", "evaluation"])
def test_a_replay_buffer_goes_back_with_the_training(phase, place, warm, whole):
    training = Training(warm, place, f"dqn-{phase}", "train", *DQN, "signal_grace=0.02", "checkpoint.freq=0")
    training.await_phase(phase, times={"rollout": 7, "update": 6, "evaluation": 3}[phase])
    time.sleep(0.005 if phase == "update" else 0.05)  # an update is over after 0.05 s
    training.end(training.signal(signal.SIGTERM))
    training.check_record(143)
    assert "going back to step" in training.child.output
    training.check_resumes(whole["dqn"])


@pytest.mark.parametrize("algo", ["ppo", "dqn"])
def test_an_environment_that_hangs_is_left(algo, place, warm, whole):
    words = {"ppo": PPO, "dqn": DQN}[algo]
    training = Training(warm, place, f"hang-{algo}", "train", *words, "signal_grace=1")
    training.await_phase("rollout", times=3)
    (training.cwd / "hang").touch()
    time.sleep(0.1)
    seconds = training.end(training.signal(signal.SIGTERM))
    assert seconds <= 2
    training.check_record(143)
    (training.cwd / "hang").unlink()
    training.check_resumes(whole[algo])


def test_the_evaluation_at_the_end_is_made_up_for(place, warm, whole):
    training = Training(warm, place, "final", "train", *PPO)
    training.await_phase("final evaluation")
    time.sleep(0.05)
    training.end(training.signal(signal.SIGINT))
    training.check_record(130)
    assert training.run.read_results() == []
    training.check_resumes(whole["ppo"])


def test_before_there_is_anything_to_save(place, warm):
    training = Training(warm, place, "early", "train", *PPO)
    deadline = time.monotonic() + 30
    while not list(training.cwd.rglob("train.log")) and time.monotonic() < deadline:
        time.sleep(0.001)
    training.end(training.signal(signal.SIGTERM))
    training.check_record(143)


def test_a_second_sigterm_changes_nothing(place, warm):
    training = Training(warm, place, "terms", "train", *PPO)
    training.await_phase("update", times=2)
    for _ in range(20):
        if training.child.poll() is None and "rlzoo: interrupted" not in training.child.output:  # it leaves then
            moment = training.signal(signal.SIGTERM)
        time.sleep(0.01)
    training.end(moment)
    training.check_record(143)
    assert newest_boundary(training.run).num_timesteps > 0


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2])
def test_the_signals_of_slurm(number, place, warm):
    training = Training(warm, place, number.name, "train", *PPO, env={"SLURM_JOB_ID": "7"})
    training.await_phase("rollout", times=2)
    training.end(training.signal(number))
    training.check_record(143)
    assert newest_boundary(training.run).num_timesteps > 0


class Terminal:
    """A command in a terminal of its own, as its session's leader."""

    def __init__(self, words: list[str], cwd: Path) -> None:
        import fcntl
        import pty
        import termios

        self._screen, other = pty.openpty()
        self.process = subprocess.Popen(
            [*words],
            cwd=cwd,
            stdin=other,
            stdout=other,
            stderr=other,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(other)
        self.shown = b""

    def await_(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 120
        while not condition():
            assert time.monotonic() < deadline and self.process.poll() is None, self.shown.decode()
            with suppress(OSError):  # under nohup nothing writes to it
                while select.select([self._screen], [], [], 0.02)[0]:
                    self.shown += os.read(self._screen, 65536)

    def close(self) -> int:
        os.close(self._screen)
        return self.process.wait(60)


RLZOO = [sys.executable, "-m", "rlzoo"]
CARTPOLE = ["train", "algo=ppo", "env=CartPole", "algo.n_steps=64", "algo.batch_size=32", "eval.freq=0", "device=cpu"]


def test_a_terminal_that_closes(tmp_path, warm):
    """In the middle of a bar that is drawn there, with nobody left to draw it for."""
    words = [*CARTPOLE, "seed=1", "total_timesteps=1000000", "checkpoint.freq=0"]
    terminal = Terminal([*RLZOO, *words], tmp_path)
    terminal.await_(lambda: list(tmp_path.glob("runs/*/*/*/metrics.csv")))
    assert terminal.close() == 129
    run = only_run(tmp_path / "runs")
    assert run.read_info()["status"] == "interrupted"
    assert "rlzoo train resume=" in run.log_file.read_text() and "Traceback" not in run.log_file.read_text()
    step = newest_boundary(run).num_timesteps
    assert step > 0
    child = warm.start("train", f"resume={run.path}", "stop.minutes=1e-9", cwd=tmp_path)
    assert child.wait() == 0, child.output
    assert run.read_info()["resume"] == "exact" and newest_boundary(run).num_timesteps > step


@pytest.mark.slow
def test_nohup_outlives_its_terminal(tmp_path):
    words = [*CARTPOLE, "seed=1", "total_timesteps=8000"]
    terminal = Terminal(["nohup", *RLZOO, *words], tmp_path)
    terminal.await_(lambda: list(tmp_path.glob("runs/*/*/*/metrics.csv")))
    assert terminal.close() == 0
    assert only_run(tmp_path / "runs").read_info()["status"] == "finished"


@pytest.mark.slow
def test_a_sweep_whose_terminal_closes(tmp_path):
    words = [*CARTPOLE, "-m", "seed=1,2", "n_jobs=2", "total_timesteps=1000000"]
    terminal = Terminal([*RLZOO, *words], tmp_path)
    terminal.await_(lambda: len(list(tmp_path.glob("runs/*/*/*/metrics.csv"))) == 2)
    assert terminal.close() == 129
    for run in find_runs(tmp_path / "runs"):
        assert run.read_info()["status"] == "interrupted"
        assert newest_boundary(run).num_timesteps > 0


@pytest.mark.parametrize(
    "phase, more",
    [
        ("rollout", []),
        ("update", []),
        ("evaluation", []),
        ("saving", []),
        pytest.param("rollout", ["env.n_envs=2", "env.vec_env=subproc"], marks=pytest.mark.slow),
    ],
)
def test_a_second_sigint_leaves_within_a_second(phase, more, place, warm, record_property):
    words = ["train", *PPO, "total_timesteps=100000", "checkpoint.freq=128", "eval.freq=300", *more]
    if phase == "saving":
        words.append("algo.policy_kwargs.net_arch=[600,600]")
    training = Training(warm, place, f"twice-{phase}-{len(more)}", *words)
    training.await_phase("saving", times=2)
    before = newest_boundary(training.run).num_timesteps
    if phase == "evaluation":
        training.await_phase("evaluation")
        (training.cwd / "hang").touch()  # else the first signal ends it at once
        time.sleep(0.05)
    elif phase != "saving":
        training.await_phase(phase, times=training.count(phase) + 1)
        time.sleep(0.05)
    training.signal(signal.SIGINT)
    if phase == "saving":
        training.await_phase("saving", times=training.count("saving") + 1)
    time.sleep(0.01)
    moment = training.signal(signal.SIGINT)
    seconds = training.end(moment)
    assert training.phase_at(moment) == phase
    record_property("seconds to the exit", round(seconds, 2))
    assert seconds <= 1
    training.check_record(130)
    assert newest_boundary(training.run).num_timesteps >= before  # verified against its hashes


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_evaluate_records_nothing_by_halves(number, place, warm, whole):
    run = whole["ppo"]
    results = run.results_file.read_bytes()
    words = ["evaluate", f"run={run.path}", "n_episodes=1000"]
    training = Training(warm, place, f"evaluate-{number.name}", *words)
    training.await_phase("final evaluation")
    time.sleep(0.2)
    seconds = training.end(training.signal(number))
    assert training.child.returncode == 128 + number, training.child.output
    assert "rlzoo: interrupted; nothing was recorded" in training.child.output
    assert seconds <= 1
    assert run.results_file.read_bytes() == results


def test_a_signal_in_the_middle_of_a_reset_is_one_as_any_other(place, warm):
    """Where what an environment changes of its surroundings is put back, and what the signal has changed stays."""
    words = ["train", *PPO, "signal_grace=0.2", "eval.random=false"]
    training = Training(warm, place, "in-a-reset", *words, env={"RESET_SECONDS": "0.5", "STEP_SECONDS": "0"})
    training.await_phase("rollout")
    time.sleep(0.25)
    training.end(training.signal(signal.SIGTERM))
    training.check_record(143)
