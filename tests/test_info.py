"""What a run remembers of its circumstances."""

from __future__ import annotations

import json
import subprocess
import sys
import time

from rlzoo.runs import info
from tests.system import needs


def test_versions_machine_and_time_are_recorded():
    found = json.loads(json.dumps(info.collect()))
    assert {"numpy", "torch", "stable-baselines3", "gymnasium"} <= set(found["versions"])
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["cpu_count"] >= 1 and found["started"].endswith("+00:00")


def test_torch_is_not_imported_to_ask_it():
    code = "import sys; from rlzoo.runs.info import collect; collect(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_threads_are_recorded_once_torch_is_there():
    import torch

    assert info.device()["torch_threads"] == torch.get_num_threads()


@needs("git", "--version")
def test_git_commit_and_dirty_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert info.git_state() is None
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    state = info.git_state()
    assert state is not None and len(state["commit"]) == 40 and state["dirty"] is False
    (tmp_path / "new.txt").write_text("x")
    assert info.git_state() == {"commit": state["commit"], "dirty": True}


@needs("git", "--version")
def test_uncommitted_changes_are_kept_without_secrets_and_within_bounds(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert info.git_diff() == ""
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run([*git, "init", "-q"], check=True)
    assert info.git_diff() == ""
    (tmp_path / "agent.py").write_text("gain = 1\n")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9\n")
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "first"], check=True)
    assert info.git_diff() == ""
    (tmp_path / "agent.py").write_text("gain = 2\nurl = 'postgresql://me:hunter2@host/db'\n")
    (tmp_path / "latin.txt").write_bytes(b"th\xe9\n")
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")  # the whole repository counts, wherever one stands in it
    diff = info.git_diff()
    assert "-gain = 1" in diff and "+gain = 2" in diff and "hunter2" not in diff and "+th\ufffd" in diff
    (tmp_path / "agent.py").write_text("x = 1\n" * 400_000)
    diff = info.git_diff()
    assert info.DIFF_BYTES < len(diff) < info.DIFF_BYTES + 100 and diff.endswith("[cut: more than 1024 KiB]\n")


def test_a_git_that_hangs_or_is_missing_stops_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert info.git_state() is None and info.git_diff() == ""
    (tmp_path / "git").write_text("#!/bin/sh\nexec /bin/sleep 60\n")
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setattr(info, "GIT_SECONDS", 0.2)
    started = time.monotonic()
    assert info.git_state() is None and info.git_diff() == ""
    assert time.monotonic() - started < 5


def test_machine_threads_and_determinism_are_recorded(monkeypatch):
    import torch

    monkeypatch.setenv("PYTHONHASHSEED", "7")
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    found = json.loads(json.dumps(info.collect()))
    assert found["cpu"] and 0.1 < found["memory_gib"] < 1e5
    assert found["variables"]["PYTHONHASHSEED"] == "7" and found["variables"]["OMP_NUM_THREADS"] == "1"
    assert "CUBLAS_WORKSPACE_CONFIG" not in found["variables"]
    assert found["determinism"]["deterministic_algorithms"] is False
    try:
        torch.use_deterministic_algorithms(True)
        assert info.device()["determinism"]["deterministic_algorithms"] is True
    finally:
        torch.use_deterministic_algorithms(False)
    assert info.device()["determinism"]["float32_matmul_precision"] == torch.get_float32_matmul_precision()


def test_recording_is_quick():
    info.collect()
    started = time.process_time()
    info.collect()
    info.git_diff()
    assert time.process_time() - started < 0.1


def test_secrets_are_not_recorded():
    text = "rlzoo train logger.wandb.api_key=abc123 hub.token=hf_x storage=postgresql://me:pass@host/db seed=1"
    assert info.redact(text) == (
        "rlzoo train logger.wandb.api_key=*** hub.token=*** storage=postgresql://me:***@host/db seed=1"
    )
