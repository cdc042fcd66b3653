"""optuna-dashboard opens the file of a study."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.request
from importlib.util import find_spec
from typing import Any

import pytest
from short_studies import Toy, started

from rlzoo.tuning import worker

pytestmark = [
    pytest.mark.usefixtures("workdir"),
    pytest.mark.skipif(find_spec("optuna_dashboard") is None, reason="needs optuna-dashboard"),
]


def test_the_dashboard_shows_a_study_that_goes_on(toy: Toy) -> None:
    study = started("n_trials=3")
    worker.run_one(study, "w")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    call = [sys.executable, "-c", "from optuna_dashboard._cli import main; main()"]
    call += ["sqlite:///studies/s/study.db", "--host", "127.0.0.1", "--port", str(port), "--quiet"]
    process = subprocess.Popen(call, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        address = f"http://127.0.0.1:{port}/api/studies"
        [shown] = answer(address, process)["study_summaries"]
        assert shown["study_name"] == "s"
        worker.run_trials(study, "w", lambda: False)  # with the dashboard open
        trials = answer(f"{address}/{shown['study_id']}", process)["trials"]
        assert [trial["state"] for trial in trials] == ["Complete"] * 3
        assert [trial["values"] for trial in trials] == [trial.values for trial in study.queue.progress().finished]
    finally:
        process.terminate()
        process.communicate(timeout=30)


def answer(address: str, process: subprocess.Popen[bytes]) -> Any:
    """What the server says, which may still be starting."""
    until = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(address, timeout=30) as found:
                return json.load(found)
        except OSError:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < until
            time.sleep(0.2)
