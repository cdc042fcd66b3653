"""The shape of a training request. Types and bounds live here, values and defaults in `conf/`.

Frozen dataclasses without defaults: what is absent from YAML is an error, never a hidden default.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import isfinite
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field

LARGEST = 10**18
"""Whole numbers beyond it are no count of anything, and fit into no machine word."""


def _int(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float) or value % 1 != 0:
        raise ValueError("must be a whole number")
    if abs(value) > LARGEST:
        raise ValueError("must be a whole number up to 10^18")
    return int(value)


def _float(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number")
    if not isfinite(value) if isinstance(value, float) else abs(value) > LARGEST:
        raise ValueError("must be a finite number")
    return float(value)


def _bool(value: Any) -> Any:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def _extra(value: Any) -> Any:
    if not isinstance(value, str) or re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", value) is None:
        raise ValueError("must be the name of an extra: letters, digits, '.', '_' and '-'")
    return value


def _options(value: Any) -> Any:
    return {} if value is None else value  # `flatten:` with nothing behind it is an empty mapping


Int = Annotated[int, BeforeValidator(_int)]
"""A whole number; `1e6` is one, `true`, `"5"` and `2.5` are not."""
Float = Annotated[float, BeforeValidator(_float)]
"""A finite number; booleans, quoted numbers, NaN and infinity are not."""
Bool = Annotated[bool, BeforeValidator(_bool)]
Positive = Annotated[Int, Field(ge=1)]
NonNegative = Annotated[Int, Field(ge=0)]
MAX_ENVS = 4096
"""Environments side by side at most: each is a Python object of its own."""
MAX_FRAMES = 64
"""Frames in a stack at most: each is an observation in memory."""
MAX_THREADS = 1024
"""CPU threads of torch at most: it crashes where the system has no more to give."""
MAX_EPISODES = 1_000_000
"""Episodes of one evaluation at most."""
EnvCount = Annotated[Int, Field(ge=1, le=MAX_ENVS)]
EpisodeCount = Annotated[Int, Field(ge=1, le=MAX_EPISODES)]
Seed = Annotated[Int, Field(ge=0, le=2**31 - 1)]
Options = Annotated[dict[str, Any], BeforeValidator(_options)]
"""An open mapping: it takes new keys without `+`."""

T = TypeVar("T")
TUNED, REQUESTED = "tuned", "requested"
Tuned = Annotated[T, TUNED]
"""What a tuned set may say: values that say how to learn, and mean the same in everybody's hands."""
Requested = Annotated[T, REQUESTED]
"""What only a request says. Tuned sets apply by themselves: they name no module, path, host, account or machine, and
decide neither what is learned nor how it is judged."""


@dataclass(frozen=True)
class AlgoConfig:
    """An algorithm by name, and every keyword of its constructor; `algos.schema.signatures` knows these."""

    name: Requested[str]
    hyperparams: Tuned[Options]


@dataclass(frozen=True)
class EnvConfig:
    """One environment, for training, evaluation, video and the Hub alike."""

    __pydantic_config__ = {"extra": "forbid"}

    id: Requested[str]
    summary: Requested[str]
    imports: Requested[tuple[str, ...]]
    extra: Requested[Annotated[str, BeforeValidator(_extra)] | None]
    kwargs: Requested[Options]
    max_steps: Tuned[Positive | None]
    monitor_kwargs: Requested[Options]
    wrappers: Tuned[dict[str, Options]]
    n_envs: Tuned[EnvCount]
    vec_env: Tuned[Literal["dummy", "subproc"]]
    step_timeout: Requested[Annotated[Float, Field(gt=0)]]
    max_restarts: Requested[NonNegative]
    normalize: Tuned[Bool | Options]
    frame_stack: Tuned[Annotated[Int, Field(ge=1, le=MAX_FRAMES)] | None]
    stochastic_eval: Requested[Bool]
    observation_space: Requested[str | None]
    action_space: Requested[str | None]


