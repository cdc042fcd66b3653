"""The loggers by name: what each needs, whether a request for some is right, and all of them opened as one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, Self

from rlzoo import console, registry
from rlzoo.config import fields
from rlzoo.errors import ExitCode, Problem
from rlzoo.processes.engines import unmarked
from rlzoo.protocols import EpisodeLogger, EpisodeRecord, MetricLogger, State, Stateful
from rlzoo.redaction import redact, redact_values
from rlzoo.runs.run import Run


@dataclass(frozen=True)
class LoggerSpec:
    """One logger: its opener's keywords are its options. `package` is the module it needs, `extra` what installs it.

    `places` are options that say where the service is: it is reached by them as they are, and is not told them.
    """

    name: str
    opener: str
    summary: str
    package: str | None = None
    extra: str | None = None
    places: tuple[str, ...] = ()


LOGGERS = {
    spec.name: spec
    for spec in (
        LoggerSpec("csv", "rlzoo.loggers.csv:open_logger", "metrics, timings and episodes in the run (always on)"),
        LoggerSpec("monitor", "rlzoo.loggers.monitor:open_logger", "monitor.csv, as Stable-Baselines3 writes it"),
        LoggerSpec("tensorboard", "rlzoo.loggers.tensorboard:open_logger", "event files in the run", "tensorboard"),
        LoggerSpec("wandb", "rlzoo.loggers.wandb:open_logger", "Weights & Biases", "wandb", "wandb"),
        LoggerSpec("mlflow", "rlzoo.loggers.mlflow:open_logger", "MLflow", "mlflow", "mlflow", ("tracking_uri",)),
        LoggerSpec("trackio", "rlzoo.loggers.trackio:open_logger", "Trackio, local or a Space", "trackio", "trackio"),
    )
}


def check(loggers: Mapping[str, Mapping[str, Any] | None]) -> list[Problem]:
    """Everything wrong with the `logger` section: unknown names and options, packages that are not installed."""
    problems = []
    for name, options in loggers.items():
        if name not in LOGGERS:
            message = f"unknown logger{registry.did_you_mean(name, LOGGERS)}"
            problems.append(Problem(f"logger.{name}", message, f"there are: {', '.join(LOGGERS)}"))
            continue
        spec = LOGGERS[name]
        if isinstance(options, Mapping):  # anything else is a problem of the schema's
            problems += fields.problems(
                fields.read(_opener(spec), without=("run", "config")), options, f"logger.{name}"
            )
        if spec.package and not _is_installed(spec.package):
            package = f'"hydra-rlzoo[{spec.extra}]"' if spec.extra else "hydra-rlzoo"
            message = f"the package {spec.package!r} is not installed"
            problems.append(Problem(f"logger.{name}", message, f"pip install {package}", code=ExitCode.MISSING))
    return problems


def open_loggers(
    loggers: Mapping[str, Mapping[str, Any] | None],
    run: Run,
    config: Mapping[str, Any],
    extra: Sequence[MetricLogger] = (),
) -> Loggers:
    """The named loggers, CSV whether named or not, and `extra` (a progress display) behind one.

    `config` is what ran, for the services that show it. A logger that cannot be opened is left out with a warning.
    What they are told, configuration and options, is without secrets: this is the one door to them.
    """
    config = redact_values(config)
    opened: dict[str, MetricLogger] = {"csv": _opener(LOGGERS["csv"])(run, config)}
    for name, options in loggers.items():
        if name in opened:
            continue
        try:
            spec = registry.lookup(LOGGERS, name, "logger")
            places = {option: value for option, value in (options or {}).items() if option in spec.places}
            with unmarked():  # the services that they start
                opened[name] = _opener(spec)(run, config, **redact_values(options or {}) | places)
        except Exception as error:
            console.warn(f"no {name} log for this run: {_reason(error)}")
    opened.update({f"extra {index}": logger for index, logger in enumerate(extra)})
    return Loggers(opened)


class Loggers:
    """Hands every metric to every logger. One that fails is left out with a warning: training continues."""

    def __init__(self, loggers: Mapping[str, MetricLogger]) -> None:
        self._loggers = dict(loggers)
        self._of_episodes = {name: logger for name, logger in loggers.items() if isinstance(logger, EpisodeLogger)}
        self._csv_failed = False

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._loggers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        metrics = {_shown(name): value for name, value in metrics.items()}
        for name, logger in list(self._loggers.items()):
            try:
                logger.log(metrics, step)
            except Exception as error:
                self._failed(name, error)

    def log_episodes(self, episodes: Sequence[EpisodeRecord]) -> None:
        for name, logger in list(self._of_episodes.items()):
            try:
                logger.log_episodes(episodes)
            except Exception as error:
                self._failed(name, error)

    def close(self) -> None:
        for name, logger in self._loggers.items():
            try:
                logger.close()
            except Exception as error:
                console.warn(f"the {name} log may lack its end: {_reason(error)}")
        self._loggers.clear()

    def state(self) -> State:
        values = {name: logger.state().values for name, logger in self._loggers.items() if isinstance(logger, Stateful)}
        return State(values=values)

    def restore(self, state: State) -> None:
        for name, logger in self._loggers.items():
            if isinstance(logger, Stateful) and name in state.values:
                logger.restore(State(values=state.values[name]))

    def _failed(self, name: str, error: Exception) -> None:
        if name != "csv":
            self._loggers.pop(name, None)
            self._of_episodes.pop(name, None)
            console.warn(f"the {name} log stops here, training continues: {_reason(error)}")
        elif not self._csv_failed:  # a full disk may be emptied: the run's own numbers are tried again every time
            self._csv_failed = True
            console.warn(f"metrics could not be written, training continues: {_reason(error)}")


@lru_cache(maxsize=4096)
def _shown(name: str) -> str:
    """A metric's name: an environment or an algorithm may have made it of anything."""
    return redact(name)


def _is_installed(package: str) -> bool:
    """A folder of that name where Python is started (W&B leaves a `wandb/`) is not the package."""
    found = find_spec(package)
    return found is not None and found.origin is not None


def _opener(spec: LoggerSpec) -> Callable[..., MetricLogger]:
    opener: Callable[..., MetricLogger] = registry.load(spec.opener)
    return opener


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")
