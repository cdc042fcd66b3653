"""Where a study's trials are kept: SQLite or a journal in its folder, or a database that several machines reach.

Two locks belong to it. Whoever takes a trial holds the one of the study for that moment. Whoever runs a trial holds the
trial's lease until it has ended; the system releases it if the process dies, so that others see it at once. A database
on another machine has no leases: there Optuna's heartbeat says who is alive.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlzoo.errors import ExitCode, Problem, RlzooError
from rlzoo.redaction import redact
from rlzoo.registry import did_you_mean

if TYPE_CHECKING:
    from filelock import BaseFileLock
    from optuna.storages import BaseStorage, RDBStorage

FILES = ("sqlite", "journal")
DATABASES = ("postgresql", "mysql")
DRIVERS = {"psycopg": '"psycopg[binary]"', "psycopg2": "psycopg2-binary", "MySQLdb": "mysqlclient"}
"""What installs the modules that SQLAlchemy talks to databases with."""
VARIABLE = "RLZOO_STORAGE"
"""Environment variable with a database's URL, which may hold a password."""
BUSY_SECONDS = 120.0
"""How long to wait for somebody else who writes."""
HEARTBEAT_SECONDS, GRACE_SECONDS = 10, 30
"""A trial whose process has not been heard of for the second counts as lost."""
LEASED_GRACE_SECONDS = 120
"""Likewise where leases tell of deaths at once: a machine that was suspended wakes up with its trials."""
LOCK_TABLE = "rlzoo_locks"


def problems_of(storage: str) -> list[Problem]:
    """What is wrong with `storage` of a request, or with what the environment says in its place."""
    given = os.environ.get(VARIABLE)
    if storage == "sqlite" and given:
        return _problems(given, may_hold_password=True)
    return _problems(storage)


def _problems(storage: str, *, may_hold_password: bool = False) -> list[Problem]:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    if storage in FILES:
        return []
    if "://" not in storage:
        message = f"unknown storage {storage!r}{did_you_mean(storage, FILES)}"
        return [Problem("storage", message, "sqlite, journal, or a database's URL: postgresql://me@host/studies")]
    try:
        url = make_url(storage)
    except (ArgumentError, ValueError):
        return [Problem("storage", f"{redact(storage)} cannot be read", "postgresql://me@host:5432/studies")]
    backend = url.drivername.partition("+")[0]
    if backend not in DATABASES:
        hint = "storage=sqlite keeps one in the study's folder" if backend == "sqlite" else "postgresql://, mysql://"
        return [Problem("storage", f"{backend} is not known as a database", hint)]
    if url.password is not None and not may_hold_password:
        hint = f"PGPASSWORD or ~/.pgpass for PostgreSQL, or the whole URL in {VARIABLE}"
        return [Problem("storage", "holds a password, which would be seen in process lists and histories", hint)]
    try:
        url.get_dialect().import_dbapi()
    except (ImportError, ArgumentError) as error:
        package = DRIVERS.get(getattr(error, "name", None) or "", str(getattr(error, "name", None) or backend))
        message = f"the driver of {url.drivername} is not installed ({error})"
        return [Problem("storage", message, f"pip install {package}", missing=True)]
    except Exception as error:  # an unknown driver: SQLAlchemy's own kinds differ by version
        return [Problem("storage", f"{url.drivername}: {error}", "postgresql://me@host:5432/studies")]
    return []


