"""`rlzoo tune serve`: a proxy in front of a database, for workers that reach this machine but not the database."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from rlzoo.config import paths
from rlzoo.config.compose import override
from rlzoo.config.parse import check
from rlzoo.config.tune_schema import TuneServeConfig
from rlzoo.errors import ExitCode, Problem, RlzooError
from rlzoo.launchers.signals import noted_signals
from rlzoo.tuning.storage import store as storage

if TYPE_CHECKING:
    from rlzoo.cli.main import Arguments

MAX_CONNECTIONS = 20
"""To the database, besides one for each lock."""
LOOK_SECONDS = 0.2
"""Between two looks whether it is to end."""
GRACE_SECONDS = 5.0
"""How long calls may take that are being answered then."""
UNSERVED = {
    "sqlite": "answers through a proxy may be out of date",
    "journal": "Optuna's proxy loses calls on a journal",
    "grpc": "a proxy needs no proxy",
}
LOOPBACK = ("127.0.0.1", "::1", "localhost")


def main(arguments: Arguments) -> int:
    import optuna

    from rlzoo import console
    from rlzoo.redaction import redact

    url, cfg = _request(arguments.words)
    from rlzoo.tuning.storage.proxy import start_server
    from rlzoo.tuning.storage.store import Store

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with noted_signals() as noted, closing(Store(url, Path())) as store:
        database = store.open_database(max_overflow=MAX_CONNECTIONS - 5)
        try:
            server, port = start_server(database, url, cfg.host, cfg.port)
        except RuntimeError as error:
            message = f"cannot listen on {cfg.host}:{cfg.port}: {str(error).splitlines()[0]}"
            raise RlzooError(message, "another port: port=13001; 0 takes a free one") from error
        if cfg.host not in LOOPBACK:
            console.warn("whoever reaches this port can read and change every study in the database")
        host = f"[{cfg.host}]" if ":" in cfg.host else cfg.host
        console.say(f"{redact(url)} is served; workers take storage=grpc://{host}:{port}; Ctrl-C ends it")
        while not noted and server.wait_for_termination(LOOK_SECONDS):
            pass
        server.stop(GRACE_SECONDS).wait()
    console.say("ended")
    return ExitCode.DONE


def _request(words: list[str]) -> tuple[str, TuneServeConfig]:
    """The database's URL, and the other words.

    Raises:
        ConfigError: with everything that is wrong with them.
    """
    request = override(paths.root() / "conf" / "tune-serve.yaml", words)
    cfg, problems = check(TuneServeConfig, request.values)
    problems = [*request.problems, *problems]
    given = request.values.get("storage")
    url = given if isinstance(given, str) else os.environ.get(storage.VARIABLE, "")
    kind = url.partition(":")[0].partition("+")[0]
    example = "storage=postgresql://me@host/studies"
    if not url:
        problems.append(Problem("storage", "is missing", f"{example}, or {storage.VARIABLE}"))
    elif kind in UNSERVED:
        problems.append(Problem("storage", f"{kind} is not served: {UNSERVED[kind]}", example))
    else:
        problems += storage.problems_of("sqlite" if given is None else url)
    return url, request.settled(cfg, problems)
