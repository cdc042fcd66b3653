"""Memory of past trials is looked for, and what a process had before is left as it was."""

from __future__ import annotations

import gc
import weakref

import pytest

from rlzoo.tuning import worker


class Knot:
    """Holds on to itself, so that only a search finds it."""

    def __init__(self) -> None:
        self.self = self


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "COLLECT_SECONDS", -1.0)


@pytest.mark.usefixtures("at_once")
def test_knots_of_every_trial_are_freed_and_nothing_stays_left_out() -> None:
    assert gc.get_freeze_count() == 0
    with worker._collecting() as collect:
        for _ in range(3):
            knot = weakref.ref(Knot())
            collect()
            assert knot() is None
        assert gc.get_freeze_count() > 0
    assert gc.get_freeze_count() == 0


@pytest.mark.usefixtures("at_once")
def test_what_others_left_out_stays_left_out() -> None:
    gc.freeze()
    try:
        with worker._collecting() as collect:
            collect()
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()


def test_it_is_not_looked_for_all_the_time() -> None:
    with worker._collecting() as collect:
        knot = weakref.ref(Knot())
        gc.disable()
        try:
            collect()
            assert knot() is not None
        finally:
            gc.enable()
