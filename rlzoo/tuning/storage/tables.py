"""The rows of a study's SQLite file, read as data into tables of Optuna's own making.

Of the file plain rows of plain tables are read. What else its author may have put there (views, triggers, columns that
are computed, virtual tables) is never asked for. Nothing is written, and no file is made beside it.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from rlzoo.contained import damaged
from rlzoo.errors import ExitCode, RlzooError
from rlzoo.tuning.storage.store import refuse_other_journals

TABLES = (
    "studies study_directions study_user_attributes study_system_attributes trials trial_user_attributes"
    " trial_system_attributes trial_params trial_values trial_intermediate_values"
).split()
"""Of Optuna; heartbeats are not looked at."""
VERSION = "alembic_version"
MAX_BYTES = 2**29
"""Of a file: some million trials; also of what comes out of it, which in a forged one can be more than it is large."""
MAX_ROWS = 5_000_000
MAX_VALUE = 2**20
"""Bytes of one value: as JSON it takes thirty times as much, and is copied more than once."""
MAX_SECONDS = 60.0
"""Of the processor's time: a forged file of a hundred pages can have more rows than could ever be read."""
CHUNK = 1000
"""Rows that are read at once."""
FINISH_SECONDS = 5.0
"""How long somebody who writes to a file of others is waited for, whose lock is not taken."""


def fill(memory: sqlite3.Connection, path: Path, *, busy_seconds: float, own: bool) -> None:
    """Copy the rows of a file, as they are at one moment.

    Args:
        memory: the database in memory to fill, with Optuna's tables.
        path: the file.
        busy_seconds: how long to wait for somebody else who writes to it.
        own: that it is the user's own: its lock is taken, and what a worker was writing when it was killed is undone.
            Of any other the bytes are read as they lie there.

    Raises:
        RlzooError: if it cannot be read, or holds something else than rows of Optuna's tables.
    """
    _require_size(path)
    if not own:
        _copy_untouched(path, memory, min(busy_seconds, FINISH_SECONDS))
        return
    try:
        with closing(_connect(path, "mode=ro", busy_seconds)) as source:
            source.execute("BEGIN")  # those who write wait no longer than reading takes
            _copy(source, memory, path)
    except sqlite3.OperationalError as error:
        if not _beside(path, "-journal").is_file():
            raise _unreadable(path, error) from error
        memory.rollback()
        _copy_mended(path, memory)
    except sqlite3.DatabaseError as error:
        raise _unreadable(path, error) from error
    memory.commit()


def require_moderate(journal: Path) -> None:
    """Make sure that Optuna can read a journal of others, which it does line by line, in a moderate amount of memory.

    Raises:
        RlzooError: if it or one of its lines is too long.
    """
    _require_size(journal)
    with journal.open("rb") as file:
        while line := file.readline(MAX_VALUE + 1):
            if len(line) > MAX_VALUE:
                raise damaged(journal, f"a line of it is longer than {MAX_VALUE} bytes")


def _require_size(path: Path) -> None:
    if (size := path.stat().st_size) > MAX_BYTES:
        raise damaged(path, f"it is larger than {MAX_BYTES // 2**20} MiB: {size} bytes")


def _copy_untouched(path: Path, memory: sqlite3.Connection, seconds: float) -> None:
    """Without a lock or a look into any other file: it is read again if it was written to meanwhile."""
    until = time.monotonic() + seconds
    while True:
        before = _stamp(path)
        try:
            if not any(before[2:]):
                with closing(_connect(path, "mode=ro&immutable=1", 0.0)) as source:
                    _copy(source, memory, path)
                if _stamp(path) == before:
                    memory.commit()
                    return
        except sqlite3.DatabaseError as error:
            if _stamp(path) == before:
                raise _unreadable(path, error) from error
        memory.rollback()
        if time.monotonic() > until:
            hint = "try again; if nobody writes to it any more, open and close it once with sqlite3"
            message = f"{path} is being written to, or its last write was cut short"
            raise RlzooError(message, hint, ExitCode.STORAGE)
        time.sleep(0.05)


def _stamp(path: Path) -> tuple[int, ...]:
    """What changes when a file is written to; first its time and size, then the sizes of what is kept beside it."""
    state = path.stat()
    beside = [_beside(path, name) for name in ("-journal", "-wal")]
    return (state.st_mtime_ns, state.st_size, *(_size(each) for each in beside))


