"""Stable-Baselines3 and sb3-contrib behind rlzoo's `Algorithm`: the one adapter for all of their algorithms."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from inspect import signature
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import KVWriter, Logger
from torch.distributions import Distribution

from rlzoo.algos.sb3 import state as sb3_state
from rlzoo.algos.sb3.fast_policy import Act, fits, greedy, short_ways
from rlzoo.algos.sb3.replay import ReplayBufferState
from rlzoo.algos.specs import AlgoSpec
from rlzoo.protocols import Callback, Ended, EpisodeLogger, MetricLogger, State
from rlzoo.registry import load

if TYPE_CHECKING:
    import numpy as np
    from stable_baselines3.common.base_class import BaseAlgorithm
    from stable_baselines3.common.policies import BasePolicy

NAME_IN_ZIP = "rlzoo_algo"
"""An attribute of the model, so that its zip says which algorithm it holds; Stable-Baselines3 ignores it."""


class SB3Algorithm:
    """An algorithm of Stable-Baselines3, as `rlzoo.protocols.Algorithm`.

    Attributes:
        model: the algorithm itself.
        spec: its row in the table of algorithms.
        n_episodes: whole episodes played so far in training, as the monitors count them.
    """

    def __init__(self, model: BaseAlgorithm, spec: AlgoSpec) -> None:
        self.model = model
        self.spec = spec
        self._rollout: dict[str, State] = {}  # where the next `learn` is to stand
        self._parameters: dict[str, Any] | None = None
        self._acting: tuple[BasePolicy, Act | None] | None = None
        self.n_episodes = 0
        setattr(model, NAME_IN_ZIP, spec.name)

    def __getstate__(self) -> dict[str, Any]:
        """What a copy takes over: it acts by weights of its own, so what acts by these is not among it."""
        return {**vars(self), "_acting": None, "_parameters": None}

    @property
    def num_timesteps(self) -> int:
        """Environment steps taken so far, over all environments."""
        return int(self.model.num_timesteps)

    def learn(
        self, total_timesteps: int, callbacks: Sequence[Callback] = (), logger: MetricLogger | None = None
    ) -> None:
        """Train until `num_timesteps` has reached `total_timesteps`, or a callback says stop.

        Schedules run over `total_timesteps`, and a further call continues where the last one ended: two calls with 500
        and 1000 take 1000 steps. A whole rollout (off-policy: one step of every environment) is the least it does.
        """
        self.model.set_logger(Logger(folder=None, output_formats=[] if logger is None else [_Metrics(logger)]))
        if "standing" in self._rollout:
            sb3_state.restore_rollout(self.model, self._rollout.pop("standing"))
        remaining = max(0, total_timesteps - self.num_timesteps)
        bridge = _Bridge(self, callbacks, logger if isinstance(logger, EpisodeLogger) else None)
        logging: dict[str, Any] = {}
        if self.spec.family == "on_policy":
            # these count rollouts from the start of this call; a resumed training would log other ones
            bridge.log_interval = signature(self.model.learn).parameters["log_interval"].default
            logging = {"log_interval": None}
        try:
            with short_ways(self.model.policy):
                self.model.learn(remaining, bridge, reset_num_timesteps=False, **logging)
        except Ended:
            bridge.on_training_end()
        finally:
            Distribution.set_default_validate_args(bridge.validates)

    def predict(
        self,
        observation: Any,
        state: tuple[np.ndarray, ...] | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...] | None]:
        """Actions for a batch of observations; see `rlzoo.protocols.Policy`."""
        if deterministic and (act := self._greedy()) is not None and fits(self.model.policy, observation):
            actions = act(observation)
            if actions is not None:
                return actions, state
        masks = {"action_masks": action_masks} if self.spec.masked and action_masks is not None else {}
        return self.model.predict(observation, state, episode_start, deterministic, **masks)

    def _greedy(self) -> Act | None:
        """What acts greedily for the policy that the model has now."""
        policy = self.model.policy
        if self._acting is None or self._acting[0] is not policy:
            self._acting = policy, greedy(policy)
        return self._acting[1]

    def save(self, path: Path) -> None:
        """Write Stable-Baselines3's own zip, which its `load` opens without rlzoo. It holds no replay buffer."""
        self.model.save(path)

    def state(self) -> State:
        taken = sb3_state.state(self.model)
        return State(taken.tensors, {**taken.values, "n_episodes": self.n_episodes})

    def restore(self, state: State) -> None:
        sb3_state.restore(self.model, state)
        self.n_episodes = int(state.values.get("n_episodes", 0))

    def restore_weights(self, state: State) -> None:
        """Take over networks and learned coefficients alone: the start of another training."""
        sb3_state.restore_weights(self.model, state)

    @property
    def n_updates(self) -> int:
        """Updates so far, in the algorithm's own counting."""
        return sb3_state.n_updates(self.model)

    def losses(self) -> dict[str, float]:
        """The losses of the last update that are not in the log yet."""
        return sb3_state.losses(self.model)

    def not_finite(self) -> list[str]:
        """What is NaN or infinite by now, the first parameter and losses; see `sb3_state.not_finite`."""
        if self._parameters is None:
            self._parameters = sb3_state.parameters(self.model)
        return sb3_state.not_finite(self.model, self._parameters)

    def rollout_state(self) -> dict[str, State]:
        """Where the training stands between two rollouts, besides what was learned; see `sb3.state`."""
        return {
            "standing": sb3_state.rollout_state(self.model),
            "exploration": sb3_state.exploration_state(self.model),
        }

    def restore_rollout(self, parts: Mapping[str, State]) -> None:
        """Stand there when `learn` is called next."""
        self._rollout = {name: parts[name] for name in ("standing", "exploration")}

    def restore_exploration(self) -> None:
        """Restore noise and exploration matrices, at the first boundary: until then `learn` has drawn others."""
        sb3_state.restore_exploration(self.model, self._rollout.pop("exploration"))

    def unproven(self) -> list[str]:
        """Why this algorithm might not resume exactly: versions or a device that it was not proven on."""
        found = [f"{version} is not a version that was proven to be exact" for version in sb3_state.unproven_versions()]
        device = self.model.device.type
        return found if device == "cpu" else [*found, f"resuming exactly was not proven on {device}"]

    def begin_episodes(self, observation: Any, rows: np.ndarray) -> None:
        """Restart the episodes of environments that could not be restored; see `sb3_state.begin_episodes`."""
        sb3_state.begin_episodes(self.model, observation, rows)

    def warm_up_again(self) -> None:
        """Collect `learning_starts` more steps before the next update, as at the start: the replay buffer is empty."""
        model: Any = self.model
        model.learning_starts += model.num_timesteps

    @property
    def replay_buffer(self) -> ReplayBufferState | None:
        """The replay buffer as something a checkpoint can hold, None for an algorithm without one."""
        buffer = getattr(self.model, "replay_buffer", None)
        return None if buffer is None else ReplayBufferState(buffer)


