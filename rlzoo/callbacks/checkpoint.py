"""Saves the training on the way, when nothing is half-done: the newest as `last`, the newest few by their steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from rlzoo import checkpoints, console
from rlzoo.callbacks.standing import Standing
from rlzoo.config.schema import TrainConfig
from rlzoo.errors import ExitCode, RlzooError
from rlzoo.protocols import Algorithm, Callback, State, Stateful
from rlzoo.runs import Checkpoint, Run

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv


class Checkpoints(Callback):
    """Writes a checkpoint at the first boundary after `checkpoint.freq` steps or `checkpoint.minutes` have passed.

    `others` are further parts of the training whose state belongs into a checkpoint, by name; with `standing` a
    checkpoint holds all that a training needs to go on exactly. `asked` says that the training was asked to end, which
    makes a checkpoint due.
    """

    def __init__(
        self,
        cfg: TrainConfig,
        run: Run,
        env: VecEnv,
        others: Mapping[str, Stateful] | None = None,
        standing: Standing | None = None,
        asked: Callable[[], bool] = lambda: False,
    ) -> None:
        self._cfg, self._run, self._env, self._on_nan = cfg.checkpoint, run, env, cfg.on_nan
        self._standing, self._total, self._asked = standing, cfg.total_timesteps, asked
        self._others = dict(others or {})
        self._freq = cfg.frequency(cfg.checkpoint.freq, 20)
        self._due = self._freq
        self._written_at = time.monotonic()
        self._saved_step: int | None = None
        self._saved_asked = False

    def on_start(self, algorithm: Algorithm) -> None:
        checkpoints.recover(self._run)
        self._written_at = time.monotonic()
        self._saved_step = algorithm.num_timesteps  # nothing has been learned since

    def on_boundary(self, algorithm: Algorithm) -> None:
        step = algorithm.num_timesteps
        by_steps = self._freq and step >= self._due
        by_time = self._cfg.minutes and time.monotonic() - self._written_at >= 60 * self._cfg.minutes
        if not (by_steps or by_time or self._asked()) or step == self._saved_step:
            return
        if by_steps:
            self._due = (step // self._freq + 1) * self._freq
        try:
            last = self._save_last(algorithm, at_boundary=True)
            checkpoints.save(
                self._run,
                str(step),
                algorithm=algorithm,
                env=self._env,
                info={"at_boundary": True, "total_timesteps": self._total},
                copy_of=last,
            )
            checkpoints.prune(self._run, self._cfg.keep)
            self._saved_step, self._saved_asked = step, self._asked()
        except RlzooError as error:
            if not self._goes_on(error):
                raise
            console.warn(f"{error}; the training goes on")
        self._written_at = time.monotonic()

    def on_end(self, algorithm: Algorithm) -> None:
        """Save what was learned last; a full disk is an error here.

        A training that was stopped on the way is in the middle of a rollout and cannot go on from here exactly.
        """
        if self._asked() and self._saved_asked:
            return
        try:
            self._save_last(algorithm, at_boundary=algorithm.num_timesteps >= self._total)
        except checkpoints.NotFiniteError as error:
            if not self._goes_on(error) or not self._run.checkpoints():
                raise
            console.warn(error)

    def state(self) -> State:
        return State(values={"due": self._due})

    def restore(self, state: State) -> None:
        self._due = state.values["due"]

    def _goes_on(self, error: RlzooError) -> bool:
        """Whether the training does, although this checkpoint could not be written."""
        is_not_finite = isinstance(error, checkpoints.NotFiniteError)
        return self._on_nan == "warn" if is_not_finite else error.code == ExitCode.STORAGE

    def _save_last(self, algorithm: Algorithm, *, at_boundary: bool) -> Checkpoint:
        others = {name: part.state() for name, part in self._others.items()} | {"checkpoints": self.state()}
        unchanged: dict[str, Checkpoint] = {}
        if self._standing is not None and at_boundary:
            parts, unchanged = self._standing.parts(with_buffer=self._cfg.replay_buffer != "never")
            others |= parts
        last = checkpoints.save(
            self._run,
            "last",
            algorithm=algorithm,
            env=self._env,
            model_zip=True,
            others=others,
            info={"at_boundary": at_boundary, "total_timesteps": self._total},
            unchanged=unchanged,
        )
        if self._standing is not None and at_boundary:
            self._standing.written(last)
        return last
