"""Where trials are kept survives what disks and other processes do to it."""

from __future__ import annotations

import multiprocessing
import resource
import signal
import sqlite3
import subprocess
import threading
import time
from pathlib import Path

import pytest
from short_studies import SHORT, Toy, started

from rlzoo.errors import ConfigError, Problem, RlzooError
from rlzoo.tuning import worker
from rlzoo.tuning.request import plan
from rlzoo.tuning.storage import store as storage
from rlzoo.tuning.storage.store import Store

pytestmark = pytest.mark.usefixtures("workdir")


def problem(text: str) -> str:
    with pytest.raises(ConfigError) as found:
        plan([*SHORT, f"storage={text}"])
    [only] = found.value.problems
    assert only.key == "storage"
    return f"{only.message}; {only.hint}"


def test_a_password_in_the_url_is_refused_with_the_ways_there_are() -> None:
    found = problem("postgresql://me:geheim99@host/studies")
    assert "geheim99" not in found
    assert "PGPASSWORD or ~/.pgpass" in found
    assert "RLZOO_STORAGE" in found


def test_what_is_no_storage_is_refused() -> None:
    assert problem("sqlit").startswith("unknown storage 'sqlit'; did you mean 'sqlite'?")
    assert "oracle is not known" in problem("oracle://host/x")
    assert "in the study's folder" in problem("sqlite:///x.db")
    assert not Path("studies").exists()


@pytest.mark.parametrize("url", ["mysql://me@host/x", "mysql+pymysql://host/x", "mariadb+mariadbconnector://host/x"])
def test_databases_that_are_not_known_are_refused_with_those_that_are(url: str) -> None:
    found = problem(url)
    assert found.startswith(f"{url.partition(':')[0].partition('+')[0]} is not known as a database")
    assert "postgresql://" in found and "storage=sqlite" in found


@pytest.mark.parametrize(
    "option",
    [
        *("local_infile=1", "options=-c%20x%3D1", "passfile=/x", "sslkey=/x", "sslcert=/x", "service=x", "host=evil"),
        *("hostaddr=10.0.0.1", "password=geheim99", "dsn=x", "sslcrl=/x", "krbsrvname=x", "read_default_file=/x"),
    ],
)
def test_a_url_takes_few_options(option: str) -> None:
    found = problem(f"postgresql://me@host/studies?sslmode=require&{option}")
    assert found.startswith(f"its URL takes no '{option.partition('=')[0]}'; it takes: application_name")
    assert "geheim99" not in found


def test_which_driver_is_meant() -> None:
    assert Store("postgresql://me:x@h:1/s", Path()).url == "postgresql+psycopg://me:x@h:1/s"
    assert Store("postgresql+psycopg2://me@h/s?sslmode=require", Path()).url.startswith("postgresql+psycopg2://")
    assert storage.database_problems("postgresql://me@h/s?sslmode=require&connect_timeout=3") in (
        [], storage.database_problems("postgresql://me@h/s"),
    )  # fmt: skip
    found = storage.database_problems("postgresql+psycopg2://h/s")
    assert found == [] or (found[0].missing and found[0].hint == "pip install psycopg2-binary")
    assert "pg8000 is not a known driver" in storage.database_problems("postgresql+pg8000://h/s")[0].message


def test_the_environment_may_name_it_with_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RLZOO_STORAGE", "journal")
    assert plan(SHORT).config.storage == "sqlite"
    assert Store.of("sqlite", Path("s")).kind == "journal"
    monkeypatch.setenv("RLZOO_STORAGE", "oracle://me:geheim99@host/x")
    with pytest.raises(ConfigError, match="oracle is not known"):
        plan(SHORT)


@pytest.mark.parametrize("seconds", [2.0, pytest.param(30.0, marks=pytest.mark.slow)])
def test_a_database_that_somebody_locks_is_waited_for(seconds: float, toy: Toy) -> None:
    study = started("n_trials=2")
    worker.run_one(study, "w")
    held = sqlite3.connect(Path("studies/s/study.db"), isolation_level=None, check_same_thread=False)
    held.execute("BEGIN EXCLUSIVE")
    timer = threading.Timer(seconds, lambda: held.execute("ROLLBACK"))
    timer.start()
    began = time.monotonic()
    worker.run_trials(study, "w", lambda: False)
    assert time.monotonic() - began >= seconds * 0.9
    assert len(study.queue.progress().finished) == 2
    timer.join()
    held.close()