@dataclass(frozen=True)
class EvalConfig:
    __pydantic_config__ = {"extra": "forbid"}

    freq: NonNegative | Literal["auto"]
    n_episodes: EpisodeCount
    selection_n_episodes: Annotated[Int, Field(ge=0, le=MAX_EPISODES)]
    final_n_episodes: EpisodeCount
    n_envs: EnvCount
    deterministic: Bool | Literal["auto"]
    seed: Seed
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] | None
    max_steps: Positive | None

    @property
    def n_final(self) -> int:
        """Episodes of the final evaluation."""
        return self.final_n_episodes if self.seeds is None else len(self.seeds)


@dataclass(frozen=True)
class CheckpointConfig:
    __pydantic_config__ = {"extra": "forbid"}

    freq: NonNegative | Literal["auto"]
    minutes: Annotated[Float, Field(ge=0)]
    keep: Positive
    replay_buffer: Literal["auto", "always", "never"]


@dataclass(frozen=True)
class StopConfig:
    __pydantic_config__ = {"extra": "forbid"}

    reward: Tuned[Float | None]
    episodes: Tuned[Positive | None]
    minutes: Requested[Annotated[Float, Field(gt=0)] | None]


ADDED = {"eval": {"selection_n_episodes": 20}}
"""Settings that runs of earlier versions do not have, with what they mean there."""

CHANGEABLE = ("total_timesteps", "eval", "checkpoint", "stop", "logger", "signal_grace", "on_nan")
"""Settings that a training may go on with changed; all others are what it was started with."""

WHERE = ("runs_dir", "n_seeds", "n_jobs", "launcher")
"""Settings that say where and beside what a training runs: two runs may differ in them and be the same training."""


