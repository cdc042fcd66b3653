"""Ends a training whose losses or weights are no longer numbers, before anything is played or saved with them."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from rlzoo import console
from rlzoo.config.paths import short_path
from rlzoo.errors import ExitCode, RlzooError, words_of
from rlzoo.protocols import Algorithm, Callback, ChecksFinite, HasLosses
from rlzoo.redaction import shell
from rlzoo.runs.run import Run
from rlzoo.runs.state_files import not_finite

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv

    from rlzoo.envs.vector.nan_guard import FiniteCheck

PAUSE = 99
"""How many times as long as the last look at all weights took until the next one: these take a hundredth of the time.

Losses are looked at after every update. They are computed with the weights, so they are NaN one update later. Without
losses, as in ARS, it is the weights after every update.
"""


class NanGuard(Callback):
    """Looks at losses and weights at boundaries that follow an update; `on_nan=warn` says once what it finds.

    Of an algorithm that is no `ChecksFinite` the float arrays of its `state()` are looked at, and of one that is no
    `HasLosses` the losses that it logs. Callbacks that use the weights come after this one.
    """

    def __init__(self, on_nan: str, run: Run, env: VecEnv) -> None:
        self._stop, self._run = on_nan == "stop", run
        self._env_check = _find_check(env)
        self._losses: dict[str, float] = {}
        self._updating: HasLosses | None = None  # the algorithm, if it counts its updates
        self._n_updates: int | None = None
        self._next_look = -math.inf
        self._said = False

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Hear of losses as a metric logger."""
        bad = {key: value for key, value in metrics.items() if "loss" in key and not math.isfinite(value)}
        self._losses |= {key: value for key, value in bad.items() if key.startswith("train/")}

    def close(self) -> None:
        """Nothing was opened."""

    def on_start(self, algorithm: Algorithm) -> None:
        self._updating = algorithm if isinstance(algorithm, HasLosses) else None
        if self._env_check is not None:
            self._env_check.num_timesteps = algorithm.num_timesteps

    def on_boundary(self, algorithm: Algorithm) -> None:
        losses: dict[str, float] | None = None
        if self._updating is not None:
            if self._updating.n_updates == self._n_updates:
                return
            self._n_updates, losses = self._updating.n_updates, self._updating.losses()
        bad = self._losses or not all(map(math.isfinite, (losses or {}).values()))
        if bad or losses == {} or time.monotonic() >= self._next_look:
            self._look(algorithm)

    def on_end(self, algorithm: Algorithm) -> None:
        self._look(algorithm)

    @contextmanager
    def explaining(self, algorithm: Algorithm) -> Iterator[None]:
        """Whatever `learn` fails with inside the block, NaN is named where it is the reason."""
        try:
            yield
        except RlzooError as error:
            if error.code == ExitCode.TRAINING_FAILED and not isinstance(error, DivergedError):
                error.hint = "; ".join(filter(None, [error.hint, _kept(self._run)]))
            raise
        except Exception as error:
            found: list[str] = []
            with suppress(Exception):  # what failed is the error to tell of
                found = self._find(algorithm)
            if found:
                raise self._diverged(found, algorithm, after_failure=True) from error
            if self._env_check is not None and self._env_check.said:
                first = next(iter(self._env_check.said.values()))
                text = f"training failed after {first}: {type(error).__name__}: {words_of(error)}"
                raise RlzooError(text, _kept(self._run), ExitCode.TRAINING_FAILED) from error
            raise

    def _look(self, algorithm: Algorithm) -> None:
        found = self._find(algorithm)
        if not found:
            return
        error = self._diverged(found, algorithm)
        if self._stop:
            raise error
        if not self._said:
            self._said = True
            console.warn(f"{error.message}; the training continues (on_nan=warn), but no such model is saved")

    def _find(self, algorithm: Algorithm) -> list[str]:
        losses, self._losses = self._losses, {}
        started = time.monotonic()
        if isinstance(algorithm, ChecksFinite):
            found = algorithm.not_finite()
        else:
            first = not_finite(algorithm.state())
            found = [] if first is None else [first]
        self._next_look = time.monotonic() + PAUSE * (time.monotonic() - started)
        return list(dict.fromkeys([*found, *(_said(key, value) for key, value in losses.items())]))

    def _diverged(self, found: list[str], algorithm: Algorithm, *, after_failure: bool = False) -> RlzooError:
        where = "in the update after" if after_failure else "at"
        text = f"the training diverged {where} step {algorithm.num_timesteps:,}: {', '.join(found)}"
        hint = "resuming would diverge again: start over with a smaller algo.learning_rate"
        if names := _names(self._run):
            hint += f", and from what is kept ({names}) with init_from={short_path(self._run.path)}"
        return DivergedError(text, hint, ExitCode.TRAINING_FAILED)


class DivergedError(RlzooError):
    """NaN that comes from the training itself."""


def _said(name: str, value: float) -> str:
    """`train/loss is NaN`."""
    return f"{name} is {'NaN' if math.isnan(value) else 'infinite'}"


def _kept(run: Run) -> str:
    names = _names(run)
    if not names:
        return "no checkpoint had been written yet"
    return f"kept: {names}; to resume: rlzoo train {shell(f'resume={short_path(run.path)}')}"


def _names(run: Run) -> str:
    return ", ".join(checkpoint.name for checkpoint in run.checkpoints())


def _find_check(env: VecEnv) -> FiniteCheck | None:
    from stable_baselines3.common.vec_env import unwrap_vec_wrapper

    from rlzoo.envs.vector.nan_guard import FiniteCheck

    return unwrap_vec_wrapper(env, FiniteCheck)
