"""Runs and packages of version 0.1.0 as it was before its modules moved are still played, packaged and resumed."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

import rlzoo
from rlzoo.cli.main import main
from rlzoo.runs.run import Run

OLDER = Path(__file__).with_name("older")
MAY_DIFFER = re.compile(r"total_timesteps has changed|[\w ]+ was [^;]+, is ")
"""What may be said of them: they end later than they were meant to, and were made on some other machine."""


@pytest.mark.parametrize("name", ["ppo", "dqn_scratch", "cem", "q_learning"])
def test_an_older_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    run = Run(shutil.copytree(OLDER / name, tmp_path / name))
    then = next(entry for entry in run.read_results() if entry["checkpoint"] == "last")
    again = rlzoo.load(run, "last").evaluate(seeds=then["seeds"], deterministic=then["deterministic"])
    assert (then["deterministic"] and list(again.returns)) in (False, then["returns"])

    steps = run.read_config()["total_timesteps"]
    assert main(["train", f"resume={name}", f"total_timesteps={2 * steps}"]) == 0
    said = capsys.readouterr().err
    assert f"resuming {name}" in said
    _, _, reasons = run.read_info()["resume"].partition(": ")
    told = [reason for reason in filter(None, reasons.split("; ")) if not MAY_DIFFER.match(reason)]
    assert told == []
    assert run.checkpoint("last").num_timesteps >= 2 * steps


def test_an_older_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(OLDER / "package", "package")
    assert main(["evaluate", "run=package", "n_episodes=2"]) == 0
