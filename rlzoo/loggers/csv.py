"""The tables of a run: `metrics.csv` with a column for each name, what clocks say in `timings.csv`, `episodes.csv`."""

from __future__ import annotations

import csv
import io
import math
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from rlzoo import console, contained
from rlzoo.errors import ExitCode, RlzooError
from rlzoo.protocols import EpisodeRecord, State
from rlzoo.redaction import csv_cell, from_csv_cell, printable, redact
from rlzoo.runs import tables
from rlzoo.runs.run import Run

T = TypeVar("T")

PLAIN = (int, float, type(None))
"""What the csv module writes as it is to be: in full, and None as nothing."""

CLOCKS = "time/"
"""Names that begin so depend on the machine; apart from them the same seed writes the same bytes."""

EPISODE_COLUMNS = ("step", "return", "length", "seconds", "success")
"""Others follow, one for each entry of `info` that the environment's monitor was asked to keep."""
CLOCKED = {"r", "l", "t"}
OF_MONITOR = {*CLOCKED, "is_success"}
"""Entries of an episode's record: return, length and the monitor's own clock; whether it was a success."""
FLUSH_SECONDS = 5.0
FLUSH_ROWS = 1000
"""Rows wait so long, or until they are so many: to open a file for each of 20,000 short episodes takes seconds."""


def open_logger(run: Run, config: Mapping[str, Any]) -> CsvLogger:
    """The run's own files; `config` lies beside them already."""
    return CsvLogger(run)


class CsvLogger:
    """Writes every number as it comes; a training that is killed leaves whole lines."""

    def __init__(self, run: Run) -> None:
        self._metrics = CsvTable(run.metrics_file)
        self._timings = CsvTable(run.timings_file)
        self._tables = {"metrics": self._metrics, "timings": self._timings}
        self._episodes = EpisodeTable(CsvTable(run.episodes_file))

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        clocks = {name: value for name, value in metrics.items() if name.startswith(CLOCKS)}
        others = {name: value for name, value in metrics.items() if name not in clocks}
        if others:
            self._metrics.append({"step": step, **others})
        if clocks:
            self._timings.append({"step": step, **clocks})

    def log_episodes(self, episodes: Sequence[EpisodeRecord]) -> None:
        self._episodes.add(episodes)

    def close(self) -> None:
        """Write the episodes that have waited."""
        self._episodes.flush()

    def state(self) -> State:
        values: dict[str, Any] = {"episodes": self._episodes.state()}
        for name, table in self._tables.items():
            values |= {f"{name}_rows": table.rows_on_disk(), f"{name}_columns": len(table.columns)}
        return State(values=values)

    def restore(self, state: State) -> None:
        """Forget what was logged after the checkpoint that training resumes from."""
        for name, table in self._tables.items():
            table.truncate(state.values[f"{name}_rows"], state.values.get(f"{name}_columns"))
        if "episodes" in state.values:
            self._episodes.restore(state.values["episodes"])


