"""Where a study's trials are kept: SQLite or a journal in its folder, or a database that several machines reach.

Two locks belong to it. Whoever takes a trial holds the one of the study for that moment. Whoever runs a trial holds the
trial's lease until it has ended; the system releases it if the process dies, so that others see it at once. A database
on another machine has no leases: there Optuna's heartbeat says who is alive.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from rlzoo.errors import ExitCode, Problem, RlzooError
from rlzoo.redaction import redact
from rlzoo.registry import did_you_mean
from rlzoo.tuning.storage import database

if TYPE_CHECKING:
    from filelock import BaseFileLock
    from optuna.storages import BaseStorage, RDBStorage

    from rlzoo.tuning.storage.proxy import Proxy

FILES = ("sqlite", "journal")
PROXY = "grpc://"
VARIABLE = "RLZOO_STORAGE"
"""Environment variable with a database's URL, which may hold a password."""
BUSY_SECONDS = 120.0
"""How long to wait for somebody else who writes."""
HEARTBEAT_SECONDS, GRACE_SECONDS = 10, 30
"""A trial whose process has not been heard of for the second counts as lost."""
LEASED_GRACE_SECONDS = 120
"""Likewise where leases tell of deaths at once: a machine that was suspended wakes up with its trials."""


def problems_of(storage: str) -> list[Problem]:
    """What is wrong with `storage` of a request, or with what the environment says in its place."""
    given = os.environ.get(VARIABLE)
    if storage == "sqlite" and given:
        return _problems(given, may_hold_password=True)
    return _problems(storage)


def _problems(storage: str, *, may_hold_password: bool = False) -> list[Problem]:
    if storage in FILES:
        return []
    if storage.startswith(PROXY):
        return _proxy_problems(storage)
    if "://" not in storage:
        message = f"unknown storage {storage!r}{did_you_mean(storage, FILES)}"
        return [Problem("storage", message, "sqlite, journal, or a database's URL: postgresql://me@host/studies")]
    return database.problems(storage, variable=VARIABLE, may_hold_password=may_hold_password)


def _proxy_problems(storage: str) -> list[Problem]:
    """Likewise, of a proxy's address."""
    parts = urlsplit(storage)
    try:
        complete = parts.hostname is not None and parts.port is not None
    except ValueError:
        complete = False
    if not complete or "@" in storage or parts.path.strip("/") or parts.query:
        hint = "grpc://host:13000, as `rlzoo tune serve` says; the database's name and password are with that"
        return [Problem("storage", f"{redact(storage)} is no address of a proxy", hint)]
    if util.find_spec("grpc") is None:
        return [Problem("storage", "gRPC is not installed", 'pip install "hydra-rlzoo[grpc]"', code=ExitCode.MISSING)]
    return []


