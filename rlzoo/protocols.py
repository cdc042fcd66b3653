"""The contracts between the parts of rlzoo. No implementation, no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np


@dataclass(frozen=True)
class State:
    """A snapshot that survives the process: named arrays (NumPy or torch) and JSON-able values."""

    tensors: dict[str, Any] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)


@runtime_checkable
class Stateful(Protocol):
    """Something whose state a checkpoint collects."""

    def state(self) -> State: ...

    def restore(self, state: State) -> None: ...


class Policy(Protocol):
    """Anything that maps observations to actions, with Stable-Baselines3's signature."""

    def predict(
        self,
        observation: Any,
        state: tuple[np.ndarray, ...] | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...] | None]:
        """Actions of shape (n_envs, *action_shape) for observations of shape (n_envs, *observation_shape).

        `state` is the recurrent state of the last call, `episode_start` (n_envs,) marks the observations that begin
        an episode, `action_masks` (n_envs, n_actions) marks the valid actions (only algorithms marked `masked` get it).
        """
        ...


class MetricLogger(Protocol):
    """Receives the numbers of a training; `step` counts environment steps over all environments."""

    def log(self, metrics: Mapping[str, float], step: int) -> None: ...

    def close(self) -> None: ...


@runtime_checkable
class EpisodeLogger(Protocol):
    """A metric logger that hears of every whole training episode, too."""

    def log_episodes(self, episodes: Sequence[EpisodeRecord]) -> None: ...


EpisodeRecord = tuple[int, Mapping[str, Any]]
"""Environment steps over all environments by the end of an episode, and what its monitor says of it: `r` is its return,
`l` its length, other entries are `is_success` and what `info_keywords` asks for."""


class Algorithm(Policy, Stateful, Protocol):
    """A learner: Stable-Baselines3's behind one adapter, and the in-repo ones directly.

    What only some of them can do is a protocol of its own below.
    """

    @property
    def num_timesteps(self) -> int:
        """Environment steps taken so far, over all environments."""
        ...

    @property
    def n_episodes(self) -> int:
        """Whole episodes played so far in training, over all environments."""
        ...

    def learn(
        self, total_timesteps: int, callbacks: Sequence[Callback] = (), logger: MetricLogger | None = None
    ) -> None:
        """Train until `num_timesteps` has reached `total_timesteps`, or a callback says stop.

        Where it has reached them already no step is taken, and what happens at the end happens again: the last lines
        of the log may be missing.
        """
        ...


# `isinstance` of a protocol takes 20 microseconds: ask when a training starts, not at every step.


@runtime_checkable
class Resumable(Protocol):
    """An algorithm that resumes exactly where it stopped: its `state()` holds all that this takes."""

    def begin_episodes(self, observation: Any, rows: np.ndarray) -> None:
        """Restart the episodes of environments that could not be restored.

        Args:
            observation: first observations, (n_envs, *observation_shape) or a dict of these.
            rows: (n_envs,) bool, which environments.
        """
        ...


@runtime_checkable
class HasRolloutState(Protocol):
    """A `Resumable` one whose `state()` is only what was learned; where it stands between two rollouts is apart."""

    def rollout_state(self) -> dict[str, State]:
        """Parts of a checkpoint, by name."""
        ...

    def restore_rollout(self, parts: Mapping[str, State]) -> None:
        """Stand there when `learn` is called next."""
        ...

    def restore_exploration(self) -> None:
        """Restore what `learn` has drawn again by its first boundary."""
        ...

    def unproven(self) -> list[str]:
        """Why this algorithm might not resume exactly."""
        ...


@runtime_checkable
class HasReplayBuffer(Protocol):
    """An algorithm with a replay buffer, which a checkpoint holds in segments."""

    @property
    def replay_buffer(self) -> Any:
        """An `rlzoo.algos.sb3.replay.ReplayBufferState`; None where this one has no buffer after all."""
        ...

    def warm_up_again(self) -> None:
        """Collect `learning_starts` more steps before the next update, as at the start: the buffer is empty."""
        ...


@runtime_checkable
class HasLosses(Protocol):
    """An algorithm that counts its updates, `n_updates`."""

    n_updates: int

    def losses(self) -> dict[str, float]:
        """Those of the last update, by their names in the log."""
        ...


@runtime_checkable
class ChecksFinite(Protocol):
    """An algorithm that finds NaN in itself faster than a look at all of its `state()`."""

    def not_finite(self) -> list[str]:
        """What is NaN or infinite by now: `["train/loss is NaN"]`."""
        ...


@runtime_checkable
class HasWeights(Protocol):
    """An algorithm that can begin with the weights of another."""

    def restore_weights(self, state: State) -> None:
        """Take over what was learned alone.

        Raises:
            KeyError, RuntimeError, ValueError: if it does not fit.
        """
        ...


