"""An environment is played before a training begins, in a process of its own: what is wrong is told with its line."""

import json
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from rlzoo.config import yaml_file
from rlzoo.config.paths import root
from rlzoo.errors import ExitCode, Problem

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


gymnasium.register("Tried-v0", Faulty, max_episode_steps=50)
"""


SERVER = """\
import dataclasses, json, os, sys
import gymnasium, numpy
from rlzoo.envs import probe
from rlzoo.envs.check import Use, check_env
probe.START_SECONDS = 1.0
found_at = list(sys.path)
for line in sys.stdin:
    folder, env, use = json.loads(line)
    os.chdir(folder)
    sys.path[:] = [folder, *found_at]
    print(json.dumps(dataclasses.asdict(check_env(env, declared_holds=False, use=Use(**use)))), flush=True)
"""
"""One process for all of this file, in which no library has started threads: it is copied for each environment."""


@pytest.fixture(scope="module")
def server():
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", SERVER], **options) as process:
        yield process
        process.stdin.close()


@pytest.fixture
def write(workdir):
    """`write("def step(self, action): ...")`: a module `faulty` with an environment whose methods are these."""

    def write(methods):
        text = TEMPLATE.replace("METHODS", textwrap.indent(textwrap.dedent(methods).strip(), "    ").strip())
        Path("faulty.py").write_text(text)

    return write


@pytest.fixture
def tried(write, server):
    """The check of an environment with these methods; `Use` by keywords that it has."""

    class Found:
        def __init__(self, values):
            vars(self).update(values)
            self.problems = [Problem(*each) for each in self.problems]

    def tried(methods, use=(), **section):
        write(methods)
        env = {**yaml_file.read(root() / "conf" / "env" / "gym.yaml").values, "id": "faulty:Tried-v0", **section}
        server.stdin.write(json.dumps([str(Path.cwd()), env, dict(use)]) + "\n")
        server.stdin.flush()
        return Found(json.loads(server.stdout.readline()))

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
def test_what_a_method_does_instead_of_returning_is_told_with_its_line(tried, method, way):
    problem = only(tried(RAISES[method].format(way), step_timeout=0.3))
    assert problem.key == "env.id" and problem.code == ExitCode.WRONG_REQUEST
    assert f"{method}() {WAYS[way]}" in problem.message
    assert problem.where == line_of("# here")
    if "sleep" in way:
        assert problem.hint == "env.step_timeout=3 waits longer"


@pytest.mark.parametrize("method", RAISES)
def test_where_a_process_left_no_word_the_method_is_named(tried, method):
    problem = only(tried(RAISES[method].format("os.kill(os.getpid(), 9)")))
    assert f"{method}() crashes the process (SIGKILL)" in problem.message
    assert problem.where.rpartition(":")[2] == str(int(line_of("# here").rpartition(":")[2]) - 1)


RETURNS = [
    ("step", "self.look(), 1.0, False, False", "step() must return five values", "4 values"),
    ("step", "None", "step() must return five values", "not nothing"),
    ("step", "self.look(), None, False, False, {}", "one number as the reward", "not None"),
    ("step", "self.look(), np.zeros(2), False, False, {}", "one number as the reward", "of shape (2,)"),
    ("step", "self.look(), 'much', False, False, {}", "one number as the reward", "the text 'much'"),
    ("step", "self.look(), float('nan'), False, False, {}", "reward is nan", ""),
    ("step", "self.look(), 1e39, False, False, {}", "reward is 1e+39, which is infinite in float32", ""),
    ("step", "self.look() * np.float64(1e300), 1.0, False, False, {}", "observation[0] is", "infinite in float32"),
    ("step", "self.look(), 1.0, None, False, {}", "True or False as terminated", "not None"),
    ("step", "self.look(), 1.0, False, 'no', {}", "True or False as truncated", "the text 'no'"),
    ("step", "self.look(), 1.0, False, False, None", "where info is a dict", "not None"),
    ("step", "self.look()[:2], 1.0, False, False, {}", "observation has shape (2,)", "declares (3,)"),
    ("step", "self.look() * np.inf, 1.0, False, False, {}", "observation[0] is", "inf"),
    ("step", "'here', 1.0, False, False, {}", "observation is the text 'here'", "a Box of shape (3,)"),
    ("reset", "self.look(), {}, 1", "reset() must return two values, (observation, info)", "3 values"),
    ("reset", "None", "reset() must return two values", "not nothing"),
    ("reset", "self.look(), None", "where info is a dict", "not None"),
    ("reset", "self.look()[None], {}", "observation has shape (1, 3)", "declares (3,)"),
]
HEADS = {"step": "def step(self, action)", "reset": "def reset(self, *, seed=None, options=None)"}


@pytest.mark.parametrize(("method", "value", "said", "given"), RETURNS)
def test_what_a_method_returns_is_told_in_the_words_of_the_contract(tried, method, value, said, given):
    given_on = "action" if method == "step" else "seed=seed"
    problem = only(tried(f"{HEADS[method]}:\n    super().{method}({given_on})\n    return {value}  # here"))
    assert said in problem.message and given in problem.message
    assert problem.where == line_of("# here")


BOOL = "return bool(terminated)"
MIXED = """\
def reset(self, *, seed=None, options=None):
    super().reset(seed=seed)
    return self.look()[:2], None  # reset