class CsvTable:
    """A CSV file with a header that grows: a new column rewrites the file, a row with known columns is appended.

    No text in it, nor the name of a column, is a formula to a spreadsheet: see `redaction.csv_cell`.

    Args:
        path: the file, which is continued if it is there.
        comment: a line above the header of a new one, with its line feed.
    """

    def __init__(self, path: Path, comment: str = "") -> None:
        self.path = path
        self._comment = comment.encode("utf-8")
        self._columns: list[str] = []
        self.n_rows = 0
        self._size = 0
        self._unsynced = False
        if path.is_file():
            self._open()

    def append(self, row: Mapping[str, object]) -> None:
        """Add one row; columns it lacks stay empty.

        Raises:
            OSError: if the disk is full; the file then still ends with the last whole row.
        """
        self.extend(list(row), [list(row.values())])

    def extend(self, names: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Add rows with a value for each of the columns `names`, as `append` does one."""
        new = [name for name in names if name not in self._columns]
        columns = self._columns + new
        if columns != list(names):
            places = [names.index(name) if name in names else None for name in columns]
            rows = [[None if place is None else row[place] for place in places] for row in rows]
        cells = [[value if type(value) in PLAIN else _text(value) for value in row] for row in rows]
        if new:
            self._rewrite(columns, [*(old + [""] * len(new) for old in self._read()), *cells])
            return
        self._append_bytes(_lines(cells))
        self.n_rows += len(cells)

    def rows_on_disk(self) -> int:
        """Bring all rows to disk: a checkpoint that counts them must not outlive them.

        Raises:
            RlzooError: if the disk does not take them.
        """
        if self._unsynced:
            try:
                with contained.opened(self.path, "r+b") as file:
                    os.fsync(file.fileno())
            except OSError as error:
                raise RlzooError(f"cannot write {self.path}: {error.strerror}", code=ExitCode.STORAGE) from error
            self._unsynced = False
        return self.n_rows

    def append_lines(self, lines: Sequence[str]) -> None:
        """Add rows that are lines already: numbers in the order of `columns`, in the form that `append` gives them."""
        if lines:
            self._append_bytes("".join(lines).encode("utf-8"))
            self.n_rows += len(lines)

    @property
    def columns(self) -> list[str]:
        """Their names."""
        return self._columns

    def truncate(self, n_rows: int, n_columns: int | None = None) -> None:
        """Keep the first `n_rows` rows, and the first `n_columns` columns: later ones come back with their rows."""
        columns = self._columns[:n_columns]
        if len(columns) < len(self._columns):
            self._rewrite(columns, [row[:n_columns] for row in self._read(n_rows)])
        elif n_rows < self.n_rows:
            _, self.n_rows, self._size = self._scan(n_rows)
            self._append_bytes(b"")
        elif n_rows > self.n_rows:
            console.warn(f"{self.path}: {n_rows - self.n_rows} of the {n_rows} rows of this training are lost")

    def _open(self) -> None:
        """Continue a file; what follows its last whole line was never finished and is dropped."""
        contained.require(self.path, self.path.parent)
        try:
            header, self.n_rows, self._size = self._scan()
        except (OSError, csv.Error, ValueError) as error:
            raise contained.damaged(self.path, str(error)) from error
        self._columns = list(map(from_csv_cell, header))
        if lost := self.path.stat().st_size - self._size:
            console.warn(f"{self.path}: the last line was never finished and is dropped ({lost} bytes)")
            os.truncate(self.path, self._size)

    def _scan(self, n_rows: int | None = None) -> tuple[list[str], int, int]:
        """The header, how many whole rows follow (`n_rows` at most), and the bytes of all these. It takes no memory."""
        size = 0

        def lines() -> Iterator[str]:
            nonlocal size
            for line in iter(lambda: file.readline(tables.MAX_BYTES), b""):
                if not line.endswith(b"\n"):
                    if len(line) == tables.MAX_BYTES:
                        raise ValueError("a line has no end")
                    return
                size += len(line)
                yield line.decode("utf-8")

        with contained.opened(self.path, "rb") as file:
            if self._comment:
                self._comment = file.readline(tables.MAX_BYTES)
                size = len(self._comment)
            rows = csv.reader(lines())
            header = next(rows, [])
            return header, sum(1 for _ in islice(rows, n_rows)), size

    def _read(self, n_rows: int | None = None) -> list[list[str]]:
        if not self.n_rows:
            return []
        with contained.opened(self.path, "r", encoding="utf-8", newline="") as file:
            if self._comment:
                file.readline()
            return list(islice(csv.reader(file), 1, 1 + (self.n_rows if n_rows is None else n_rows)))

    def _append_bytes(self, data: bytes) -> None:
        with contained.opened(self.path, "ab", buffering=0) as file:
            try:
                file.truncate(self._size)
                written = file.write(data)
                if written != len(data):
                    raise OSError(28, "No space left on device", str(self.path))
            except OSError:
                file.truncate(self._size)
                raise
        self._size += len(data)
        self._unsynced = True

    def _rewrite(self, columns: list[str], rows: Sequence[Sequence[object]]) -> None:
        data = self._comment + _lines([list(map(csv_cell, columns)), *rows]) if columns else b""
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp")
        try:
            with contained.opened(temporary, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        self._columns, self.n_rows, self._size = columns, len(rows), len(data)


class EpisodeTable:
    """Every whole training episode, a row each: what the means in the log are taken over.

    Rows are made by `_names` and `_row`; a subclass has others. The seconds of an episode are those from the start of
    the training until its end, without the time between two sittings.
    """

    def __init__(self, table: CsvTable) -> None:
        self._table = table
        self._pending: list[tuple[float, Sequence[EpisodeRecord]]] = []
        self._n_pending = 0
        self._began = self._flushed_at = time.monotonic()

    def add(self, episodes: Sequence[EpisodeRecord]) -> None:
        """Write them with the next flush.

        Raises:
            OSError: if the disk is full; the rows that have waited are lost then, as other numbers are.
        """
        now = time.monotonic()
        self._pending.append((round(now - self._began, 3), episodes))
        self._n_pending += len(episodes)
        if self._n_pending >= FLUSH_ROWS or now - self._flushed_at >= FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what has waited."""
        pending, self._pending, self._n_pending, self._flushed_at = self._pending, [], 0, time.monotonic()
        records = (record for _, episodes in pending for _, record in episodes)
        with_more = [record for record in records if len(record) > 2 and not record.keys() <= CLOCKED]
        if not with_more and self._table.columns == list(EPISODE_COLUMNS):
            self._table.append_lines(
                [
                    f"{step},{float(record['r'])!r},{record['l']},{text},\n"
                    for text, episodes in ((repr(seconds), episodes) for seconds, episodes in pending)
                    for step, record in episodes
                ]
            )
        elif pending:
            names = dict.fromkeys(name for record in with_more for name in record)
            more = [name for name in names if name not in OF_MONITOR]
            rows = [self._row(*episode, seconds, more) for seconds, episodes in pending for episode in episodes]
            self._table.extend(self._names(more), rows)

    def state(self) -> dict[str, Any]:
        """How far it is, with everything up to here on disk.

        Raises:
            RlzooError: if the disk does not take it.
        """
        try:
            self.flush()
        except OSError as error:
            raise RlzooError(f"cannot write {self._table.path}: {error.strerror}", code=ExitCode.STORAGE) from error
        seconds = time.monotonic() - self._began
        return {"rows": self._table.rows_on_disk(), "columns": len(self._table.columns), "seconds": seconds}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Forget what came after the checkpoint that training resumes from."""
        self._table.truncate(state["rows"], state["columns"])
        self._began = time.monotonic() - state["seconds"]

    def _names(self, more: Sequence[str]) -> list[str]:
        """The columns, of which `more` are entries of `info`."""
        return [*EPISODE_COLUMNS, *(f"info.{name}" if name in EPISODE_COLUMNS else one_line(name) for name in more)]

    def _row(self, step: int, record: Mapping[str, Any], seconds: float, more: Sequence[str]) -> list[object]:
        success = record.get("is_success")
        row = [step, float(record["r"]), record["l"], seconds, success if success is None else _flag(success)]
        return [*row, *(one_line(record.get(name)) for name in more)] if more else row


def _flag(value: object) -> object:
    return int(value) if isinstance(value, bool) else one_line(value)


def one_line(value: T) -> T | str:
    """Text without secrets, line feeds and control characters; anything else as it is."""
    return " ".join(printable(redact(value)).split()) if isinstance(value, str) else value


def _lines(rows: Iterable[Sequence[object]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode("utf-8")


def _text(value: object) -> str:
    """A cell: whole numbers without a point, others by their shortest exact text, no value as nothing."""
    if value is None:
        return ""
    if isinstance(value, bool | str):
        return csv_cell(str(value))
    number = float(value)  # type: ignore[arg-type]  # numpy's and torch's scalars too
    return str(int(number)) if math.isfinite(number) and isinstance(value, int) else repr(number)
