"""What makes a run one's own, and what a stranger's may not name."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlzoo import origin, strangers


def test_a_word_that_is_a_file_of_the_current_folder_names_it(workdir: Path) -> None:
    kwargs = {"model": "evil", "parts": [{"deep": "world.xml"}], "map_name": "4x4", "render_mode": "human", "n": 3}
    assert strangers.naming({"env": {"kwargs": kwargs}}) == []
    (workdir / "evil").mkdir()
    (workdir / "world.xml").symlink_to("/nowhere")
    assert strangers.naming({"env": {"kwargs": kwargs}}) == ["env.kwargs.model", "env.kwargs.parts"]


@pytest.mark.parametrize(("variable", "value"), [("XDG_STATE_HOME", "state"), ("HOME", ".")])
def test_no_key_of_the_current_folder_signs(variable: str, value: str, workdir: Path, monkeypatch) -> None:
    for folder in ("state", ".local/state"):
        (workdir / folder / "rlzoo").mkdir(parents=True)
        (workdir / folder / "rlzoo" / "key").write_bytes(b"k" * origin.KEY_BYTES)
    monkeypatch.setenv("XDG_STATE_HOME", str(workdir / "state"))
    sent = origin.signed("seed: 1\n")
    assert origin.is_own(sent)
    monkeypatch.setenv("HOME", str(workdir / "home"))
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv(variable, value)
    assert not origin.is_own(sent)
    assert (variable == "HOME") == (origin.signed("seed: 1\n") == "seed: 1\n")
