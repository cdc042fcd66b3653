"""The shape of a training request. Types and bounds live here, values and defaults in `conf/`.

Frozen dataclasses without defaults: what is absent from YAML is an error, never a hidden default.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from annotated_types import Ge, Gt, Interval

Positive = Annotated[int, Ge(1)]
NonNegative = Annotated[int, Ge(0)]
MAX_ENVS = 4096
"""Environments side by side at most: each is a Python object of its own."""
MAX_FRAMES = 64
"""Frames in a stack at most: each is an observation in memory."""
MAX_THREADS = 1024
"""CPU threads of torch at most: it crashes where the system has no more to give."""
MAX_EPISODES = 1_000_000
"""Episodes of one evaluation at most."""
MIN_UNLIMITED, MAX_UNLIMITED = 1_000, 10_000
"""Steps at which an episode that has to end is cut in an environment without a step limit."""
DEVICES = re.compile(r"auto|cpu|mps|cuda(:\d+)?")
"""What `device=` may be."""
EnvCount = Annotated[int, Interval(ge=1, le=MAX_ENVS)]
EpisodeCount = Annotated[int, Interval(ge=1, le=MAX_EPISODES)]
Seed = Annotated[int, Interval(ge=0, le=2**31 - 1)]
Text = Annotated[str, "text"]
"""A path or text of a command: taken literally, whatever its signs mean elsewhere."""
Options = Annotated[dict[str, Any], "options"]
"""An open mapping: it takes new keys without `+`, and null for an empty one."""

T = TypeVar("T")
TUNED, REQUESTED = "tuned", "requested"
Tuned = Annotated[T, TUNED]
"""What a tuned set may say: values that say how to learn, and mean the same in everybody's hands."""
Requested = Annotated[T, REQUESTED]
"""What only a request says. Tuned sets apply by themselves: they name no module, path, host, account or machine, and
decide neither what is learned nor how it is judged."""


@dataclass(frozen=True)
class AlgoConfig:
    """An algorithm by name, and every keyword of its constructor; `algos.schema.check` knows these."""

    name: Requested[str]
    hyperparams: Tuned[Options]


@dataclass(frozen=True)
class EnvConfig:
    """One environment, for training, evaluation, video and the Hub alike."""

    id: Requested[str]
    summary: Requested[str]
    imports: Requested[tuple[str, ...]]
    extra: Requested[Annotated[str, "extra"] | None]
    kwargs: Requested[Options]
    max_steps: Tuned[Positive | None]
    monitor_kwargs: Requested[Options]
    wrappers: Tuned[dict[str, Options]]
    n_envs: Tuned[EnvCount]
    vec_env: Tuned[Literal["dummy", "subproc"]]
    step_timeout: Requested[Annotated[float, Gt(0)]]
    max_restarts: Requested[NonNegative]
    normalize: Tuned[bool | Options]
    frame_stack: Tuned[Annotated[int, Interval(ge=1, le=MAX_FRAMES)] | None]
    stochastic_eval: Requested[bool]
    observation_space: Requested[str | None]
    action_space: Requested[str | None]


@dataclass(frozen=True)
class EvalConfig:
    freq: NonNegative | Literal["auto"]
    n_episodes: EpisodeCount
    selection_n_episodes: Annotated[int, Interval(ge=0, le=MAX_EPISODES)]
    final_n_episodes: EpisodeCount
    n_envs: EnvCount
    deterministic: bool | Literal["auto"]
    seed: Seed
    seeds: tuple[Seed, ...] | None
    max_steps: Positive | None
    random: bool

    @property
    def n_final(self) -> int:
        """Episodes of the final evaluation."""
        return self.final_n_episodes if self.seeds is None else len(self.seeds)


@dataclass(frozen=True)
class CheckpointConfig:
    freq: NonNegative | Literal["auto"]
    minutes: Annotated[float, Ge(0)]
    keep: Positive
    replay_buffer: Literal["auto", "always", "never"]


@dataclass(frozen=True)
class StopConfig:
    reward: Tuned[float | None]
    episodes: Tuned[Positive | None]
    minutes: Requested[Annotated[float, Gt(0)] | None]


ADDED = {"eval": {"selection_n_episodes": 20, "random": True}}
"""Settings that runs of earlier versions do not have, with what they mean there."""

CHANGEABLE = ("total_timesteps", "eval", "checkpoint", "stop", "logger", "signal_grace", "on_nan")
"""Settings that may change when a training is resumed; all others stay as it was started."""

WHERE = ("runs_dir", "n_seeds", "n_jobs", "launcher")
"""Settings that say where and beside what a training runs: two runs may differ in them and be the same training."""


