"""Studies in a MySQL, here a MariaDB, that several machines could reach."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import deaths
import pytest
from mariadb import MISSING, PASSWORD, running
from short_studies import SHORT, Toy, started

from rlzoo.errors import ConfigError, RlzooError
from rlzoo.tuning import database, worker
from rlzoo.tuning.request import plan

pytestmark = pytest.mark.usefixtures("workdir")
needs_mysql = pytest.mark.skipif(bool(MISSING), reason=MISSING)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with running() as found:
        yield found


@pytest.fixture
def url(port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database whose password is where MySQL's own client looks for it."""
    file = tmp_path / ".my.cnf"
    file.write_text(f'[client]\npassword = "{PASSWORD}"\n')
    monkeypatch.setattr(database, "MY_CNF", file)
    return f"mysql://me@127.0.0.1:{port}/studies"


@needs_mysql
@pytest.mark.slow
def test_eight_workers_and_three_killed(url: str) -> None:
    words = [f"storage={url}", "n_trials=20", "sampler=random", "study=killed"]
    study = started(*words)
    processes = deaths.start([words] * 8, lasts=0.5)
    killed = deaths.kill(processes[:3], study)
    deaths.check(processes[3:], study, killed, 20)


@pytest.mark.slow  # MariaDB takes its time to begin
@needs_mysql
def test_a_study_is_made_joined_and_gone_on_with(url: str, toy: Toy) -> None:
    words = [f"storage={url}", "study=first"]
    worker.run_trials(started(*words, "n_trials=2"), "w", lambda: False)
    study = started(*words, "n_trials=4")
    worker.run_trials(study, "w", lambda: False)
    assert toy.done == [0, 1, 2, 3]
    assert len(study.claims.ledger().finished) == 4


@needs_mysql
def test_the_password_is_not_in_the_url(url: str, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    started(f"storage={url}", "study=password")
    monkeypatch.setattr(database, "MY_CNF", Path("nowhere"))
    with pytest.raises(RlzooError, match=r"the storage mysql://me@127.0.0.1:.* fails: .*Access denied") as found:
        started(f"storage={url}", "study=password")
    assert found.value.code == 5
    monkeypatch.setenv("RLZOO_STORAGE", url.replace("me@", f"me:{PASSWORD}@"))
    study = started("study=password")
    assert study.claims.store.kind.startswith("mysql://")
    assert PASSWORD not in "".join(path.read_text() for path in Path("studies").rglob("*.yaml"))


@needs_mysql
@pytest.mark.slow
def test_connections_that_the_server_dropped_are_made_anew(url: str, toy: Toy) -> None:
    study = started(f"storage={url}", "n_trials=3", "study=dropped")
    worker.run_one(study, "w")
    assert drop(url)
    worker.run_trials(study, "w", lambda: False)
    assert toy.done == [0, 1, 2]
    with pytest.raises(RlzooError, match=r"Lost connection|gone away|closed") as found, study.claims.store.lock():
        assert drop(url)
    assert found.value.code == 5


def drop(url: str) -> int:
    """Let the server end all other connections of the user; returns their number."""
    from sqlalchemy import text

    engine = database.connect(url)
    with engine.connect() as own:
        others = own.execute(text("SELECT id FROM information_schema.processlist WHERE id <> connection_id()"))
        found = [row[0] for row in others]
        for number in found:
            own.execute(text(f"KILL {number}"))
    engine.dispose()
    return len(found)


@needs_mysql
@pytest.mark.slow
def test_a_large_queue_fits(url: str) -> None:
    """A grid of many points is kept with the study, which is more than a TEXT of MySQL takes."""
    words = ["sampler=grid", "search_space.gamma=null", "search_space.decay_rate=null"]
    words += [f"search_space.learning_rate={{type: choice, values: {[n / 100 for n in range(1, 60)]}}}"]
    words += [f"search_space.min_epsilon={{type: choice, values: {[n / 100 for n in range(20)]}}}"]
    study = started(f"storage={url}", "study=large", *words)
    assert len(study.claims.queue) == 59 * 20


def test_a_password_in_the_url_is_refused_with_the_ways_there_are() -> None:
    with pytest.raises(ConfigError) as found:
        plan([*SHORT, "storage=mysql://me:geheim99@host/studies"])
    [problem] = found.value.problems
    assert "geheim99" not in f"{problem.message}{problem.hint}"
    assert problem.hint == "~/.my.cnf, below [client], or the whole URL in RLZOO_STORAGE"


def test_which_driver_is_meant() -> None:
    assert database.with_driver("mysql://me:x@h:1/s") == "mysql+pymysql://me:x@h:1/s"
    assert database.with_driver("postgresql://me@h/s") == "postgresql+psycopg://me@h/s"
    assert database.with_driver("mysql+mysqldb://me@h/s") == "mysql+mysqldb://me@h/s"


def test_a_driver_that_is_not_there_is_named() -> None:
    for url, hint in (("mysql+mysqldb://h/s", "mysqlclient"), ("postgresql+psycopg2://h/s", "psycopg2-binary")):
        found = database.problems(url, variable="X")
        assert found == [] or found[0].hint == f"pip install {hint}"
    assert "nothing" in database.problems("mysql+nothing://h/s", variable="X")[0].message
