"""Metrics for TensorBoard, written without torch: `tensorboard --logdir runs`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from rlzoo.protocols import State
from rlzoo.runs import Run


def open_logger(run: Run, config: Mapping[str, Any], *, flush_seconds: float = 30) -> TensorBoardLogger:
    """Event files in `<run>/tensorboard`, brought to disk every `flush_seconds`."""
    return TensorBoardLogger(run, config, flush_seconds=flush_seconds)


class TensorBoardLogger:
    """One scalar for each metric, and the config as text.

    A training that goes on writes one more file, which begins by saying from which step on the earlier ones hold no
    longer: TensorBoard forgets those events, and the curve does not run back.
    """

    def __init__(self, run: Run, config: Mapping[str, Any], *, flush_seconds: float) -> None:
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        run.tensorboard_dir.mkdir(exist_ok=True)
        new = not any(run.tensorboard_dir.iterdir())
        self._config = config
        self._writer = EventFileWriter(str(run.tensorboard_dir), flush_secs=flush_seconds)
        self._begun = False
        self._last_step = -1
        if new:
            self._begin(0)

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        if not self._begun:
            self._begin(step)
        values = [Summary.Value(tag=name, simple_value=float(value)) for name, value in metrics.items()]
        self._add(step, summary=Summary(value=values))
        self._last_step = max(self._last_step, step)

    def close(self) -> None:
        """Write what is left and end the writer's thread."""
        self._writer.close()

    def state(self) -> State:
        """How far the log is. What it says up to here is on disk then: a kill takes nothing before a checkpoint."""
        with suppress(Exception):  # the next line to be logged meets the same error, and it is said there
            self._writer.flush()
        return State(values={"last_step": self._last_step})

    def restore(self, state: State) -> None:
        """Forget what was logged after the checkpoint that training goes on from."""
        self._last_step = state.values["last_step"]
        self._begin(self._last_step + 1)

    def _begin(self, step: int) -> None:
        """From this step on earlier files hold no longer; TensorBoard takes the first such event for a mere start."""
        from tensorboard.compat.proto.event_pb2 import SessionLog

        self._add(step, session_log=SessionLog(status=SessionLog.START))
        self._add(step, summary=_text("config", self._config))
        self._begun = True

    def _add(self, step: int, **content: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        self._writer.add_event(Event(wall_time=time.time(), step=step, **content))


def _text(tag: str, config: Mapping[str, Any]) -> Any:
    """The config as indented text, which TensorBoard's text tab shows as it is."""
    import yaml
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto

    lines = yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True).splitlines()
    tensor = TensorProto(
        dtype="DT_STRING",
        string_val=["\n".join(f"    {line}" for line in lines).encode("utf-8")],
        tensor_shape=TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)]),
    )
    metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text"))
    return Summary(value=[Summary.Value(tag=tag, metadata=metadata, tensor=tensor)])
