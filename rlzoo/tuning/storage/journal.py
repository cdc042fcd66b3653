"""Optuna's journal file, made to survive a write that was cut short: by a full disk, a power cut or SIGKILL.

Optuna appends to what is there, so that half a record would swallow the next one, and no study in the file could be
opened again. Here what is incomplete is set aside before anything is appended.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from rlzoo import console
from rlzoo.errors import ExitCode, RlzooError

GRACE_SECONDS = 30
"""After which the lock of a process that was killed while it wrote is taken from it."""


class WholeRecords(JournalFileBackend):
    """A journal in which every record is whole; `path` is made absolute, as locks on relative ones can hang."""

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        self._open_lock = JournalFileOpenLock(str(self._path), grace_period=GRACE_SECONDS)
        super().__init__(str(self._path), self._open_lock)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        data = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs).encode()
        with self._held():
            set_aside_torn_tail(self._path)
            size = self._path.stat().st_size
            with self._path.open("ab") as file:
                try:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                except OSError:
                    os.truncate(self._path, size)
                    raise

    def repair(self) -> None:
        """Set an incomplete last record aside.

        Raises:
            RlzooError: if any other record cannot be read.
        """
        with self._held():
            set_aside_torn_tail(self._path)
        with self._path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    json.loads(line)
                except ValueError:
                    hint = f"remove line {number}, or restore the file; finished trials are also kept in trials/*.json"
                    raise RlzooError(f"{self._path} is damaged in line {number}", hint, ExitCode.STORAGE) from None

    @contextmanager
    def _held(self) -> Iterator[None]:
        self._open_lock.acquire()
        try:
            yield
        finally:
            self._open_lock.release()


def set_aside_torn_tail(path: Path) -> None:
    """Move what follows the last whole record into a file of its own, and say so."""
    with path.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        start = _last_line(file, size)
        file.seek(start)
        tail = file.read()
        if not tail or (tail.endswith(b"\n") and _is_record(tail)):
            return
        kept = path.with_name(f"{path.name}.torn-{start}")
        kept.write_bytes(tail)
        file.truncate(start)
        file.flush()
        os.fsync(file.fileno())
    console.warn(f"{path}: its last record was cut short; these {len(tail)} bytes were moved to {kept.name}")


def _last_line(file: Any, size: int) -> int:
    """Where the last line begins; it may lack its end."""
    step, end = 4096, max(0, size - 1)
    while end > 0:
        begin = max(0, end - step)
        file.seek(begin)
        found = file.read(end - begin).rfind(b"\n")
        if found >= 0:
            return int(begin + found + 1)
        end = begin
    return 0


def _is_record(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False
