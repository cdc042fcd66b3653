"""Untrusted text on its way to where it is read, which it must not change: one escaper for each sink.

Whatever came from a file, from the Hub or out of an environment passes through one of these. Terminal and log:
`printable`, `one_line`, `hanging` and `coloured`. A line to copy into a shell: `shell`. Markdown: `markdown`, `cell`,
`code` and `fenced`. Tables for spreadsheets: `csv_cell`. HTML is made as a tree (`tuning.report.page`) and needs none.
Standard library only.
"""

from __future__ import annotations

import re
from shlex import quote

_COLOUR = re.compile(r"(\x1b\[[0-9;:]{0,40}m)")
_PROSE = re.compile(r"(?:[^\W_]|(?<=[^\W_])_(?=[^\W_])|[ ,;()'%/+=±°-]|:(?= |$)|\.(?![^\W\d]))*")
"""What no dialect of Markdown reads anything into: `a.b` may be a link and `:a:` a picture, `a_b` is no emphasis."""
_BREAK = re.compile(r"[\t\n]+")
_FORMULA = re.compile(r"(^|[;\t\r\n])(?= *[=+\-@\t\r\n'\uff1d\uff0b\uff0d\uff20])")
"""Where a formula begins: at the start, and where spreadsheets of other languages divide cells."""


def printable(text: str) -> str:
    """Text without what steers a terminal or hides what is written: escapes, control characters, changes of direction.

    Line feeds and tabs stay.
    """
    return "".join(char for char in text if char in "\n\t" or char.isprintable() or char == "\u00a0")


def one_line(text: str) -> str:
    """Printable text on one line."""
    return _BREAK.sub(" ", printable(text))


def hanging(text: str) -> str:
    """Text whose further lines are indented: none of them looks like a line of its own."""
    return re.sub(r"\n(?=[^\s])", "\n  ", text)


def coloured(text: str) -> str:
    """Printable text that keeps its colours, as environments draw in a terminal."""
    return "".join(part if index % 2 else printable(part) for index, part in enumerate(_COLOUR.split(text)))


def shell(word: object) -> str:
    """A word of a command line that is shown to be copied into a shell."""
    return quote(one_line(str(word)))


def markdown(text: object) -> str:
    """A value within a line of Markdown: as it is where nothing in it can be read as Markdown, else as code."""
    line = one_line(str(text)).strip()
    return line if _PROSE.fullmatch(line) else code(line)


def code(text: object) -> str:
    """A value as inline code, in which no dialect of Markdown reads anything."""
    line = one_line(str(text)).strip()
    fence = "`" * (_longest_run(line) + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{pad}{line}{pad}{fence}" if line else ""


def cell(text: object) -> str:
    """A value as a cell of a Markdown table."""
    shown = re.sub(r"\\(?=\|)", r"\\ ", markdown(text))  # readers differ in what \\| means
    return shown.replace("|", r"\|")


def fenced(text: str, language: str) -> str:
    """Lines as a block of code that nothing in it can close."""
    lines = printable(text).rstrip("\n")
    fence = "`" * max(3, _longest_run(lines) + 1)
    return f"{fence}{language}\n{lines}\n{fence}"


def csv_cell(text: str) -> str:
    """Text as a spreadsheet shows it and never computes it: what begins like a formula gets a `'`. Numbers stay."""
    return text if _is_number(text) else _FORMULA.sub(r"\1'", text)


def from_csv_cell(cell: str) -> str:
    """The text that `csv_cell` made a cell of."""
    return re.sub(r"(^|[;\t\r\n])'", r"\1", cell) if "'" in cell else cell


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text == text.strip()
