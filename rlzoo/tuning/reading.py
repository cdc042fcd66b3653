"""A study as it stands in its storage, read without any way to change it: no lock, no table, no byte is written."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optuna.storages.journal import BaseJournalBackend

from rlzoo.errors import ExitCode, RlzooError
from rlzoo.registry import did_you_mean
from rlzoo.tuning.storage import HEARTBEAT_SECONDS, Store, explained

if TYPE_CHECKING:
    from optuna.storages import BaseStorage, RDBStorage
    from optuna.study import StudyDirection
    from optuna.trial import FrozenTrial

SHOWN = 10
"""Studies of a storage that are named where the one that is looked for is not there."""


@dataclass(frozen=True)
class Snapshot:
    """A study at one moment.

    Attributes:
        name: in the storage.
        directions: of its objectives.
        attributes: what is kept with it.
        trials: in the order of their numbers.
    """

    name: str
    directions: Sequence[StudyDirection]
    attributes: Mapping[str, Any]
    trials: Sequence[FrozenTrial]


def read(store: Store, name: str) -> Snapshot:
    """The study of that name.

    Raises:
        RlzooError: if the storage is not there, cannot be read, or has no such study.
    """
    import optuna

    with explained(store), _opened(store) as storage:
        names = optuna.get_all_study_names(storage)
        if name not in names:
            there = f"it has: {', '.join(names[:SHOWN])}" if names else "it has none"
            raise RlzooError(f"there is no study {name!r} in {_place(store)}{did_you_mean(name, names)}", there)
        with _no_warnings():
            study = optuna.load_study(study_name=name, storage=storage)
        trials = sorted(study.get_trials(deepcopy=False), key=lambda trial: trial.number)
        return Snapshot(name, study.directions, study.user_attrs, trials)


def names(store: Store) -> list[str]:
    """The studies of a storage.

    Raises:
        RlzooError: if it is not there, or cannot be read.
    """
    import optuna

    with explained(store), _opened(store) as storage:
        return optuna.get_all_study_names(storage)


@contextmanager
def _opened(store: Store) -> Iterator[BaseStorage]:
    from optuna.storages import JournalStorage, RDBStorage

    if store.file is not None and not store.file.is_file():
        hint = "storage= names a study's storage where it is no file; has its first trial begun?"
        raise RlzooError(f"there is no {store.file}", hint)
    if store.kind == "journal":
        assert store.file is not None
        with _no_warnings():
            yield JournalStorage(Records(store.file))
    elif store.kind == "sqlite":
        from sqlalchemy.pool import StaticPool

        assert store.file is not None
        with closing(_copy(store.file, store.busy_seconds)) as copy, _compatible(store):
            storage = RDBStorage("sqlite://", engine_kwargs={"creator": lambda: copy, "poolclass": StaticPool})
            yield from _disposed(storage)
    elif store.is_proxy:
        from rlzoo.tuning.proxy import Proxy

        with closing(Proxy(store.kind, HEARTBEAT_SECONDS)) as proxy:
            yield proxy
    else:
        _check_tables(store)
        options = {**store.engine_options, "execution_options": {"postgresql_readonly": True}}
        with _compatible(store):
            storage = RDBStorage(store.url, engine_kwargs=options, skip_table_creation=True)
            yield from _disposed(storage)


def _disposed(storage: RDBStorage) -> Iterator[RDBStorage]:
    """The storage, whose connections are closed behind it."""
    try:
        yield storage
    finally:
        storage.engine.dispose()


def _copy(path: Path, busy_seconds: float) -> sqlite3.Connection:
    """The database in memory, as it is at one moment; workers that write wait no longer than that takes."""
    memory = sqlite3.connect(":memory:", check_same_thread=False)
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=busy_seconds)) as source:
            source.execute("BEGIN")
            source.execute("SELECT name FROM sqlite_master").fetchone()  # waits its time; a backup would wait for ever
            source.backup(memory)
    except sqlite3.OperationalError as error:
        memory.close()
        if not path.with_name(f"{path.name}-journal").is_file():
            raise _unreadable(path, error) from error
        return _mended(path)  # a worker was killed while it wrote, and what it began has to be undone
    except sqlite3.DatabaseError as error:
        memory.close()
        raise _unreadable(path, error) from error
    return memory


def _mended(path: Path) -> sqlite3.Connection:
    """Likewise, of a database whose last write was cut short: undone in a copy."""
    memory = sqlite3.connect(":memory:", check_same_thread=False)
    with tempfile.TemporaryDirectory() as folder:
        own = Path(folder) / path.name
        try:
            for name in (path.name, f"{path.name}-journal"):
                shutil.copyfile(path.with_name(name), own.with_name(name))
            with closing(sqlite3.connect(own)) as source:
                source.backup(memory)
        except (sqlite3.DatabaseError, OSError) as error:
            memory.close()
            raise _unreadable(path, error) from error
    return memory


def _unreadable(path: Path, error: Exception) -> RlzooError:
    hint = "may you read it, and is it whole? Finished trials are also kept in trials/*.json"
    return RlzooError(f"{path} cannot be read: {error}", hint, ExitCode.STORAGE)


def _check_tables(store: Store) -> None:
    """Whether a database has anything of Optuna's; asked first, as opening it would make the tables."""
    from sqlalchemy import create_engine, inspect

    engine = create_engine(store.url, **store.engine_options)
    try:
        if not inspect(engine).has_table("studies"):
            raise RlzooError(f"there is no study in {_place(store)}", "is it the right database?")
    finally:
        engine.dispose()


@contextmanager
def _compatible(store: Store) -> Iterator[None]:
    """Optuna refuses the tables of versions that differ too much."""
    try:
        yield
    except RuntimeError as error:
        raise RlzooError(f"{_place(store)} was written by another version of Optuna: {error}") from error


@contextmanager
def _no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class Records(BaseJournalBackend):
    """The whole records of a journal; one that is being written, or was cut short, is not there yet."""

    def __init__(self, path: Path) -> None:
        self._lines = path.read_bytes().splitlines(keepends=True)
        self._path = path

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        for number, line in enumerate(self._lines[log_number_from:], log_number_from + 1):
            try:
                record = json.loads(line)
            except ValueError:
                if number == len(self._lines):
                    return
                hint = f"remove line {number}, or restore the file; finished trials are also kept in trials/*.json"
                raise RlzooError(f"{self._path} is damaged in line {number}", hint, ExitCode.STORAGE) from None
            yield record

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        raise RlzooError("a report changes nothing", code=ExitCode.BUG)


def _place(store: Store) -> str:
    from rlzoo.redaction import redact

    return str(store.file) if store.file is not None else redact(store.kind)
