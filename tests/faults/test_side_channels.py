"""What stands beside a training may fail without failing it: logs, loggers, pipes, odd folders, clocks."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_disk import SmallDisk
from warm import Warm

from rlzoo.loggers.csv import CsvTable
from rlzoo.runs.checkpoints import read
from rlzoo.runs.run import Run

WORDS = ["algo=ppo", "env=CartPole", "seed=3", "hyperparams=none", "total_timesteps=400", "algo.n_steps=100"]
WORDS += ["algo.batch_size=50", "checkpoint.freq=100", "eval.freq=150", "eval.n_episodes=1", "eval.final_n_episodes=1"]


@pytest.fixture(scope="module")
def whole(warm: Warm, tmp_path_factory) -> Run:
    """The same training with nothing in its way."""
    folder = tmp_path_factory.mktemp("whole")
    child = warm.start("train", *WORDS, cwd=folder)
    assert child.wait() == 0, child.output
    return Run.open("latest", folder / "runs")


def assert_same(whole: Run, run: Run, but: tuple[str, ...] = ()) -> None:
    first, second = (read(each.checkpoint("last")).algorithm.tensors for each in (whole, run))
    assert all((first[key] == second[key]).all() for key in first)
    for name in {"metrics.csv", "evaluations.csv"} - set(but):
        assert (whole.path / name).read_bytes() == (run.path / name).read_bytes(), name
    assert run.read_info()["status"] == "finished"


FAILING = {
    "cannot be opened": "def __init__(self, *a, **k): raise RuntimeError('no service')\nLogger.__init__ = __init__",
    "cannot log": "def log(self, metrics, step): raise RuntimeError('no service')\nLogger.log = log",
    "cannot be closed": "def close(self): raise RuntimeError('no service')\nLogger.close = close",
}


@pytest.mark.parametrize("where", FAILING)
def test_a_logger_that_raises_is_left_out(where, whole, warm: Warm, tmp_path):
    before = f"from rlzoo.loggers.tensorboard import TensorBoardLogger as Logger\n{FAILING[where]}"
    child = warm.start("train", *WORDS, cwd=tmp_path, before=before)
    assert child.wait() == 0, child.output
    assert "tensorboard log" in child.output and "no service" in child.output and "Traceback" not in child.output
    assert_same(whole, Run.open("latest", tmp_path / "runs"))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    disk = SmallDisk(folder, inodes=30)
    yield disk
    disk.close()


@pytest.mark.parametrize("name", ["train.log", "tensorboard"])
def test_a_full_disk_under_one_log_costs_that_log_alone(name, disk, whole, warm: Warm, tmp_path):
    """The log lies on a disk without a free page, by a link that is followed here alone."""
    (disk.root / name).mkdir() if name == "tensorboard" else (disk.root / name).touch()
    disk.leave_pages(0)
    before = f"""
from rlzoo import contained
contained.require = contained.require_whole = lambda *paths: None
contained.opened = open
from rlzoo.runs.run import Run
def create(root, real=Run.create, **options):
    run = real(root, **options)
    (run.path / {name!r}).symlink_to({str(disk.root / name)!r})
    return run
Run.create = create
"""
    child = warm.start("train", *WORDS, cwd=tmp_path, before=before)
    assert child.wait() == 0, child.output
    assert "Traceback" not in child.output and "Logging error" not in child.output, child.output
    if name != "train.log":
        assert "No space left on device" in child.output
    (made,) = tmp_path.glob("runs/*/*/*")
    assert_same(whole, Run(made), but=(name,))


@pytest.mark.parametrize("words", [["list", "algos"], ["train", *WORDS], ["show", "algo=ppo", "env=CartPole"]])
@pytest.mark.parametrize("read_first", [False, True])
def test_a_reader_that_goes_away(words, read_first, whole, warm: Warm, tmp_path):
    """As in `rlzoo list algos | head -1`, and `| true`."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = subprocess.Popen(["head", "-1", pipe] if read_first else ["sh", "-c", f": < {pipe}"], stdout=-1)
    child = warm.start(*words, cwd=tmp_path, stdout=str(pipe))
    assert child.wait() in (0, 141), child.output
    reader.communicate()
    assert "Traceback" not in child.output and "Broken pipe" not in child.output, child.output
    if words[0] == "train":
        assert_same(whole, Run.open("latest", tmp_path / "runs"))


