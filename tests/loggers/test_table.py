"""The loggers together: requests are checked before training, and a failing one never stops it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from rlzoo.config import fields, paths
from rlzoo.loggers.table import LOGGERS, LoggerSpec, check, open_loggers
from rlzoo.registry import load
from rlzoo.runs.run import Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path, algo="ppo", env_id="CartPole-v1", seed=0)


class Broken:
    """Fails at its second metric."""

    n = 0

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        self.n += 1
        if self.n == 2:
            raise ConnectionError("service [gone]")

    def close(self) -> None:
        raise ConnectionError("never closes")


def test_every_logger_has_a_file_with_exactly_its_options():
    folder = paths.root() / "conf" / "logger"
    assert {file.stem for file in folder.glob("*.yaml")} == set(LOGGERS)
    for file in folder.glob("*.yaml"):
        values = yaml.safe_load(file.read_text())
        assert list(values) == [file.stem]
        assert [problem for problem in check(values) if not problem.missing] == []


def test_mistakes_are_all_found_with_the_nearest_name():
    problems = check({"tensorbord": {}, "wandb": {"projekt": "x"}, "csv": {"a": 1}})
    assert [problem.key for problem in problems if not problem.missing] == [
        "logger.tensorbord",
        "logger.wandb.projekt",
        "logger.csv.a",
    ]
    text = "\n".join(str(problem) for problem in problems)
    assert "did you mean 'tensorboard'" in text and "did you mean 'project'" in text


def test_every_number_of_a_logger_has_a_range():
    for spec in LOGGERS.values():
        keywords = fields.read(load(spec.opener), without=("run", "config"))
        assert [name for name, field in keywords.items() if {"int", "float"} & {*field.words} and not field.range] == []
    found = check({"tensorboard": {"flush_seconds": -3}, "wandb": {"mode": "nope"}})
    assert [problem.message for problem in found if not problem.missing] == [
        "must be greater than 0, not -3",
        "must be online, offline, disabled or null, not 'nope'",
    ]


def test_a_missing_package_is_found_and_says_what_to_install(monkeypatch, tmp_path):
    for name in ("not_there", "only_a_folder"):
        spec = LoggerSpec("wandb", "rlzoo.loggers.wandb:open_logger", "", name, "wandb")
        monkeypatch.setitem(LOGGERS, "wandb", spec)
        (tmp_path / "only_a_folder").mkdir(exist_ok=True)
        monkeypatch.syspath_prepend(tmp_path)
        (problem,) = check({"wandb": {}, "tensorboard": {}})
        assert problem.missing and problem.hint == 'pip install "hydra-rlzoo[wandb]"'


def test_checking_imports_no_service():
    code = """
import sys
from rlzoo.loggers.table import LOGGERS, LoggerSpec, check
check({name: {} for name in LOGGERS})
assert not {'wandb', 'trackio', 'mlflow', 'tensorboard', 'torch'} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_csv_is_always_written_and_the_others_get_the_same(run):
    heard: list[tuple[dict, int]] = []

    class Listener:
        def log(self, metrics: Mapping[str, float], step: int) -> None:
            heard.append((dict(metrics), step))

        def close(self) -> None: ...

    loggers = open_loggers({}, run, {}, extra=[Listener()])
    loggers.log({"a": 1.0}, 5)
    loggers.close()
    assert run.metrics_file.read_text() == "step,a\n5,1.0\n"
    assert heard == [({"a": 1.0}, 5)]


def test_a_failing_logger_warns_once_and_is_left_out(run, capsys):
    broken = Broken()
    loggers = open_loggers({}, run, {}, extra=[broken])
    for step in range(4):
        loggers.log({"a": 1.0}, step)
    assert broken.n == 2
    assert capsys.readouterr().err.count("ConnectionError: service [gone]") == 1
    assert len(run.metrics_file.read_text().splitlines()) == 5
    loggers.close()


def test_a_logger_that_cannot_be_opened_or_closed_warns(run, capsys):
    run.tensorboard_dir.write_text("a file in the way")
    loggers = open_loggers({"tensorboard": {}}, run, {}, extra=[Broken()])
    assert "tensorboard" not in loggers.names
    loggers.close()
    err = capsys.readouterr().err
    assert "no tensorboard log for this run: FileExistsError" in err and "never closes" in err


def test_state_covers_the_csv_files(run):
    loggers = open_loggers({}, run, {})
    loggers.log({"a": 1.0}, 1)
    state = loggers.state()
    loggers.log({"a": 2.0}, 2)
    loggers.restore(state)
    assert run.metrics_file.read_text() == "step,a\n1,1.0\n"
