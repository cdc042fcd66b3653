"""Metrics for TensorBoard, written without torch: `tensorboard --logdir runs`."""

from __future__ import annotations

import errno
import io
import os
import platform
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Gt

from rlzoo import contained
from rlzoo.protocols import EpisodeRecord, State
from rlzoo.redaction import printable
from rlzoo.runs.run import Run

NOTEBOOK = {
    "train/learning_rate": "charts/learning_rate",
    "train/value_loss": "losses/value_loss",
    "train/policy_gradient_loss": "losses/policy_loss",
    "train/entropy_loss": "losses/entropy",
    "train/old_approx_kl": "losses/old_approx_kl",
    "train/approx_kl": "losses/approx_kl",
    "train/clip_fraction": "losses/clipfrac",
    "train/explained_variance": "losses/explained_variance",
    "time/fps": "charts/SPS",
}
"""What CleanRL, and the notebook of the course's unit 8 after it, call the metrics of `ppo_scratch`."""


def open_logger(
    run: Run, config: Mapping[str, Any], *, flush_seconds: Annotated[float, Gt(0)] = 30
) -> TensorBoardLogger:
    """Event files in `<run>/tensorboard`, brought to disk every `flush_seconds`."""
    return TensorBoardLogger(run, config, flush_seconds=flush_seconds)


class TensorBoardLogger:
    """One scalar for each metric, and the config as text; of `ppo_scratch` also by the names of `NOTEBOOK`.

    A resumed training writes one more file, which begins by saying from which step on the earlier ones hold no
    longer: TensorBoard forgets those events, and the curve does not run back.
    """

    def __init__(self, run: Run, config: Mapping[str, Any], *, flush_seconds: float) -> None:
        run.tensorboard_dir.mkdir(exist_ok=True)
        contained.require(run.tensorboard_dir, run.path)
        new = not any(run.tensorboard_dir.iterdir())
        self._config = config
        self._as_notebook = (config.get("algo") or {}).get("name") == "ppo_scratch"
        self._file = _EventFile(run.tensorboard_dir, flush_seconds)
        self._begun = False
        self._last_step = -1
        if new:
            self._begin(0)

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        if not self._begun:
            self._begin(step)
        if self._as_notebook:
            named = {NOTEBOOK[name]: value for name, value in metrics.items() if name in NOTEBOOK}
            if "losses/entropy" in named:
                named["losses/entropy"] *= -1
            metrics = {**metrics, **named}
        values = [Summary.Value(tag=name, simple_value=float(value)) for name, value in metrics.items()]
        self._add(step, summary=Summary(value=values))
        self._last_step = max(self._last_step, step)

    def log_episodes(self, episodes: Sequence[EpisodeRecord]) -> None:
        """Each episode by itself, as the notebook has them."""
        for step, record in episodes if self._as_notebook else ():
            self.log({"charts/episodic_return": record["r"], "charts/episodic_length": record["l"]}, step)

    def close(self) -> None:
        """Write what is left."""
        self._file.close()

    def state(self) -> State:
        """How far the log is. What it says up to here is on disk then: a kill takes nothing before a checkpoint."""
        with suppress(Exception):  # the next line to be logged meets the same error, and it is said there
            self._file.flush()
        return State(values={"last_step": self._last_step})

    def restore(self, state: State) -> None:
        """Forget what was logged after the checkpoint that training resumes from."""
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

        self._file.add(Event(wall_time=time.time(), step=step, **content))


class _EventFile:
    """An event file written without TensorBoard's thread: what fails is raised where it is logged, not printed."""

    def __init__(self, folder: Path, flush_seconds: float) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        n_files = sum(1 for _ in folder.iterdir())  # TensorBoard reads them in the order of their names
        name = f"events.out.tfevents.{int(time.time()):010d}.{n_files:03d}.{platform.node()}.{os.getpid()}"
        self._file = (folder / name).open("xb", buffering=0)
        self._failure: OSError | None = None
        self._pending = io.BytesIO()
        self._records = RecordWriter(self._pending)
        self._flush_seconds, self._flushed_at = flush_seconds, time.monotonic()
        self.add(Event(wall_time=time.time(), file_version="brain.Event:2"))
        self.flush()

    def add(self, event: Any) -> None:
        """Write it with the next flush.

        Raises:
            OSError: if it, or anything before it, cannot be written.
        """
        if self._failure is not None:
            raise self._failure
        self._records.write(event.SerializeToString())
        if time.monotonic() - self._flushed_at >= self._flush_seconds:
            self.flush()

    def flush(self) -> None:
        """Write what is pending; after a failure nothing more can be."""
        if self._failure is not None:
            raise self._failure
        data = self._pending.getvalue()
        self._pending.seek(0)
        self._pending.truncate()
        self._flushed_at = time.monotonic()
        try:
            if self._file.write(data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._file.name)
        except OSError as error:
            self._failure = error
            self._file.close()
            raise

    def close(self) -> None:
        self.flush()
        self._file.close()


def _text(tag: str, config: Mapping[str, Any]) -> Any:
    """The config as indented text, which TensorBoard's text tab shows as it is."""
    import yaml
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto

    lines = printable(yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True)).splitlines()
    tensor = TensorProto(
        dtype="DT_STRING",
        string_val=["\n".join(f"    {line}" for line in lines).encode("utf-8")],
        tensor_shape=TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)]),
    )
    metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text"))
    return Summary(value=[Summary.Value(tag=tag, metadata=metadata, tensor=tensor)])