@runtime_checkable
class Saveable(Protocol):
    """An algorithm with a file that other tools open."""

    def save(self, path: Path) -> None: ...


@runtime_checkable
class Finishes(Protocol):
    """An algorithm that may have nothing more to learn before its training is over; `done` says why, or is empty."""

    done: str


@runtime_checkable
class CountsEpisodes(Protocol):
    """An algorithm that counts its episodes, as all but some of a user's own do."""

    n_episodes: int


class Patience(NamedTuple):
    """How much may happen until a callback has to be asked again, whichever comes first: steps, or ended episodes."""

    timesteps: float = math.inf
    episodes: float = math.inf


class Callback:
    """Watches a training. Subclasses override what they need; these do nothing.

    `on_step` follows every step of the vectorised environment; answering False ends the training after it.
    `on_boundary` is called where nothing is half-done (before a rollout; ARS: before an update; and once more at the
    end, unless a callback has ended the training in between): checkpoints go there. It may raise `Ended`.
    An algorithm that is compiled takes many steps between two calls: as many as the `patience` of all callbacks allows.
    """

    def on_start(self, algorithm: Algorithm) -> None: ...

    def on_boundary(self, algorithm: Algorithm) -> None: ...

    def on_step(self, algorithm: Algorithm) -> bool:
        return True

    def patience(self, algorithm: Algorithm) -> Patience:
        """A callback that overrides `on_step` wants to see every step, unless it says otherwise here."""
        return Patience() if type(self).on_step is Callback.on_step else Patience(1, 1)

    def on_end(self, algorithm: Algorithm) -> None: ...


class Ended(Exception):  # noqa: N818 - nothing went wrong
    """Raised by `on_boundary` to end the training there, from where it can be resumed exactly."""


class Pruned(Exception):  # noqa: N818 - nothing went wrong
    """Raised by a callback to end a training at once: others are better, so it is neither kept nor to be resumed."""


def least_patience(callbacks: Sequence[Callback], algorithm: Algorithm) -> Patience:
    """How much may happen until one of them has to be asked."""
    asked = [callback.patience(algorithm) for callback in callbacks]
    return Patience(*map(min, zip(Patience(), *asked, strict=True)))


class Environment(Protocol):
    """The vectorised environment that in-repo algorithms see; arrays have n_envs rows."""

    n_envs: int
    observation_space: Any
    action_space: Any

    def reset(self, seed: int | None = None) -> Any: ...

    def step(self, actions: Any) -> EnvironmentStep: ...


class EnvironmentStep(NamedTuple):
    """One step of n_envs environments.

    `observation` follows an automatic reset where an episode ended; `final_observation` is then the last one of the
    episode that ended (elsewhere equal to `observation`). `terminated` and `truncated` are never merged: only a
    terminated episode has no value after its end.
    """

    observation: Any
    reward: np.ndarray  # (n_envs,)
    terminated: np.ndarray  # (n_envs,) bool
    truncated: np.ndarray  # (n_envs,) bool
    final_observation: Any
    episodes: tuple[tuple[float, int], ...] = ()
    """Return and length of every whole episode that ended, as the environment itself counts them."""
    records: tuple[Mapping[str, Any], ...] = ()
    """What the monitor says of each of them, the second part of an `EpisodeRecord`."""


@dataclass(frozen=True)
class Evaluation:
    """Whole episodes of one policy: raw returns and lengths, before any clipping, scaling or life loss.

    `max_steps` is where evaluations cut an episode that the environment's own limit would not have ended there.
    """

    returns: tuple[float, ...]
    lengths: tuple[int, ...]
    seeds: tuple[int, ...]
    deterministic: bool
    max_steps: int | None = None

    @property
    def n_episodes(self) -> int:
        return len(self.returns)

    @property
    def n_cut(self) -> int:
        """Episodes that had not ended by `max_steps`."""
        return 0 if self.max_steps is None else sum(length >= self.max_steps for length in self.lengths)

    @property
    def mean_reward(self) -> float:
        import numpy as np

        return float(np.mean(self.returns))

    @property
    def std_reward(self) -> float:
        """Population standard deviation, as the course and Stable-Baselines3 print it."""
        import numpy as np

        return float(np.std(self.returns))

    @property
    def result(self) -> float:
        """`mean - std`, the number the Deep RL Course certifies."""
        return self.mean_reward - self.std_reward

    @property
    def median_reward(self) -> float:
        import numpy as np

        return float(np.median(self.returns))

    @property
    def mean_length(self) -> float:
        import numpy as np

        return float(np.mean(self.lengths))
