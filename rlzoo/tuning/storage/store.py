"""Where a study's trials are kept: SQLite in its folder, or a PostgreSQL that several machines reach.

Two locks belong to it. Whoever takes a trial holds the study's lock for that moment. Whoever runs a trial holds the
trial's lease until it has ended; the system releases it if the process dies, so that others see it at once. They are
files in the study's folder. PostgreSQL locks by itself, and Optuna's heartbeat says who is alive.

Optuna's journal and its gRPC proxy are used as they are, once a journal is seen to be whole and calls have a deadline;
with them, too, locks and leases are files in the folder.
"""

from __future__ import annotations

import json
import os
import shlex
import sqlite3
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from rlzoo.errors import ExitCode, Problem, RlzooError
from rlzoo.redaction import redact
from rlzoo.registry import did_you_mean

if TYPE_CHECKING:
    from filelock import BaseFileLock
    from optuna.storages import BaseStorage, GrpcStorageProxy, JournalStorage, RDBStorage
    from sqlalchemy import URL

FILES = {"sqlite": "study.db", "journal": "journal.log"}
"""Storages that are a file in the study's folder, and its name there."""
PROXY = "grpc://"
POSTGRESQL = "postgresql"
DATABASE = "postgresql://me@host/studies"
VARIABLE = "RLZOO_STORAGE"
"""Environment variable with a database's URL, which may hold a password."""
DRIVERS = {"psycopg": '"hydra-rlzoo[postgresql]"', "psycopg2": "psycopg2-binary"}
"""Those that a URL may name, the one that it means if it names none first, and what installs them."""
URL_OPTIONS = ("application_name", "connect_timeout", "sslmode", "sslrootcert")
"""What a URL may say besides. Others name files to read, places to connect to, or commands for the server."""
BUSY_SECONDS = 120.0
"""How long to wait for somebody else who writes."""
PROXY_SECONDS = 10.0
"""How long to wait for a proxy's first answer."""
CALL_SECONDS = 60.0
"""Likewise for any other: it may be suspended, or its machine gone."""
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
        return [Problem("storage", message, f"sqlite, journal, or a database's URL: {DATABASE}")]
    return database_problems(storage, may_hold_password=may_hold_password)


def _proxy_problems(storage: str) -> list[Problem]:
    parts = urlsplit(storage)
    try:
        complete = parts.hostname is not None and parts.port is not None
    except ValueError:
        complete = False
    if not complete or "@" in storage or parts.path.strip("/") or parts.query:
        hint = "grpc://host:13000; the database's name and password are with the proxy"
        return [Problem("storage", f"{redact(storage)} is not the address of a proxy", hint)]
    if util.find_spec("grpc") is None:
        return [Problem("storage", "gRPC is not installed", 'pip install "hydra-rlzoo[grpc]"', code=ExitCode.MISSING)]
    return []


