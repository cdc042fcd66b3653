"""An environment is played before a training begins, in a process of its own: what is wrong is told with its line."""

import textwrap
from pathlib import Path

import pytest

from rlzoo.envs.check import check_env
from rlzoo.errors import ExitCode

TEMPLATE = """\
import os, signal, sys, time
from typing import Any
import gymnasium
import numpy as np
from gymnasium import spaces


class Mine(gymnasium.Env):
    def __init__(self, render_mode=None):
        self.render_mode = render_mode
        self.observation_space = spaces.Box(-1.0, 1.0, (3,), np.float32)
        self.action_space = spaces.Discrete(2)

    def look(self) -> Any:
        return self.np_random.uniform(-1, 1, 3).astype(np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self.look(), {}

    def step(self, action):
        self.t += 1
        return self.look(), 1.0, self.t >= 5, False, {}


class Faulty(Mine):
    METHODS


gymnasium.register("Faulty-v0", Faulty, max_episode_steps=50)
"""


@pytest.fixture
def write(workdir, monkeypatch):
    """`write("def step(self, action): ...")`: a module `faulty` with an environment whose methods are these."""
    monkeypatch.syspath_prepend(workdir)

    def write(methods):
        text = TEMPLATE.replace("METHODS", textwrap.indent(textwrap.dedent(methods).strip(), "    ").strip())
        (workdir / "faulty.py").write_text(text)
        return text.splitlines()

    return write


@pytest.fixture
def tried(write, env_values):
    """The check of an environment with these methods."""

    def tried(methods, **section):
        write(methods)
        return check_env(env_values("gym", **{"id": "faulty:Faulty-v0", **section}), declared_holds=False)

    return tried


def line_of(text):
    """`faulty.py:31`: where the module has this text."""
    lines = Path("faulty.py").read_text().splitlines()
    return f"faulty.py:{next(number for number, line in enumerate(lines, 1) if text in line and '#' in line)}"


def only(found):
    (problem,) = found.problems
    return problem


def test_a_sound_environment_has_its_spaces_and_no_words(tried):
    found = tried("pass")
    assert (found.problems, found.notices) == ([], [])
    assert (found.observation_space, found.action_space, found.masked) == ("Box(3)", "Discrete(2)", False)


RAISES = {
    "__init__": "def __init__(self, **kwargs):\n    {}  # here",
    "reset": "def reset(self, *, seed=None, options=None):\n    {}  # here",
    "step": "def step(self, action):\n    {}  # here",
}
WAYS = {
    "raise ValueError('no map')": "raises ValueError: no map",
    "np.zeros(3).reshape(2, 2)": "raises ValueError: cannot reshape",
    "sys.exit(0)": "ends the process: sys.exit(0)",
    "os._exit(3)": "ends the process with exit code 3",
    "os.abort()": "crashes the process (SIGABRT)",
    "import ctypes; ctypes.string_at(0)": "crashes the process (SIGSEGV)",
    "time.sleep(1000)": "does not return within",
    "raise KeyboardInterrupt": "raises KeyboardInterrupt",
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("method", RAISES)
def test_what_a_method_does_instead_of_returning_is_told_with_its_line(tried, method, way, monkeypatch):
    monkeypatch.setattr("rlzoo.envs.probe.START_SECONDS", 1.0)
    problem = only(tried(RAISES[method].format(way), step_timeout=0.3))
    assert problem.key == "env.id" and problem.code is ExitCode.WRONG_REQUEST
    assert f"{method}() {WAYS[way]}" in problem.message
    assert problem.where == line_of("# here")
    if "sleep" in way:
        assert problem.hint == "env.step_timeout=3 waits longer"


RETURNS = [
    ("step", "self.look(), 1.0, False, False", "step() must return five values", "4 values"),
    ("step", "None", "step() must return five values", "not nothing"),
    ("step", "self.look(), None, False, False, {}", "one number as the reward", "not None"),
    ("step", "self.look(), np.zeros(2), False, False, {}", "one number as the reward", "of shape (2,)"),
    ("step", "self.look(), 'much', False, False, {}", "one number as the reward", "the text 'much'"),
    ("step", "self.look(), float('nan'), False, False, {}", "reward is nan", ""),
    ("step", "self.look(), 1.0, None, False, {}", "True or False as terminated", "not None"),
    ("step", "self.look(), 1.0, False, 'no', {}", "True or False as truncated", "the text 'no'"),
    ("step", "self.look(), 1.0, False, False, None", "where info is a dict", "not None"),
    ("step", "self.look()[:2], 1.0, False, False, {}", "observation has shape (2,)", "says (3,)"),
    ("step", "self.look() * np.inf, 1.0, False, False, {}", "observation[0] is", "inf"),
    ("step", "'here', 1.0, False, False, {}", "observation is the text 'here'", "a Box of shape (3,)"),
    ("reset", "self.look(), {}, 1", "reset() must return two values, (observation, info)", "3 values"),
    ("reset", "None", "reset() must return two values", "not nothing"),
    ("reset", "self.look(), None", "where info is a dict", "not None"),
    ("reset", "self.look()[None], {}", "observation has shape (1, 3)", "says (3,)"),
]
HEADS = {"step": "def step(self, action)", "reset": "def reset(self, *, seed=None, options=None)"}


@pytest.mark.parametrize(("method", "value", "said", "given"), RETURNS)
def test_what_a_method_returns_is_told_in_the_words_of_the_contract(tried, method, value, said, given):
    given_on = "action" if method == "step" else "seed=seed"
    problem = only(tried(f"{HEADS[method]}:\n    super().{method}({given_on})\n    return {value}  # here"))
    assert said in problem.message and given in problem.message
    assert problem.where == line_of("# here")
