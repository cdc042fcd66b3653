"""Studies in a PostgreSQL that several machines could reach: each in a folder of its own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from postgres import MISSING, PASSWORD, running
from short_studies import SHORT, Toy, started

from rlzoo.errors import RlzooError
from rlzoo.tuning import storage, worker
from rlzoo.tuning.ledger import state
from rlzoo.tuning.request import plan
from rlzoo.tuning.study import join

pytestmark = [pytest.mark.usefixtures("workdir"), pytest.mark.skipif(bool(MISSING), reason=MISSING), pytest.mark.slow]


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
    assert len(study.claims.ledger().finished) == 4
    assert PASSWORD not in "".join(path.read_text() for path in Path("studies").rglob("*.*") if path.suffix != ".lock")


def _work(words: list[str], folder: str) -> None:
    from short_studies import Toy

    worker.run_trial = Toy()
    study = started(*words, f"studies_dir={folder}")
    worker.run_trials(study, folder, lambda: False)


def test_twenty_with_folders_of_their_own_share_a_study(url: str) -> None:
    words = [f"storage={url}", "n_trials=40", "sampler=random", "study=twenty"]
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_work, args=(words, f"machine{number}")) for number in range(20)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 20
    ledger = started(*words).claims.ledger()
    assert len(ledger.finished) == len(ledger.trials) == 40
    assert sorted(trial.user_attrs["place"] for trial in ledger.finished) == list(range(40))


def _slow_work(words: list[str], folder: str, lasts: float) -> None:
    from short_studies import Toy

    toy = Toy()

    def run_trial(study, trial, name):
        time.sleep(lasts)
        return toy(study, trial, name)

    worker.run_trial = run_trial
    storage.HEARTBEAT_SECONDS, storage.GRACE_SECONDS = 1, 3
    worker.SWEEP_SECONDS = 2.0
    worker.run_trials(join(plan([*SHORT, *words, f"studies_dir={folder}"])), folder, lambda: False)


def test_eight_workers_and_three_killed(url: str) -> None:
    words = [f"storage={url}", "n_trials=30", "sampler=random", "study=killed"]
    study = started(*words)
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_slow_work, args=(words, f"machine{n}", 1.0)) for n in range(8)]
    for process in processes:
        process.start()
    for process in processes[:3]:
        while not study.claims.ledger().running:
            time.sleep(0.05)
        time.sleep(1.5)
        os.kill(process.pid, signal.SIGKILL)
    for process in processes[3:]:
        process.join(timeout=120)
    assert [process.exitcode for process in processes[3:]] == [0] * 5
    ledger = study.claims.ledger()
    assert len(ledger.finished) == 30
    assert sorted(trial.user_attrs["place"] for trial in ledger.finished) == list(range(30))
    assert not ledger.running
    assert not ledger.waiting
    assert {state(trial) for trial in ledger.trials} <= {"complete", "pruned", "lost"}
    assert 1 <= len(ledger.lost) <= 3