@dataclass
class Store:
    """The storage of a study.

    Attributes:
        kind: `sqlite`, `journal`, or a database's URL.
        folder: of the study.
        busy_seconds: how long to wait for somebody else who writes.
    """

    kind: str
    folder: Path
    busy_seconds: float = field(default_factory=lambda: BUSY_SECONDS)
    _opened: list[RDBStorage] = field(default_factory=list)
    _held: dict[int, BaseFileLock] = field(default_factory=dict)

    @classmethod
    def of(cls, storage: str, folder: Path) -> Store:
        """The one that a request names, or the environment if it names none."""
        return cls((os.environ.get(VARIABLE) or storage) if storage == "sqlite" else storage, folder)

    @property
    def has_leases(self) -> bool:
        return self.kind in FILES

    @property
    def file(self) -> Path | None:
        """The file in the study's folder, if it is one."""
        names = {"sqlite": "study.db", "journal": "journal.log"}
        return self.folder / names[self.kind] if self.kind in names else None

    def open(self) -> BaseStorage:
        """Open it, and make it if need be; to be called with the lock held."""
        from optuna.exceptions import ExperimentalWarning
        from optuna.storages import JournalStorage, RDBStorage

        self.folder.mkdir(parents=True, exist_ok=True)
        with explained(self), warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            if self.kind == "journal":
                from rlzoo.tuning.journal import WholeRecords

                assert self.file is not None
                backend = WholeRecords(self.file)
                backend.repair()
                return JournalStorage(backend)
            url, options = self.kind, {}
            if self.kind == "sqlite":
                assert self.file is not None
                url, options = f"sqlite:///{self.file.absolute()}", {"connect_args": {"timeout": self.busy_seconds}}
            grace = LEASED_GRACE_SECONDS if self.has_leases else GRACE_SECONDS
            storage = RDBStorage(url, engine_kwargs=options, heartbeat_interval=HEARTBEAT_SECONDS, grace_period=grace)
            self._opened.append(storage)
            return storage

    def close(self) -> None:
        """Close its connections."""
        while self._opened:
            self._opened.pop().engine.dispose()

    @contextmanager
    def lock(self, name: str = "study") -> Iterator[None]:
        """Be the only one who takes trials, or whatever `name` stands for."""
        if not self.has_leases:
            with explained(self), self._row(f"{self.folder.name}/{name}"):
                yield
            return
        from filelock import Timeout

        lock = self._file_lock(name)
        try:
            lock.acquire(timeout=self.busy_seconds)
        except Timeout:
            message = f"{self.folder} has been locked by another process for {self.busy_seconds:g} s"
            raise RlzooError(message, "is it suspended?", ExitCode.STORAGE) from None
        except (OSError, NotImplementedError) as error:
            raise RlzooError(
                f"{self.folder} cannot be locked: {error}",
                "is it yours, and on a disk that has locks?",
                ExitCode.STORAGE,
            ) from error
        try:
            yield
        finally:
            lock.release()

    def take_lease(self, number: int) -> None:
        """Say that this process runs the trial; to be called with the lock held."""
        if self.has_leases:
            self._held[number] = self._file_lock(f"{number:04}")
            self._held[number].acquire(timeout=1.0)

    def end_lease(self, number: int) -> None:
        """Say that the trial has ended."""
        lease = self._held.pop(number, None)
        if lease is not None:
            lease.release()
            with suppress(OSError):
                Path(lease.lock_file).unlink()

    def is_orphaned(self, number: int) -> bool:
        """Whether nobody runs the trial any more, as far as leases say; to be called with the lock held."""
        from filelock import Timeout

        if not self.has_leases or number in self._held:
            return False
        lease = self._file_lock(f"{number:04}")
        try:
            lease.acquire(timeout=0)
        except (Timeout, OSError):
            return False
        lease.release()
        with suppress(OSError):
            Path(lease.lock_file).unlink()
        return True

    def _file_lock(self, name: str) -> BaseFileLock:
        from filelock import FileLock

        folder = self.folder / ".locks"
        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder / f"{name}.lock", mode=0o600, thread_local=False)

    @contextmanager
    def _row(self, name: str) -> Iterator[None]:
        """A row of a table of ours, locked in the database: other machines wait for it."""
        from sqlalchemy import Column, MetaData, String, Table, create_engine, insert, select
        from sqlalchemy.exc import IntegrityError

        engine = create_engine(self.kind)
        table = Table(LOCK_TABLE, MetaData(), Column("name", String(255), primary_key=True))
        try:
            with suppress(IntegrityError), engine.begin() as connection:
                table.create(connection, checkfirst=True)
            with suppress(IntegrityError), engine.begin() as connection:
                connection.execute(insert(table).values(name=name))
            with engine.begin() as connection:
                connection.execute(select(table).where(table.c.name == name).with_for_update())
                yield
        finally:
            engine.dispose()


@contextmanager
def explained(store: Store) -> Iterator[None]:
    """What a storage raises, as what the user can do about it: exit code 5."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (StorageInternalError, SQLAlchemyError) as error:
        reason = _reason(error)
        hint = "another process keeps it locked; the same command goes on later" if "locked" in reason else ""
        hint = hint or "is there room, and may you write there? The same command goes on afterwards"
        if not store.has_leases:
            hint = "is the server up, and may you write there? The same command goes on afterwards"
        raise RlzooError(f"the storage {_name(store)} fails: {reason}", hint, ExitCode.STORAGE) from error
    except OSError as error:
        hint = "is there room, and may you write there? The same command goes on afterwards"
        raise RlzooError(f"the storage {_name(store)} fails: {error.strerror}", hint, ExitCode.STORAGE) from error


def _name(store: Store) -> str:
    return str(store.file) if store.file is not None else redact(store.kind)


def _reason(error: Any) -> str:
    """The database's own words."""
    cause = error.__cause__ if error.__cause__ is not None else error
    return redact(str(getattr(cause, "orig", None) or cause).strip().splitlines()[0])
