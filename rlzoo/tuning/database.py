"""Databases on servers: their URLs, drivers and passwords, and a lock that every machine sees."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlzoo.errors import Problem
from rlzoo.redaction import redact

if TYPE_CHECKING:
    from sqlalchemy import URL, Engine

LOCK_TABLE = "rlzoo_locks"
LOCK_SECONDS = 7 * 24 * 3600
"""How long MySQL lets a command wait for one that trains the candidates of a study's end; PostgreSQL has no limit."""
MY_CNF = Path("~/.my.cnf")


@dataclass(frozen=True)
class Kind:
    """A kind of database.

    Attributes:
        driver: that its URL means if it names none.
        password: where a password is kept, besides a URL in the environment.
    """

    driver: str
    password: str


KINDS = {
    "postgresql": Kind("psycopg", "PGPASSWORD or ~/.pgpass"),
    "mysql": Kind("pymysql", "~/.my.cnf, below [client]"),
}
OTHER_DRIVERS = {"psycopg2": "psycopg2-binary", "MySQLdb": "mysqlclient"}
"""What installs the drivers that a URL may name instead."""


def problems(url: str, *, variable: str, may_hold_password: bool = False) -> list[Problem]:
    """What is wrong with a database's URL in `storage`; `variable` is the one of the environment that may hold it."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        backend = make_url(url).get_backend_name()
    except (ArgumentError, ValueError):
        return [Problem("storage", f"{redact(url)} cannot be read", "postgresql://me@host:5432/studies")]
    kind = KINDS.get(backend)
    if kind is None:
        own = "storage=sqlite keeps one in the study's folder"
        return [
            Problem(
                "storage",
                f"{backend} is not known as a database",
                own if backend == "sqlite" else "postgresql://, mysql://, or grpc:// for a proxy",
            )
        ]
    resolved = resolve(url)
    if resolved.password is not None and not may_hold_password:
        hint = f"{kind.password}, or the whole URL in {variable}"
        return [Problem("storage", "holds a password, which would be seen in process lists and histories", hint)]
    try:
        resolved.get_dialect().import_dbapi()
    except (ImportError, ArgumentError) as error:
        name = str(getattr(error, "name", None) or backend)
        package = OTHER_DRIVERS.get(name, f'"hydra-rlzoo[{backend}]"' if name == kind.driver else name)
        message = f"the driver of {resolved.drivername} is not installed ({error})"
        return [Problem("storage", message, f"pip install {package}", missing=True)]
    except Exception as error:  # an unknown driver: SQLAlchemy's own kinds differ by version
        return [Problem("storage", f"{resolved.drivername}: {error}", "postgresql://me@host:5432/studies")]
    return []


def resolve(url: str) -> URL:
    """A URL with the driver that it means."""
    from sqlalchemy.engine import make_url

    found = make_url(url)
    kind = KINDS.get(found.drivername)
    return found if kind is None else found.set(drivername=f"{found.drivername}+{kind.driver}")


def with_driver(url: str) -> str:
    """Likewise, as text that holds what the URL holds, its password too."""
    return resolve(url).render_as_string(hide_password=False)


def engine_options(url: str) -> dict[str, Any]:
    """What SQLAlchemy's engine is made with: connections that the server has dropped are made anew."""
    found: dict[str, Any] = {"pool_pre_ping": True}
    resolved = resolve(url)
    if resolved.drivername == "mysql+pymysql" and "read_default_file" not in resolved.query and _has_my_cnf():
        found["connect_args"] = {"read_default_file": str(MY_CNF.expanduser())}  # as MySQL's own client does
    return found


def _has_my_cnf() -> bool:
    try:
        return MY_CNF.expanduser().is_file()
    except (OSError, RuntimeError):
        return False


def connect(url: str, **options: Any) -> Engine:
    """An engine of its own; it has to be disposed of."""
    from sqlalchemy import create_engine

    return create_engine(with_driver(url), **{**engine_options(url), **options})


def widen(engine: Engine) -> None:
    """Let a study keep more than the 64 KiB that a TEXT of MySQL takes, such as the points of a large grid."""
    from sqlalchemy import text

    if engine.dialect.name != "mysql":
        return
    table, column = "study_user_attributes", "value_json"
    kind = text(
        "SELECT data_type FROM information_schema.columns WHERE table_schema = DATABASE()"
        f" AND table_name = '{table}' AND column_name = '{column}'"
    )
    with engine.begin() as connection:
        if connection.execute(kind).scalar() == "text":
            connection.execute(text(f"ALTER TABLE {table} MODIFY {column} MEDIUMTEXT"))


@contextmanager
def row_lock(url: str, name: str) -> Iterator[None]:
    """A row of a table of ours, locked in the database: others wait for it, on whichever machine.

    The database itself lets go of it when the connection ends, as it does with its process.
    """
    from sqlalchemy import text
    from sqlalchemy.pool import NullPool

    engine = connect(url, poolclass=NullPool, pool_pre_ping=False)
    try:
        table = _with_row(engine, name)
        with engine.connect() as connection:
            if engine.dialect.name == "mysql":
                connection.execute(text(f"SET SESSION innodb_lock_wait_timeout = {LOCK_SECONDS}"))
                connection.execute(text(f"SET SESSION wait_timeout = {LOCK_SECONDS}"))
                connection.commit()
            connection.execute(table.select().where(table.c.name == name).with_for_update())
            yield
            connection.commit()  # fails if the connection was lost, and with it the lock
    finally:
        engine.dispose()


def _with_row(engine: Engine, name: str) -> Any:
    """The table, with the row in it."""
    from sqlalchemy import Column, MetaData, String, Table, inspect
    from sqlalchemy.exc import DBAPIError, IntegrityError

    options: Mapping[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}
    table = Table(LOCK_TABLE, MetaData(), Column("name", String(255), primary_key=True), **options)
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
