"""A MariaDB of this test's own on 127.0.0.1, from the system's package; drivers talk to it as to MySQL."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

SERVER, INSTALL = shutil.which("mariadbd", path="/usr/sbin:/usr/bin:/usr/local/bin"), shutil.which("mariadb-install-db")
MISSING = "" if SERVER and INSTALL and find_spec("pymysql") is not None else "needs MariaDB and PyMySQL"
PASSWORD = "geheim-wort-99"


@contextmanager
def running() -> Iterator[int]:
    """Start a server with the user `me`, who has a password, and the database `studies`; gives its port."""
    folder = Path(tempfile.mkdtemp(prefix="rlzoo-my-"))
    as_user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.getuid() == 0 else []
    if as_user:
        os.chown(folder, 65534, 65534)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data = folder / "data"
    call = [*as_user, INSTALL, "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal"]
    subprocess.run([str(part) for part in (*call, "--skip-test-db")], check=True, capture_output=True, cwd=folder)
    options = [f"--datadir={data}", f"--port={port}", "--bind-address=127.0.0.1", f"--socket={folder / 'socket'}"]
    options += [f"--pid-file={folder / 'pid'}", f"--log-error={folder / 'log'}", "--innodb-flush-log-at-trx-commit=0"]
    call = [*as_user, SERVER, "--no-defaults", *options]
    server = subprocess.Popen([str(part) for part in call], cwd=folder)
    try:
        _fill(port, folder, server)
        yield port
    finally:
        server.terminate()
        server.wait(timeout=60)
        shutil.rmtree(folder, ignore_errors=True)


def _fill(port: int, folder: Path, server: subprocess.Popen[bytes]) -> None:
    import pymysql

    until = time.monotonic() + 60
    while not (folder / "socket").exists():
        assert server.poll() is None and time.monotonic() < until, (folder / "log").read_text()
        time.sleep(0.1)
    root = pymysql.connect(unix_socket=str(folder / "socket"), user="root")
    with root, root.cursor() as cursor:
        cursor.execute("CREATE DATABASE studies")
        cursor.execute(f"CREATE USER 'me'@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'")
        cursor.execute("GRANT ALL ON studies.* TO 'me'@'127.0.0.1'")
