"""CSV logs: whole lines, a header that grows, the same bytes for the same numbers."""

from __future__ import annotations

import csv
import os
import resource
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from rlzoo.loggers.csv import CsvLogger, CsvTable
from rlzoo.runs import tables
from rlzoo.runs.run import Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path, algo="ppo", env_id="CartPole-v1", seed=0)


def test_rows_keep_their_numbers_exactly_and_new_columns_join_at_the_end(run):
    logger = CsvLogger(run)
    logger.log({"rollout/ep_rew_mean": 21.5}, 100)
    logger.log({"rollout/ep_rew_mean": 0.1 + 0.2, "train/loss": np.float32(0.5)}, 200)
    logger.log({"train/loss": float("nan"), "train/n_updates": 10}, 300)
    logger.close()
    assert run.metrics_file.read_text() == (
        "step,rollout/ep_rew_mean,train/loss,train/n_updates\n100,21.5,,\n200,0.30000000000000004,0.5,\n300,,nan,10\n"
    )


def test_clocks_have_a_file_of_their_own(run):
    logger = CsvLogger(run)
    logger.log({"time/fps": 812, "rollout/ep_len_mean": 9.0}, 10)
    logger.log({"time/fps": 900}, 20)
    assert run.metrics_file.read_text() == "step,rollout/ep_len_mean\n10,9.0\n"
    assert run.timings_file.read_text() == "step,time/fps\n10,812\n20,900\n"


def test_a_second_logger_continues_the_file_and_drops_a_torn_line(run):
    CsvLogger(run).log({"a": 1.0}, 1)
    with run.metrics_file.open("a") as file:
        file.write("2,0.5")  # killed in mid-line
    logger = CsvLogger(run)
    logger.log({"a": 3.0}, 3)
    logger.log({"b": 4.0}, 4)
    assert run.metrics_file.read_text() == "step,a,b\n1,1.0,\n3,3.0,\n4,,4.0\n"


def test_text_is_never_a_formula_and_reads_back(tmp_path):
    texts = ["=1+1", "@a", "-1+x", "'q", "a;=1", "a\t=1", "line\n=1", "", "-2.5", "plain"]
    path = tmp_path / "episodes.csv"
    table = CsvTable(path)
    for step, text in enumerate(texts[:5]):
        table.append({"step": step, "=name": text, "loss": -0.5})
    table = CsvTable(path)  # gone on with
    for step, text in enumerate(texts[5:], 5):
        table.append({"step": step, "=name": text, "+more": True, "loss": -0.5})
    table.truncate(9)
    with path.open(newline="") as file:
        columns, *rows = list(csv.reader(file))
    assert columns == ["step", "'=name", "loss", "'+more"]
    assert [row[1] for row in rows] == ["'=1+1", "'@a", "'-1+x", "''q", "a;'=1", "a\t'=1", "line\n'=1", "", "-2.5"]
    assert {row[2] for row in rows} == {"-0.5"}
    for divider in (";", "\t"):  # as spreadsheets of other languages divide cells
        with path.open(newline="") as file:
            cells = [cell for row in csv.reader(file, delimiter=divider) for cell in row]
        assert not [cell for cell in cells if cell.startswith("=")]
    columns, rows = tables.read(path)
    assert columns == ["step", "=name", "loss", "+more"]
    assert [row["=name"] for row in rows] == texts[:9]


def test_every_torn_end_leaves_whole_rows(tmp_path):
    table = CsvTable(tmp_path / "metrics.csv")
    for step in range(3):
        table.append({"step": step, 'quoted, "name"': step / 7})
    data = table.path.read_bytes()
    for size in range(len(data)):
        table.path.write_bytes(data[:size])
        opened = CsvTable(table.path)
        opened.append({"step": 9, 'quoted, "name"': 9.0})
        rows = list(csv.reader(table.path.read_text().splitlines()))
        assert rows[0] == ["step", 'quoted, "name"']
        assert rows[-1] == ["9", "9.0"]
        assert all(len(row) == 2 for row in rows)
        assert rows[1:-1] == [[str(step), repr(step / 7)] for step in range(len(rows) - 2)]


def test_restoring_forgets_what_came_after_the_checkpoint(run):
    logger = CsvLogger(run)
    logger.log({"a": 1.0, "time/fps": 5}, 1)
    state = logger.state()
    logger.log({"a": 2.0, "time/fps": 6}, 2)
    resumed = CsvLogger(run)
    resumed.restore(state)
    resumed.log({"a": 7.0}, 2)
    assert run.metrics_file.read_text() == "step,a\n1,1.0\n2,7.0\n"
    assert run.timings_file.read_text() == "step,time/fps\n1,5\n"


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="limits file sizes the Unix way")
def test_a_full_disk_leaves_whole_rows_and_warns_once(run):
    code = """
        import resource, signal, sys
        from pathlib import Path
        from rlzoo.loggers.table import open_loggers
        from rlzoo.runs.run import Run
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (30, 30))
        loggers = open_loggers({}, Run(Path(sys.argv[1])), {})
        for step in range(10):
            loggers.log({"a": 0.5}, step)
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(run.path)], capture_output=True, text=True, check=True
    )
    assert result.stderr.count("warning: metrics could not be written, training continues") == 1
    assert run.metrics_file.read_text() == "step,a\n0,0.5\n1,0.5\n2,0.5\n"  # 25 bytes; a fourth row would make 31


def test_rows_that_a_checkpoint_counts_are_on_disk_and_missing_ones_are_named(run, monkeypatch, capsys):
    synced = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (synced.append(os.fstat(handle).st_ino), real(handle)))
    logger = CsvLogger(run)
    for step in range(3):
        logger.log({"a": float(step)}, step)
    state = logger.state()
    assert synced[-1] == run.metrics_file.stat().st_ino
    n_synced = len(synced)
    logger.state()
    assert len(synced) == n_synced  # nothing new, nothing to wait for
    run.metrics_file.write_text("step,a\n0,0.0\n")
    CsvLogger(run).restore(state)
    assert "metrics.csv: 2 of the 3 rows of this training are lost" in capsys.readouterr().err


def test_columns_that_came_after_the_checkpoint_come_back_in_their_own_order(run):
    logger = CsvLogger(run)
    logger.log({"a": 1.0}, 1)
    state = logger.state()
    for later in ({"end": 2.0}, {"b": 2.0, "end": 2.0}):
        logger.log(later, 2)
        resumed = CsvLogger(run)
        resumed.restore(state)
        assert run.metrics_file.read_text() == "step,a\n1,1.0\n"
        logger = resumed
    empty = CsvLogger(Run.create(run.path.parent.parent.parent, algo="ppo", env_id="CartPole-v1", seed=1))
    state = empty.state()
    empty.log({"a": 1.0}, 1)
    empty.restore(state)
    empty.log({"b": 1.0}, 1)
    assert empty._metrics.path.read_text() == "step,b\n1,1.0\n"
