"""What is printed: the one rich console for each stream, tables, and the choice between a live display and plain lines.

Results go to standard output, everything said on the way to standard error and to the log `rlzoo`, which a training
writes to its `train.log`. Text is never read as markup, and loses its control characters and secrets.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from textwrap import TextWrapper
from typing import IO, TYPE_CHECKING, Any, Literal, cast

from rlzoo import contained
from rlzoo.errors import MAX_LINE, clean, shorten
from rlzoo.redaction import hanging, one_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

PLAIN = "RLZOO_PLAIN"
"""Environment variable that asks for plain lines even on a terminal: parallel jobs share one."""

UNLIMITED_WIDTH = 1000
NARROWEST = 20
"""Columns that are written at least: terminals that do not know their width say 0, and in one nothing can be read."""

log = logging.getLogger("rlzoo")
log.addHandler(logging.NullHandler())
log.setLevel(logging.INFO)


@cache
def stdout() -> Console:
    """The console for results; it follows the terminal and `NO_COLOR`."""
    return _console()


@cache
def stderr() -> Console:
    """The console for progress, notices and errors."""
    return _console(file=cast(IO[str], _StandardError()))


def is_live() -> bool:
    """Whether a display may redraw itself: a terminal that can, and nobody asked for plain lines."""
    console = stderr()
    wanted = not _quiet.get() and os.environ.get(PLAIN, "") in ("", "0")
    return wanted and console.is_terminal and not console.is_dumb_terminal


class LogFormatter(logging.Formatter):
    """A line of `train.log`, without secrets; a traceback and all else that follows is indented below it."""

    def __init__(self, line: str = "%(asctime)s %(levelname)s %(message)s") -> None:
        super().__init__(line)

    def format(self, record: logging.LogRecord) -> str:
        return hanging(clean(super().format(record)))


def clean_library_logs() -> None:
    """Let what libraries log reach standard error as all else does: it may quote a stranger's file."""
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(LogFormatter("%(message)s"))


class LogFile(logging.FileHandler):
    """`train.log`; a full disk cuts it short and nothing else: what it lacks was on the screen."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, encoding="utf-8")

    def _open(self) -> Any:
        return contained.opened(Path(self.baseFilename), self.mode, encoding=self.encoding)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """The library's own would print a traceback for every line."""

    def close(self) -> None:
        with suppress(OSError):
            super().close()


_quiet: ContextVar[bool] = ContextVar("quiet", default=False)


@contextmanager
def quietly() -> Iterator[None]:
    """Inside, in this thread, messages and warnings go to the log alone: many trainings say the same."""
    token = _quiet.set(True)
    try:
        yield
    finally:
        _quiet.reset(token)


def _shown(message: object) -> str:
    """A message as it is printed: a line of it may quote what the code of others has made up."""
    return "\n".join(shorten(line, MAX_LINE) for line in hanging(clean(message)).split("\n"))


def say(message: object, style: str = "") -> None:
    """Print one message to standard error and log it."""
    text = _shown(message)
    log.info(text)
    if not _quiet.get():
        stderr().print(text, style=style, soft_wrap=True)


def warn(message: object) -> None:
    """Print a warning to standard error and log it."""
    text = _shown(message)
    log.warning(text)
    if not _quiet.get():
        stderr().print(f"warning: {text}", style="yellow", soft_wrap=True)


_warned: set[str] = set()


def warn_once(text: str) -> None:
    """Warn of something, the first time that it is said in this process."""
    if text not in _warned:
        _warned.add(text)
        warn(text)


def print_lines(*lines: object) -> None:
    """Print lines of a result to standard output, each on one line whatever is in it."""
    print("\n".join(one_line(clean(line)) for line in lines), flush=True)


