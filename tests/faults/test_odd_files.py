"""A field of the wrong type, size or depth in a run's files ends in one line that names the file, whoever reads it."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rlzoo.cli.main import main
from rlzoo.errors import ExitCode, RlzooError
from rlzoo.runs.run import Run
from tests.faults import odd_files

CODES = ("WRONG_REQUEST", "MISSING", "TRAINING_FAILED", "STORAGE", "UNSAFE")
IN_CI = 12
"""Cases of each file in the default suite, evenly taken."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return odd_files.train(tmp_path_factory.mktemp("odd") / "runs")


def cases(run: Run, file: str) -> list[tuple[tuple[Any, ...], str]]:
    return [(path, name) for path in odd_files.fields(odd_files.content(run, file)) for name in odd_files.ODD]


def read_all(run: Run, file: str, chosen: list[tuple[tuple[Any, ...], str]], folder: Path) -> list[Any]:
    """Everything that went wrong otherwise than as an error for the user."""
    failed = []
    for index, (path, name) in enumerate(chosen):
        odd = odd_files.put(run, file, path, odd_files.ODD[name], folder / str(index) / "run")
        for reader, read in odd_files.READERS.items():
            try:
                code = read(odd)
            except RlzooError as error:
                assert error.code.name in CODES, (path, name, reader, error)
            except Exception as error:
                failed.append((path, name, reader, repr(error)[:200]))
            else:
                failed += [(path, name, reader, code)] if code == ExitCode.BUG and code is not True else []
    return failed


@pytest.mark.parametrize("file", odd_files.FILES)
def test_an_odd_value_is_an_error_for_the_user(file, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = cases(run, file)
    step = 1 + len(found) // IN_CI  # and no divisor of the number of values
    step += step % len(odd_files.ODD) == 0
    assert read_all(run, file, found[::step], tmp_path / "odd") == []


@pytest.mark.slow
@pytest.mark.parametrize("file", odd_files.FILES)
def test_every_odd_value_is_an_error_for_the_user(file, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert read_all(run, file, cases(run, file), tmp_path / "odd") == []


@pytest.mark.parametrize(
    ("file", "path", "name", "said"),
    [
        ("info.json", ("words",), "negative", "info.json is damaged: words must be a list, not -5"),
        ("info.json", ("versions",), "list", "info.json is damaged: versions must be a mapping"),
        ("info.json", ("resumed", 0, "changes"), "text", "info.json is damaged: resumed.0.changes must be a list"),
        ("info.json", ("hub", "trusted", 0, "size"), "digits", "info.json is damaged: it holds a number beyond 10^18"),
        ("info.json", (), "list", "info.json is damaged: it must be a mapping"),
        ("info.json", ("git",), "deep", "info.json is damaged: it is nested more than 32 deep"),
        ("results.json", (0, "mean_reward"), "text", "results.json is damaged: entry 1: mean_reward must be a number"),
        ("results.json", (0, "iqm_ci"), "empty", "entry 1: iqm_ci must be a list of 2 or more"),
        ("checkpoints/last/manifest.json", ("num_timesteps",), "negative", "num_timesteps must be at least 0, not -5"),
        ("checkpoints/last/manifest.json", ("num_timesteps",), "digits", "a number beyond 10^18"),
        ("config.yaml", ("algo", "name"), "empty", "config.yaml is damaged: algo.name must be text, not []"),
        ("evaluations.csv", (1, 0), "text", ""),
        ("evaluations.csv", (1, 0), "nan", "evaluations.csv is damaged: row 1 is not an evaluation"),
    ],
)
def test_the_file_and_the_field_are_named(file, path, name, said, run, tmp_path):
    odd = odd_files.put(run, file, path, odd_files.ODD[name], tmp_path / "run")
    readers = {
        "info.json": odd.read_info,
        "results.json": odd.read_results,
        "config.yaml": odd.read_config,
        "evaluations.csv": lambda: odd_files.READERS["evaluations"](odd),
        "checkpoints/last/manifest.json": lambda: odd_files.READERS["steps"](odd),
    }
    if not said:
        readers[file]()  # "5" is a number of steps
        return
    with pytest.raises(RlzooError) as error:
        readers[file]()
    assert said in error.value.message and error.value.code == ExitCode.STORAGE
    assert "\n" not in error.value.message


@pytest.mark.parametrize("part", ["algorithm", "environments", "generators", "evaluations", "loggers", "checkpoints"])
def test_an_odd_state_is_not_put_back(part, run, tmp_path, capsys):
    """What a checkpoint holds is as its hashes say, and nothing that rlzoo would have written."""
    for name, change in ODD_STATES.items():
        copy = Run(tmp_path / name)
        shutil.copytree(run.path, copy.path)
        last = copy.checkpoint("last").path
        data = json.dumps(change(json.loads((last / f"{part}.json").read_text()))).encode()
        (last / f"{part}.json").write_bytes(data)
        manifest = json.loads((last / "manifest.json").read_text())
        manifest["files"][f"{part}.json"] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        manifest = {key: value for key, value in manifest.items() if key not in ("sha256", "done")}
        manifest["sha256"] = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
        (last / "manifest.json").write_text(json.dumps(manifest))
        code = main(["train", f"resume={copy.path}", "total_timesteps=90"])
        said = capsys.readouterr().err
        assert "Traceback" not in said
        harmless = part in ("environments", "loggers", "checkpoints")  # begun anew, or never due
        allowed = (ExitCode.WRONG_REQUEST, ExitCode.TRAINING_FAILED, ExitCode.STORAGE)
        assert code in (*allowed, ExitCode.DONE if harmless else None), (name, said)
        assert len(said.splitlines()) < 12, said


ODD_STATES: dict[str, Callable[[Any], Any]] = {
    "list": lambda values: [values],
    "null": lambda values: None,
    "empty": lambda values: {},
    "texts": lambda values: dict.fromkeys(values, "text"),
    "lists": lambda values: {key: [[]] for key in values},
    "digits": lambda values: dict.fromkeys(values, 10**30),
}
