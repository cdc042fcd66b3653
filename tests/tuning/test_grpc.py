"""Studies in a database that workers reach through `rlzoo tune serve`."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import deaths
import postgres
import pytest
from short_studies import SHORT, Toy, started

from rlzoo.cli.main import main
from rlzoo.errors import ConfigError, RlzooError
from rlzoo.tuning import worker
from rlzoo.tuning.request import plan
from rlzoo.tuning.storage import proxy
from rlzoo.tuning.storage.store import Store

pytestmark = pytest.mark.usefixtures("workdir")
needs_postgresql = pytest.mark.skipif(bool(postgres.MISSING), reason=postgres.MISSING)

SHORT_LIVED = """
import sys
from rlzoo.cli.main import main
from rlzoo.tuning import storage
storage.HEARTBEAT_SECONDS, storage.GRACE_SECONDS = 1, 3
sys.exit(main(["tune", "serve", *sys.argv[1:]]))
"""


@contextmanager
def serving(url: str, *words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command in a process of its own, and the address that it says."""
    call = [sys.executable, "-c", SHORT_LIVED, f"storage={url}", *(words or ["port=0"])]
    process = subprocess.Popen(call, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        found = re.search(r"storage=(grpc://\S+);", line)
        assert found, line + process.stderr.read()
        yield process, found[1]
    finally:
        process.terminate()
        process.communicate(timeout=30)


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with postgres.running() as port, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PGPASSWORD", postgres.PASSWORD)
        yield f"postgresql://me@127.0.0.1:{port}/studies"


@pytest.fixture(scope="module")
def served(database: str) -> Iterator[str]:
    with serving(database) as (_, address):
        yield address


@needs_postgresql
def test_workers_with_and_without_the_proxy_share_a_study_and_two_are_killed(database: str, served: str) -> None:
    """First, as processes are forked here: gRPC's threads would not survive that."""
    words = ["n_trials=14", "sampler=random", "study=killed"]
    study = started(f"storage={database}", *words)
    here, through = [f"storage={database}", *words], [f"storage={served}", *words]
    processes = deaths.start([through, here, through, through], lasts=0.6)
    killed = deaths.kill(processes[:2], study)
    deaths.check(processes[2:], study, killed, n_trials=14)


@needs_postgresql
def test_a_study_through_the_proxy_is_the_study_in_the_database(database: str, served: str, toy: Toy) -> None:
    through = started(f"storage={served}", "n_trials=4", "study=same", "sampler=tpe")
    worker.run_trials(through, "w", lambda: False)
    assert toy.done == [0, 1, 2, 3]
    there = started(f"storage={database}", "n_trials=6", "study=same").claims
    assert [t.params for t in there.ledger().finished] == [t.params for t in through.claims.ledger().finished]


@needs_postgresql
def test_locks_are_the_databases(database: str, served: str) -> None:
    here, there = started(f"storage={database}", "study=locks"), started(f"storage={served}", "study=locks")
    order = []

    def take() -> None:
        with there.claims.store.lock():
            order.append("through the proxy")

    with here.claims.store.lock():
        waiting = threading.Thread(target=take)
        waiting.start()
        time.sleep(1.0)
        order.append("in the database")
    waiting.join(timeout=30)
    assert order == ["in the database", "through the proxy"]
    with there.claims.store.lock("one"), there.claims.store.lock("other"):
        pass
    with pytest.raises(ZeroDivisionError), there.claims.store.lock():
        1 / 0  # noqa: B018 - what ends it
    with here.claims.store.lock():
        pass


@needs_postgresql
@pytest.mark.slow
def test_ctrl_c_ends_the_proxy_and_its_clients_say_what_is_missing(
    database: str, toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy, "WAIT_SECONDS", 4.0)
    with serving(database) as (process, address):
        study = started(f"storage={address}", "study=ended", "n_trials=2")
        stopped = r"the storage grpc://127.0.0.1:\d+ fails: the proxy was stopped"
        with pytest.raises(RlzooError, match=stopped) as lost, study.claims.store.lock():
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=30) == 0
        assert lost.value.code == 5
        with pytest.raises(RlzooError, match=r"the storage grpc://127.0.0.1:\d+ fails: ") as found:
            worker.run_one(study, "w")
        assert found.value.code == 5
        assert "does `rlzoo tune serve` run there" in found.value.hint
        port = address.rpartition(":")[2]
        with serving(database, f"port={port}"):
            monkeypatch.setattr(proxy, "WAIT_SECONDS", 20.0)
            worker.run_trials(study, "w", lambda: False)  # it is reached again
            assert toy.done == [0, 1]
            assert main(["tune", "serve", f"storage={database}", f"port={port}"]) == 2  # taken


def test_where_nobody_answers_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy, "FIRST_SECONDS", 0.5)
    with pytest.raises(
        RlzooError, match=r"the storage grpc://127.0.0.1:9 fails: no proxy answers within 0.5 s"
    ) as found:
        started("storage=grpc://127.0.0.1:9")
    assert found.value.code == 5


@pytest.mark.parametrize(
    "url", ["grpc://", "grpc://host", "grpc://host:x", "grpc://me:geheim99@host:1", "grpc://h:1/x"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="is no address of a proxy") as found:
        plan([*SHORT, f"storage={url}"])
    assert "geheim99" not in str(found.value)


def test_an_address_with_colons() -> None:
    assert proxy.address("grpc://[::1]:13000") == ("::1", 13000)
    assert Store.of("grpc://host:1", None).is_proxy


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "storage: is missing"),
        (["storage=journal"], "journal is not served: Optuna's proxy loses calls"),
        (["storage=sqlite:///x.db"], "sqlite is not served: answers through a proxy may be out of date"),
        (["storage=grpc://host:1"], "a proxy needs no proxy"),
        (["storage=oracle://host/x"], "oracle is not known"),
        (["storage=postgresql://me:geheim99@host/x"], "holds a password"),
        (["storage=postgresql://me@host/x", "port=70000"], "port: must be at most 65535"),
        (["prot=1"], "prot: is not a known setting; did you mean 'port'?"),
    ],
)
def test_what_is_not_served(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune", "serve", *words]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "geheim99" not in said


@needs_postgresql
def test_a_database_that_is_not_there_is_a_storage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune", "serve", "storage=postgresql://me@127.0.0.1:9/x"]) == 5
    assert "is the server up" in capsys.readouterr().err