def test_closed_standard_streams(whole, warm: Warm, tmp_path):
    child = warm.start("train", *WORDS, cwd=tmp_path, before="import os\nos.close(1)\nos.close(2)")
    assert child.wait() == 0
    assert_same(whole, Run.open("latest", tmp_path / "runs"))


def test_a_folder_of_any_name_in_an_ascii_locale(whole, tmp_path):
    """In a new interpreter, whose file names and streams are those of LC_ALL=C."""
    cwd = tmp_path / "é ü 日本" / "a=b,c d" / "-[x]{y}$HOME" / ("x" * 200)
    cwd.mkdir(parents=True)
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}

    def rlzoo(*words: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "rlzoo", *words]
        return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, errors="replace")

    result = rlzoo("train", *WORDS)
    assert result.returncode == 0, result.stderr
    run = Run.open("latest", cwd / "runs")
    assert_same(whole, run)
    evaluated = rlzoo("evaluate", "run=latest", "n_episodes=1")
    assert evaluated.returncode == 0, evaluated.stderr


@pytest.mark.parametrize("jump", [-3600.0, 3600.0, -1e9])
def test_a_clock_that_jumps(jump, whole, warm: Warm, tmp_path):
    """Speeds and durations are measured by a clock that does not jump, and nothing is found or kept by time."""
    before = f"""
import time
from rlzoo.training.callbacks.progress import Progress
class Clock:
    now = 0.0
def shifted(real, unit):
    return lambda: real() + type(real())({jump} * unit if Clock.now else 0)
time.time, time.time_ns = shifted(time.time, 1), shifted(time.time_ns, 10**9)
def on_step(self, algorithm, real=Progress.on_step):
    Clock.now = algorithm.num_timesteps % 200 > 100
    return real(self, algorithm)
Progress.on_step = on_step
"""
    child = warm.start("train", *WORDS, cwd=tmp_path, before=before)
    assert child.wait() == 0, child.output
    run = Run.open("latest", tmp_path / "runs")
    assert_same(whole, run)
    assert 0 < run.read_info()["wall_seconds"] < 120
    rows = [line.split(",") for line in run.timings_file.read_text().splitlines()]
    for row in rows[1:]:
        for name, cell in zip(rows[0], row, strict=True):
            assert not cell or 0 <= float(cell) < 100_000, (name, cell)


@pytest.mark.parametrize("name", ["metrics.csv", "evaluations.csv"])
def test_a_last_line_cut_at_any_byte(name, whole, tmp_path, capsys):
    """What a power cut leaves of a line is dropped and said; the lines before stay, the next is a line of its own."""
    data = (whole.path / name).read_bytes()
    begins = data.rstrip(b"\n").rfind(b"\n") + 1
    columns = data.splitlines()[0].decode().split(",")
    for end in range(begins, len(data)):
        path = tmp_path / name
        path.write_bytes(data[:end])
        table = CsvTable(path)
        said = capsys.readouterr().err
        assert ("was never finished and is dropped" in said) == (end > begins)
        assert path.read_bytes() == data[:begins]
        table.append({columns[0]: 7})
        assert path.read_bytes() == data[:begins] + b"7" + b"," * (len(columns) - 1) + b"\n"


def test_a_training_goes_on_after_a_cut_line(whole, warm: Warm, tmp_path):
    kill = """
import os, signal
from rlzoo.training.callbacks.progress import Progress
def on_step(self, algorithm):
    if algorithm.num_timesteps >= 350:
        os.kill(os.getpid(), signal.SIGKILL)
    return True
Progress.on_step = on_step
"""
    warm.start("train", *WORDS, cwd=tmp_path, before=kill).wait()
    run = Run.open("latest", tmp_path / "runs")
    for table in (run.metrics_file, run.evaluations_file, run.timings_file):
        with table.open("ab") as file:
            file.write(b"350,1.2")
    child = warm.start("train", f"resume={run.path}", cwd=tmp_path)
    assert child.wait() == 0, child.output
    assert child.output.count("was never finished and is dropped") == 3
    assert_same(whole, run)