def test_one_that_stays_locked_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    started("n_trials=2")
    monkeypatch.setattr(storage, "BUSY_SECONDS", 0.2)
    held = sqlite3.connect(Path("studies/s/study.db"), isolation_level=None)
    held.execute("BEGIN EXCLUSIVE")
    with pytest.raises(RlzooError, match=r"the storage studies/s/study.db fails: database is locked") as found:
        started("n_trials=2")
    assert found.value.code == 5
    assert "try the same command later" in found.value.hint
    held.close()
    assert started("n_trials=2").queue.progress().trials == []


def test_a_folder_that_cannot_be_made_is_a_storage_error() -> None:
    Path("file").write_text("")
    with pytest.raises(RlzooError, match="cannot make file/s") as found:
        started("studies_dir=file")
    assert found.value.code == 5


def _until_the_disk_is_full(report: object) -> None:
    worker.run_trial = Toy()
    study = started("n_trials=50", "sampler=random")
    file = study.queue.store.file
    assert file is not None
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limit = max(file.stat().st_size + 3000, 4096 * 12)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))  # to this process the disk ends there
    try:
        worker.run_trials(study, "w", lambda: False)
    except RlzooError as error:
        report.put((int(error.code), error.message, len(study.queue.progress().finished)))


def test_after_a_full_disk_every_finished_trial_is_there(toy: Toy) -> None:
    worker.run_trials(started("n_trials=3", "sampler=random"), "w", lambda: False)
    context = multiprocessing.get_context("fork")
    report = context.Queue()
    process = context.Process(target=_until_the_disk_is_full, args=(report,))
    process.start()
    code, message, n_finished = report.get(timeout=60)
    process.join()
    assert code == 5
    assert message.startswith("the storage studies/s/")
    study = started(f"n_trials={n_finished + 2}", "sampler=random")
    assert len(study.queue.progress().finished) == n_finished >= 3
    study.queue.sweep()
    worker.run_trials(study, "w", lambda: False)
    assert len(study.queue.progress().finished) == n_finished + 2
    assert not study.queue.progress().running


def test_a_journal_whose_last_record_was_cut_short_is_refused(toy: Toy) -> None:
    words = ("storage=journal", "n_trials=4", "sampler=random")
    path = Path("studies/s/journal.log").absolute()
    worker.run_one(started(*words), "w")
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"op_code": 4, "wor')
    with pytest.raises(RlzooError, match=rf"the last record of {path} was cut short") as found:
        started(*words)
    assert found.value.code == 5
    assert not path.with_name("journal.log.lock").exists()
    command = found.value.hint.partition(": ")[2]
    assert command == f"truncate -s {len(whole)} {path}"
    subprocess.run(command.split(), check=True)
    assert path.read_bytes() == whole
    worker.run_trials(started(*words), "w", lambda: False)
    assert len(started(*words).queue.progress().finished) == 4


def test_a_journal_that_is_torn_while_workers_write_to_it_ends_them(toy: Toy) -> None:
    words = ("storage=journal", "n_trials=20", "sampler=random")
    path = Path("studies/s/journal.log")
    study = started(*words)
    worker.run_one(study, "w")
    with path.open("ab") as file:
        file.write(b'{"op_code": 4, "wor')
    for work in (lambda: worker.run_trials(study, "w", lambda: False), lambda: started(*words)):
        with pytest.raises(RlzooError, match=r"journal.log is damaged: no sense can be made of it") as found:
            work()
        assert found.value.code == 5


@pytest.mark.parametrize("name", ["what? next", "100%41", "{x}", "a#b&c=d", "file:x", "é ☃"])
def test_a_studys_database_lies_in_its_folder_whatever_that_is_called(name: str) -> None:
    import optuna

    folder = Path(name) / "study"
    folder.mkdir(parents=True)
    store = Store("sqlite", folder)
    study = optuna.create_study(storage=store.open(), study_name="here")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    store.close()
    assert [path.name for path in Path().iterdir()] == [name]
    assert [path.name for path in folder.iterdir()] == ["study.db"]
    with sqlite3.connect((folder / "study.db").absolute()) as connection:
        assert connection.execute("SELECT count(*) FROM trials").fetchone() == (1,)


@pytest.mark.parametrize("name", ["été #1? {x}", "हिन्दी", "a&b=c", "x" * 100])
def test_a_study_has_any_name_that_a_folder_can_have(name: str) -> None:
    assert not [p for p in problems_of_study(name) if p.key == "study"]


@pytest.mark.parametrize("name", ["../x", ".x", "-x", "a/b", "a\\b", " x", "x ", "a\nb", "a\u202eb", "x" * 101])
def test_what_no_folder_is_called_is_refused(name: str) -> None:
    assert [p.key for p in problems_of_study(name)] == ["study"]


def problems_of_study(name: str) -> tuple[Problem, ...]:
    try:
        plan([*SHORT, f"study={name}"])
    except ConfigError as error:
        return tuple(error.problems)
    return ()
