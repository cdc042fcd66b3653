"""What a checkpoint holds besides what was learned, so that a training goes on as if it had never stopped.

Parts: `standing` (last observations, recent episodes), `exploration` (noise, gSDE), `environments`, `generators`, and
the replay buffer in segments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rlzoo import console
from rlzoo.algos.sb3.replay import ReplayBufferState
from rlzoo.algos.sb3.replay_undo import ReplayUndo
from rlzoo.envs.snapshot import vector as env_state
from rlzoo.protocols import Algorithm, Callback, Patience, State
from rlzoo.runs.checkpoints import Contents, restoring
from rlzoo.runs.compare import Changed
from rlzoo.runs.run import Checkpoint, Run
from rlzoo.seeding import Generators

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv

BUFFER = "replay"


class Standing(Callback):
    """Takes these parts at a boundary, and puts them back at the first boundary of a training that goes on.

    Attributes:
        level: how a training that goes on does so: `exact`, or `restarted-episodes` or `not-exact` with the reason.
    """

    def __init__(
        self,
        run: Run,
        algorithm: Any,
        env: VecEnv,
        total_timesteps: int,
        contents: Contents | None = None,
        training: str = "",
        changed: Sequence[Changed] = (),
    ) -> None:
        self.level = "exact"
        self._run, self._algorithm, self._env, self._total = run, algorithm, env, total_timesteps
        self._contents, self._training, self._changed = contents, training, changed
        self._generators = Generators(env.action_space)
        self._buffer: ReplayBufferState | None = getattr(algorithm, "replay_buffer", None)
        # rlzoo's own algorithms have all of this in their `state`
        self._has_more = hasattr(algorithm, "standing_state")
        self._undo = ReplayUndo(self._buffer) if self._buffer is not None else None
        self._buffer_checkpoint: Checkpoint | None = None
        if contents is not None:
            self._begin(contents)

    def on_boundary(self, algorithm: Algorithm) -> None:
        """Put back what `learn` has drawn anew, the environments and, last of all, the generators."""
        contents, self._contents = self._contents, None
        if contents is not None:
            with restoring(contents):
                self._put_back(contents)

    def _put_back(self, contents: Contents) -> None:
        if self._has_more:
            self._algorithm.restore_exploration(contents.parts["exploration"])
        restored = env_state.restore(self._env, contents.parts["environments"])
        if restored.restarted.any():
            self._algorithm.begin_episodes(restored.observation, restored.restarted)
        self._generators.restore(contents.parts["generators"])
        why = [*restored.reasons, *getattr(self._algorithm, "unproven", list)()]
        why += [f"{changed.what} was {changed.then}, is {changed.now}" for changed in self._changed]
        if self._buffer is not None and BUFFER not in contents.parts:
            why.append("the replay buffer was not saved and is filled anew (checkpoint.replay_buffer)")
        if contents.manifest.get("training", "") != self._training:
            why.append("the settings in config.yaml are not those that the checkpoint was trained with")
        if contents.manifest.get("total_timesteps") != self._total:
            why.append("total_timesteps has changed, and with it every schedule and the end of the log")
        if why:
            kind = "restarted-episodes" if restored.restarted.any() else "not-exact"
            self.level = f"{kind}: {'; '.join(why)}"
        console.say(f"resume: {self.level}")
        self._run.update_info(resume=self.level)

    def on_step(self, algorithm: Algorithm) -> bool:
        if self._undo is not None:
            self._undo.remember()
        return True

    def patience(self, algorithm: Algorithm) -> Patience:
        return Patience() if self._undo is None else Patience(1, 1)

    def parts(self) -> dict[str, State]:
        """The parts to write now, without the replay buffer."""
        parts = {"environments": env_state.snapshot(self._env), "generators": self._generators.state()}
        if self._has_more:
            parts |= {
                "standing": self._algorithm.standing_state(),
                "exploration": self._algorithm.exploration_state(),
            }
        return parts

    def buffer_parts(self) -> tuple[dict[str, State], dict[str, Checkpoint]]:
        """The replay buffer's parts to write now, and those that the last checkpoint with it holds as they are."""
        if self._buffer is None:
            return {}, {}
        previous = self._buffer_checkpoint
        every = range(self._buffer.n_segments)
        changed = self._buffer.changed(self._algorithm.num_timesteps) if previous and previous.exists() else set(every)
        parts = {BUFFER: self._buffer.counters()}
        parts |= {f"{BUFFER}-{k}": self._buffer.segment(k) for k in changed}
        return parts, {f"{BUFFER}-{k}": previous for k in every if k not in changed and previous is not None}

    def mark_buffer(self) -> None:
        """This is the moment that `roll_back_buffer` leads to."""
        if self._undo is not None:
            self._undo.mark()

    def roll_back_buffer(self) -> None:
        if self._undo is not None:
            self._undo.roll_back()

    def forget_buffer(self) -> None:
        """There will be no rolling back."""
        if self._undo is not None:
            self._undo.forget()

    def written(self, checkpoint: Checkpoint) -> None:
        """These parts are in `checkpoint` now."""
        if self._buffer is not None:
            self._buffer.saved(self._algorithm.num_timesteps)
            self._buffer_checkpoint = checkpoint

    def _begin(self, contents: Contents) -> None:
        self._algorithm.restore(contents.algorithm)
        if self._has_more:
            self._algorithm.restore_standing(contents.parts["standing"])
        if self._buffer is None:
            return
        if BUFFER in contents.parts:
            self._buffer.restore(contents.parts[BUFFER], _segments(contents.parts))
        else:
            self._algorithm.warm_up_again()


def _segments(parts: Mapping[str, State]) -> list[State]:
    return [state for name, state in parts.items() if name.startswith(f"{BUFFER}-")]
