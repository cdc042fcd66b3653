"""Metrics as CSV, one column for each name: `metrics.csv`, and what clocks say in `timings.csv`."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from rlzoo import console, contained, tables
from rlzoo.errors import ExitCode, RlzooError
from rlzoo.escape import csv_cell, from_csv_cell
from rlzoo.protocols import State
from rlzoo.runs import Run

CLOCKS = "time/"
"""Names that begin so depend on the machine; apart from them the same seed writes the same bytes."""


def open_logger(run: Run, config: Mapping[str, Any]) -> CsvLogger:
    """The run's own two files; `config` lies beside them already."""
    return CsvLogger(run)


class CsvLogger:
    """Writes every number as it comes; a training that is killed leaves whole lines."""

    def __init__(self, run: Run) -> None:
        self._metrics = CsvTable(run.metrics_file)
        self._timings = CsvTable(run.timings_file)
        self._tables = {"metrics": self._metrics, "timings": self._timings}

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        clocks = {name: value for name, value in metrics.items() if name.startswith(CLOCKS)}
        others = {name: value for name, value in metrics.items() if name not in clocks}
        if others:
            self._metrics.append({"step": step, **others})
        if clocks:
            self._timings.append({"step": step, **clocks})

    def close(self) -> None: ...

    def state(self) -> State:
        values: dict[str, Any] = {}
        for name, table in self._tables.items():
            values |= {f"{name}_rows": table.rows_on_disk(), f"{name}_columns": table.n_columns}
        return State(values=values)

    def restore(self, state: State) -> None:
        """Forget what was logged after the checkpoint that training goes on from."""
        for name, table in self._tables.items():
            table.truncate(state.values[f"{name}_rows"], state.values.get(f"{name}_columns"))


class CsvTable:
    """A CSV file with a header that grows: a new column rewrites the file, a row with known columns is appended.

    No text in it, nor the name of a column, is a formula to a spreadsheet: see `escape.csv_cell`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
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
        new = [name for name in row if name not in self._columns]
        cells = {name: _text(value) for name, value in row.items()}
        if new:
            rows = [old + [""] * len(new) for old in self._read()]
            columns = self._columns + new
            self._rewrite(columns, [*rows, [cells.get(name, "") for name in columns]])
            return
        self._append_bytes(tables.line([cells.get(name, "") for name in self._columns]))
        self.n_rows += 1

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

    @property
    def n_columns(self) -> int:
        return len(self._columns)

    def truncate(self, n_rows: int, n_columns: int | None = None) -> None:
        """Keep the first `n_rows` rows, and the first `n_columns` columns: later ones come back with their rows."""
        columns = self._columns[:n_columns]
        if n_rows < self.n_rows or len(columns) < len(self._columns):
            self._rewrite(columns, [row[:n_columns] for row in self._read(n_rows)])
        elif n_rows > self.n_rows:
            console.warn(f"{self.path}: {n_rows - self.n_rows} of the {n_rows} rows of this training are lost")

    def _open(self) -> None:
        """Continue a file; what follows its last whole line was never finished and is dropped."""
        data = tables.read_bytes(self.path)
        try:
            whole = data[: data.rfind(b"\n") + 1]
            rows = csv.reader(io.StringIO(whole.decode("utf-8"), newline=""))
            self._columns = list(map(from_csv_cell, next(rows, [])))
            self.n_rows, self._size = sum(1 for _ in rows), len(whole)
        except (csv.Error, ValueError) as error:
            raise contained.damaged(self.path, str(error)) from error
        if len(whole) < len(data):
            lost = len(data) - len(whole)
            console.warn(f"{self.path}: the last line was never finished and is dropped ({lost} bytes)")
            os.truncate(self.path, self._size)

    def _read(self, n_rows: int | None = None) -> list[list[str]]:
        if not self.n_rows:
            return []
        with contained.opened(self.path, "r", encoding="utf-8", newline="") as file:
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

    def _rewrite(self, columns: list[str], rows: list[list[str]]) -> None:
        data = b"".join(tables.line(cells) for cells in [map(csv_cell, columns), *rows]) if columns else b""
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


def _text(value: object) -> str:
    """A cell: whole numbers without a point, others by their shortest exact text, no value as nothing."""
    if value is None:
        return ""
    if isinstance(value, bool | str):
        return csv_cell(str(value))
    number = float(value)  # type: ignore[arg-type]  # numpy's and torch's scalars too
    return str(int(number)) if math.isfinite(number) and isinstance(value, int) else repr(number)
