"""Prints records without rich, which takes seconds for thousands: in columns that fit, or on a pipe divided by tabs."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from textwrap import TextWrapper
from typing import Any, NamedTuple

from rlzoo.console import NARROWEST
from rlzoo.errors import clean
from rlzoo.redaction import one_line

GAP = "  "
APART = "\n,\n"
"""Between cells while they are cleaned: hardly a pattern of a secret goes beyond it, and no cell holds it."""


class Screen(NamedTuple):
    """What is shown where not everything fits.

    Attributes:
        names: the columns that are always there, whole.
        more: further ones, the most important first; from the first that does not fit all are left out.
        text: the one that is cut at the end of a word, but not below `least`, and stands last.
    """

    names: Sequence[str]
    more: Sequence[str]
    text: str = ""
    least: int = 32


def width() -> int | None:
    """Columns of the screen; None of a pipe or a file, unless `COLUMNS` says how many are wanted."""
    given = os.environ.get("COLUMNS", "")
    try:
        found = int(given[:5]) if given.isdecimal() else os.get_terminal_size(sys.stdout.fileno()).columns
    except (OSError, AttributeError, ValueError):
        return None
    return max(found, NARROWEST) if found else 80  # a terminal that does not know its width


def folded(text: str) -> str:
    """Text in lines that fit on the screen; what is continued stands below the meaning that its line ends with."""
    room = width()
    return text if room is None else "\n".join(part for line in text.split("\n") for part in _folded(line, room))


def _folded(line: str, room: int) -> list[str]:
    if len(line) <= room:
        return [line]
    name = re.match(r" *(?:\S+ )*\S* {2,}(?=\S)", line)  # a key and what it means, in two columns
    indent = len(name[0]) if name else len(line) - len(line.lstrip()) + 2
    return TextWrapper(room, subsequent_indent=" " * min(indent, room * 2 // 3), break_on_hyphens=False).wrap(line)


def print_records(columns: Sequence[str], rows: Sequence[Sequence[Any]], screen: Screen, *, wide: bool) -> list[str]:
    """Print one line for each row, and one with the headings; returns the columns that were left out."""
    cells, room = _cells([columns, *rows]), width()
    if room is None:
        print("\n".join(map("\t".join, cells)), flush=True)
        return []
    sizes = {name: max(map(_size, column)) + len(GAP) for name, *column in zip(columns, *cells, strict=True)}
    least = {**sizes, screen.text: min(sizes.get(screen.text, 0), screen.least + len(GAP))}
    room = sum(sizes.values()) if wide else room + len(GAP)
    shown = list(screen.names)
    for name in screen.more:
        if sum(map(least.__getitem__, [*shown, name])) > room:
            break
        shown.append(name)
    shown.sort(key=lambda name: (name == screen.text, columns.index(name)))
    if screen.text in shown:
        sizes[screen.text] = min(sizes[screen.text], room - sum(sizes[name] for name in shown[:-1]))
    at = [columns.index(name) for name in shown]
    lead = room - sum(sizes[name] for name in shown[1:])  # a longer name moves no other line
    fitting = [size for row in cells[1:] if (size := _size(row[at[0]]) + len(GAP)) <= lead]
    sizes[shown[0]] = max(*fitting, len(shown[0]) + len(GAP)) if fitting else sizes[shown[0]]
    plan = [(i, sizes[columns[i]] - len(GAP), columns[i] == screen.text, _are_numbers(rows, i)) for i in at]
    lines = (GAP.join(_cell(row[i], size, cut, right) for i, size, cut, right in plan).rstrip() for row in cells)
    print("\n".join(lines), flush=True)
    return [name for name in columns if name not in shown]


def _cells(rows: Sequence[Sequence[Any]]) -> list[list[str]]:
    """All values as text on one line without secrets, which are looked for once: for each it would take seconds."""
    texts = [_text(value) for row in rows for value in row]
    cleaned = clean(APART.join(texts)).split(APART)
    found = iter(cleaned if len(cleaned) == len(texts) else map(clean, texts))  # a key whose end is in no cell
    return [[next(found) for _ in row] for row in rows]


def _text(value: Any) -> str:
    if value is None or isinstance(value, float):
        return "" if value is None else f"{value:.2f}"
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if text.isascii() and text.isprintable() else one_line(text)


def _are_numbers(rows: Sequence[Sequence[Any]], at: int) -> bool:
    return all(isinstance(row[at], int | float | None) for row in rows) and any(row[at] is not None for row in rows)


def _size(text: str) -> int:
    """Cells of a terminal that a text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _cell(text: str, size: int, may_be_cut: bool, to_the_right: bool) -> str:
    if may_be_cut and _size(text) > size:
        while _size(text) >= size:
            text = text[:-1]
        text = f"{text.rpartition(' ')[0].rstrip(' ,;:(') or text}…"
    space = " " * (size - _size(text))
    return space + text if to_the_right else text + space
