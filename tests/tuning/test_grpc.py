"""Studies in a database that workers reach through Optuna's proxy; they share the study's folder."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import deaths
import postgres
import pytest
from short_studies import SHORT, Toy, started

from rlzoo.cli.main import main
from rlzoo.errors import ConfigError, RlzooError
from rlzoo.tuning import worker
from rlzoo.tuning.request import plan
from rlzoo.tuning.storage import store as storage
from rlzoo.tuning.storage.store import Store

pytestmark = pytest.mark.usefixtures("workdir")
needs_postgresql = pytest.mark.skipif(bool(postgres.MISSING), reason=postgres.MISSING)

SERVE = """
import sys
from optuna.storages import InMemoryStorage, get_storage, run_grpc_proxy_server
storage = InMemoryStorage() if sys.argv[1] == "in-memory" else get_storage(sys.argv[1])
run_grpc_proxy_server(storage, host="localhost", port=int(sys.argv[2]))
"""
"""As docs/tuning.md has it."""


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with postgres.running() as port, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PGPASSWORD", postgres.PASSWORD)
        yield f"postgresql://me@127.0.0.1:{port}/studies"


@pytest.fixture(scope="module")
def served(database: str) -> Iterator[str]:
    port = free_port()
    url = Store(database, Path()).url
    process = subprocess.Popen([sys.executable, "-W", "ignore", "-c", SERVE, url, str(port)])
    try:
        yield f"grpc://localhost:{port}"
    finally:
        process.terminate()
        process.wait(timeout=30)


@needs_postgresql
def test_workers_that_share_a_folder_share_a_study_and_two_are_killed(database: str, served: str) -> None:
    """First, as processes are forked here: gRPC's threads would not survive that."""
    words = ["n_trials=14", "sampler=random", "study=killed"]
    study = started(f"storage={database}", *words)
    processes = deaths.start([[f"storage={served}", *words]] * 4, lasts=0.6, folder="studies")
    killed = deaths.kill(processes[:2], study)
    deaths.check(processes[2:], study, killed, n_trials=14)


@needs_postgresql
def test_a_study_through_the_proxy_is_the_study_in_the_database(database: str, served: str, toy: Toy) -> None:
    through = started(f"storage={served}", "n_trials=4", "study=same", "sampler=tpe")
    worker.run_trials(through, "w", lambda: False)
    assert toy.done == [0, 1, 2, 3]
    there = started(f"storage={database}", "n_trials=6", "study=same").queue
    assert [t.params for t in there.progress().finished] == [t.params for t in through.queue.progress().finished]
    assert main(["tune", "report", "study=same", f"storage={served}"]) == 0


@pytest.fixture
def memory() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A proxy in front of no database."""
    port = free_port()
    with subprocess.Popen([sys.executable, "-W", "ignore", "-c", SERVE, "in-memory", str(port)]) as process:
        try:
            yield f"grpc://localhost:{port}", process
        finally:
            process.kill()


def test_a_worker_that_is_killed_before_its_lease_does_not_hold_up_the_study(
    memory: tuple[str, subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch, toy: Toy
) -> None:
    """Nor one whose lease is gone already, as it failed with the proxy."""
    words = (f"storage={memory[0]}", "n_trials=2", "sampler=random")
    for method in ("take_lease", "end_lease"):
        with monkeypatch.context() as patch:
            dies = started(*words).queue
            patch.setattr(dies.store, method, lambda number: None)
            number = dies.ask().number
            for lock in dies.store._held.values():
                lock.release()
                Path(lock.lock_file).unlink()
        assert started(*words).queue.sweep() == [number]
    worker.run_trials(started(*words), "w", lambda: False)
    assert started(*words).queue.progress().done


def test_a_proxy_that_is_suspended_is_not_waited_for_without_end(
    memory: tuple[str, subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch, toy: Toy
) -> None:
    url, process = memory
    monkeypatch.setattr(storage, "CALL_SECONDS", 5.0)
    study = started(f"storage={url}", "n_trials=2")
    process.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    with pytest.raises(RlzooError, match=r"the storage grpc://localhost:\d+ fails: Deadline Exceeded") as found:
        worker.run_trials(study, "w", lambda: False)
    assert found.value.code == 5
    assert time.monotonic() - began < 40
    process.send_signal(signal.SIGCONT)
    worker.run_trials(started(f"storage={url}", "n_trials=2"), "w", lambda: False)
    assert started(f"storage={url}", "n_trials=2").queue.progress().done


def test_where_nobody_answers_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "PROXY_SECONDS", 0.5)
    with pytest.raises(RlzooError, match=r"the storage grpc://127.0.0.1:9 fails: .*timeout") as found:
        started("storage=grpc://127.0.0.1:9")
    assert found.value.code == 5
    assert "is Optuna's proxy up" in found.value.hint


@pytest.mark.parametrize(
    "url", ["grpc://", "grpc://host", "grpc://host:x", "grpc://me:geheim99@host:1", "grpc://h:1/x"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="is not the address of a proxy") as found:
        plan([*SHORT, f"storage={url}"])
    assert "geheim99" not in str(found.value)