NAME_WIDTH = 24
"""Columns that the first column of a table gets at least, if it needs them: names are not broken."""


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str = "") -> Table:
    """A table of plain text; columns in which every value is a number are aligned to the right."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    cells = [[_cell(value) for value in row] for row in rows]
    result = Table(title=Text(one_line(clean(title))) if title else None, title_justify="left", box=SIMPLE_HEAD)
    for index, column in enumerate(columns):
        numbers = bool(cells) and all(_is_number(row[index]) for row in cells)
        name_width = min(NAME_WIDTH, max((len(row[0]) for row in cells), default=0)) if index == 0 else None
        justify: Literal["left", "right"] = "right" if numbers else "left"
        result.add_column(Text(one_line(clean(column))), justify=justify, overflow="fold", min_width=name_width)
    for row in cells:
        result.add_row(*(Text(cell) for cell in row))
    return result


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    title: str = "",
    *,
    turn: bool = False,
    spare: Sequence[str] = (),
) -> None:
    """Print a table to standard output: as wide as the terminal, or as wide as it needs where there is none.

    Args:
        columns: their headings.
        rows: one value for each column.
        title: a line above the table.
        turn: print the columns below one another where the terminal is too narrow for them side by side, so that no
            number is broken: for many columns and few rows.
        spare: columns to leave out where the terminal is too narrow, the first of them first.
    """
    from rich.measure import Measurement

    console = _wide_stdout()
    names, cells = list(columns), [list(row) for row in rows]
    for name in (name for name in spare if name in names):
        if not _fits(names, cells, console.width):
            index = names.index(name)
            del names[index]
            for row in cells:
                del row[index]
    result = table(names, cells, title)
    if spare and _fits(names, cells, console.width):
        for column in result.columns[:-1]:
            column.no_wrap = True
    if (
        turn
        and cells
        and Measurement.get(console, console.options.update(max_width=UNLIMITED_WIDTH), result).maximum > console.width
    ):
        turned = list(zip(names, *([_cell(value) for value in row] for row in cells), strict=True))
        result = table(turned[0], turned[1:], title)
    console.print(result)


def _fits(columns: Sequence[str], rows: Sequence[Sequence[object]], width: int) -> bool:
    """Whether columns fit side by side; the last, often a path, may be folded."""
    widths = [max(map(len, (name, *(_cell(row[index]) for row in rows)))) for index, name in enumerate(columns)]
    return sum(widths[:-1]) + min([*widths[-1:], NAME_WIDTH]) + 3 * len(widths) + 1 <= width


def print_pairs(rows: Iterable[tuple[str, object]]) -> None:
    """Print names and what belongs to them to standard output, as wide as a table; no word (a path) is ever broken."""
    pairs = [(one_line(clean(name)), one_line(clean(value))) for name, value in rows]
    indent = " " * (max(len(name) for name, _ in pairs) + 4)
    console = _wide_stdout()
    for name, value in pairs:
        wrap = TextWrapper(console.width, f"  {name}".ljust(len(indent)), indent, break_long_words=False)
        wrap.break_on_hyphens = False
        console.print(wrap.fill(value), soft_wrap=True)


def _wide_stdout() -> Console:
    console = stdout()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        return _console(width=UNLIMITED_WIDTH)
    return console


class _StandardError:
    """Standard error whose reader may go: a closed pipe or terminal, or a full disk, must not end a training."""

    @property
    def rich_proxied_file(self) -> _StandardError:
        """Asked for by rich while it shows a bar, to write past what it has put in the place of standard error."""
        return self

    def write(self, text: str) -> int:
        self._try("write", text)
        return len(text)

    def flush(self) -> None:
        self._try("flush")

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr, name)

    @staticmethod
    def _try(method: str, *arguments: str) -> None:
        stream = getattr(sys.stderr, "rich_proxied_file", sys.stderr)
        if stream is None:
            return
        try:
            getattr(stream, method)(*arguments)
        except OSError:
            sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - open as long as the process


def _console(*, file: IO[str] | None = None, width: int | None = None) -> Console:
    from rich.console import Console

    class Output(Console):
        def on_broken_pipe(self) -> None:
            raise  # rich would end the process, as a failure

    output = Output(file=file, width=width, highlight=False, markup=False, emoji=False)
    is_narrow = output.width < NARROWEST
    if is_narrow:  # any other one keeps following its terminal
        output.width = NARROWEST
    return output


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.2f}"
    return one_line(clean(value))


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "").rstrip("%") or "0")
    except ValueError:
        return False
    return True
