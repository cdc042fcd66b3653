"""`monitor.csv`: the training episodes in the form of Stable-Baselines3's own Monitor, for tools that read that.

`stable_baselines3.common.monitor.load_results(run)` does, and with it the plots of Stable-Baselines3 and rl_zoo3.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from rlzoo.loggers.csv import CsvTable, EpisodeTable, one_line
from rlzoo.protocols import EpisodeRecord, State
from rlzoo.runs.run import Run


def open_logger(run: Run, config: Mapping[str, Any]) -> MonitorLogger:
    """One file for all environments of the training."""
    return MonitorLogger(run, config)


class MonitorLogger:
    """Hears of episodes alone."""

    def __init__(self, run: Run, config: Mapping[str, Any]) -> None:
        header = {"t_start": time.time(), "env_id": config.get("env", {}).get("id")}
        self._episodes = _MonitorTable(CsvTable(run.monitor_file, f"#{json.dumps(header)}\n"))

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Nothing: metrics have files of their own."""

    def log_episodes(self, episodes: Sequence[EpisodeRecord]) -> None:
        self._episodes.add(episodes)

    def close(self) -> None:
        """Write the episodes that have waited."""
        self._episodes.flush()

    def state(self) -> State:
        return State(values=self._episodes.state())

    def restore(self, state: State) -> None:
        """Forget what came after the checkpoint that training resumes from."""
        self._episodes.restore(state.values)


class _MonitorTable(EpisodeTable):
    _last = 0.0  # seconds of the last row

    def _names(self, more: Sequence[str]) -> list[str]:
        return ["r", "l", "t", *map(one_line, more)]

    def _row(self, step: int, record: Mapping[str, Any], seconds: float, more: Sequence[str]) -> list[object]:
        self._last = max(seconds, self._last + 1e-6)  # readers bring the rows into the order of their times
        return [record["r"], record["l"], round(self._last, 6), *(one_line(record.get(name)) for name in more)]
