"""A study as it stands in its storage, read without any way to change it: no lock, no table, no byte is written."""

from __future__ import annotations

import json
import sqlite3
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optuna.storages.journal import BaseJournalBackend

from rlzoo import contained
from rlzoo.config.records import problem
from rlzoo.config.study_records import StudyAttributes, TrialAttributes
from rlzoo.errors import ExitCode, RlzooError
from rlzoo.registry import did_you_mean
from rlzoo.tuning.space_file import read as read_space
from rlzoo.tuning.storage import tables
from rlzoo.tuning.storage.store import HEARTBEAT_SECONDS, Store, explained

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

    @property
    def request(self) -> dict[str, Any] | None:
        """What it was begun with, `train`, `search_space` and `search`; None if it is none of rlzoo's."""
        found: dict[str, Any] | None = self.attributes.get("request")
        return found


def read(store: Store, name: str) -> Snapshot:
    """The study of that name.

    Raises:
        RlzooError: if the storage is not there, cannot be read, or has no such study, or what it has is damaged.
    """
    import optuna

    with made_sense_of(_place(store)), explained(store), _opened(store) as storage:
        names = optuna.get_all_study_names(storage)
        if name not in names:
            there = f"it has: {', '.join(names[:SHOWN])}" if names else "it has none"
            raise RlzooError(f"there is no study {name!r} in {_place(store)}{did_you_mean(name, names)}", there)
        with _no_warnings():
            study = optuna.load_study(study_name=name, storage=storage)
        trials = sorted(study.get_trials(deepcopy=False), key=lambda trial: trial.number)
        found = Snapshot(name, study.directions, study.user_attrs, trials)
        if wrong := _wrong(found):
            raise RlzooError(f"the study {name} in {_place(store)} is damaged: {wrong}", code=ExitCode.STORAGE)
        return found


def names(store: Store) -> list[str]:
    """The studies of a storage.

    Raises:
        RlzooError: if it is not there, or cannot be read.
    """
    import optuna

    with made_sense_of(_place(store)), explained(store), _opened(store) as storage:
        return optuna.get_all_study_names(storage)


@contextmanager
def made_sense_of(where: str) -> Iterator[None]:
    """Whatever is raised by what a storage holds, which Optuna and others take for what they wrote: it is damaged."""
    try:
        yield
    except RlzooError:
        raise
    except Exception as error:
        reason = f"no sense can be made of it: {type(error).__name__}: {error}".splitlines()[0]
        raise RlzooError(f"{where} is damaged: {reason}", code=ExitCode.STORAGE) from error


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
        with closing(sqlite3.connect(":memory:", check_same_thread=False)) as memory:
            storage = RDBStorage("sqlite://", engine_kwargs={"creator": lambda: memory, "poolclass": StaticPool})
            tables.fill(memory, store.file, busy_seconds=store.busy_seconds, own=store.foreign is None)
            yield from _disposed(storage)
    elif store.is_proxy:
        from rlzoo.tuning.storage.proxy import Proxy

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


def _wrong(study: Snapshot) -> str:
    """What of a study is not as rlzoo writes it; nothing if all is, or if it is none of rlzoo's."""
    if any(len(t.values or ()) != len(study.directions) for t in study.trials if t.state.name == "COMPLETE"):
        return "complete trials without a score"
    if wrong := problem(StudyAttributes, dict(study.attributes)):
        return wrong
    if study.request is None:
        return ""
    for trial in study.trials:
        if wrong := problem(TrialAttributes, dict(trial.user_attrs)):
            return f"of trial {trial.number}, {wrong}"
    return _outside(study)


def _outside(study: Snapshot) -> str:
    """A value that cannot have been drawn: what it would become need not even be a number that memory holds."""
    assert study.request is not None
    for parameter in read_space(study.request["search_space"], study.request["train"])[0].parameters:
        ends: Any = parameter.transform.distribution()
        if not hasattr(ends, "low"):
            continue
        slack = 1e-6 * max(abs(ends.low), abs(ends.high))
        for trial in study.trials:
            value = trial.params.get(parameter.raw_name, ends.low)
            if not isinstance(value, int | float) or not ends.low - slack <= value <= ends.high + slack:
                return f"{parameter.raw_name} of trial {trial.number} lies outside of {ends.low:g} to {ends.high:g}"
    return ""


class Records(BaseJournalBackend):
    """The whole records of a journal; one that is being written, or was cut short, is not there yet."""

    def __init__(self, path: Path) -> None:
        if path.stat().st_size > tables.MAX_BYTES:
            raise contained.damaged(path, f"it is larger than {tables.MAX_BYTES // 2**20} MiB")
        self._lines = path.read_bytes().splitlines(keepends=True)
        self._path = path

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        end = time.process_time() + tables.MAX_SECONDS
        for number, line in enumerate(self._lines[log_number_from:], log_number_from + 1):
            if len(line) > tables.MAX_VALUE:
                raise contained.damaged(self._path, f"line {number} has {len(line)} bytes")
            if time.process_time() > end:
                raise contained.damaged(self._path, f"reading it takes more than {tables.MAX_SECONDS:g} s")
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
