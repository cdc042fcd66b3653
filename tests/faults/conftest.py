"""Real faults. A test asks `count(ci, full)` how often to do it; what it measures goes into `make faults`' results.

`pytest --faults=full` takes the full counts and writes benchmarks/results/faults.json from the properties of the tests.
"""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from warm import Warm

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "faults.json"


@pytest.fixture
def full(request: pytest.FixtureRequest) -> bool:
    """Whether the full counts were asked for."""
    return bool(request.config.getoption("--faults") == "full")


@pytest.fixture
def count(full: bool) -> Callable[[int, int], int]:
    """How often: the first number in CI, the second for `make faults`."""
    return lambda ci, many: many if full else ci


@pytest.fixture(scope="session")
def warm() -> Iterator[Warm]:
    """A process that starts `rlzoo` commands in a tenth of a second."""
    process = Warm()
    yield process
    process.close()


class Recorder:
    """Collects outcome, seconds and properties of every fault test, over all processes of a run."""

    def __init__(self) -> None:
        self.tests: dict[str, dict[str, Any]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if "tests/faults/" in report.nodeid and (report.when == "call" or report.outcome != "passed"):
            measured = {key: value for key, value in report.user_properties}
            name = report.nodeid.removeprefix("tests/faults/")
            self.tests[name] = {"outcome": report.outcome, "seconds": round(report.duration, 1), **measured}

    def pytest_sessionfinish(self) -> None:
        if self.tests:
            before = json.loads(RESULTS.read_text())["tests"] if RESULTS.is_file() else {}
            found = {
                "python": platform.python_version(),
                "platform": platform.platform(),
                "tests": dict(sorted((before | self.tests).items())),
            }
            RESULTS.write_text(json.dumps(found, indent=2) + "\n")


def pytest_configure(config: pytest.Config) -> None:
    worker = hasattr(config, "workerinput")
    if config.getoption("--faults", "ci") == "full" and not worker:
        config.pluginmanager.register(Recorder(), "fault-recorder")
