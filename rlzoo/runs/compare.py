"""The first difference of two runs' tables and states; there is none only where they are the same byte for byte."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlzoo.protocols import State
from rlzoo.redaction import one_line
from rlzoo.runs import tables

if TYPE_CHECKING:
    import numpy as np

NOTHING = "nothing"


@dataclass(frozen=True)
class Difference:
    """Where two things differ first, and what each has there."""

    where: str
    first: str
    second: str

    def __str__(self) -> str:
        return f"{self.where}: {self.first} | {self.second}"


def compare_tables(first: Path, second: Path, but: Collection[str] = ()) -> Difference | None:
    """The first cell in which two CSV files differ, named by the step in its row's first column.

    Columns named in `but` may differ.
    """
    if not (first.is_file() and second.is_file()):
        both_absent = first.is_file() == second.is_file()
        return (
            None
            if both_absent
            else Difference(first.name, *("there" if p.is_file() else NOTHING for p in (first, second)))
        )
    if tables.read_bytes(first) == tables.read_bytes(second):
        return None
    (columns, rows), (other_columns, other_rows) = tables.read(first), tables.read(second)
    for row, other in zip_longest(rows, other_rows):
        step = next(iter((row or other or {"": "?"}).values()))
        if row is None or other is None:
            return Difference(f"step {step}", *("a row" if r is not None else NOTHING for r in (row, other)))
        for column in dict.fromkeys([*columns, *other_columns]):
            if column not in but and row.get(column, "") != other.get(column, ""):
                cells = (_cell(r.get(column, "")) for r in (row, other))
                return Difference(f"step {step}, {column}", *cells)
    if but and columns == other_columns:
        return None
    return Difference("columns", ", ".join(columns), ", ".join(other_columns))


def compare_states(first: State, second: State) -> Difference | None:
    """The first array element or value in which two states differ."""
    for name in dict.fromkeys([*first.tensors, *second.tensors]):
        difference = _compare_arrays(name, first.tensors.get(name), second.tensors.get(name))
        if difference is not None:
            return difference
    return compare_values(first.values, second.values)


def compare_values(first: Any, second: Any, key: str = "") -> Difference | None:
    """The first leaf in which two JSON-able values differ, by its dotted key."""
    if isinstance(first, list) and isinstance(second, list):
        first, second = (dict(enumerate(value)) for value in (first, second))
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        for name in dict.fromkeys([*first, *second]):
            found = compare_values(first.get(name), second.get(name), f"{key}.{name}" if key else str(name))
            if found is not None:
                return found
        return None
    texts = [json.dumps(value, sort_keys=True, default=str) for value in (first, second)]
    return None if texts[0] == texts[1] else Difference(key, *texts)


def _compare_arrays(name: str, first: np.ndarray | None, second: np.ndarray | None) -> Difference | None:
    import numpy as np

    if first is None or second is None:
        return Difference(name, *(NOTHING if array is None else str(array.shape) for array in (first, second)))
    if (first.shape, first.dtype) != (second.shape, second.dtype):
        return Difference(name, *(f"{array.dtype}{array.shape}" for array in (first, second)))
    if first.tobytes() == second.tobytes():
        return None
    places = np.argwhere((first != second) & ~(np.isnan(first) & np.isnan(second)))
    place = tuple(int(i) for i in places[0]) if len(places) else ()  # none: a zero or a NaN with another sign
    return Difference(
        f"{name}{list(place)}" if place else name, *(repr(array[place].item()) for array in (first, second))
    )


def _cell(text: str) -> str:
    return text or NOTHING


NUMBERS = ("versions", "python", "cpu", "gpu", "torch_threads", "determinism")
"""What info.json says of a run that changes its numbers, as far as is known."""

CIRCUMSTANCES = (*NUMBERS, "platform", "cpu_count", "variables")
"""All that it says of the machine; git is compared apart from them."""


SAME_CODE = {"opencv-python-headless": "opencv-python"}
"""Distributions that differ in nothing that changes a number."""


@dataclass(frozen=True)
class Changed:
    """A circumstance that is not what it was."""

    what: str
    then: str
    now: str


def changed_circumstances(
    then: Mapping[str, Any], now: Mapping[str, Any], keys: Sequence[str] = CIRCUMSTANCES
) -> list[Changed]:
    """The circumstances that differ between the info of two runs, as far as both tell them."""
    found = []
    for key in keys:
        if key in then and key in now:
            old, new = (_named(key, record[key]) for record in (then, now))
            names = [name for name in dict.fromkeys([*old, *new]) if old.get(name) != new.get(name)]
            found += [Changed(one_line(name), show(old.get(name)), show(new.get(name))) for name in names]
    return found


def show(value: Any) -> str:
    """A value in words, on one line."""
    return NOTHING if value in (None, "") else one_line(str(value))


def _named(key: str, value: Any) -> dict[str, Any]:
    """The values below a key of info.json by the names that people know them by."""
    if not isinstance(value, dict):
        return {key: value}
    prefix = f"{key} " if key == "determinism" else ""
    return {f"{prefix}{SAME_CODE.get(name, name)}": child for name, child in value.items()}


def difference_rows(parts: Mapping[str, Difference | None]) -> list[tuple[object, ...]]:
    """Part, whether it is the same, and where it differs first: the rows of a table."""
    return [(name, "differs" if found else "same", found or "") for name, found in parts.items()]
