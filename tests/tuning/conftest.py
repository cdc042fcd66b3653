"""Makes `short_studies` importable, and puts its toy in place of trainings."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from short_studies import Toy

from rlzoo.tuning import worker


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Toy:
    found = Toy()
    monkeypatch.setattr(worker, "run_trial", found)
    return found