def database_problems(url: str, *, may_hold_password: bool = False) -> list[Problem]:
    """What is wrong with a database's URL."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        found = make_url(url)
    except (ArgumentError, ValueError):
        return [Problem("storage", f"{redact(url)} cannot be read", DATABASE)]
    backend, _, driver = found.drivername.partition("+")
    if backend != POSTGRESQL:
        own = "storage=sqlite keeps one in the study's folder"
        hint = own if backend == "sqlite" else f"{own}; for many machines: {DATABASE}, or grpc://host:13000 for a proxy"
        return [Problem("storage", f"{backend} is not known as a database: studies are in SQLite or PostgreSQL", hint)]
    driver = driver or next(iter(DRIVERS))
    if driver not in DRIVERS:
        return [Problem("storage", f"{driver} is not a known driver", f"one of: {', '.join(DRIVERS)}")]
    if found.password is not None and not may_hold_password:
        hint = f"PGPASSWORD or ~/.pgpass, or the whole URL in {VARIABLE}"
        return [Problem("storage", "holds a password, which would be seen in process lists and histories", hint)]
    if unknown := sorted(set(found.query) - set(URL_OPTIONS)):
        hint = f"it takes: {', '.join(URL_OPTIONS)}; libpq's variables (PGSSLCERT, PGSERVICE) are yours to set"
        return [Problem("storage", f"its URL takes no {', '.join(map(repr, unknown))}", hint)]
    try:
        database_url(url).get_dialect().import_dbapi()
    except ImportError as error:
        message = f"the driver {driver} is not installed ({error})"
        return [Problem("storage", message, f"pip install {DRIVERS[driver]}", code=ExitCode.MISSING)]
    return []


def database_url(url: str) -> URL:
    """A URL with the driver that it means."""
    from sqlalchemy.engine import make_url

    found = make_url(url)
    return found.set(drivername=f"{POSTGRESQL}+{next(iter(DRIVERS))}") if found.drivername == POSTGRESQL else found


@dataclass
class Store:
    """The storage of a study.

    Attributes:
        kind: `sqlite`, `journal`, or a database's or a proxy's URL.
        folder: of the study.
        busy_seconds: how long to wait for somebody else who writes.
        foreign: the file, where it is not one that this user began: it is only read, as data.
    """

    kind: str
    folder: Path
    busy_seconds: float = field(default_factory=lambda: BUSY_SECONDS)
    foreign: Path | None = None
    _opened: list[Callable[[], None]] = field(default_factory=list)
    _held: dict[int, BaseFileLock] = field(default_factory=dict)

    @classmethod
    def of(cls, storage: str, folder: Path) -> Store:
        """The one that a request names, or the environment if it names none."""
        return cls((os.environ.get(VARIABLE) or storage) if storage == "sqlite" else storage, folder)

    @property
    def is_proxy(self) -> bool:
        return self.kind.startswith(PROXY)

    @property
    def has_leases(self) -> bool:
        return self.kind in FILES or self.is_proxy

    @property
    def file(self) -> Path | None:
        """The file that it is, in the study's folder as a rule; None for a database or a proxy."""
        return self.foreign or self.folder / FILES[self.kind] if self.kind in FILES else None

    @property
    def name(self) -> str:
        """The file, or the URL without its password."""
        return str(self.file) if self.file is not None else redact(self.kind)

    def open(self) -> BaseStorage:
        """Open it, and make it if need be; to be called with the lock held."""
        with explained(self), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Optuna calls some of them experimental
            if self.kind == "journal":
                return self.journal(to_write=True)
            if self.is_proxy:
                proxy = _proxy(self.kind)
                self._opened.append(proxy.close)
                proxy.wait_server_ready(PROXY_SECONDS)
                return proxy
            if self.file is not None:
                refuse_other_journals(self.file)
            return self._open_database()

    def journal(self, *, to_write: bool = False) -> JournalStorage:
        """Optuna's journal; where it is only read, a last record that was cut short, or is being written, is left out.

        Raises:
            RlzooError: if it is to be written to and ends in such a record, which would swallow the next one.
        """
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

        assert self.file is not None
        path = self.file.absolute()  # locks on relative paths can hang
        lock = JournalFileOpenLock(str(path))
        backend = JournalFileBackend(str(path), lock)
        if to_write:
            lock.acquire()  # that of its writers, who do not hold the study's
            try:
                _refuse_torn(path)
            finally:
                lock.release()
        return JournalStorage(backend)

    def _open_database(self) -> RDBStorage:
        """SQLite or PostgreSQL, whose tables are made if need be."""
        from optuna.storages import RDBStorage

        storage = RDBStorage(
            "sqlite://" if self.file is not None else self.url,
            engine_kwargs=self.engine_options,
            heartbeat_interval=HEARTBEAT_SECONDS,
            grace_period=LEASED_GRACE_SECONDS if self.has_leases else GRACE_SECONDS,
        )
        self._opened.append(storage.engine.dispose)
        return storage

    @property
    def url(self) -> str:
        """What SQLAlchemy opens a database by; it may hold a password."""
        return database_url(self.kind).render_as_string(hide_password=False)

    @property
    def engine_options(self) -> dict[str, Any]:
        """What SQLAlchemy opens it with; connections that a server has dropped are reopened.

        A file is opened by its path: in a URL its signs would mean something, which differs between versions.
        """
        if self.file is None:
            return {"pool_pre_ping": True}
        from sqlalchemy.pool import QueuePool

        options = {"timeout": self.busy_seconds, "check_same_thread": False}
        return {"creator": partial(sqlite3.connect, self.file.absolute(), **options), "poolclass": QueuePool}

    def close(self) -> None:
        """Close its connections."""
        while self._opened:
            self._opened.pop()()

    @contextmanager
    def lock(self, name: str = "study") -> Iterator[None]:
        """Be the only one who takes trials, or whatever `name` stands for."""
        if not self.has_leases:
            with explained(self), self._database_lock(f"{self.folder.name}/{name}"):
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
            hint = "is it yours, and on a disk that has locks?"
            raise RlzooError(f"{self.folder} cannot be locked: {error}", hint, ExitCode.STORAGE) from error
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def _database_lock(self, name: str) -> Iterator[None]:
        """PostgreSQL's advisory lock: others wait for it on whichever machine, and it ends with its connection."""
        from sqlalchemy import create_engine, func, select
        from sqlalchemy.pool import NullPool

        engine = create_engine(self.url, poolclass=NullPool)
        try:
            with engine.connect() as connection:
                connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))
                yield
                connection.commit()  # fails if the connection was lost, and with it the lock
        finally:
            engine.dispose()

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


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _proxy(url: str) -> GrpcStorageProxy:
    """Optuna's client of its proxy, every call of which has a deadline; Optuna's own would wait for ever."""
    import grpc
    from optuna.storages import GrpcStorageProxy
    from optuna.storages._grpc.auto_generated import api_pb2_grpc
    from optuna.storages._grpc.client import GrpcClientCache

    class Proxy(GrpcStorageProxy):
        def _setup(self) -> None:
            config = {"methodConfig": [{"name": [{}], "timeout": f"{CALL_SECONDS:.3f}s"}]}
            options = [("grpc.max_receive_message_length", -1), ("grpc.service_config", json.dumps(config))]
            self._channel = grpc.insecure_channel(f"{self._host}:{self._port}", options=options)
            self._stub = api_pb2_grpc.StorageServiceStub(self._channel)
            self._cache = GrpcClientCache(self._stub)

    parts = urlsplit(url)
    return Proxy(host=_bracketed(parts.hostname or ""), port=parts.port or 0)


