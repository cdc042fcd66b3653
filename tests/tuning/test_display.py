"""The thread that watches a search never keeps it from ending."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from short_studies import Toy, started

from rlzoo.tuning import display

pytestmark = pytest.mark.usefixtures("workdir")


def test_the_search_ends_while_the_last_look_takes_for_ever(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    answers, join = threading.Event(), display.join

    def late(request: Any) -> Any:
        answers.wait()  # as a storage that is locked, or a server that is gone
        return join(request)

    monkeypatch.setattr(display, "join", late)
    monkeypatch.setattr(display, "LAST_LOOK", 0.05)
    watch = display.Watch(started("n_trials=1"))
    with watch:
        pass
    try:
        assert watch._thread.is_alive()
    finally:
        answers.set()
        watch._thread.join()
