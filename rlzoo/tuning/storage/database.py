"""PostgreSQL as a study's storage: its URL, driver and password, and a lock that every machine sees."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from rlzoo.errors import ExitCode, Problem
from rlzoo.redaction import redact

if TYPE_CHECKING:
    from sqlalchemy import URL, Engine

LOCK_TABLE = "rlzoo_locks"
BACKEND = "postgresql"
EXAMPLE = "postgresql://me@host:5432/studies"
DRIVERS = {"psycopg": '"hydra-rlzoo[postgresql]"', "psycopg2": "psycopg2-binary"}
"""Those that a URL may name, the one that it means if it names none first, and what installs them."""
OPTIONS = ("application_name", "connect_timeout", "sslmode", "sslrootcert")
"""What a URL may say besides. Others name files to read, places to connect to, or commands for the server."""

ENGINE_OPTIONS: dict[str, Any] = {"pool_pre_ping": True}
"""What SQLAlchemy's engine is made with: connections that the server has dropped are made anew."""


def problems(url: str, *, variable: str, may_hold_password: bool = False) -> list[Problem]:
    """What is wrong with a database's URL in `storage`; `variable` is the one of the environment that may hold it."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        found = make_url(url)
    except (ArgumentError, ValueError):
        return [Problem("storage", f"{redact(url)} cannot be read", EXAMPLE)]
    backend, _, driver = found.drivername.partition("+")
    if backend != BACKEND:
        own = "storage=sqlite keeps one in the study's folder"
        hint = own if backend == "sqlite" else f"{own}; for many machines: {EXAMPLE}, or grpc://host:13000 for a proxy"
        return [Problem("storage", f"{backend} is not known as a database: studies are in SQLite or PostgreSQL", hint)]
    driver = driver or next(iter(DRIVERS))
    if driver not in DRIVERS:
        return [Problem("storage", f"{driver} is no driver that is known here", f"one of: {', '.join(DRIVERS)}")]
    if found.password is not None and not may_hold_password:
        hint = f"PGPASSWORD or ~/.pgpass, or the whole URL in {variable}"
        return [Problem("storage", "holds a password, which would be seen in process lists and histories", hint)]
    if unknown := sorted(set(found.query) - set(OPTIONS)):
        hint = f"it takes: {', '.join(OPTIONS)}; libpq's variables (PGSSLCERT, PGSERVICE) are yours to set"
        return [Problem("storage", f"its URL takes no {', '.join(map(repr, unknown))}", hint)]
    try:
        resolve(url).get_dialect().import_dbapi()
    except ImportError as error:
        message = f"the driver {driver} is not installed ({error})"
        return [Problem("storage", message, f"pip install {DRIVERS[driver]}", code=ExitCode.MISSING)]
    return []


def resolve(url: str) -> URL:
    """A URL with the driver that it means."""
    from sqlalchemy.engine import make_url

    found = make_url(url)
    return found.set(drivername=f"{BACKEND}+{next(iter(DRIVERS))}") if found.drivername == BACKEND else found


def with_driver(url: str) -> str:
    """Likewise, as text that holds what the URL holds, its password too."""
    return resolve(url).render_as_string(hide_password=False)


def connect(url: str, **options: Any) -> Engine:
    """An engine of its own; it has to be disposed of."""
    from sqlalchemy import create_engine

    return create_engine(with_driver(url), **{**ENGINE_OPTIONS, **options})


@contextmanager
def row_lock(url: str, name: str) -> Iterator[None]:
    """A row of a table of ours, locked in the database: others wait for it, on whichever machine.

    The database itself lets go of it when the connection ends, as it does with its process.
    """
    from sqlalchemy.pool import NullPool

    engine = connect(url, poolclass=NullPool, pool_pre_ping=False)
    try:
        table = _with_row(engine, name)
        with engine.connect() as connection:
            connection.execute(table.select().where(table.c.name == name).with_for_update())
            yield
            connection.commit()  # fails if the connection was lost, and with it the lock
    finally:
        engine.dispose()


def _with_row(engine: Engine, name: str) -> Any:
    """The table, with the row in it."""
    from sqlalchemy import Column, MetaData, String, Table, inspect
    from sqlalchemy.exc import DBAPIError, IntegrityError

    table = Table(LOCK_TABLE, MetaData(), Column("name", String(255), primary_key=True))
    try:
        with engine.begin() as connection:
            table.create(connection, checkfirst=True)
    except DBAPIError:
        if not inspect(engine).has_table(LOCK_TABLE):  # else another made it in the same moment
            raise
    with engine.begin() as connection:
        is_there = connection.execute(table.select().where(table.c.name == name)).first() is not None
    if not is_there:
        with suppress(IntegrityError), engine.begin() as connection:
            connection.execute(table.insert().values(name=name))
    return table