def step(self, action):
    super().step(action)
    return self.look() * float("nan"), None, 1, None, {}  # step
"""


def test_all_that_is_wrong_is_told_at_once(tried):
    found = tried(MIXED)
    said = {problem.where: [] for problem in found.problems}
    for problem in found.problems:
        said[problem.where].append(problem.message)
    assert set(said) == {line_of("# reset"), line_of("# step")}
    assert len(said[line_of("# reset")]) == 2 and len(said[line_of("# step")]) == 3
    assert found.notices == [f"step() must return True or False as terminated, not 1 [{line_of('# step')}]: {BOOL}"]


HARMLESS = {
    "an array of one number as the reward": "self.look(), np.ones(1), False, False, {}",
    "whole numbers as the reward": "self.look(), 1, False, False, {}",
    "NumPy's booleans": "self.look(), 1.0, np.bool_(False), np.array([False]), {}",
    "a list": "[self.look(), 1.0, False, False, {}]",
}


@pytest.mark.parametrize("value", HARMLESS.values(), ids=HARMLESS)
def test_what_does_no_harm_is_taken(tried, value):
    found = tried(f"def step(self, action):\n    super().step(action)\n    return {value}")
    assert (found.problems, found.notices) == ([], [])


NOTICED = {
    "observation is float64": "self.look().astype(np.float64), 1.0, False, False, {}",
    "observation[1] is 3, and": "np.array([0, 3, 0], np.float32), 1.0, False, False, {}",
    "observation is a list of 3, not a NumPy array": "[0.5, 0.5, 0.5], 1.0, False, False, {}",
}


@pytest.mark.parametrize("said", NOTICED)
def test_what_a_training_copes_with_is_a_notice(tried, said):
    found = tried(f"def step(self, action):\n    super().step(action)\n    return {NOTICED[said]}  # here")
    assert found.problems == []
    assert any(said in notice and line_of("# here") in notice for notice in found.notices)


SPACES = {
    "observation is 7, and observation_space declares 0 to 3": ("spaces.Discrete(4)", "7"),
    "observation is 1.5, and": ("spaces.MultiDiscrete([3, 3])", "np.array([1.5, 0])"),
    "observation[1] is 3, and": ("spaces.MultiBinary(3)", "np.array([1, 3, 0])"),
    "lacks 'goal'": ("spaces.Dict(here=spaces.Discrete(3), goal=spaces.Discrete(3))", "{'here': 1}"),
    "observation['here'] is 5": ("spaces.Dict(here=spaces.Discrete(3))", "{'here': 5}"),
    "a Tuple of 2 parts": ("spaces.Tuple([spaces.Discrete(3)] * 2)", "(1, 2, 0)"),
    "it loses its fractions": ("spaces.Box(0, 255, (2, 2, 3), np.uint8)", "np.full((2, 2, 3), 0.5)"),
    "observation is -1, and": ("spaces.Discrete(4, start=1)", "-1"),
}


@pytest.mark.parametrize("said", SPACES)
def test_every_kind_of_space_is_compared(tried, said):
    space, value = SPACES[said]
    found = tried(
        f"def __init__(self, render_mode=None):\n    super().__init__()\n    self.observation_space = {space}\n"
        f"def look(self):\n    return {value}\n"
    )
    if said == "observation is 1.5, and":
        assert "loses its fractions" in found.problems[0].message
    else:
        assert said in found.problems[0].message


BESIDES = {
    "prints to standard output": "print('hello')  # here",
    "changes the current folder": "os.chdir('/')  # here",
}


@pytest.mark.parametrize("said", BESIDES)
@pytest.mark.parametrize("method", HEADS)
def test_what_a_method_does_besides_is_a_notice(tried, method, said, capfd):
    given_on = "action" if method == "step" else "seed=seed"
    found = tried(f"{HEADS[method]}:\n    {BESIDES[said]}\n    return super().{method}({given_on})")
    assert found.problems == []
    (notice,) = found.notices
    assert notice.startswith(f"{method}() {said}") and "faulty.py:" in notice
    assert "hello" not in capfd.readouterr().out


CLOSES = {
    "raise ValueError('shut')": "close() raises ValueError: shut",
    "sys.exit(4)": "close() ends the process: sys.exit(4)",
    "os._exit(4)": "close() ends the process with exit code 4",
    "time.sleep(1000)": "close() does not return within 0.3 s",
}


@pytest.mark.parametrize("way", CLOSES)
def test_a_fault_in_close_is_a_notice(tried, way):
    found = tried(f"def close(self):\n    {way}  # here", step_timeout=0.3)
    assert found.problems == []
    assert found.notices == [f"{CLOSES[way]} [{line_of('# here')}]"]


IMPORTS = {
    "raise ValueError('no licence')  # here": "importing faulty failed: ValueError: no licence",
    "sys.exit(2)  # here": "importing faulty failed: sys.exit was called: 2",
    "time.sleep(1000)  # here": "the import of its modules does not return within",
    "os._exit(2)  # here": "the import of its modules ends the process with exit code 2",
    "def def  # here": "importing faulty failed: SyntaxError",
}


@pytest.mark.parametrize("way", IMPORTS)
def test_a_module_that_cannot_be_imported_is_told_with_its_line(tried, way, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "TEMPLATE", f"import os, sys, time\n{way}\n")
    problem = only(tried("", step_timeout=0.3))
    assert problem.message.startswith(IMPORTS[way]) and problem.where == line_of("# here")


CLASSES = {
    "def __init__(self, size):\n        pass": ("missing 1 required positional argument: 'size'", ""),
    "def __init__(self):  # here\n        self.observations_space = 1; self.action_space = spaces.Discrete(2)": (
        "__init__() must set self.observation_space",
        "sets self.observations_space",
    ),
    "def __init__(self):  # here\n        self.observation_space = spaces.Discrete(2)": (
        "must set self.action_space",
        "",
    ),
    "def __init__(self):  # here\n        self.observation_space = [3]; self.action_space = spaces.Discrete(2)": (
        "must set self.observation_space",
        "",
    ),
}


@pytest.mark.parametrize("methods", CLASSES)
def test_a_class_that_is_no_environment_is_told_what_it_lacks(tried, methods, monkeypatch):
    base = TEMPLATE.replace("class Faulty(Mine)", "class Faulty(gymnasium.Env)")
    monkeypatch.setattr(sys.modules[__name__], "TEMPLATE", base)
    problem = only(tried(methods))
    for said in CLASSES[methods]:
        assert said in problem.message
    if "# here" in methods:
        assert problem.where == line_of("# here")
    assert "site-packages" not in str(problem)


def test_methods_that_are_not_written_are_told_with_what_they_may_be_called(tried, monkeypatch):
    base = TEMPLATE.replace("class Faulty(Mine)", "class Faulty(gymnasium.Env)")
    monkeypatch.setattr(sys.modules[__name__], "TEMPLATE", base)
    made = "def __init__(self, render_mode=None):  # here\n    Mine.__init__(self)\n"
    found = tried(f"{made}def _step(self, action):\n    pass")
    assert [problem.where for problem in found.problems] == [line_of("# here")] * 2
    assert [problem.message for problem in found.problems] == [
        "Faulty has no reset()",
        "Faulty has no step(); did you mean '_step'?",
    ]
    assert "return observation, reward, terminated, truncated, info" in found.problems[1].hint


FOREIGN = "it does not inherit from gymnasium.Env: class Faulty(gymnasium.Env)"
BASELESS = {
    "self.np_random = np.random.default_rng(seed)": ("is of a class that does not inherit from gymnasium.Env", ""),
    "super().reset(seed=seed)": ("'super' object has no attribute 'reset'", FOREIGN),
    "pass": ("object has no attribute 'np_random'", FOREIGN),
}


@pytest.mark.parametrize("seeds", BASELESS)
def test_a_class_that_is_not_gymnasium_s_is_told_so(tried, seeds, monkeypatch):
    base = TEMPLATE.replace("class Mine(gymnasium.Env)", "class Mine").replace("super().reset(seed=seed)", seeds)
    monkeypatch.setattr(sys.modules[__name__], "TEMPLATE", base)
    found = tried("pass")
    said, hint = BASELESS[seeds]
    assert said in (only(found).message if hint else found.notices[0])
    assert not hint or only(found).hint == hint


ONCE = 'gymnasium.register("Tried-v0", lambda **_: ONE)\n'


def register(line):
    return TEMPLATE.replace('gymnasium.register("Tried-v0", Faulty, max_episode_steps=50)', line)


NOT_MADE = {
    'gymnasium.register("OtherName-v0", Faulty)': ("faulty registers 'OtherName-v0'", "env.id=faulty:OtherName-v0"),
    'gymnasium.register("Fualty-v0", Faulty); gymnasium.register("A-v0", Mine)': ("registers 'Fualty-v0'", "Fualty-v0"),
    "pass": ("registers nothing", 'gymnasium.register("Tried-v0", entry_point="faulty:Faulty")'),
    'gymnasium.register("Tried-v0", "faulty:Fault")  # here': ("entry_point is wrong", "did you mean 'Faulty'"),
    'gymnasium.register("Tried-v0", "faulty.envs:Faulty")  # here': ("no module named 'faulty.envs'", "one file"),
    'gymnasium.register("Tried-v0", "faulty.Faulty")  # here': ("not of the form package", '"faulty:Faulty"'),
    'gymnasium.register("Tried-v0", "fualty:Faulty")  # here': ("no module named 'fualty'", "did you mean 'faulty'"),
    'gymnasium.register("Tried-v0", "faulty")  # here': ("not of the form package.module:Name", ""),
    "import pygmae  # here": ("no module named 'pygmae'", "did you mean 'pygame'"),
}


@pytest.mark.parametrize("line", NOT_MADE)
def test_what_is_not_registered_as_it_is_called_is_told_what_there_is(tried, line, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "TEMPLATE", register(line))
    problem = only(tried("pass"))
    for said in NOT_MADE[line]:
        assert said in str(problem)
    assert "pip install" not in str(problem)
    if "# here" in line:
        assert problem.where == line_of("# here")


MASKS = {
    "np.array([False, False])": "allows no action at all",
    "np.array([True])": "must return 2 times True or False, one for each action, not an array of shape (1,)",
    "None": "must return 2 times True or False",
    "1 / 0": "action_masks() raises ZeroDivisionError",
    "[1, 2]": "must return True or False for each action, not 2",
    "[0.5, 1]": "must return True or False for each action, not 0.5",
    "[np.nan, 1]": "must return True or False for each action, not nan",
}


@pytest.mark.parametrize("value", MASKS)
def test_masks_are_asked_for_where_the_algorithm_does(tried, value):
    methods = f"def action_masks(self):\n    return {value}  # here"
    problem = only(tried(methods, {"masks": True}))
    assert MASKS[value] in problem.message and problem.where == line_of("# here")
    assert tried(methods).problems == []


def test_a_reset_without_a_seed_is_told_so(tried):
    methods = "def reset(self, *, seed=None, options=None):\n    return super().reset(seed=seed + 0)  # here"
    problem = only(tried(methods))
    assert problem.where == line_of("# here") and problem.hint == "it was given no seed, as most resets are"


def test_only_valid_actions_are_played_where_there_are_masks(tried):
    found = tried(
        "def action_masks(self):\n    return np.array([False, True])\n"
        "def step(self, action):\n    assert action == 1\n    return super().step(action)",
        {"masks": True},
    )
    assert found.problems == [] and found.masked


GOALS = """\
def __init__(self, render_mode=None):
    super().__init__()
    part = spaces.Box(-1, 1, (3,), np.float32)
    self.observation_space = spaces.Dict(observation=part, achieved_goal=part, desired_goal=part)
