"""What lists know of runs: kept in the user's cache, and read anew whenever that could differ from the files."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from rlzoo.cli import listing
from rlzoo.course.progress import assess
from rlzoo.runs import index, lock
from rlzoo.runs.run import Run, find_runs
from rlzoo.untrusted import signature
from tests.results import entry, make_run


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "cache" / "rlzoo" / "runs"


@pytest.fixture
def read(monkeypatch) -> list[str]:
    """The names of the runs whose files are read."""
    names: list[str] = []
    real = index._read
    monkeypatch.setattr(index, "_read", lambda run: [names.append(run.path.name), real(run)][1])
    return names


@pytest.fixture
def run(tmp_path) -> Run:
    run = make_run(tmp_path / "runs", "ppo", "CartPole-v1", [entry(9.0, 1.0, result=8.0)])
    write_manifest(run, 1000)
    return run


def write_manifest(run, steps, name="last"):
    run.checkpoint(name).path.mkdir(parents=True, exist_ok=True)
    run.checkpoint(name).manifest.write_text(json.dumps({"num_timesteps": steps}))


def rows(run):
    return listing.runs(str(run.path.parents[2]))


CHANGES = {
    "config.yaml": (lambda run: run.write_config({**run.read_config(), "seed": 7}), ("seed", 0, 7)),
    "info.json": (lambda run: run.update_info(status="failed"), ("status", "finished", "failed")),
    "results.json": (lambda run: run.append_result(entry(5.0, 1.0, result=4.0)), ("mean - std", 8.0, 4.0)),
    "manifest.json": (lambda run: write_manifest(run, 2000), ("trained", 1000, 2000)),
    "no checkpoint": (lambda run: shutil.rmtree(run.checkpoint("last").path), ("trained", 1000, None)),
    "another checkpoint": (lambda run: write_manifest(run, 3000, "3000"), ("trained", 1000, 3000)),
    "damage": (lambda run: run.results_file.write_text("["), ("status", "finished", "damaged")),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_has_changed_is_read_anew(name, run, read, tmp_path):
    other = make_run(tmp_path / "runs", "dqn", "CartPole-v1", [])
    change, (column, before, after) = CHANGES[name]
    first = rows(run)
    assert rows(run) == first and sorted(read) == sorted([run.path.name, other.path.name])
    assert {row["run"]: row[column] for row in first}[str(run.path)] == before
    read.clear()
    change(run)
    assert {row["run"]: row[column] for row in rows(run)}[str(run.path)] == after and read == [run.path.name]


def test_a_file_of_the_same_size_and_time_is_told_from_another(run, read):
    """As `cp -p` and tools that put times back leave it."""
    rows(run)
    before = run.info_file.stat()
    run.info_file.write_text(run.info_file.read_text().replace("finished", "finishes"))
    os.utime(run.info_file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert rows(run)[0]["status"] == "finishes"


@pytest.mark.parametrize("how", ["cut", "text", "forged", "signed by others", "a pipe", "a folder", "older", "gone"])
def test_an_index_that_is_damaged_or_not_ones_own_is_made_anew(how, run, read, cache, tmp_path, monkeypatch):
    expected = rows(run)
    (file,) = cache.iterdir()
    text = file.read_text()
    forged = text.partition("\n")[2].replace('"id": "CartPole-v1"', '"id": "Pendulum-v1"')
    assert forged != text.partition("\n")[2]
    if how in ("a pipe", "a folder", "gone"):
        file.unlink()
        {"a pipe": os.mkfifo, "a folder": os.mkdir, "gone": lambda path: None}[how](file)
    elif how == "signed by others":
        with monkeypatch.context() as others:
            others.setenv("XDG_STATE_HOME", str(tmp_path / "theirs"))
            file.write_text(signature.signed(forged))
    else:
        older = signature.signed(json.dumps({"format": "0", "rows": json.loads(forged)["rows"]}))
        unsigned = f"{text.partition(chr(10))[0]}\n{forged}"
        file.write_text({"cut": text[: len(text) // 2], "text": "[]", "forged": unsigned, "older": older}[how])
    read.clear()
    assert rows(run) == expected and read == [run.path.name]
    assert rows(run) == expected and (read == [run.path.name] or how == "a folder")


def test_folders_have_an_index_each_and_a_moved_one_a_new_one(run, read, cache, tmp_path):
    other = make_run(tmp_path / "others", "dqn", "Acrobot-v1", [])
    for _ in range(2):
        assert [row["algo"] for row in rows(run)] == ["ppo"]
        assert [row["algo"] for row in rows(other)] == ["dqn"]
    assert read == [run.path.name, other.path.name] and len(list(cache.iterdir())) == 2
    (tmp_path / "runs").rename(tmp_path / "moved")
    (tmp_path / "others").rename(tmp_path / "runs")
    assert [row["algo"] for row in rows(run)] == ["dqn"]
    assert [row["run"] for row in listing.runs(str(tmp_path / "moved"))] == [
        str(tmp_path / "moved" / run.path.relative_to(tmp_path / "runs"))
    ]


def test_what_is_gone_is_listed_no_more_and_forgotten(run, cache, monkeypatch):
    rows(run)
    shutil.rmtree(run.path)
    assert rows(run) == []
    assert run.path.name not in next(cache.iterdir()).read_text()
    monkeypatch.setattr(index, "MAX_FILES", 2)
    for name in "abc":
        make_run(run.path.parents[2].with_name(name), "ppo", "CartPole-v1", [])
        listing.runs(str(run.path.parents[2].with_name(name)))
    assert len(list(cache.iterdir())) == 2


def test_whether_a_run_is_trained_is_asked_every_time(run):
    run.update_info(status="running")
    assert rows(run)[0]["status"] == "killed"
    with lock.held(run):
        assert rows(run)[0]["status"] == "running"
    assert rows(run)[0]["status"] == "killed"


def test_a_cache_that_cannot_be_written_is_no_error(run, cache, monkeypatch):
    cache.parents[1].write_text("")
    assert rows(run)[0]["status"] == "finished"
    for home in ("cache", "/dev/null/x"):
        monkeypatch.setenv("XDG_CACHE_HOME", home)
        monkeypatch.setenv("HOME", "nowhere")
        assert rows(run)[0]["status"] == "finished"
    assert not Path("cache").exists() and not Path("nowhere").exists()


def test_no_ones_text_fills_the_cache(run, cache):
    run.update_info(versions={"x" * 200_000: "1"})
    assert rows(run)[0]["status"] == "finished"
    assert "xxx" not in "".join(path.read_text() for path in cache.glob("*"))


def test_the_assignments_are_the_same_with_an_index(run, read, tmp_path):
    made = make_run(tmp_path / "runs", "ppo", "LunarLander-v3", [entry(250.0, 50.0)])
    runs = [run, made]
    alone = assess(runs).as_data()
    for _ in range(2):
        assert assess(runs, root=str(tmp_path / "runs")).as_data() == alone and alone["passed"] == 1
    assert len(read) == 4  # twice each: without an index, and once for it


def test_a_run_is_not_looked_into(run, monkeypatch):
    inner = make_run(run.path / "copies", "ppo", "CartPole-v1", [])
    looked_into: list[str] = []
    real = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: [looked_into.append(str(path)), real(path)][1])
    assert list(find_runs(run.path.parents[2])) == [run]
    assert str(run.checkpoints_dir) not in looked_into
    assert set(find_runs(run.path)) == {run, inner}  # but for what is asked for