def model_class(spec: AlgoSpec) -> Any:
    """The class behind a row of the table; ARS is replaced by one that stops when it is asked to."""
    if spec.entry_point == "sb3_contrib:ARS":
        from rlzoo.algos.sb3.ars import StoppableARS

        return StoppableARS
    return load(spec.entry_point)


class _Bridge(BaseCallback):
    """Passes Stable-Baselines3's events on to rlzoo's callbacks."""

    def __init__(
        self, algorithm: SB3Algorithm, callbacks: Sequence[Callback], episode_logger: EpisodeLogger | None
    ) -> None:
        super().__init__()
        self.algorithm = algorithm
        self.callbacks = callbacks
        self.episode_logger = episode_logger
        self.goes_on = True
        """Whether no callback has ended the training."""
        self.learning_starts: int | None = None
        """What the model's own is, while hindsight replay waits for the end of an episode."""
        self.whole = 0
        """Where in that buffer a step of a whole episode was last seen."""
        self.log_interval: int | None = None
        """Rollouts from one line of the log to the next, where the algorithm does not see to it itself."""
        self.validates: bool = Distribution._validate_args
        """Whether torch looks at the numbers of distributions; in updates it does not, which would take a tenth."""

    def _on_training_start(self) -> None:
        for callback in self.callbacks:
            callback.on_start(self.algorithm)

    def _on_rollout_start(self) -> None:
        self._waited()
        Distribution.set_default_validate_args(self.validates)
        if not hasattr(self.model, "boundary_before_update"):
            self.boundary()

    def _on_rollout_end(self) -> None:
        Distribution.set_default_validate_args(False)  # what is NaN in an update makes its losses NaN
        lengths = getattr(getattr(self.model, "replay_buffer", None), "ep_length", None)
        if lengths is not None:
            self._wait_for_episode(lengths)
        if self.log_interval is not None:
            model: Any = self.model
            n_rollouts = model.num_timesteps // (model.n_steps * model.n_envs)
            if n_rollouts % self.log_interval == 0:
                model.dump_logs(n_rollouts)

    def boundary(self) -> None:
        try:
            for callback in self.callbacks:
                callback.on_boundary(self.algorithm)
        except Ended:
            self.goes_on = False
            raise

    def _on_step(self) -> bool:
        records = [info["episode"] for info in self.locals.get("infos", ()) if "episode" in info]
        if records:
            self.algorithm.n_episodes += len(records)
            if self.episode_logger is not None:
                self.episode_logger.log_episodes([(self.num_timesteps, record) for record in records])
        answers = [callback.on_step(self.algorithm) for callback in self.callbacks]  # all of them see every step
        self.goes_on = all(answers)
        return self.goes_on

    def _wait_for_episode(self, lengths: np.ndarray) -> None:
        """Put off the update while hindsight replay holds no whole episode, which Stable-Baselines3 would raise for.

        `lengths` (n_rows, n_envs) are those of the episodes that its steps belong to, 0 if they have not ended.
        """
        if not lengths.flat[self.whole]:
            self.whole = int(lengths.argmax())
        if not lengths.flat[self.whole]:
            model: Any = self.model
            self.learning_starts, model.learning_starts = model.learning_starts, sys.maxsize

    def _waited(self) -> None:
        if self.learning_starts is not None:
            model: Any = self.model
            model.learning_starts, self.learning_starts = self.learning_starts, None

    def _on_training_end(self) -> None:
        self._waited()
        if self.goes_on:  # nothing is half-done: the next rollout would begin here
            sb3_state.begin_rollout(self.model)
            with suppress(Ended):
                self.boundary()
        if self.logger.name_to_value:
            self.logger.dump(self.num_timesteps)  # the last update's losses, which nothing would write any more
        for callback in self.callbacks:
            callback.on_end(self.algorithm)


class _Metrics(KVWriter):
    """Passes Stable-Baselines3's numbers on to a `MetricLogger`, under its own names: `rollout/ep_rew_mean`, ..."""

    def __init__(self, logger: MetricLogger) -> None:
        self.logger = logger

    def write(self, key_values: Mapping[str, Any], key_excluded: Mapping[str, Any], step: int = 0) -> None:
        numbers = {key: float(value) for key, value in key_values.items() if isinstance(value, Real)}
        if numbers:
            self.logger.log(numbers, step)

    def close(self) -> None:
        pass