@dataclass(frozen=True)
class TrainConfig:
    algo: AlgoConfig
    env: EnvConfig
    init_from: Requested[str | None]
    total_timesteps: Tuned[Positive]
    seed: Requested[Seed | None]
    n_seeds: Requested[Positive]
    device: Requested[str]
    torch_threads: Requested[Annotated[int, Interval(ge=1, le=MAX_THREADS)] | Literal["auto"]]
    eval: Requested[EvalConfig]
    checkpoint: Requested[CheckpointConfig]
    stop: StopConfig
    logger: Requested[dict[str, Options]]
    launcher: Requested[Options]
    n_jobs: Requested[Positive]
    runs_dir: Requested[str]
    signal_grace: Requested[Annotated[float, Ge(0)]]
    on_nan: Requested[Literal["stop", "warn"]]

    def frequency(self, freq: int | str, share: int) -> int:
        """A cadence in environment steps: itself, or 1/`share` of the training for `auto`; 0 is off."""
        return max(1, self.total_timesteps // share) if freq == "auto" else int(freq)

    @property
    def unlimited_max_steps(self) -> int:
        """Where an episode that has to end is cut if its environment has no step limit.

        None is longer than the whole training, of which there are toys: an evaluation is not to take far longer.
        """
        return min(MAX_UNLIMITED, max(MIN_UNLIMITED, self.total_timesteps))


@dataclass(frozen=True)
class AgentConfig:
    """The words that name an agent: a run's; or a package's, or a file's, with what that does not say by itself."""

    run: Text
    env: str | None
    algo: str | None
    file: Text | None
    checkpoint: Text | None
    runs_dir: Text


@dataclass(frozen=True)
class PlayConfig(AgentConfig):
    """How an agent plays: what `evaluate`, `enjoy`, `record`, `package` and `push-to-hub` share."""

    n_episodes: EpisodeCount | None
    seeds: tuple[Seed, ...] | None
    deterministic: bool | Literal["auto"]
    device: str
    trust: bool


@dataclass(frozen=True)
class EvaluateConfig(PlayConfig):
    """The words of `rlzoo evaluate` besides `env.*`."""

    policy: Literal["random"] | None
    n_timesteps: Positive | None
    n_envs: EnvCount


@dataclass(frozen=True)
class WatchConfig(PlayConfig):
    """What `enjoy` and `record` share besides."""

    policy: Literal["random"] | None
    n_episodes: EpisodeCount
    n_timesteps: Positive | None
    fps: Annotated[float, Interval(gt=0, le=1000)] | None


@dataclass(frozen=True)
class EnjoyConfig(WatchConfig):
    """The words of `rlzoo enjoy` besides `env.*`."""

    render: Literal["auto", "window", "terminal", "none"]


@dataclass(frozen=True)
class RecordConfig(WatchConfig):
    """The words of `rlzoo record` besides `env.*`."""

    overlay: bool
    gif: bool
    path: Text | None


@dataclass(frozen=True)
class PackageConfig(PlayConfig):
    """The words of `rlzoo package`."""

    folder: Text | None
    repo_id: Text | None
    video: bool
    license: str


@dataclass(frozen=True)
class PushToHubConfig(PackageConfig):
    """The words of `rlzoo push-to-hub`."""

    run: Text | None  # type: ignore[assignment]
    private: bool | None
    commit_message: Text | None
    dry_run: bool


@dataclass(frozen=True)
class VerifyResumeConfig:
    """The words of `rlzoo verify-resume`."""

    run: Text
    total_timesteps: Positive | None
    keep: Text | None
    trust: bool
    runs_dir: Text


@dataclass(frozen=True)
class ReproduceConfig:
    """The words of `rlzoo reproduce`."""

    run: Text
    trust: bool
    runs_dir: Text
    into: Text | None


@dataclass(frozen=True)
class LeaderboardConfig:
    """The words of `rlzoo leaderboard`."""

    env: str | None
    algo: str | None
    source: Literal["runs", "hub"]
    user: str | None
    by: Literal["run", "algo"]
    checkpoint: Literal["last", "ships"] | None
    n: Positive
    n_episodes: EpisodeCount
    runs_dir: Text


@dataclass(frozen=True)
class CertifyConfig:
    """The words of `rlzoo certify` besides the runs."""

    name: Text | None
    user: str | None
    source: Literal["auto", "runs", "hub"]
    folder: Text
    runs_dir: Text


@dataclass(frozen=True)
class EnvId:
    """An environment by its id alone."""

    id: str | None


@dataclass(frozen=True)
class LoadFromHubConfig:
    """The words of `rlzoo load-from-hub`."""

    repo_id: Text | None
    revision: Text | None
    folder: Text | None
    file: Text | None
    algo: str | None
    env: EnvId
    trust: bool
    force: bool
