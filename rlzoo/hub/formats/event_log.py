"""The metrics of a training as a TensorBoard event file, in `logs/`, where the Deep RL Course's unit 8 puts its own.

It is made from the run's metrics.csv: the run's own event files hold its configuration, name its machine, and after a
resumed training what was taken back. Its clock stands still at the beginning of the training.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from rlzoo.errors import RlzooError
from rlzoo.runs import tables
from rlzoo.runs.run import Run

FOLDER = "logs"


def write(folder: Path, run: Run) -> None:
    """Write the event file; nothing if the run has no metrics."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    began = _began(run.read_info().get("started"))
    data = io.BytesIO()
    records = RecordWriter(data)
    records.write(Event(wall_time=began, file_version="brain.Event:2").SerializeToString())
    empty = data.tell()
    for step, metrics in _metrics(run.metrics_file):
        values = [Summary.Value(tag=name, simple_value=value) for name, value in metrics.items()]
        records.write(Event(wall_time=began, step=step, summary=Summary(value=values)).SerializeToString())
    if data.tell() > empty:
        (folder / FOLDER).mkdir()
        (folder / FOLDER / f"events.out.tfevents.{int(began):010d}.rlzoo").write_bytes(data.getvalue())


def _metrics(path: Path) -> Iterator[tuple[int, dict[str, float]]]:
    """Of every row the step, and every number by its name; nothing of a table that is damaged."""
    with suppress(RlzooError):
        for row in tables.read(path)[1]:
            step = tables.number(row.pop("step", None))
            numbers = {name: tables.number(cell) for name, cell in row.items() if name and cell}
            metrics = {name: number for name, number in numbers.items() if not math.isnan(number)}
            if 0 <= step < 2**63 and metrics:
                yield int(step), metrics


def _began(text: Any) -> float:
    """Seconds since 1970; 0 if nobody knows."""
    with suppress(TypeError, ValueError, OverflowError):
        return max(datetime.fromisoformat(text).timestamp(), 0.0)
    return 0.0
