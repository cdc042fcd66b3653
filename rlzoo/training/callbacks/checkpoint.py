"""Saves the training on the way, when nothing is half-done: the newest as `last`, the newest few by their steps."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rlzoo import console
from rlzoo.algos.free_memory import size
from rlzoo.algos.memory import Sizes, buffer_bytes
from rlzoo.config.parse import fingerprint
from rlzoo.config.schema import TrainConfig
from rlzoo.errors import ExitCode, RlzooError
from rlzoo.protocols import Algorithm, Callback, CountsEpisodes, Finishes, Patience, State, Stateful
from rlzoo.runs import checkpoints
from rlzoo.runs.run import Checkpoint, Run
from rlzoo.training.callbacks.interrupt import Interrupt
from rlzoo.training.callbacks.resume_state import ResumeState

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv


class Checkpoints(Callback):
    """Writes a checkpoint at the first boundary after `checkpoint.freq` steps or `checkpoint.minutes` have passed.

    The boundary at which the training ends is saved as `last` before anything else is done there.

    `others` are further parts of the training whose state belongs into a checkpoint, by name; with `resume_state` a
    checkpoint holds all that a training resumes from exactly. A boundary that `keep` asks for stays in memory: if
    `interrupt` ends the training too far from the next one, that is what is saved.
    """

    def __init__(
        self,
        cfg: TrainConfig,
        run: Run,
        env: VecEnv,
        others: Mapping[str, Stateful] | None = None,
        resume_state: ResumeState | None = None,
        interrupt: Interrupt | None = None,
        keep: Callable[[Algorithm], bool] = lambda _: False,
    ) -> None:
        self._cfg, self._run, self._env, self._on_nan = cfg.checkpoint, run, env, cfg.on_nan
        self._resume, self._total, self._training = resume_state, cfg.total_timesteps, fingerprint(cfg)
        self._with_buffer = _keeps_buffer(cfg, run, env)
        self._interrupt, self._keep = interrupt or Interrupt(), keep
        self._on_disk: int | None = None  # step of the newest boundary there, if this training knows one
        self._others = dict(others or {})
        self._finishing: Finishes | None = None  # the algorithm, if it may be done before the training is over
        self._freq = cfg.frequency(cfg.checkpoint.freq, 20)
        self._due = self._freq
        self._written_at = time.monotonic()
        self._saved_step: int | None = None
        self._restored = self._ended = False

    def on_start(self, algorithm: Algorithm) -> None:
        checkpoints.recover(self._run)
        self._finishing = algorithm if isinstance(algorithm, Finishes) else None
        self._written_at = time.monotonic()
        self._saved_step = algorithm.num_timesteps  # nothing has been learned since
        self._on_disk = algorithm.num_timesteps if self._restored else None

    def on_boundary(self, algorithm: Algorithm) -> None:
        step = algorithm.num_timesteps
        by_steps = self._freq and step >= self._due
        by_time = self._cfg.minutes and time.monotonic() - self._written_at >= 60 * self._cfg.minutes
        if self._interrupt.ends or self._is_over(algorithm):
            self._ended = True
            if self._on_disk != step:
                with self._at_the_end():
                    self._save_last(algorithm, at_boundary=True)
        elif (by_steps or by_time) and step != self._saved_step:
            self._save_both(algorithm, by_steps=bool(by_steps))
        if self._resume is None or self._on_disk == step:
            return
        if self._keep(algorithm) or (self._resume.kept is None and self._on_disk is None):
            self._resume.keep(self._other_parts())
        elif self._on_disk is not None:
            self._resume.forget()

    def patience(self, algorithm: Algorithm) -> Patience:
        return Patience(self._due - algorithm.num_timesteps) if self._freq else Patience()

    def _save_both(self, algorithm: Algorithm, *, by_steps: bool) -> None:
        step = algorithm.num_timesteps
        if by_steps:
            self._due = (step // self._freq + 1) * self._freq
        try:
            last = self._save_last(algorithm, at_boundary=True)
            checkpoints.save(
                self._run,
                str(step),
                algorithm=algorithm,
                env=self._env,
                info=self._info(algorithm, at_boundary=True),
                copy_of=last,
            )
            checkpoints.prune(self._run, self._cfg.keep)
            self._saved_step = step
        except RlzooError as error:
            if not self._goes_on(error):
                raise
            console.warn(f"{error}; the training continues")
        self._written_at = time.monotonic()

    def on_end(self, algorithm: Algorithm) -> None:
        """Save the last boundary if a signal has ended the training far from one, else what was learned last."""
        left = self._interrupt.left
        with self._at_the_end():
            if left and self._resume is not None:
                self._save_boundary(algorithm, self._resume)
            elif self._on_disk != algorithm.num_timesteps and (left or not self._ended):
                self._save_last(algorithm, at_boundary=not left and self._is_over(algorithm))

    def state(self) -> State:
        return State(values={"due": self._due})

    def restore(self, state: State) -> None:
        self._due, self._restored = state.values["due"], True

    def _is_over(self, algorithm: Algorithm) -> bool:
        """Whether there is nothing more to do: all steps are taken, or there is nothing more to learn."""
        return algorithm.num_timesteps >= self._total or self._is_done()

    def _is_done(self) -> bool:
        return self._finishing is not None and bool(self._finishing.done)

    @contextmanager
    def _at_the_end(self) -> Iterator[None]:
        """Inside, what cannot be written is an error, but for NaN that was only to be warned of."""
        try:
            yield
        except checkpoints.NotFiniteError as error:
            if not self._goes_on(error) or not self._run.checkpoints():
                raise
            console.warn(error)

    def _goes_on(self, error: RlzooError) -> bool:
        """Whether the training does, although this checkpoint could not be written."""
        is_not_finite = isinstance(error, checkpoints.NotFiniteError)
        return self._on_nan == "warn" if is_not_finite else error.code == ExitCode.STORAGE and self._run.path.is_dir()

    def _save_boundary(self, algorithm: Algorithm, resume: ResumeState) -> None:
        """Write the last boundary, unless it is on disk already."""
        step, kept = algorithm.num_timesteps, resume.kept
        back = kept.step if kept is not None else self._on_disk
        if back is not None and back < step:
            console.say(f"going back to step {back:,}, where it can be resumed exactly: {step - back:,} steps are lost")
        if kept is not None:
            resume.roll_back()
            self._save_last(algorithm, at_boundary=True, others=kept.parts)

    def _other_parts(self) -> dict[str, State]:
        return {name: part.state() for name, part in self._others.items()} | {"checkpoints": self.state()}

    def _info(self, algorithm: Algorithm, *, at_boundary: bool) -> dict[str, Any]:
        info = {"at_boundary": at_boundary, "total_timesteps": self._total, "training": self._training}
        info["n_episodes"] = algorithm.n_episodes if isinstance(algorithm, CountsEpisodes) else None
        return {**info, "done": True} if self._is_done() else info

    def _save_last(
        self, algorithm: Algorithm, *, at_boundary: bool, others: Mapping[str, State] | None = None
    ) -> Checkpoint:
        """Write `last`; `others` are all parts but the algorithm's and the replay buffer's, by default as they are."""
        parts = dict(others or self._other_parts())
        unchanged: dict[str, Checkpoint] = {}
        if self._resume is not None and at_boundary:
            if others is None:
                parts |= self._resume.parts()
            if self._with_buffer:
                buffer, unchanged = self._resume.buffer_parts()
                parts |= buffer
        last = checkpoints.save(
            self._run,
            "last",
            algorithm=algorithm,
            env=self._env,
            model_zip=True,
            others=parts,
            info=self._info(algorithm, at_boundary=at_boundary),
            unchanged=unchanged,
        )
        if self._resume is not None and at_boundary:
            self._resume.written(last)
            self._on_disk = algorithm.num_timesteps
        return last


def _keeps_buffer(cfg: TrainConfig, run: Run, env: VecEnv) -> bool:
    """What `checkpoint.replay_buffer` says; `auto` is whether it takes at most half of the disk's free space."""
    if cfg.checkpoint.replay_buffer != "auto" or "buffer_size" not in cfg.algo.hyperparams:
        return cfg.checkpoint.replay_buffer != "never"
    sizes = Sizes.of(env.observation_space, env.action_space)
    needed = buffer_bytes(cfg.algo, sizes, n_envs=env.num_envs, total_timesteps=cfg.total_timesteps)
    free = shutil.disk_usage(run.path).free
    if needed <= free / 2:
        return True
    console.say(
        f"checkpoints leave out the replay buffer: it grows to {size(needed)}, and {size(free)} are free on the disk; "
        "a resumed training fills it again (checkpoint.replay_buffer=always saves it)"
    )
    return False