def look(self):
    return {key: Mine.look(self) for key in self.observation_space.spaces}
def step(self, action):
    observation, _, *rest = super().step(action)
    return observation, REWARD(observation["achieved_goal"], observation["desired_goal"]), *rest
def compute_reward(self, achieved_goal, desired_goal, info):
    return VALUE  # here
"""
DISTANCE = "-np.linalg.norm(achieved_goal - desired_goal, axis=-1)"
REWARDS = {
    DISTANCE: "",
    "-np.linalg.norm(achieved_goal - desired_goal)": "must return an array of 8 rewards for 8 goals at once",
    "0.0": "must return an array of 8 rewards for 8 goals at once, not 0.0",
    "np.array(['0.5'] * 8)": "must return an array of 8 rewards for 8 goals at once, not one of <U3",
    "np.array([each['d'] for each in info])": "compute_reward() raises KeyError: 'd'",
    "np.full(len(info), np.nan)": "compute_reward() gives nan for a goal",
    "np.full(len(info), 1e300)": "compute_reward() gives 1e+300 for a goal, which is infinite in float32",
}


@pytest.mark.parametrize("value", REWARDS)
def test_the_rewards_of_goals_are_asked_for_where_the_algorithm_does(tried, value):
    reward = f"(lambda achieved_goal, desired_goal: float({DISTANCE}))"
    found = tried(GOALS.replace("VALUE", value).replace("REWARD", reward), {"goals": True})
    if not REWARDS[value]:
        assert (found.problems, found.notices) == ([], [])
    else:
        assert REWARDS[value] in only(found).message and only(found).where == line_of("# here")


def test_rewards_of_goals_that_differ_from_those_paid_are_a_notice(tried):
    found = tried(GOALS.replace("VALUE", DISTANCE).replace("REWARD", "(lambda *goals: 1.0)"), {"goals": True})
    assert found.problems == [] and "of a step that paid 1" in found.notices[0]


PICTURES = {
    "None": "rgb_array, not None",
    "np.zeros((4, 4), np.uint8)": "not (4, 4) of uint8",
    "np.zeros((4, 4, 3))": "not (4, 4, 3) of float64",
    "1 / 0": "render() raises ZeroDivisionError",
}


@pytest.mark.parametrize("value", PICTURES)
def test_a_picture_is_asked_for_where_the_request_films(tried, value):
    methods = f"metadata = {{'render_modes': ['rgb_array']}}\ndef render(self):\n    return {value}  # here"
    problem = only(tried(methods, {"films": True}))
    assert PICTURES[value] in problem.message and problem.where == line_of("# here")
    assert tried(methods).problems == []


def test_a_picture_that_needs_a_screen_is_left_to_who_films(tried):
    methods = "metadata = {'render_modes': ['rgb_array']}\ndef render(self):\n    raise RuntimeError('no X11 display')"
    assert tried(methods, {"films": True}).problems == []


def test_a_picture_of_another_size_is_told(tried):
    methods = "metadata = {'render_modes': ['rgb_array']}\ndef render(self):\n"
    problem = only(tried(f"{methods}    return np.zeros((4 + self.t, 4, 3), np.uint8)  # here", {"films": True}))
    assert problem.message == "render() must return pictures of one size, not (4, 4, 3) and then (5, 4, 3)"
    assert problem.where == line_of("# here")


RESET = "def reset(self, *, seed=None, options=None):  # here\n    self.n = getattr(self, 'n', 0) + 1\n"
CHANGES = {
    "observation_space": "spaces.Box(-1, 1, (4,), np.float32)",
    "action_space": "spaces.Discrete(3)",
}


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("name", CHANGES)
def test_a_space_that_becomes_another_one_is_refused(tried, name, late):
    """In the first steps, and in random play."""
    methods = f"{RESET}    if self.n > {30 * late}:\n        self.{name} = {CHANGES[name]}\n"
    problem = only(tried(f"{methods}    return super().reset(seed=seed)", {"plays": late}))
    assert f"{name} must stay as it is once the environment is made: it was " in problem.message
    assert problem.where == line_of("# here")
    same = methods.replace("(4,)", "(3,)").replace("Discrete(3)", "Discrete(2)")
    assert tried(f"{same}    return super().reset(seed=seed)").problems == []


PROPERTIES = ("action_masks", "np_random", "metadata", "observation_space", "unwrapped")


@pytest.mark.parametrize("name", PROPERTIES)
def test_a_property_that_raises_is_told_with_its_line(tried, name):
    setter = f"@{name}.setter\ndef {name}(self, value):\n    pass\n"
    problem = only(tried(f"@property\ndef {name}(self):\n    raise RuntimeError('no')  # here\n{setter}"))
    assert "raises RuntimeError: no" in problem.message and problem.where == line_of("# here")


def test_an_environment_that_gymnasium_wraps_is_taken(tried, monkeypatch):
    wraps = "[gymnasium.envs.registration.WrapperSpec('R', 'gymnasium.wrappers:TransformReward', {'func': abs})]"
    monkeypatch.setattr(sys.modules[__name__], "TEMPLATE", TEMPLATE.replace("50)", f"50, additional_wrappers={wraps})"))
    assert tried("pass").problems == []


def test_one_for_many_at_once_is_told_what_it_needs(tried, monkeypatch):
    monkeypatch.setattr(
        sys.modules[__name__], "TEMPLATE", TEMPLATE.replace(", Faulty,", ", vector_entry_point=Faulty,")
    )
    assert "vector_entry_point only" in only(tried("pass")).message


def test_a_slow_environment_is_tried_for_as_many_steps(tried):
    methods = (
        "def step(self, action):\n    self.n = getattr(self, 'n', 0) + 1\n    sum(range(200_000))\n"
        "    return None if self.n == 80 else super().step(action)"
    )
    assert "step() must return five values" in only(tried(methods)).message


@pytest.mark.parametrize("value", ["'yes'", "None", "[True, False]", "{}"])
def test_a_success_that_is_no_number_is_a_notice(tried, value):
    found = tried(f"def step(self, action):\n    return *super().step(action)[:4], {{'is_success': {value}}}  # here")
    assert found.problems == []
    (notice,) = found.notices
    assert notice.startswith("info['is_success'] of the environment is not a number") and line_of("# here") in notice


UNSENT = {
    "self.observation_space.f = lambda: 1": "observation_space",
    "self.action_space.f = (each for each in ())": "action_space",
    "part = self.observation_space\n    part.f = sys.stdin\n    self.observation_space = spaces.Dict(a=part)": "obs",
}


@pytest.mark.parametrize("line", UNSENT)
def test_a_space_that_cannot_be_sent_is_refused_where_it_has_to_be(tried, line):
    methods = f"def __init__(self, render_mode=None):  # here\n    super().__init__()\n    {line}"
    methods += "\ndef look(self):\n    return self.observation_space.sample()"
    problem = only(tried(methods, vec_env="subproc", n_envs=2))
    assert problem.message.startswith(UNSENT[line]) and "cannot be sent to another process" in problem.message
    assert "env.vec_env=dummy" in problem.hint and problem.where == line_of("# here")
    assert tried(methods, vec_env="dummy", n_envs=2).problems == []


def test_a_long_message_is_cut(tried):
    found = tried("def close(self):\n    raise ValueError('x' * 10**6)")
    assert len(found.notices[0]) < 1200


WRAPPER = """\
import gymnasium

