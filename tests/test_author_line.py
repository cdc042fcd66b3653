"""Where an error of somebody else's code is said to be: in the code that its author can change."""

import importlib.util
import sys
from pathlib import Path

import pytest

from rlzoo.envs.games.grid import __file__ as rlzoo_file
from rlzoo.errors import author_line, line_of

MINE = """\
import json

import gymnasium
import numpy as np


def raises():
    raise ValueError("mine")


def gives_numpy_rubbish():
    return np.zeros(3).reshape(2, 2)


def gives_the_library_rubbish():
    return json.loads("{")


def is_given_another_name():
    try:
        json.loads("{")
    except ValueError as error:
        raise RuntimeError("odd") from error


class Env(gymnasium.Env):
    def __init__(self):
        np.zeros(3).reshape(2, 2)


def gives_gymnasium_rubbish():
    gymnasium.register("Rubbish-v0", Env)
    gymnasium.make("Rubbish-v0")


def calls_itself():
    calls_itself()


def evaluates():
    eval("1 / 0")
"""
LINES = {
    "raises": 8,
    "gives_numpy_rubbish": 12,
    "gives_the_library_rubbish": 16,
    "is_given_another_name": 23,
    "gives_gymnasium_rubbish": 28,
    "calls_itself": 37,
    "evaluates": 41,
}


def module(path: Path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(MINE)
    spec = importlib.util.spec_from_file_location("mine_of_a_test", path)
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def raised(function, *arguments):
    with pytest.raises(BaseException) as caught:
        function(*arguments)
    caught.value.__traceback__ = caught.value.__traceback__.tb_next  # without this test's own frame
    return caught.value


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", LINES)
def test_it_is_the_line_that_the_author_can_change(name, tmp_path, monkeypatch):
    mine = module(tmp_path / "deep" / "mine.py")
    assert author_line(raised(getattr(mine, name))) == f"{tmp_path}/deep/mine.py:{LINES[name]}"
    monkeypatch.chdir(tmp_path)
    assert author_line(raised(getattr(mine, name))) == f"deep/mine.py:{LINES[name]}"


def test_an_environment_that_was_installed_is_named_before_what_it_uses(tmp_path):
    there = tmp_path / "lib" / "site-packages" / "maze"
    assert author_line(raised(module(there / "env.py").gives_numpy_rubbish)) == f"{there}/env.py:12"


def test_without_anybody_elses_it_is_rlzoos(monkeypatch):
    from rlzoo.envs.spaces import parse

    monkeypatch.chdir("/")
    assert author_line(raised(parse, "Ball(3)")).startswith(rlzoo_file.partition("games")[0][1:] + "spaces.py:")
    assert author_line(ValueError("never raised")) is None


def test_a_cell_of_a_notebook_is_the_authors():
    there: dict = {}
    exec(compile("def cell():\n    int('x')\n", "<ipython-input-3-abc>", "exec"), there)
    assert author_line(raised(there["cell"])) == "<ipython-input-3-abc>:2"


def test_errors_that_name_each_other_end():
    one, other = ValueError(), ValueError()
    one.__cause__, other.__cause__ = other, one
    assert author_line(one) is None


def test_a_current_folder_that_is_gone_shows_whole_paths(tmp_path, monkeypatch):
    mine = module(tmp_path / "mine.py")
    (gone := tmp_path / "gone").mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert author_line(raised(mine.raises)) == f"{tmp_path}/mine.py:8"


def test_the_line_of_a_function(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mine = module(tmp_path / "mine.py")
    assert line_of(mine.raises) == "mine.py:7"
    assert line_of(mine.Env.__init__) == "mine.py:27"
    assert line_of(len) is None and line_of(sys.stdout.write) is None
