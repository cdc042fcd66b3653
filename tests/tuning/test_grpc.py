"""Studies in a database that workers reach through Optuna's proxy; they share the study's folder."""

from __future__ import annotations

import socket
import subprocess
import sys
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
from optuna.storages import get_storage, run_grpc_proxy_server
run_grpc_proxy_server(get_storage(sys.argv[1]), host="localhost", port=int(sys.argv[2]))
"""
"""As docs/tuning.md has it."""


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with postgres.running() as port, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PGPASSWORD", postgres.PASSWORD)
        yield f"postgresql://me@127.0.0.1:{port}/studies"


@pytest.fixture(scope="module")
def served(database: str) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
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


@needs_postgresql
def test_a_trial_whose_worker_has_another_folder_is_not_taken_for_lost(served: str) -> None:
    """Its lease is where this one does not see it."""
    words = (f"storage={served}", "study=elsewhere", "n_trials=2")
    running = started(*words)
    number = running.queue.ask().number
    here = started(*words, "studies_dir=here").queue
    assert here.sweep() == []
    assert [trial.number for trial in here.progress().running] == [number]


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
    with pytest.raises(ConfigError, match="is no address of a proxy") as found:
        plan([*SHORT, f"storage={url}"])
    assert "geheim99" not in str(found.value)
