"""Modules of the user's own in the current folder: those that a request names are found, in every process of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import gymnasium
import pytest

from rlzoo import registry
from rlzoo.cli.main import main
from rlzoo.config.compose import compose
from rlzoo.errors import ConfigError, ExitCode
from rlzoo.runs.run import Run, find_runs
from rlzoo.training.preflight import check

QUICK = "algo=ppo total_timesteps=64 algo.n_steps=32 algo.batch_size=32 eval.final_n_episodes=1 seed=0".split()
SOURCE = """
import gymnasium
try:
    import triton
except ImportError:
    pass
from {package}.worlds import {name}
gymnasium.register("{name}-v0", entry_point="{package}.worlds:{name}", max_episode_steps=9)
"""
WORLD = """
from gymnasium.envs.classic_control import CartPoleEnv
class {name}(CartPoleEnv):
    pass
"""


@pytest.fixture
def mine(workdir: Path) -> Iterator[Path]:
    """A package that registers environments, one that it is not, and files with names that others look for."""
    forget()
    (workdir / "my_worlds").mkdir()
    (workdir / "my_worlds" / "__init__.py").write_text(SOURCE.format(package="my_worlds", name="World"))
    (workdir / "my_worlds" / "worlds.py").write_text(WORLD.format(name="World"))
    for name in ("triton", "org", "yaml", "not_named"):
        (workdir / f"{name}.py").write_text("open('canary', 'a').write(__name__)\n")
    yield workdir
    forget()


def forget() -> None:
    """Be a process that has imported none of them."""
    for name in ("my_worlds", "my_worlds.worlds", "alone", "not_named"):
        sys.modules.pop(name, None)
    gymnasium.registry.pop("World-v0", None)
    registry._folders.clear()


def test_an_environment_in_the_current_folder_trains_in_processes_of_its_own(mine: Path) -> None:
    words = ["env=gym", "env.id=my_worlds:World-v0", "env.n_envs=2", "env.vec_env=subproc"]
    assert main(["train", *QUICK, *words]) == 0
    run = Run.open("latest")
    assert run.read_info()["status"] == "finished"
    assert main(["evaluate", f"run={run.path}", "n_episodes=1"]) == 0
    assert not (mine / "canary").exists()
    assert "not_named" not in registry._folders and "triton" not in registry._folders


def test_and_in_a_sweep(mine: Path) -> None:
    words = ["env=gym", "env.id=World-v0", "env.imports=[my_worlds]"]
    assert main(["train", "-m", *QUICK, *words, "seed=0,1", "n_jobs=2"]) == 0
    assert [run.read_info()["status"] for run in find_runs(mine / "runs")] == ["finished"] * 2
    assert not (mine / "canary").exists()


def test_installed_modules_come_first(mine: Path) -> None:
    registry.allow_imports(["yaml", "not_named.sub:Thing"])
    from importlib.util import find_spec

    real = sys.modules.pop("yaml")
    try:
        found = find_spec("yaml")
    finally:
        sys.modules["yaml"] = real
    assert found is not None and "site-packages" in str(found.origin)
    assert find_spec("not_named") is not None and find_spec("triton_of_mine") is None


def test_a_module_that_needs_another_one_beside_it_says_how(mine: Path) -> None:
    (mine / "alone.py").write_text("import not_named\n" + SOURCE.format(package="my_worlds", name="World"))
    words = ["train", *QUICK[:1], "env=gym", "env.id=alone:World-v0"]
    with pytest.raises(ConfigError) as error:
        check(compose("train", words[1:]))
    (problem,) = error.value.problems
    assert (problem.key, problem.message) == ("env.id", "no module named 'not_named'")
    assert "env.imports=[not_named]" in problem.hint and not (mine / "canary").exists()
    assert error.value.code == ExitCode.MISSING
    check(compose("train", [*words[1:], "env.imports=[not_named, my_worlds]"]))
    assert (mine / "canary").read_text() == "not_named"


def test_what_can_be_no_module_is_not_told_to_be_installed() -> None:
    assert registry.import_hint("panda_gym") == "pip install panda-gym"
    assert (
        registry.import_hint("CartPole-v1")
        == registry.import_hint("../evil")
        == registry.import_hint("--index-url=x")
        == registry.import_hint("-r")
        == registry.import_hint("")
        == ""
    )


NOT_THERE = {
    "my_world": "looked in the current folder, {own}; did you mean 'my_worlds'?",
    "pygmae": "did you mean 'pygame'?",
    "requets": "looked in the current folder, {own}; a package of others is installed as they say",
    "helper": "did you mean 'helpers'?",
    "my_worlds.world": "looked in my_worlds; did you mean 'worlds'?",
    "helpers.deep": "helpers is one file, and no package",
}


@pytest.mark.parametrize("name", NOT_THERE)
def test_nor_is_what_nobody_knows(name: str, mine: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory) -> None:
    own = tmp_path_factory.mktemp("own")
    (own / "helpers.py").touch()
    monkeypatch.syspath_prepend(own)
    monkeypatch.setattr("sys.path", [path for path in sys.path if not path.startswith(str(Path(__file__).parent))])
    assert NOT_THERE[name].format(own=own) in registry.import_hint(name)
    assert "pip" not in registry.import_hint(name)


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (["algo=custom", "algo.name=alone:Algo"], "algo.name"),
        (["experiment=wrapped"], "env.wrappers.alone:Wrap"),
        (["env=gym", "env.id=CartPole-v1", "env.imports=[alone]"], "env.imports"),
    ],
)
def test_so_does_every_other_place_that_names_one(words: list[str], key: str, mine: Path) -> None:
    (mine / "alone.py").write_text("import not_named\n")
    (mine / "conf" / "experiment").mkdir(parents=True)
    (mine / "conf" / "experiment" / "wrapped.yaml").write_text("env: {wrappers: {'alone:Wrap': {}}}\n")
    with pytest.raises(ConfigError) as error:
        check(compose("train", words))
    (problem,) = error.value.problems
    assert problem.key == key and "env.imports=[not_named]" in problem.hint


def test_of_a_strangers_run_they_are_found_where_it_is_trusted(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["train", *QUICK, "env=gym", "env.id=my_worlds:World-v0"]) == 0
    forget()
    monkeypatch.setenv("XDG_STATE_HOME", str(mine / "state"))
    assert main(["evaluate", "run=latest", "n_episodes=1"]) == ExitCode.UNSAFE
    assert registry._folders == {} and "my_worlds" not in sys.modules
    assert main(["evaluate", "run=latest", "n_episodes=1", "trust=true"]) == 0
