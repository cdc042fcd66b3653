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

FOLDERS = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True), Path("/usr/local/bin"), Path("/usr/bin")]
BIN = next((folder for folder in FOLDERS if (folder / "initdb").exists() and (folder / "pg_ctl").exists()), None)
MISSING = "" if BIN is not None and find_spec("psycopg") is not None else "needs PostgreSQL and psycopg"
PASSWORD = "geheim-wort-99"


@contextmanager
def running() -> Iterator[int]:
    """Start a server with the user `me`, who has a password, and the database `studies`; gives its port."""
    assert BIN is not None
    folder = Path(tempfile.mkdtemp(prefix="rlzoo-pg-"))
    as_user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.getuid() == 0 else []
    if as_user:
        os.chown(folder, 65534, 65534)  # the server does not run as root
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "password").write_text(PASSWORD)
    (folder / "password").chmod(0o644)
    data = folder / "data"
    call = [*as_user, BIN / "initdb", "-D", data, "-U", "me", "-A", "scram-sha-256", f"--pwfile={folder / 'password'}"]
    subprocess.run(list(map(str, call)), check=True, capture_output=True, cwd=folder)
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    start = [*as_user, BIN / "pg_ctl", "-D", data, "-o", options, "-l", folder / "log", "-w", "start"]
    subprocess.run(list(map(str, start)), check=True, stdout=subprocess.DEVNULL, cwd=folder)
    try:
        environment = {**os.environ, "PGPASSWORD": PASSWORD}
        call = [str(BIN / "createdb"), "-h", "127.0.0.1", "-p", str(port), "-U", "me", "studies"]
        subprocess.run(call, check=True, env=environment, capture_output=True)
        yield port
    finally:
        stop = [*as_user, BIN / "pg_ctl", "-D", data, "-m", "immediate", "stop"]
        subprocess.run(list(map(str, stop)), check=False, stdout=subprocess.DEVNULL, cwd=folder)
        shutil.rmtree(folder, ignore_errors=True)
