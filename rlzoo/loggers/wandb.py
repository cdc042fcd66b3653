"""Metrics for Weights & Biases, online or offline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from configparser import ConfigParser
from pathlib import Path
from typing import Any, Literal

from rlzoo.errors import RlzooError
from rlzoo.runs.run import Run

FOLDER_SETTINGS = frozenset(("entity", "project", "mode", "disabled"))
"""What `wandb init` and `wandb offline` write into a folder: no host, key or proxy."""


def open_logger(
    run: Run,
    config: Mapping[str, Any],
    *,
    project: str = "rlzoo",
    entity: str | None = None,
    group: str | None = None,
    name: str | None = None,
    tags: Sequence[str] = (),
    notes: str | None = None,
    mode: Literal["online", "offline", "disabled"] | None = None,
) -> WandbLogger:
    """A W&B run named after the run directory; its own files lie in `<run>/wandb`.

    W&B's record of the environment is off: it holds the command line as it was typed, the host and the user.

    Raises:
        RlzooError: if the current folder has settings for W&B that say where the run, and the user's key, are sent.
    """
    _require_no_foreign_host()
    import wandb

    handle = wandb.init(
        project=project,
        entity=entity,
        group=group or "/".join(run.path.parts[-3:-1]),
        name=name or run.path.name,
        tags=list(tags),
        notes=notes,
        mode=mode,
        dir=str(run.path),
        config=dict(config),
        reinit="create_new",
        settings=wandb.Settings(
            silent=True, disable_git=True, save_code=False, console="off", init_timeout=30, x_disable_meta=True
        ),
    )
    return WandbLogger(handle)


def _require_no_foreign_host() -> None:
    """W&B takes `wandb/settings` of the current folder for the user's own, whoever wrote them."""
    for file in (Path("wandb", "settings"), Path(".wandb", "settings")):
        found = ConfigParser(interpolation=None)
        if file.exists() and not file.is_file():
            raise RlzooError(f"{file} in the current folder is not a file", "take it away: W&B would wait for its end")
        if file.is_file():
            found.read(file, encoding="utf-8")
        if others := {key for section in found.values() for key in section} - FOLDER_SETTINGS:
            message = f"{file} in the current folder says {', '.join(sorted(others))}"
            raise RlzooError(message, "take it away; the variable WANDB_BASE_URL names a server of your own")


class WandbLogger:
    """Sends metrics to one W&B run; several may be open in a process."""

    def __init__(self, handle: Any) -> None:
        self._run = handle
        self._run.define_metric("global_step")
        self._run.define_metric("*", step_metric="global_step")

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """W&B's own step only grows by one: the environment step is a metric, which the others are drawn over."""
        self._run.log({**{name: float(value) for name, value in metrics.items()}, "global_step": step})

    def close(self) -> None:
        self._run.finish()
