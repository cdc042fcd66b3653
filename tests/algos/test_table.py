"""The table of signatures, and the YAML of every algorithm, say what the installed packages say."""

from __future__ import annotations

import copy
import inspect
from typing import Annotated, Any, Literal

import pytest
import yaml
from annotated_types import Ge, Gt, Interval
from stable_baselines3.common.utils import LinearSchedule

from rlzoo.algos.schema import check as algo_check
from rlzoo.algos.schema.compile import TABLE, as_text, as_yaml, compile_table, word_of
from rlzoo.algos.schema.types import CLASSES, NOT_HYPERPARAMETERS
from rlzoo.algos.specs import ALGOS
from rlzoo.config import paths, yaml_file
from rlzoo.config.fields import Field, field_of
from rlzoo.errors import RlzooError
from rlzoo.registry import load


def test_the_table_is_what_the_packages_say() -> None:
    assert algo_check.table() == compile_table()
    assert TABLE.read_text() == as_text(compile_table())  # run `make signatures` after an upgrade


def in_yaml(default: Any) -> Any:
    """A constructor's default as YAML says it: an activation by its word, a schedule by its name and number."""
    if isinstance(default, LinearSchedule):
        return {"linear": default.start}
    words = {load(reference): word for word, reference in CLASSES["activation"].items()}
    return words[default] if isinstance(default, type) else default


@pytest.mark.parametrize("algo", ALGOS)
def test_yaml_lists_every_keyword_with_its_default(algo: str) -> None:
    path = paths.root() / "conf" / "algo" / f"{algo}.yaml"
    values = yaml.safe_load(path.read_text())
    constructor = inspect.signature(load(ALGOS[algo].entry_point)).parameters
    expected: dict[str, Any] = {
        key: {} if key.endswith("_kwargs") and parameter.default is None else in_yaml(parameter.default)
        for key, parameter in constructor.items()
        if key not in NOT_HYPERPARAMETERS and key != "policy"
    }
    policy = {} if ALGOS[algo].backend == "rlzoo" else {"policy": "auto"}
    assert values == {"name": algo} | policy | expected
    assert all(type(values[key]) is type(default) for key, default in expected.items())


@pytest.mark.parametrize("algo", [name for name, spec in ALGOS.items() if spec.backend == "rlzoo"])
def test_yaml_of_rlzoos_own_is_made_from_the_constructor(algo: str) -> None:
    path = paths.root() / "conf" / "algo" / f"{algo}.yaml"
    assert path.read_text() == as_yaml(ALGOS[algo])  # run `make signatures` after a change


@pytest.mark.parametrize("algo", [*ALGOS, "custom"])
def test_every_line_of_yaml_says_what_it_means(algo: str) -> None:
    file = yaml_file.read(paths.root() / "conf" / "algo" / f"{algo}.yaml")
    assert all(file.comments.get((key,)) for key in file.values if key != "name" or algo == "custom")


@pytest.mark.parametrize("algo", ALGOS)
def test_name_is_no_keyword_of_a_constructor(algo: str) -> None:
    assert "name" not in inspect.signature(load(ALGOS[algo].entry_point)).parameters


@pytest.mark.parametrize("algo", [name for name, spec in ALGOS.items() if spec.backend != "rlzoo"])
def test_action_spaces_are_those_of_the_constructor(algo: str) -> None:
    source = inspect.getsource(load(ALGOS[algo].entry_point).__init__)
    listed = source.partition("supported_action_spaces=")[2].partition(")")[0]
    if algo == "ddpg":  # it is TD3 without its three changes
        listed = "spaces.Box"
    words = {word.strip("(),\n ").removeprefix("spaces.") for word in listed.split(",")} - {""}
    assert words == set(ALGOS[algo].action_spaces)


def test_other_versions_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    old = copy.deepcopy(algo_check.table())
    old["versions"]["stable_baselines3"] = "2.8.0"
    keywords = old["algorithms"]["dqn"]["keywords"]
    keywords["buffer"] = keywords.pop("buffer_size")
    keywords["tau"]["default"] = 0.5
    monkeypatch.setattr(algo_check, "table", lambda: old)
    algo_check.verify_versions.cache_clear()
    try:
        with pytest.raises(RlzooError) as caught:
            algo_check.verify_versions()
    finally:
        algo_check.verify_versions.cache_clear()
    assert "dqn.keywords.buffer is gone" in caught.value.message
    assert "dqn.keywords.buffer_size is new" in caught.value.message
    assert "dqn.keywords.tau.default was 0.5, is 1.0" in caught.value.message
    assert "stable_baselines3 2.8.0" in caught.value.hint


def test_another_version_with_the_same_signatures_is_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    old = copy.deepcopy(algo_check.table())
    old["versions"]["stable_baselines3"] = "2.9.1"
    monkeypatch.setattr(algo_check, "table", lambda: old)
    algo_check.verify_versions.cache_clear()
    try:
        algo_check.verify_versions()
    finally:
        algo_check.verify_versions.cache_clear()


@pytest.mark.parametrize(
    ("annotation", "text", "limits"),
    [
        (int | None, "int | null", {}),
        (int | tuple[int, str], "int | frequency", {}),
        (str | float, "str | float", {}),
        (list[int] | dict[str, list[int]] | None, "layers | networks | null", {}),
        (dict[str, Any], "mapping", {}),
        (inspect.Parameter.empty, "any", {}),
        (complex | int, "any", {}),
        (Annotated[float, Gt(0)], "float", {"gt": 0}),
        (Annotated[float | None, Interval(ge=0, lt=1)], "float | null", {"ge": 0, "lt": 1}),
        (Annotated[int, Ge(1)] | Literal[-1], "int", {"ge": 1, "also": -1}),
        (Literal["episode", "batch"] | None, "str | null", {"choices": ("episode", "batch")}),
    ],
)
def test_annotations_in_words(annotation: Any, text: str, limits: dict[str, Any]) -> None:
    assert field_of(annotation, word_of) == Field(text, **limits)
