"""The one language of options: what a value may be, and what is said of one that may not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Gt, Interval

from rlzoo.config import fields
from rlzoo.config.fields import LARGEST, Field, field_of
from rlzoo.errors import Problem

OPTIONS = {
    "rate": Field("float", gt=0, le=1),
    "count": Field("int", ge=1, also=-1),
    "mode": Field("str | null", choices=("fast", "exact")),
    "share": Field("float | str", ge=0, lt=1, choices=("auto",)),
    "sizes": Field("ints", ge=1),
    "name": Field("str", required=True),
}


def said(**values: Any) -> dict[str, str]:
    found = fields.problems(OPTIONS, {"name": "x", **values}, "tool")
    return {problem.key: f"{problem.message} | {problem.hint}" for problem in found}


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("rate", 0, "must be greater than 0 and at most 1, not 0 | "),
        ("rate", True, "must be a number, not true | allowed: greater than 0 and at most 1"),
        ("rate", "0.5", "must be a number, not '0.5' | write the number without quotes"),
        ("rate", float("nan"), "must be a number, not nan | allowed: greater than 0 and at most 1"),
        ("count", 0, "must be -1 or at least 1, not 0 | "),
        ("count", 2.5, "must be a whole number, not 2.5 | allowed: -1 or at least 1"),
        ("count", 10 * LARGEST, f"must be a whole number up to 10^18, not {10 * LARGEST} | allowed: -1 or at least 1"),
        ("mode", "fsat", "must be fast, exact or null, not 'fsat'; did you mean 'fast'? | "),
        ("share", 1, "must be at least 0 and less than 1, not 1 | "),
        ("share", "all", "must be a number or auto, not 'all' | allowed: at least 0 and less than 1"),
        ("sizes", 3, "must be a list of 1 or more whole numbers, not 3 | allowed: at least 1"),
        ("sizes", [3, 0], "must be at least 1, not 0 | "),
        ("sizes", [], "must be a list of 1 or more whole numbers, not [] | allowed: at least 1"),
        ("ratio", 3, "unknown keyword; did you mean 'rate'? | "),
        ("colour", 3, "unknown keyword | known: rate, count, mode, share, sizes, name"),
    ],
)
def test_what_is_said(option: str, value: Any, message: str) -> None:
    assert said(**{option: value}) == {f"tool.{option}": message}


@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("rate", [1, 0.5, 1e-300]),
        ("count", [-1, 1, 1e6]),
        ("mode", [None, "fast"]),
        ("share", ["auto", 0, 0.5]),
        ("sizes", [[1], [1.0, 2], (3,)]),
        ("name", ["", "5"]),
    ],
)
def test_what_is_right_passes(option: str, values: Sequence[Any]) -> None:
    assert [said(**{option: value}) for value in values] == [{}] * len(values)


def test_all_mistakes_come_at_once() -> None:
    found = fields.problems(OPTIONS, {"rate": 2, "nam": "x"}, "tool")
    assert [problem.key for problem in found] == ["tool.name", "tool.rate", "tool.nam"]
    assert found[0] == Problem("tool.name", "has to be given", "tool.name=…")


def test_values_as_code_wants_them() -> None:
    assert [OPTIONS["count"].plain(1e6), OPTIONS["sizes"].plain([1.0, 2])] == [1_000_000, (1, 2)]
    assert type(OPTIONS["count"].plain(1e6)) is int
    assert type(OPTIONS["rate"].plain(1)) is float
    assert Field("options").plain(None) == {}


def open_tool(
    run: str, *, rate: float, tags: Sequence[str] = (), more: Mapping[str, str] | None = None, f: Any = 1
) -> None:
    """Keywords of which the last is not plain data."""


def test_keywords_of_a_function() -> None:
    assert fields.read(open_tool, without=("run",)) == {
        "rate": Field("float", required=True),
        "tags": Field("texts"),
        "more": Field("mapping | null"),
    }


@pytest.mark.parametrize(
    ("annotation", "fine"),
    [
        (tuple[float, ...], [0.1, 0.2]),
        (tuple[int | None, ...], [1, None]),
        (dict[str, tuple[float, ...]], {"a": [0.5]}),
        (Literal[1, 2], 1),
        (Literal[1], 1),
        (Literal["a", 1] | None, "a"),
        (Literal[True] | float, True),
        (Literal["a"] | Literal["b"], "a"),
        (Literal["a"] | Literal["b"], "b"),
        (Literal[-1] | Annotated[float, Gt(0)], -1),
        (Literal[0, -1] | Annotated[float, Gt(0)], -1),
        (Annotated[float, Interval(gt=float("-inf"), lt=float("inf"))], -1e9),
    ],
)
def test_what_an_annotation_allows_is_no_problem(annotation, fine):
    assert field_of(annotation).problems("algo.x", fine) == []
    assert isinstance(field_of(annotation).range, str)


def test_one_of_the_choices_in_the_place_of_a_list_is_to_be_one():
    field = Field("texts", choices=("tuned", "defaults"))
    (problem,) = field.problems("enqueue", "tuned")
    assert (problem.message, problem.hint) == ("must be a list of texts, not 'tuned'", "write [tuned]")
    (problem,) = field.problems("enqueue", "tunned")
    assert problem.message.endswith("did you mean 'tuned'?")