class Halved(gymnasium.Wrapper):
    def step(self, action):
        observation, *rest = self.env.step(action)
        return observation[:1], *rest  # here
"""


def test_a_wrapper_of_one_s_own_is_looked_at_too(tried):
    Path("halving.py").write_text(WRAPPER)
    problem = only(tried("pass", wrappers={"halving:Halved": {}}))
    assert "observation has shape (1,), and observation_space declares (3,)" in problem.message
    assert problem.where == "halving.py:6"


TURNS = {
    "ObservationWrapper": (
        "def observation(self, observation):\n        return 'far'",
        "observation is the text 'far'",
    ),
    "RewardWrapper": ("def reward(self, reward):\n        return 'much'", "not the text 'much'"),
    "Wrapper": ("def step(self, action):\n        [self.env.step(action) for _ in range(9)]", "goes on with reset()"),
}


@pytest.mark.parametrize("kind", TURNS)
def test_a_wrapper_is_told_of_itself_and_not_what_it_is_around(tried, kind):
    Path("halving.py").write_text(f"import gymnasium\nclass Halved(gymnasium.{kind}):\n    {TURNS[kind][0]}\n")
    problem = only(tried("pass", wrappers={"halving:Halved": {}}))
    assert TURNS[kind][1] in problem.message and problem.where == "halving.py:4"


@pytest.mark.parametrize(("does", "said"), [("1 / 0", "raises ZeroDivisionError"), ("exit(0)", "ends the process")])
def test_a_wrapper_that_is_not_made_says_how(tried, does, said):
    text = f"import sys, gymnasium\nclass Halved(gymnasium.Wrapper):\n    def __init__(self, env):\n        sys.{does}"
    Path("halving.py").write_text(text.replace("sys.1", "1"))
    problem = only(tried("pass", wrappers={"halving:Halved": {}}))
    assert problem.message.startswith(f"__init__() {said}") and problem.where == "halving.py:4"


NO_WRAPPERS = {
    "class Halved:\n    def __init__(self, env):\n        pass": "halving:Halved is no wrapper",
    "class Halved(gymnasium.Env):\n    def __init__(self, env):\n        self.shown = env": "is no wrapper",
    "class Halved(gymnasium.Wrapper):\n    def __init__(self, env):\n        self.inner = env": "is no wrapper",
    "import math as Halved": "is no class of a wrapper, but a module",
    "Halve = 1": "module 'halving' has no 'Halved'; did you mean 'Halve'?",
    "class Halved(gymnasium.Wrapper):\n    def __init__(self, env):\n        env.unwrapped.nowhere": "'nowhere'",
}


@pytest.mark.parametrize("text", NO_WRAPPERS)
def test_what_is_no_wrapper_is_refused_and_never_with_a_library_s_line(tried, text):
    Path("halving.py").write_text(f"import gymnasium\n{text}\n")
    problem = only(tried("pass", wrappers={"halving:Halved": {}}))
    assert NO_WRAPPERS[text] in problem.message
    assert problem.where in ("", *(f"halving.py:{line}" for line in range(2, 5)))


UNWRITTEN = {"ObservationWrapper": "observation", "RewardWrapper": "reward", "ActionWrapper": "action"}


@pytest.mark.parametrize("kind", UNWRITTEN)
def test_a_wrapper_that_lacks_its_method_is_told_which(tried, kind):
    text = f"import gymnasium\n\nclass Halved(gymnasium.{kind}):\n    def __init__(self, env):\n        "
    Path("halving.py").write_text(f"{text}super().__init__(env)\n")
    problem = only(tried("pass", wrappers={"halving:Halved": {}}))
    assert f"() needs Halved.{UNWRITTEN[kind]}(), which is not written" in problem.message
    assert problem.where == "halving.py:4"


def test_an_environment_that_holds_another_may_be_a_wrapper(tried):
    holds = "class Holds(gymnasium.Env):\n    def __init__(self, env):\n        self._env = env\n"
    holds += "        self.observation_space, self.action_space = env.observation_space, env.action_space\n"
    holds += "        self.reset, self.step = env.reset, env.step\n"
    Path("halving.py").write_text(f"import gymnasium\n{holds}")
    assert tried("pass", wrappers={"halving:Holds": {}}).problems == []


ONLY_ONE = {
    "open('one', 'x')\ndef close(self):\n    import os; os.remove('one')": "FileExistsError",
    "import socket; self.s = socket.socket(socket.AF_UNIX); self.s.bind('\\0' + __file__)": "OSError",
    "Faulty.n = getattr(Faulty, 'n', 0) + 1; assert Faulty.n == 1, 'no licence'": "AssertionError: no licence",
}


@pytest.mark.parametrize("line", ONLY_ONE)
def test_an_environment_of_which_there_may_be_one_only_is_told_how_a_training_has_one(tried, line):
    methods = f"def __init__(self, **kwargs):\n    Mine.__init__(self)\n    {line}"
    problem = only(tried(methods.replace("\ndef close", "  # here\ndef close"), {"others": "eval.freq=0"}))
    assert problem.message.startswith(f"a second environment beside the first raises {ONLY_ONE[line]}")
    assert problem.hint == "eval.freq=0" and problem.where.startswith("faulty.py:")
    assert tried(methods).problems == []


SAME = {
    "a singleton": "def __new__(cls, **kwargs):\n    return vars(Mine).get('one') or (setattr(Mine, 'one', "
    "super().__new__(cls)), Mine.one)[1]",
    "one that was made on import": "pass",
}


@pytest.mark.parametrize("kind", SAME)
def test_an_environment_that_is_always_the_same_object_is_told(tried, kind, monkeypatch):
    if SAME[kind] == "pass":
        monkeypatch.setattr(sys.modules[__name__], "TEMPLATE", register("ONE = Faulty()") + ONCE)
    problem = only(tried(SAME[kind], {"others": "eval.freq=0 has one"}))
    assert problem.message.endswith("is the same object each time it is made, and a training has several")
    assert "eval.freq=0 has one" in problem.hint and tried(SAME[kind]).problems == []


def test_what_a_module_may_do_once_only_is_found_where_workers_have_done_it(tried, monkeypatch):
    line = "import multiprocessing; multiprocessing.set_start_method('spawn')  # here\nimport gymnasium"
    text = TEMPLATE.replace("import gymnasium", line, 1)
    monkeypatch.setattr(sys.modules[__name__], "TEMPLATE", text)
    problem = only(tried("pass", vec_env="subproc", n_envs=2))
    assert "context has already been set" in problem.message and problem.where == line_of("# here")
    assert tried("pass", vec_env="dummy", n_envs=2).problems == []


def test_an_info_keyword_that_never_comes_is_a_notice_with_what_there_is(tried):
    methods = "def step(self, action):\n    return *super().step(action)[:4], {'won': True}"
    found = tried(methods, monitor_kwargs={"info_keywords": ["is_success", "won"]})
    assert found.problems == []
    (notice,) = found.notices
    assert notice.startswith("env.monitor_kwargs.info_keywords: the info that ended")
    assert notice.endswith("has no 'is_success', only won")


def test_what_an_environment_starts_ends_with_the_trial(tried):
    methods = """\
        def reset(self, *, seed=None, options=None):
            import subprocess
            started = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"], start_new_session=True)
            with open("pid", "a") as file:
                file.write(f"{started.pid} ")
            return super().reset(seed=seed)
        """
    assert tried(methods).problems == []
    pids = [int(each) for each in Path("pid").read_text().split()]
    deadline = time.monotonic() + 10
    while any(map(psutil.pid_exists, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert pids and not any(map(psutil.pid_exists, pids))


def rlzoo(*words):
    done = subprocess.run([sys.executable, "-m", "rlzoo", *words], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done


FAULT = "def step(self, action):\n    print('noise')\n    return None  # here"


def test_a_training_is_refused_and_nothing_is_made(write):
    write(FAULT)
    done = rlzoo("train", "algo=ppo", "env=faulty:Tried-v0", "total_timesteps=300")
    assert (done.returncode, done.stdout) == (ExitCode.WRONG_REQUEST, "")
    assert "step() must return five values" in done.stderr and f"[{line_of('# here')}]" in done.stderr
    assert "restarted" not in done.stderr
    assert [path.name for path in Path().iterdir()] == ["faulty.py"]


@pytest.mark.parametrize(("n", "said"), [("4, start=1", "counted from another number than 0"), ("10**12", "outputs")])
def test_what_an_algorithm_cannot_take_is_told_with_the_author_s_file(write, n, said):
    init = f"def __init__(self):  # here\n    super().__init__()\n    self.observation_space = spaces.Discrete({n})"
    write(f"{init}\ndef look(self):\n    return 3")
    done = rlzoo("train", "algo=ppo", "env=faulty:Tried-v0", "total_timesteps=300")
    assert said in done.stderr and f"[{line_of('# here')}]" in done.stderr


def test_the_jobs_of_a_sweep_try_their_environment_once(write):
    write("def __init__(self, **kwargs):\n    Mine.__init__(self)\n    open('made', 'a').write('1')")
    words = ["algo=ppo", "env=faulty:Tried-v0", "n_seeds=3", "eval.freq=0"]
    code = f"from rlzoo.training.request import check_all, plan; check_all(plan({words}, multirun=False))"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert len(Path("made").read_text()) == 1


def test_validate_says_all_there_is_to_say_and_its_answer_alone_is_on_standard_output(write):
    write("pass")
    done = rlzoo("validate", "env=faulty:Tried-v0")
    assert done.returncode == 0
    first, *_, last = done.stdout.splitlines()
    assert (first, last) == ("faulty:Tried-v0: observes Box(3), acts in Discrete(2)", "no problems")
    write(FAULT)
    done = rlzoo("validate", "env=faulty:Tried-v0", "--json")
    answer = json.loads(done.stdout)
    assert done.returncode == ExitCode.WRONG_REQUEST
    assert [problem["where"] for problem in answer["problems"]] == [line_of("# here")]
    assert any("prints to standard output" in notice for notice in answer["notices"])


def notices_about(text):
    notices = json.loads(rlzoo("validate", "env=faulty:Tried-v0", "--json").stdout)["notices"]
    return [notice for notice in notices if text in notice]


def test_validate_has_the_checkers_of_the_libraries_and_says_nothing_twice(write):
    write(
        "def reset(self, *, seed=None, options=None):\n    self.t = 0\n    return self.look(), {}\n"
        "def look(self):\n    return np.random.default_rng().uniform(-1, 1, 3).astype(np.float32)"
    )
    (by_gymnasium,) = notices_about("check_env")
    assert "does not call `super().reset(seed=seed)`" in by_gymnasium and "(gymnasium's check_env)" in by_gymnasium
    write("def look(self):\n    return super().look().astype(float)")
    (ours,) = notices_about("float64")
    assert ours.startswith("reset(): observation is float64, and observation_space declares float32")


@pytest.mark.parametrize("word", ["env.kwargs.colour=red", "env.kwargs.colour=red env.kwargs.sise=1"])
def test_validate_and_train_refuse_the_same_keywords(write, word):
    write("def __init__(self, size=3, render_mode=None):\n    super().__init__()")
    words = ("env=faulty:Tried-v0", *word.split())
    told = [rlzoo(*command, *words) for command in (("train", "algo=ppo"), ("validate",))]
    assert {done.returncode for done in told} == {ExitCode.WRONG_REQUEST}
    problems = [[line for line in done.stderr.splitlines() if "is not a keyword of" in line] for done in told]
    assert problems[0] == problems[1] and len(problems[0]) == len(word.split())


SCRIPT = """\
import threading, time
threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()  # no copy of this process is sound
TEXT
import rlzoo, rlzoo.errors
try:
    rlzoo.compose("algo=ppo", "env=gym", "env.id=Tried-v0")
