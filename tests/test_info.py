"""What a run remembers of its circumstances."""

from __future__ import annotations

import json
import subprocess
import sys

from rlzoo import info


def test_versions_machine_and_time_are_recorded():
    found = json.loads(json.dumps(info.collect()))
    assert {"numpy", "torch", "stable-baselines3", "gymnasium"} <= set(found["versions"])
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["cpu_count"] >= 1 and found["started"].endswith("+00:00")


def test_torch_is_not_imported_to_ask_it():
    code = "import sys; from rlzoo.info import collect; collect(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_threads_are_recorded_once_torch_is_there():
    import torch

    assert info.device()["torch_threads"] == torch.get_num_threads()


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


def test_secrets_are_not_recorded():
    text = "rlzoo train logger.wandb.api_key=abc123 hub.token=hf_x storage=postgresql://me:pass@host/db seed=1"
    assert info.redact(text) == (
        "rlzoo train logger.wandb.api_key=*** hub.token=*** storage=postgresql://me:***@host/db seed=1"
    )