def _refuse_torn(path: Path) -> None:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        if file.read() in (b"", b"\n"):
            return
        file.seek(0)
        n_whole = file.read().rfind(b"\n") + 1
    message = f"the last record of {path} was cut short, and would swallow the next one"
    hint = f"remove its {size - n_whole} bytes once no worker runs: truncate -s {n_whole} {shlex.quote(str(path))}"
    raise RlzooError(message, hint, ExitCode.STORAGE)


@contextmanager
def explained(store: Store) -> Iterator[None]:
    """What a storage raises, as what the user can do about it: exit code 5."""
    try:
        yield
    except Exception as error:
        if store.kind == "journal" and _is_damage(error):
            why = f"no sense can be made of it: {type(error).__name__}: {error}".splitlines()[0]
            hint = "remove the line that is not a whole record; finished trials are also kept in trials/*.json"
            raise RlzooError(f"{store.name} is damaged: {why}", hint, ExitCode.STORAGE) from error
        reason = _reason(error, store)
        if reason is None:
            raise
        hint = "is there room, and may you write there? Then the same command resumes the study"
        if "locked" in reason:
            hint = "another process keeps it locked; try the same command later"
        elif store.file is None:
            what = "Optuna's proxy" if store.is_proxy else "the server"
            hint = f"is {what} up, and may you write there? Then the same command resumes the study"
        raise RlzooError(f"the storage {store.name} fails: {reason}", hint, ExitCode.STORAGE) from error


def _is_damage(error: Exception) -> bool:
    """Whether Optuna's journal took what it holds for what it wrote."""
    if not isinstance(error, ValueError | AttributeError | KeyError):
        return False
    frames = traceback.walk_tb(error.__traceback__)
    return any(str(frame.f_globals.get("__name__")).startswith("optuna.storages.journal") for frame, _ in frames)


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
    with suppress(FileNotFoundError), journal.open("rb") as file:  # one of a worker that writes is gone in a moment
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - len(JOURNAL_OF_SEVERAL)))
        if file.read() == JOURNAL_OF_SEVERAL:
            message = f"{journal} names another file, which SQLite would remove"
            raise RlzooError(message, "it was not written by Optuna: remove it", ExitCode.UNSAFE)
