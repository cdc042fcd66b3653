"""Metrics for MLflow, in a local SQLite file or on a tracking server."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from typing import Any

from rlzoo.runs.run import Run

DEFAULT_STORE = "sqlite:///mlflow.db"
"""In the current folder, where `mlflow ui` looks; MLflow no longer takes its old folder of files."""

PARAMS_AT_ONCE = 100
PARAM_LENGTH = 500
KEY_LENGTH = 250


def open_logger(
    run: Run,
    config: Mapping[str, Any],
    *,
    tracking_uri: str | None = None,
    experiment: str = "rlzoo",
    name: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> MlflowLogger:
    """An MLflow run named after the run directory, with the config as its parameters."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_STORE)
    found = client.get_experiment_by_name(experiment)
    experiment_id = found.experiment_id if found else client.create_experiment(experiment)
    labels = {key: str(value) for key, value in {"rlzoo.run": str(run.path), **(tags or {})}.items()}
    run_id = client.create_run(experiment_id, run_name=name or run.path.name, tags=labels).info.run_id
    return MlflowLogger(client, run_id, config)


class MlflowLogger:
    """Writes to one MLflow run through a client of its own: no global "active run" is touched."""

    def __init__(self, client: Any, run_id: str, config: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        self._client, self._run_id = client, run_id
        params = [Param(key, text[:PARAM_LENGTH]) for key, text in flatten(config).items()]
        for start in range(0, len(params), PARAMS_AT_ONCE):
            client.log_batch(run_id, params=params[start : start + PARAMS_AT_ONCE])

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)  # ms since 1970
        self._client.log_batch(
            self._run_id, metrics=[Metric(_key(name), float(value), now, step) for name, value in metrics.items()]
        )

    def close(self) -> None:
        self._client.set_terminated(self._run_id)


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """`{"algo": {"gamma": 0.9}}` as `{"algo.gamma": "0.9"}`."""
    flat: dict[str, str] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[_key(f"{prefix}{key}".replace("/", "_"))] = str(value)
    return flat


def _key(name: str) -> str:
    """A name as MLflow takes it."""
    return re.sub(r"[^\w\-. :/]", "_", name)[:KEY_LENGTH]
