"""The CSV tables of a run, read: `metrics.csv`, `evaluations.csv`."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rlzoo import contained
from rlzoo.config.fields import LARGEST
from rlzoo.redaction import csv_cell, from_csv_cell, printable

MAX_BYTES = 2**26
"""Of one table; a larger one is not what rlzoo wrote."""

csv.field_size_limit(MAX_BYTES)  # the returns of 20,000 episodes are one cell


@dataclass(frozen=True)
class EvaluationRow:
    """An evaluation during training: after how many steps, and the returns and lengths of its episodes."""

    timesteps: int
    mean_reward: float
    returns: tuple[float, ...]
    lengths: tuple[int, ...]


def read(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """The columns and rows of a table, with the text that its cells stand for; none of a file that is not there.

    Raises:
        RlzooError: if it is damaged.
    """
    if not path.is_file():
        return [], []
    try:
        reader = csv.DictReader(io.StringIO(read_bytes(path).decode("utf-8"), newline=""), restkey="", restval="")
        reader.fieldnames = list(map(from_csv_cell, reader.fieldnames or ()))
        rows = [{name: from_csv_cell(cell) for name, cell in row.items() if name} for row in reader]
    except (csv.Error, ValueError) as error:
        raise contained.damaged(path, str(error)) from error
    return list(reader.fieldnames), rows


def read_bytes(path: Path) -> bytes:
    """A table as it is.

    Raises:
        RlzooError: if it cannot be read.
    """
    try:
        return contained.read(path, path.parent, MAX_BYTES)
    except (OSError, ValueError) as error:
        raise contained.damaged(path, str(error)) from error


def line(cells: Iterable[str]) -> bytes:
    """A row as it is written."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode("utf-8")


def escaped(path: Path) -> bytes:
    """A table as rlzoo would have written it, whoever wrote it: no cell is a formula or steers a terminal.

    Raises:
        RlzooError: if it is damaged.
    """
    try:
        rows = csv.reader(io.StringIO(read_bytes(path).decode("utf-8"), newline=""))
        return b"".join(line(csv_cell(printable(from_csv_cell(cell))) for cell in row) for row in rows)
    except (csv.Error, ValueError) as error:
        raise contained.damaged(path, str(error)) from error


def read_evaluations(path: Path) -> list[EvaluationRow]:
    """The rows of an `evaluations.csv`.

    Raises:
        RlzooError: if it is damaged.
    """
    found = []
    for number, row in enumerate(read(path)[1], 1):
        try:
            steps, returns, lengths = int(row["timesteps"]), _numbers(row["returns"]), _numbers(row["lengths"])
            if not 0 <= steps <= LARGEST:
                raise ValueError
            found.append(EvaluationRow(steps, float(row["mean_reward"]), returns, tuple(map(int, lengths))))
        except (KeyError, OverflowError, RecursionError, TypeError, ValueError):
            raise contained.damaged(path, f"row {number} is not an evaluation") from None
    return found


def number(cell: str | None) -> float:
    """The number of a cell; NaN if it is empty or none."""
    try:
        return float(cell or "nan")
    except ValueError:
        return math.nan


def _numbers(text: str) -> tuple[float, ...]:
    found = json.loads(text)
    if not isinstance(found, list):
        raise TypeError
    return tuple(float(value) for value in found if not isinstance(value, bool))
