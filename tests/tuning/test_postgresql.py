"""Studies in a PostgreSQL that several machines could reach: each in a folder of its own."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import deaths
import pytest
from postgres import MISSING, PASSWORD, running
from short_studies import Toy, started
from sqlalchemy import create_engine, inspect

from rlzoo.cli.main import main
from rlzoo.errors import RlzooError
from rlzoo.tuning import worker
from rlzoo.tuning.storage.store import Store

pytestmark = [pytest.mark.usefixtures("workdir"), pytest.mark.skipif(bool(MISSING), reason=MISSING)]


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with running() as found:
        yield found


@pytest.fixture
def url(port: int, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    return f"postgresql://me@127.0.0.1:{port}/studies"


def test_the_password_comes_from_the_environment(url: str, toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [f"storage={url}", "n_trials=3", "study=password"]
    worker.run_trials(started(*words), "w", lambda: False)
    assert toy.done == [0, 1, 2]
    monkeypatch.delenv("PGPASSWORD")
    with pytest.raises(RlzooError, match=r"the storage postgresql://me@127.0.0.1:.* fails: .*no password") as found:
        started(*words)
    assert found.value.code == 5
    monkeypatch.setenv("RLZOO_STORAGE", url.replace("me@", f"me:{PASSWORD}@"))
    study = started("n_trials=4", "study=password")
    worker.run_trials(study, "w", lambda: False)
    assert len(study.queue.progress().finished) == 4
    assert PASSWORD not in "".join(path.read_text() for path in Path("studies").rglob("*.*") if path.suffix != ".lock")


def _work(words: list[str], folder: str) -> None:
    from short_studies import Toy

    worker.run_trial = Toy()
    study = started(*words, f"studies_dir={folder}")
    worker.run_trials(study, folder, lambda: False)


@pytest.mark.slow
def test_twenty_with_folders_of_their_own_share_a_study(url: str) -> None:
    words = [f"storage={url}", "n_trials=40", "sampler=random", "study=twenty"]
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_work, args=(words, f"machine{number}")) for number in range(20)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 20
    progress = started(*words).queue.progress()
    assert len(progress.finished) == len(progress.trials) == 40
    assert sorted(trial.user_attrs["place"] for trial in progress.finished) == list(range(40))


@pytest.mark.parametrize(
    ("n_trials", "lasts", "heartbeat"),
    [(14, 0.5, deaths.HEARTBEAT), pytest.param(60, 4.0, (10, 30), marks=pytest.mark.slow)],
)
def test_eight_workers_and_three_killed(n_trials: int, lasts: float, heartbeat: tuple[int, int], url: str) -> None:
    words = [f"storage={url}", f"n_trials={n_trials}", "sampler=random", f"study=killed{n_trials}"]
    study = started(*words)
    processes = deaths.start([words] * 8, lasts, heartbeat)
    killed = deaths.kill(processes[:3], study)
    deaths.check(processes[3:], study, killed, n_trials)


def test_connections_that_the_server_dropped_are_reopened(url: str, port: int, toy: Toy) -> None:
    study = started(f"storage={url}", "n_trials=3", "study=dropped")
    worker.run_one(study, "w")
    assert terminate(port, "datname = 'studies'")
    worker.run_trials(study, "w", lambda: False)
    assert toy.done == [0, 1, 2]


def test_a_lock_that_was_lost_with_its_connection_is_not_taken_for_held(url: str, port: int) -> None:
    study = started(f"storage={url}", "study=lost")
    with pytest.raises(RlzooError, match="connection") as found, study.queue.store.lock():
        assert terminate(port, "state = 'idle in transaction'") == 1
    assert found.value.code == 5


def terminate(port: int, which: str) -> int:
    """Let the server end connections other than this one; returns their number."""
    import psycopg

    with psycopg.connect(host="127.0.0.1", port=port, user="me", dbname="studies", password=PASSWORD) as own:
        query = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND {which}"
        return len(own.execute(query).fetchall())


def test_a_report_reads_and_changes_nothing(url: str, toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    study = started(f"storage={url}", "n_trials=3", "study=reported")
    worker.run_trials(study, "w", lambda: False)
    assert main(["tune", "report", "study=reported", "--json"]) == 0
    there = json.loads(capsys.readouterr().out)
    assert there["trials"] == {"complete": 3} and Path(there["report"]).is_file()
    words = ["study=reported", f"storage={url}", "studies_dir=elsewhere", "folder=page", "--json"]
    assert main(["tune", "report", *words]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["best"] == there["best"] and not Path("elsewhere").exists()
    assert main(["tune", "report", "study=reportd", f"storage={url}"]) == 2
    assert "did you mean 'reported'" in capsys.readouterr().err
    empty = url.replace("/studies", "/postgres")
    assert main(["tune", "report", "study=reported", f"storage={empty}"]) == 2
    assert "there is no study in postgresql://me@127.0.0.1" in capsys.readouterr().err
    engine = create_engine(Store(empty, Path()).url)
    assert inspect(engine).get_table_names() == []  # looking for one made none
    engine.dispose()