@dataclass(frozen=True)
class TrainConfig:
    __pydantic_config__ = {"extra": "forbid"}

    algo: AlgoConfig
    env: EnvConfig
    init_from: Requested[str | None]
    total_timesteps: Tuned[Positive]
    seed: Requested[Seed | None]
    n_seeds: Requested[Positive]
    device: Requested[str]
    torch_threads: Requested[Annotated[Int, Field(ge=1, le=MAX_THREADS)] | Literal["auto"]]
    eval: Requested[EvalConfig]
    checkpoint: Requested[CheckpointConfig]
    stop: StopConfig
    logger: Requested[dict[str, Options]]
    launcher: Requested[Options]
    n_jobs: Requested[Positive]
    runs_dir: Requested[str]
    signal_grace: Requested[Annotated[Float, Field(ge=0)]]
    on_nan: Requested[Literal["stop", "warn"]]

    def frequency(self, freq: int | str, share: int) -> int:
        """A cadence in environment steps: itself, or 1/`share` of the training for `auto`; 0 is off."""
        return max(1, self.total_timesteps // share) if freq == "auto" else int(freq)


@dataclass(frozen=True)
class AgentConfig:
    """The words that name an agent: a run's; or a package's, or a file's, with what that does not say by itself."""

    __pydantic_config__ = {"extra": "forbid"}

    run: str
    env: str | None
    algo: str | None
    file: str | None


@dataclass(frozen=True)
class PlayerConfig(AgentConfig):
    """The words that name who plays."""

    policy: Literal["random"] | None


@dataclass(frozen=True)
class EvaluateConfig(PlayerConfig):
    """The words of `rlzoo evaluate` besides `env.*`."""

    checkpoint: str | None
    n_episodes: EpisodeCount | None
    n_timesteps: Positive | None
    seeds: tuple[Seed, ...] | None
    deterministic: Bool | Literal["auto"]
    n_envs: EnvCount
    device: str
    trust: Bool
    runs_dir: str


@dataclass(frozen=True)
class RecordConfig(PlayerConfig):
    """The words of `rlzoo record` besides `env.*`."""

    checkpoint: str | None
    n_episodes: EpisodeCount
    n_timesteps: Positive | None
    seeds: tuple[Seed, ...] | None
    deterministic: Bool | Literal["auto"]
    fps: Annotated[Float, Field(gt=0, le=1000)] | None
    overlay: Bool
    gif: Bool
    path: str | None
    device: str
    trust: Bool
    runs_dir: str


@dataclass(frozen=True)
class EnjoyConfig(PlayerConfig):
    """The words of `rlzoo enjoy` besides `env.*`."""

    checkpoint: str | None
    n_episodes: EpisodeCount
    n_timesteps: Positive | None
    seeds: tuple[Seed, ...] | None
    deterministic: Bool | Literal["auto"]
    fps: Annotated[Float, Field(gt=0, le=1000)] | None
    render: Literal["auto", "window", "terminal", "none"]
    device: str
    trust: Bool
    runs_dir: str


@dataclass(frozen=True)
class PackageConfig(AgentConfig):
    """The words of `rlzoo package`."""

    folder: str | None
    repo_id: str | None
    checkpoint: str | None
    n_episodes: EpisodeCount | None
    seeds: tuple[Seed, ...] | None
    deterministic: Bool | Literal["auto"]
    video: Bool
    license: str
    device: str
    trust: Bool
    runs_dir: str


@dataclass(frozen=True)
class PushToHubConfig:
    """The words of `rlzoo push-to-hub`."""

    __pydantic_config__ = {"extra": "forbid"}

    run: str | None
    env: str | None
    algo: str | None
    file: str | None
    repo_id: str | None
    checkpoint: str | None
    n_episodes: EpisodeCount | None
    seeds: tuple[Seed, ...] | None
    deterministic: Bool | Literal["auto"]
    video: Bool
    private: Bool | None
    commit_message: str | None
    license: str
    dry_run: Bool
    folder: str | None
    device: str
    trust: Bool
    runs_dir: str


@dataclass(frozen=True)
class VerifyResumeConfig:
    """The words of `rlzoo verify-resume`."""

    __pydantic_config__ = {"extra": "forbid"}

    run: str
    total_timesteps: Positive | None
    keep: str | None
    trust: Bool
    runs_dir: str


@dataclass(frozen=True)
class ShowRunConfig(AgentConfig):
    """The words of `rlzoo show run=…`."""

    checkpoint: str | None
    runs_dir: str


@dataclass(frozen=True)
class ReproduceConfig:
    """The words of `rlzoo reproduce`."""

    __pydantic_config__ = {"extra": "forbid"}

    run: str
    trust: Bool
    runs_dir: str
    into: str | None


@dataclass(frozen=True)
class LeaderboardConfig:
    """The words of `rlzoo leaderboard`."""

    __pydantic_config__ = {"extra": "forbid"}

    env: str | None
    algo: str | None
    source: Literal["runs", "hub"]
    user: str | None
    by: Literal["run", "algo"]
    checkpoint: Literal["last", "ships"] | None
    n: Positive
    n_episodes: EpisodeCount
    runs_dir: str


@dataclass(frozen=True)
class CertifyConfig:
    """The words of `rlzoo certify` besides the runs."""

    __pydantic_config__ = {"extra": "forbid"}

    name: str | None
    user: str | None
    source: Literal["auto", "runs", "hub"]
    folder: str
    runs_dir: str


@dataclass(frozen=True)
class EnvId:
    """An environment by its id alone."""

    __pydantic_config__ = {"extra": "forbid"}

    id: str | None


@dataclass(frozen=True)
class LoadFromHubConfig:
    """The words of `rlzoo load-from-hub`."""

    __pydantic_config__ = {"extra": "forbid"}

    repo_id: str | None
    revision: str | None
    folder: str | None
    file: str | None
    algo: str | None
    env: EnvId
    trust: Bool
    force: Bool
