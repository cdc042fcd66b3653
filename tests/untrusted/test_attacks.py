"""Hostile files do nothing: no code, no look-up by pickle, no write, no connection, in bounded time and memory."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from rlzoo.errors import ExitCode
from tests.hostile_files import attacks
from tests.untrusted.models import run_child

FAMILIES = ("A1", "A2", "A3", "A4", "A5", "A6", "A7", "A8", "A14", "A15", "A16", "A17", "A20")


def test_hostile_files_do_nothing(tmp_path: Path):
    files = tmp_path / "files"
    files.mkdir()
    good = [{"reader": "model", "file": str(tmp_path / "good.zip"), "family": "good", "refused": False}]
    jobs = []
    for index, attack in enumerate(attacks(tmp_path)):
        path = files / f"{index}_{attack.family}.bin"
        path.write_bytes(attack.content)
        job = {"family": attack.family, "name": attack.name, "reader": attack.reader, "refused": attack.refused}
        jobs.append({**job, "file": str(path), **attack.options})
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    *results, control = run_child(tmp_path, [*good, *jobs, {**good[0], "reader": "stable_baselines3"}])
    assert any("pickle.find_class" in event for event in control["events"])  # the hook sees what it should see

    assert not (tmp_path / "canary").exists()
    assert set(tmp_path.rglob("*")) - set(before) == {tmp_path / "jobs.json", tmp_path / "results.json"}
    assert [result for result in results if result["events"]] == []
    assert [result for result in results if result["outcome"] == "crashed"] == []
    assert [result for result in results if result["refused"] and result["outcome"] != "refused"] == []
    must_read = [result for result in results if not result["refused"] and result["family"] != "A20"]
    assert [result for result in must_read if result["outcome"] != "read"] == []
    assert [result for result in results if result["seconds"] > 10] == []
    assert max(result["mib"] for result in results) < 1024
    refusals = [result for result in results if result["outcome"] == "refused"]
    unclear = "does not say its spaces"  # no harm in itself: an environment may be given
    assert {result["code"] for result in refusals if unclear not in result["error"]} == {ExitCode.UNSAFE}
    assert [result for result in refusals if not _is_calm(result["error"]) or len(result["error"]) > 1500] == []
    models = [result for result in results if result["reader"] == "model" and result["outcome"] == "read"]
    texts = [text for result in models for text in result["value"]["texts"]]
    assert [text for text in texts if not _is_calm(text)] == []
    counts = Counter(job["family"] for job in jobs)
    assert all(counts[family] >= 3 for family in FAMILIES), counts


def _is_calm(text: str) -> bool:
    """Whether text does nothing to a terminal."""
    return all(char.isprintable() or char in "\n\t" for char in text)