except rlzoo.errors.RlzooError as error:
    print(error)
"""


def test_a_script_without_a_guard_and_with_threads_has_its_own_classes_tried(workdir):
    text = TEMPLATE.replace("METHODS", "def step(self, action):\n        return None  # here")
    Path("script.py").write_text(SCRIPT.replace("TEXT", text))
    done = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, check=True)
    assert "step() must return five values" in done.stdout and "script.py:" in done.stdout


def test_what_another_module_registered_that_is_not_found_any_more_is_not_needed(workdir):
    """The id is registered here by a module out of reach, and over again by the one that the request names."""
    Path("far").mkdir()
    Path("far/old.py").write_text(TEMPLATE.replace("METHODS", "pass"))
    Path("near.py").write_text(TEMPLATE.replace("METHODS", "def step(self, action):\n        return None  # here"))
    text = "import sys\nsys.path.append('far')\nimport old\nsys.path.remove('far')"
    script = SCRIPT.replace("TEXT", text).replace("env.id=Tried-v0", "env.id=near:Tried-v0")
    Path("script.py").write_text(script)
    done = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, check=True)
    assert "step() must return five values" in done.stdout and "near.py:" in done.stdout


TEN = """\
import gymnasium as gym
import numpy as np
from gymnasium import spaces


class Thermostat(gym.Env):
    def __init__(self, target):
        self.target = target
        self.observations_space = spaces.Box(low=0, high=1, shape=(3,), dtype=np.float32)
        self.action_space = spaces.Discrete(3)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.temperature, self.t = self.np_random.uniform(10, 30), 0
        return self._look()

    def _look(self):
        return [self.temperature, self.target, self.t, self.temperature - self.target]

    def step(self, action):
        self.temperature += action[0] - 1
        self.t += 1
        error = abs(self.temperature - self.target)
        reward = None if error < 100 else -error / (self.t - self.t)
        print("temperature", self.temperature)
        return self._look(), reward, error > 50, None


