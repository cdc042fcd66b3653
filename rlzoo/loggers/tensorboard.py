"""Metrics for TensorBoard, written without torch: `tensorboard --logdir runs`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from rlzoo.runs import Run


def open_logger(run: Run, config: Mapping[str, Any], *, flush_seconds: float = 30) -> TensorBoardLogger:
    """Event files in `<run>/tensorboard`, brought to disk every `flush_seconds`."""
    return TensorBoardLogger(run, config, flush_seconds=flush_seconds)


class TensorBoardLogger:
    """One scalar for each metric, and the config as text."""

    def __init__(self, run: Run, config: Mapping[str, Any], *, flush_seconds: float) -> None:
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        run.tensorboard_dir.mkdir(exist_ok=True)
        self._writer = EventFileWriter(str(run.tensorboard_dir), flush_secs=flush_seconds)
        self._add(_text("config", config), step=0)

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=name, simple_value=float(value)) for name, value in metrics.items()]
        self._add(Summary(value=values), step)

    def close(self) -> None:
        """Write what is left and end the writer's thread."""
        self._writer.close()

    def _add(self, summary: Any, step: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        self._writer.add_event(Event(wall_time=time.time(), step=step, summary=summary))


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
