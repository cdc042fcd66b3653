"""A PostgreSQL of this test's own on 127.0.0.1, from the system's package."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.system import lacks

PROGRAMS = ("initdb", "pg_ctl", "postgres")
FOLDERS = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True), Path("/usr/local/bin"), Path("/usr/bin")]
PASSWORD = "geheim-wort-99"


def _missing(folder: Path) -> str:
    return next((said for name in PROGRAMS if (said := lacks(str(folder / name), "--version"))), "")


BIN = next((folder for folder in FOLDERS if not _missing(folder)), None)
MISSING = f"needs PostgreSQL, {_missing(FOLDERS[0])}" if BIN is None else ""
MISSING = MISSING if find_spec("psycopg") else "needs psycopg"


@contextmanager
def running() -> Iterator[int]:
    """Start a server with the user `me`, who has a password, and the database `studies`; gives its port."""
    assert BIN is not None
    folder = Path(tempfile.mkdtemp(prefix="rlzoo-pg-"))
    user = {"user": 65534, "group": 65534, "extra_groups": []} if os.getuid() == 0 else {}
    if user:
        os.chown(folder, 65534, 65534)  # the server does not run as root
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "password").write_text(PASSWORD)
    (folder / "password").chmod(0o644)
    data, log = folder / "data", folder / "log"

    def call(program: str, *words: str) -> str:
        """What is said if it fails; into a file, as the server keeps what it inherits open."""
        with (folder / "said").open("w+") as said:
            done = subprocess.run([BIN / program, "-D", data, *words], stdout=said, stderr=said, cwd=folder, **user)
            said.seek(0)
            return f"{program} fails: {said.read().strip()}" if done.returncode else ""

    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    try:
        # what the server's package is made of is not ours to know: where it cannot start, it is not there
        said = call("initdb", "-U", "me", "-A", "scram-sha-256", f"--pwfile={folder / 'password'}")
        said = said or call("pg_ctl", "-o", options, "-l", str(log), "-w", "start")
        if said:
            pytest.skip(f"PostgreSQL in {BIN} cannot be started: {said.splitlines()[-1]}")
        import psycopg

        with psycopg.connect(
            host="127.0.0.1", port=port, user="me", dbname="postgres", password=PASSWORD, autocommit=True
        ) as own:
            own.execute("CREATE DATABASE studies")
        yield port
    finally:
        call("pg_ctl", "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)