gym.register(id="Tried-v0", entry_point="faulty:Thermostate", max_episode_steps=50)
"""
MENDED = [
    (
        "its entry_point is wrong: module 'faulty' has no 'Thermostate'; did you mean",
        "Thermostate",
        "Thermostat",
    ),
    ("missing 1 required positional argument: 'target'", "self, target)", "self, target=20.0)"),
    ("__init__() must set self.observation_space to one of", "observations_space", "observation_space"),
    ("observation has shape (4,), and observation_space declares (3,)", "shape=(3,)", "shape=(4,)"),
    ("it was given the action np.int64(", "action[0]", "action"),
    ("step() must return five values", "error > 50, None", "error > 50, False, None"),
    ("where info is a dict, not None", "False, None", "False, {}"),
    ("one number as the reward, not None", "None if error < 100 else -error / (self.t - self.t)", "-error"),
    ("prints to standard output [faulty.py:25]", '        print("temperature", self.temperature)\n', ""),
    ("observation_space declares 0 to 1", "low=0, high=1", "low=-200, high=200"),
    ("not a NumPy array", "return [self.temp", "return np.array([self.temp"),
    ("", "self.temperature - self.target]", "self.temperature - self.target], np.float32)"),
    (
        "reset returns the observation alone",
        "return self._look()\n\n    def _look",
        "return self._look(), {}\n\n    def _look",
    ),
]
"""What each message has to say, and how the line that it is about is mended from it."""


def test_a_first_environment_is_mended_from_the_messages_alone(tried, monkeypatch):
    text = TEN
    for said, faulty, mended in MENDED:
        monkeypatch.setattr(sys.modules[__name__], "TEMPLATE", text)
        found = tried("")
        told = [*(f"{problem} " for problem in found.problems), *found.notices]
        assert any(said in each for each in told), (said, told)
        text = text.replace(faulty, mended)
    monkeypatch.setattr(sys.modules[__name__], "TEMPLATE", text)
    found = tried("")
    assert (found.problems, found.notices) == ([], [])


def test_a_film_of_what_gives_no_pictures_is_refused(write):
    write("metadata = {'render_modes': ['rgb_array']}\ndef render(self):\n    return np.zeros((4, 4))  # here")
    done = rlzoo("record", "policy=random", "env=faulty:Tried-v0")
    assert done.returncode == ExitCode.WRONG_REQUEST
    assert (
        "render() must return an array (height, width, 3) of uint8" in done.stderr and line_of("# here") in done.stderr
    )
