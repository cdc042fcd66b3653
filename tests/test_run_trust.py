"""What makes a run one's own, and what a stranger's may not name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rlzoo.errors import ExitCode, RlzooError
from rlzoo.registry import places_named
from rlzoo.runs.trust import excessive, require_trusted
from rlzoo.untrusted import signature
from tests.results import make_run


def test_a_word_that_is_a_file_of_the_current_folder_names_it(workdir: Path) -> None:
    kwargs = {"model": "evil", "parts": [{"deep": "world.xml"}], "map_name": "4x4", "render_mode": "human", "n": 3}
    assert places_named({"env": {"kwargs": kwargs}}) == []
    (workdir / "evil").mkdir()
    (workdir / "world.xml").symlink_to("/nowhere")
    assert places_named({"env": {"kwargs": kwargs}}) == ["env.kwargs.model", "env.kwargs.parts"]


def test_a_number_that_keeps_one_step_busy_needs_trust(tmp_path: Path) -> None:
    run = make_run(tmp_path, "ppo", "CartPole-v1", [])
    kwargs = {"frame_skip": 10**9, "a": [{"b": -(10**9)}], "n": 108_000, "gravity": 1e9, "is_slippery": True}
    env = {"id": "Hopper-v5", "kwargs": kwargs, "wrappers": {"atari": {"noop_max": 10**12}, "flatten": None}}
    with pytest.raises(RlzooError) as error:
        require_trusted(run, {"env": env})
    assert error.value.code == ExitCode.UNSAFE
    assert excessive({"env": env}) == ["env.kwargs.frame_skip", "env.kwargs.a", "env.wrappers.atari"]
    for own, trust in ((True, False), (False, True)):
        require_trusted(run, {"env": env}, own=own, trust=trust)


@pytest.mark.parametrize(("variable", "value"), [("XDG_STATE_HOME", "state"), ("HOME", ".")])
def test_no_key_of_the_current_folder_signs(variable: str, value: str, workdir: Path, monkeypatch) -> None:
    for folder in ("state", ".local/state"):
        (workdir / folder / "rlzoo").mkdir(parents=True)
        (workdir / folder / "rlzoo" / "key").write_bytes(b"k" * signature.KEY_BYTES)
    monkeypatch.setenv("XDG_STATE_HOME", str(workdir / "state"))
    sent = signature.signed("seed: 1\n")
    assert signature.is_own(sent)
    monkeypatch.setenv("HOME", str(workdir / "home"))
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv(variable, value)
    assert not signature.is_own(sent)
    assert (variable == "HOME") == (signature.signed("seed: 1\n") == "seed: 1\n")


@pytest.mark.timeout(10)
@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "too long"])
def test_a_key_that_is_none_signs_nothing_and_keeps_nobody_waiting(kind: str, workdir: Path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(workdir))
    key = workdir / "rlzoo" / "key"
    key.parent.mkdir()
    {
        "pipe": lambda: os.mkfifo(key),
        "device": lambda: key.symlink_to("/dev/zero"),
        "folder": key.mkdir,
        "too long": lambda: key.write_bytes(bytes(signature.KEY_BYTES + 1)),
    }[kind]()
    assert signature.signed("seed: 1") == "seed: 1"
    assert not signature.is_own("seed: 1")
