"""What leaves this machine: no secret, no place of it."""

from pathlib import Path

import pytest

from rlzoo.errors import ExitCode, RlzooError
from rlzoo.hub.privacy import portable, portable_text, portable_words, refuse_leaks


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("/home/ada/maps/maze.xml", "maze.xml"),
        ("/home/Ada Lovelace/maps/", "maps"),
        ("~/maze.xml", "maze.xml"),
        ("~ada/maze.xml", "maze.xml"),
        (r"C:\Users\ada\maze.xml", "maze.xml"),
        ("assets/maze.xml", "assets/maze.xml"),
        ("ALE/Pong-v5", "ALE/Pong-v5"),
        ("see /home/ada/notes.txt and 1/2", "see notes.txt and 1/2"),
        ("see https://arxiv.org/abs/1707.06347", "see https://arxiv.org/abs/1707.06347"),
        ("a/b", "a/b"),
        (3, 3),
        (None, None),
    ],
)
def test_of_a_path_the_last_part_is_left(value, expected):
    assert portable({"key": [value]}) == {"key": [expected]}


def test_secrets_go_too(monkeypatch):
    monkeypatch.setenv("SERVICE_TOKEN", "a-token-of-mine")
    assert portable({"api_key": "anything", "note": "with a-token-of-mine"}) == {"api_key": "***", "note": "with ***"}


def test_folders_of_this_machine_go_even_with_spaces_in_their_names(tmp_path, monkeypatch):
    folder = tmp_path / "my work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert portable_text(f"made in {folder}/runs/ppo, by hand") == "made in ppo, by hand"
    assert portable_text(f"in {folder}") == "in my work"


def test_words_mean_the_same_elsewhere():
    words = ["algo=ppo", "env.kwargs.xml_file=/home/ada/a.xml", "runs_dir=/data/runs", "logger=[wandb]", "n_jobs=2"]
    words += ["logger.wandb.project=x", "+env.kwargs.api_key=abc", "init_from=~/old/run"]
    assert portable_words(words) == [
        "algo=ppo",
        "env.kwargs.xml_file=a.xml",
        "+env.kwargs.api_key=***",
        "init_from=run",
    ]


def test_a_file_that_names_a_place_is_refused(tmp_path):
    published, elsewhere = tmp_path / "published", Path("/data/of-ada")
    (published / "deep").mkdir(parents=True)
    (published / "deep" / "data").write_bytes(b"\x80\x04 fine")
    refuse_leaks(published, elsewhere)
    (published / "deep" / "data").write_bytes(b"\x80\x04 /data/of-ada/model.py")
    with pytest.raises(RlzooError, match="deep/data would name a folder") as caught:
        refuse_leaks(published, elsewhere)
    assert caught.value.code == ExitCode.UNSAFE
