"""Everything that a training resumes from, as if it had never stopped: taken and restored between two rollouts.

Parts of a checkpoint besides what was learned: those of the algorithm's own `rollout_state` (last observations, recent
episodes, noise), `environments`, `generators`, and the replay buffer in segments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rlzoo import console
from rlzoo.envs.seeding import Generators
from rlzoo.envs.snapshot import vector as env_state
from rlzoo.envs.vector.normalization import load_statistics, statistics
from rlzoo.protocols import Algorithm, Callback, HasReplayBuffer, HasRolloutState, Patience, Resumable, State
from rlzoo.runs.checkpoints import Contents, restoring
from rlzoo.runs.compare import Changed
from rlzoo.runs.run import Checkpoint, Run

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv

    from rlzoo.algos.sb3.replay import ReplayBufferState

BUFFER = "replay"


@dataclass(frozen=True)
class Snapshot:
    """A boundary in memory: all that a checkpoint of it would hold, but of the replay buffer only what is overwritten.

    Attributes:
        step: environment steps taken by then.
        algorithm: what was learned by then.
        normalization: the environment's statistics, None without them.
        parts: all other parts by name, without the replay buffer.
    """

    step: int
    algorithm: State
    normalization: State | None
    parts: Mapping[str, State]


class ResumeState(Callback):
    """Takes these parts at a boundary, for the disk or for memory, and restores those of `contents` at the first one.

    A boundary in memory is for a training that has to end too far from the next one: it goes back to the last.

    Attributes:
        level: how this training was resumed: `exact`, or `restarted-episodes` or `not-exact` with the reason.
        kept: the boundary in memory, if it is newer than what is on disk.
    """

    def __init__(
        self,
        run: Run,
        algorithm: Algorithm,
        env: VecEnv,
        total_timesteps: int,
        contents: Contents | None = None,
        training: str = "",
        changed: Sequence[Changed] = (),
    ) -> None:
        self.level = "exact"
        self.kept: Snapshot | None = None
        self._run, self._algorithm, self._env, self._total = run, algorithm, env, total_timesteps
        self._contents, self._training, self._changed = contents, training, changed
        self._generators = Generators(env.action_space)
        self._buffer: ReplayBufferState | None = None
        if isinstance(algorithm, HasReplayBuffer):
            self._buffer = algorithm.replay_buffer
        self._buffer_checkpoint: Checkpoint | None = None  # the newest with the replay buffer in it
        if contents is not None:
            self._begin(contents)

    def _begin(self, contents: Contents) -> None:
        self._algorithm.restore(contents.algorithm)
        if isinstance(self._algorithm, HasRolloutState):
            self._algorithm.restore_rollout(contents.parts)
        if self._buffer is not None and BUFFER in contents.parts:
            segments = [state for name, state in contents.parts.items() if name.startswith(f"{BUFFER}-")]
            self._buffer.restore(contents.parts[BUFFER], segments)
        elif self._buffer is not None:
            assert isinstance(self._algorithm, HasReplayBuffer)
            self._algorithm.warm_up_again()

    def on_boundary(self, algorithm: Algorithm) -> None:
        """Restore the environments, which `learn` has reset, and last of all the generators that it has drawn from."""
        contents, self._contents = self._contents, None
        if contents is None:
            return
        with restoring(contents):
            if isinstance(algorithm, HasRolloutState):
                algorithm.restore_exploration()
            restored = env_state.restore(self._env, contents.parts["environments"])
            if restored.restarted.any():
                assert isinstance(algorithm, Resumable)
                algorithm.begin_episodes(restored.observation, restored.restarted)
            self._generators.restore(contents.parts["generators"])
        if why := [*restored.reasons, *self._doubts(contents)]:
            kind = "restarted-episodes" if restored.restarted.any() else "not-exact"
            self.level = f"{kind}: {'; '.join(why)}"
        console.say(f"resume: {self.level}")
        self._run.update_info(resume=self.level)

    def _doubts(self, contents: Contents) -> list[str]:
        """Why the training may not be the one that stopped, whatever became of its environments."""
        why = self._algorithm.unproven() if isinstance(self._algorithm, HasRolloutState) else []
        why += [f"{changed.what} was {changed.then}, is {changed.now}" for changed in self._changed]
        if self._buffer is not None and BUFFER not in contents.parts:
            why.append("the replay buffer was not saved and is filled again (checkpoint.replay_buffer)")
        if contents.manifest.get("training", "") != self._training:
            why.append("the settings in config.yaml are not those that the checkpoint was trained with")
        if contents.manifest.get("total_timesteps") != self._total:
            why.append("total_timesteps has changed, and with it every schedule and the end of the log")
        return why

    def on_step(self, algorithm: Algorithm) -> bool:
        if self._buffer is not None:
            self._buffer.remember()
        return True

    def patience(self, algorithm: Algorithm) -> Patience:
        return Patience() if self._buffer is None else Patience(1, 1)

    def parts(self) -> dict[str, State]:
        """The parts to write now, without the replay buffer."""
        parts = {"environments": env_state.snapshot(self._env), "generators": self._generators.state()}
        return parts | (self._algorithm.rollout_state() if isinstance(self._algorithm, HasRolloutState) else {})

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

    def written(self, checkpoint: Checkpoint) -> None:
        """These parts are in `checkpoint` now."""
        if self._buffer is not None:
            self._buffer.saved(self._algorithm.num_timesteps)
            self._buffer_checkpoint = checkpoint
        self.forget()

    def keep(self, others: Mapping[str, State]) -> None:
        """Keep this boundary in memory, with further parts; the one kept before is gone."""
        if self._buffer is not None:
            self._buffer.mark()
        algorithm = self._algorithm
        parts = {**others, **self.parts()}
        self.kept = Snapshot(algorithm.num_timesteps, algorithm.state(), statistics(self._env), parts)

    def roll_back(self) -> None:
        """Make the algorithm, the statistics and the replay buffer what they were at the boundary in memory."""
        assert self.kept is not None
        self._algorithm.restore(self.kept.algorithm)
        if self.kept.normalization is not None:
            load_statistics(self._env, self.kept.normalization)
        if self._buffer is not None:
            self._buffer.roll_back()

    def forget(self) -> None:
        """Keep no boundary in memory."""
        self.kept = None
        if self._buffer is not None:
            self._buffer.forget()