@dataclass
class Store:
    """The storage of a study.

    Attributes:
        kind: `sqlite`, `journal`, or a database's URL.
        folder: of the study.
        busy_seconds: how long to wait for somebody else who writes.
        foreign: the file, where it is not one that this user began: it is only read, as data.
    """

    kind: str
    folder: Path
    busy_seconds: float = field(default_factory=lambda: BUSY_SECONDS)
    foreign: Path | None = None
    _opened: list[Callable[[], None]] = field(default_factory=list)
    _reached: Proxy | None = None
    _held: dict[int, BaseFileLock] = field(default_factory=dict)

    @classmethod
    def of(cls, storage: str, folder: Path) -> Store:
        """The one that a request names, or the environment if it names none."""
        return cls((os.environ.get(VARIABLE) or storage) if storage == "sqlite" else storage, folder)

    @property
    def has_leases(self) -> bool:
        return self.kind in FILES

    @property
    def is_proxy(self) -> bool:
        return self.kind.startswith(PROXY)

    @property
    def url(self) -> str:
        """What SQLAlchemy opens it by, of SQLite and of databases; it may hold a password."""
        return f"sqlite:///{self.file.absolute()}" if self.file is not None else database.with_driver(self.kind)

    @property
    def engine_options(self) -> dict[str, Any]:
        """What SQLAlchemy opens it with."""
        if self.kind == "sqlite":
            return {"connect_args": {"timeout": self.busy_seconds}}
        return database.ENGINE_OPTIONS

    @property
    def from_environment(self) -> bool:
        """Whether the environment named it, which other machines have to do too."""
        return not self.has_leases and self.kind == os.environ.get(VARIABLE)

    @property
    def file(self) -> Path | None:
        """The file that it is, in the study's folder as a rule; None for a database."""
        names = {"sqlite": "study.db", "journal": "journal.log"}
        return self.foreign or self.folder / names[self.kind] if self.kind in names else None

    def open(self) -> BaseStorage:
        """Open it, and make it if need be; to be called with the lock held."""
        from optuna.exceptions import ExperimentalWarning
        from optuna.storages import JournalStorage

        self.folder.mkdir(parents=True, exist_ok=True)
        if self.kind == "sqlite" and self.file is not None:
            refuse_other_journals(self.file)
        with explained(self), warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            if self.kind == "journal":
                from rlzoo.tuning.storage.journal import WholeRecords

                assert self.file is not None
                backend = WholeRecords(self.file)
                backend.repair()
                return JournalStorage(backend)
            return self._proxy() if self.is_proxy else self.open_database()

    def open_database(self, **options: Any) -> RDBStorage:
        """Open SQLite or a database, whose tables are made if need be; `options` are for SQLAlchemy's engine."""
        from optuna.exceptions import ExperimentalWarning
        from optuna.storages import RDBStorage

        with explained(self), warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            storage = RDBStorage(
                self.url,
                engine_kwargs={**self.engine_options, **options},
                heartbeat_interval=HEARTBEAT_SECONDS,
                grace_period=LEASED_GRACE_SECONDS if self.has_leases else GRACE_SECONDS,
            )
            self._opened.append(storage.engine.dispose)
        return storage

    def close(self) -> None:
        """Close its connections."""
        while self._opened:
            self._opened.pop()()
        self._reached = None

    def _proxy(self) -> Proxy:
        """The proxy's client, which is connected once."""
        from rlzoo.tuning.storage.proxy import Proxy

        if self._reached is None:
            self._reached = Proxy(self.kind, HEARTBEAT_SECONDS)
            self._opened.append(self._reached.close)
        return self._reached

    @contextmanager
    def lock(self, name: str = "study") -> Iterator[None]:
        """Be the only one who takes trials, or whatever `name` stands for."""
        if not self.has_leases:
            whole = f"{self.folder.name}/{name}"
            with explained(self), self._proxy().lock(whole) if self.is_proxy else database.row_lock(self.kind, whole):
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

    def lock_file(self, name: str) -> Path:
        """The file of a lock or of a lease; a database has none."""
        return self.folder / ".locks" / f"{name}.lock"

    def _file_lock(self, name: str) -> BaseFileLock:
        from filelock import FileLock

        path = self.lock_file(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(path, mode=0o600, thread_local=False)


@contextmanager
def explained(store: Store) -> Iterator[None]:
    """What a storage raises, as what the user can do about it: exit code 5."""
    try:
        yield
    except Exception as error:
        reason = _reason(error, store)
        if reason is None:
            raise
        hint = "is there room, and may you write there? The same command goes on afterwards"
        if "locked" in reason:
            hint = "another process keeps it locked; the same command goes on later"
        elif store.is_proxy:
            hint = (
                "does `rlzoo tune serve` run there, and can this machine reach it? The same command goes on afterwards"
            )
        elif not store.has_leases:
            hint = "is the server up, and may you write there? The same command goes on afterwards"
        raise RlzooError(f"the storage {_name(store)} fails: {reason}", hint, ExitCode.STORAGE) from error


def _name(store: Store) -> str:
    return str(store.file) if store.file is not None else redact(store.kind)


def _reason(error: Any, store: Store) -> str | None:
    """What the storage says; None if it was not the storage that failed."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    if isinstance(error, StorageInternalError | SQLAlchemyError):
        cause = error.__cause__ if error.__cause__ is not None else error
        return redact(str(getattr(cause, "orig", None) or cause).strip().splitlines()[0])
    if isinstance(error, OSError):
        return error.strerror or str(error)
    if store.is_proxy and hasattr(error, "details"):  # grpc.RpcError
        return redact(str(error.details() or error.code()).strip().splitlines()[0])
    return None


JOURNAL_OF_SEVERAL = bytes.fromhex("d9d505f920a163d7")
"""At the end of the journal of a write to several databases, behind the name of a file that SQLite then removes."""


def refuse_other_journals(path: Path) -> None:
    """Refuse an SQLite file, with exit code 7, whose journal names another file; Optuna writes to one at a time."""
    journal = path.with_name(f"{path.name}-journal")
    if not journal.is_file():
        return
    with journal.open("rb") as file:
        file.seek(max(0, journal.stat().st_size - len(JOURNAL_OF_SEVERAL)))
        if file.read() == JOURNAL_OF_SEVERAL:
            message = f"{journal} names another file, which SQLite would remove"
            raise RlzooError(message, "it was not written by Optuna: remove it", ExitCode.UNSAFE)
