"""Metrics for Trackio: a local database, shown by `trackio show`, or a Space on the Hugging Face Hub."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from typing import Any

from rlzoo.runs.run import Run


def open_logger(
    run: Run,
    config: Mapping[str, Any],
    *,
    project: str = "rlzoo",
    group: str | None = None,
    name: str | None = None,
    space_id: str | None = None,
    private: bool | None = None,
) -> TrackioLogger:
    """A Trackio run named after the run directory."""
    import trackio

    with redirect_stdout(sys.stderr):  # standard output is for results
        handle = trackio.init(
            project=project,
            group=group or "/".join(run.path.parts[-3:-1]),
            name=name or run.path.name,
            space_id=space_id,
            private=private,
            config=dict(config),
            embed=False,
            auto_log_cpu=False,
            auto_log_gpu=False,
        )
    return TrackioLogger(handle)


class TrackioLogger:
    """Sends metrics to one Trackio run."""

    def __init__(self, handle: Any) -> None:
        self._run = handle

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        self._run.log({name: float(value) for name, value in metrics.items()}, step=step)

    def close(self) -> None:
        import trackio

        with redirect_stdout(sys.stderr):
            trackio.finish()  # the run's own finish() would be followed by a second one when Python exits