def _size(path: Path) -> int:
    """Of a file that comes and goes; 0 if it is not there."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _copy_mended(path: Path, memory: sqlite3.Connection) -> None:
    """The rows of a database whose last write was cut short: undone in a copy."""
    refuse_other_journals(path)
    with tempfile.TemporaryDirectory() as folder:
        own = Path(folder) / path.name
        try:
            for name in ("", "-journal"):
                shutil.copyfile(_beside(path, name), _beside(own, name))
            with closing(_connect(own, "mode=rw", 0.0)) as source:
                _copy(source, memory, path)
        except (sqlite3.DatabaseError, OSError) as error:
            raise _unreadable(path, error) from error


def _copy(source: sqlite3.Connection, memory: sqlite3.Connection, path: Path) -> None:
    there = _plain_tables(source)
    if "studies" not in there:
        return
    version = _first(source, "version_num", VERSION) if VERSION in there else None
    if version != _first(memory, "version_num", VERSION):
        by = f", {_first(source, 'library_version', 'version_info')}" if "version_info" in there else ""
        raise RlzooError(
            f"{path} was written by another version of Optuna{by}, which keeps its tables otherwise",
            "optuna storage upgrade --storage sqlite:///… brings one of your own up to date",
        )
    if missing := [table for table in TABLES if table not in there]:
        raise damaged(path, f"it has no table {missing[0]}")
    n_rows = n_bytes = 0
    for table in TABLES:
        kinds = {row[1]: _kinds(row[2]) for row in memory.execute(f"PRAGMA table_info({table})")}
        columns, marks = ", ".join(kinds), ", ".join("?" * len(kinds))
        for rows in _chunks(source.execute(f"SELECT {columns} FROM {table} NOT INDEXED")):
            n_rows += len(rows)
            n_bytes += sum(len(value) for row in rows for value in row if isinstance(value, str | bytes))
            if n_rows > MAX_ROWS or n_bytes > MAX_BYTES:
                raise damaged(path, f"more than {MAX_ROWS} rows or {MAX_BYTES // 2**20} MiB come out of it")
            if not all(
                isinstance(value, kind) for row in rows for value, kind in zip(row, kinds.values(), strict=True)
            ):
                raise damaged(path, f"{table} holds what Optuna does not write there")
            memory.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", rows)


def _kinds(declared: str) -> tuple[type, ...]:
    """What a column may hold."""
    return {"INTEGER": (int, type(None)), "FLOAT": (int, float, type(None))}.get(declared, (str, type(None)))


def _plain_tables(source: sqlite3.Connection) -> set[str]:
    """Tables whose rows lie in the file: no views, none that code of SQLite's answers for, no columns to compute."""
    entries = source.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table' AND rootpage > 0")
    made = {name: str(sql)[:40].split()[:2] for name, sql in entries.fetchmany(CHUNK)}
    known = [name for name in (*TABLES, VERSION, "version_info") if made.get(name) == ["CREATE", "TABLE"]]
    return {name for name in known if not any(row[6] for row in source.execute(f"PRAGMA table_xinfo({name})"))}


def _first(connection: sqlite3.Connection, column: str, table: str) -> Any:
    row = connection.execute(f"SELECT {column} FROM {table} NOT INDEXED").fetchone()
    return None if row is None else row[0]


def _chunks(cursor: sqlite3.Cursor) -> Iterator[Sequence[tuple[Any, ...]]]:
    while rows := cursor.fetchmany(CHUNK):
        yield rows


def _connect(path: Path, how: str, busy_seconds: float) -> sqlite3.Connection:
    found = sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, timeout=busy_seconds)
    found.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE)
    end = time.process_time() + MAX_SECONDS
    found.set_progress_handler(lambda: time.process_time() > end, 10_000)
    for pragma in ("trusted_schema = OFF", "query_only = ON", "cell_size_check = ON"):
        found.execute(f"PRAGMA {pragma}")
    return found


def _beside(path: Path, end: str) -> Path:
    return path.with_name(f"{path.name}{end}")


def _unreadable(path: Path, error: Exception) -> RlzooError:
    hint = "may you read it, and is it whole? Finished trials are also kept in trials/*.json"
    reason = f"it takes more than {MAX_SECONDS:g} s" if str(error) == "interrupted" else error
    return RlzooError(f"{path} cannot be read: {reason}", hint, ExitCode.STORAGE)
