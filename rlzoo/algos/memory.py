"""How much memory an algorithm will take, and whether it fits: asked before anything is allocated."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rlzoo.algos import specs
from rlzoo.algos.free_memory import available, size
from rlzoo.config.fields import is_whole
from rlzoo.envs import spaces
from rlzoo.errors import ExitCode, Problem, RlzooError

if TYPE_CHECKING:
    from gymnasium import Space

    from rlzoo.config.schema import AlgoConfig, TrainConfig

ROOM = 10**6
"""Parameters that a network may have beyond those of its file, while it is built."""
PER_LAYER = 256
"""Parameters that each tensor counts for besides its own: a hundred thousand layers of one take hours to build."""
FLOAT32 = 4
INT64 = FLOAT64 = 8
LEAST_WIDTH = 64
"""Of a layer, where `net_arch` is that of the policy."""
HER_INFO = 72 + 16
"""HER keeps an empty dict, its address and two indices for each transition."""

PRIORITY = 4 * 8
"""Of prioritised replay, at most: its tree has two numbers for each place, and up to twice as many places."""

RANK = 3
"""Of an image."""

LEAST_STEPS = 2
"""Of a rollout."""

COPIES = 4
"""Of each weight: itself, its gradient and the two moments of Adam."""


@dataclass(frozen=True)
class Sizes:
    """What an observation and an action take in a buffer.

    Attributes:
        observation: bytes of one.
        action: bytes of one.
        n_features: numbers in an observation.
        n_choices: entries of an action mask.
        images: bytes of the images in an observation.
        n_inputs: numbers that a network is given, one for each value of what is discrete, without images.
    """

    observation: int
    action: int
    n_features: int
    n_choices: int
    images: int = 0
    n_inputs: int = 0

    @classmethod
    def of(cls, observation_space: Space, action_space: Space) -> Sizes:
        """Of one environment's spaces, as the algorithm sees them (wrapped and stacked)."""
        n_bytes, n_features = _observation_size(observation_space)
        n_choices = _n_choices(action_space)
        images, n_inputs = _image_bytes(observation_space), _n_inputs(spaces.of(observation_space))
        return cls(n_bytes, _action_bytes(action_space), n_features, n_choices, images, n_inputs)

    @classmethod
    def of_text(cls, observation_space: spaces.Space, action_space: spaces.Space) -> Sizes:
        """At least, of spaces that are only described: a Box that is not bytes may be of float64."""
        n_bytes, n_features = _described_size(observation_space)
        action, n = _described_size(action_space)
        action = FLOAT32 * n if action_space.kind == "Box" else action
        parts = [part for _, part in observation_space.parts] or [observation_space]
        images = sum(math.prod(part.shape) for part in parts if part.uint8 and len(part.shape) == RANK)
        return cls(n_bytes, action, n_features, sum(action_space.shape), images, _n_inputs(observation_space))


def buffer_bytes(
    algo: AlgoConfig, sizes: Sizes, *, n_envs: int, total_timesteps: int | None = None, frame_stack: int | None = None
) -> int:
    """Bytes of the buffer that fills up during training; 0 for algorithms without one.

    Args:
        algo: a checked configuration.
        sizes: of its observations and actions.
        n_envs: environments side by side.
        total_timesteps: what a training of that length fills of it; None is the whole buffer.
        frame_stack: frames in each image, of which dqn_scratch keeps one; without it, the most that it can be.
    """
    if rows := _count(algo, "buffer_size"):
        transitions = max(rows // n_envs, 1) * n_envs
        return min(transitions, total_timesteps or transitions) * _transition_bytes(algo, sizes, frame_stack)
    return _count(algo, "n_steps") * n_envs * _rollout_step_bytes(algo, sizes)


def network_bytes(algo: AlgoConfig, sizes: Sizes) -> int:
    """Bytes of the largest network of `policy_kwargs.net_arch` while it learns, without its input and output layers."""
    return _n_weights(algo) * FLOAT32 * COPIES


def ends_bytes(algo: AlgoConfig, sizes: Sizes) -> int:
    """Bytes at least of what grows with the values of a discrete space: a table, or a first and a last layer."""
    family = specs.find_spec(algo.name).family
    if family in ("tabular", "planning"):
        return sizes.n_inputs * sizes.n_choices * FLOAT64
    if family not in ("on_policy", "off_policy"):
        return 0
    narrowest = min((width for one in _widths(algo) for width in one), default=LEAST_WIDTH)
    return (sizes.n_inputs + sizes.n_choices) * narrowest * FLOAT32 * COPIES


def _widths(algo: AlgoConfig) -> list[list[int]]:
    policy = algo.hyperparams.get("policy_kwargs") or {}
    found = policy.get("net_arch") or algo.hyperparams.get("net_arch") or ()
    layers = list(found.values()) if isinstance(found, Mapping) else [found]
    return [[int(width) for width in one if is_whole(width)] for one in layers if isinstance(one, Sequence)]


def _n_weights(algo: AlgoConfig) -> int:
    widths = _widths(algo)
    weights = (sum(a * b + b for a, b in zip([1, *one], one, strict=False)) for one in widths)
    return max(weights, default=0)


@contextmanager
def networks_of(n_bytes: int, algo: AlgoConfig, where: str) -> Iterator[None]:
    """Refuse to build networks of more parameters than a file of weights holds: their sizes are its author's words.

    A parameter is refused when it is registered: its memory is reserved by then, but has never been touched. Some
    networks are put together out of others, so that their parameters are registered more than once.

    Args:
        n_bytes: of the file; a parameter takes four.
        algo: what describes the networks.
        where: the file, for errors.

    Raises:
        RlzooError: with exit code 7.
    """
    require_network(algo, n_bytes, where)
    if ":" in algo.name:
        yield
        return
    with _counting(n_bytes + ROOM, where):
        yield


def require_network(algo: AlgoConfig, n_bytes: int, where: str) -> None:
    """Refuse what can be seen to be too large for `networks_of` without building anything.

    Every whole number that describes a network makes as many parameters at least.
    """
    if ":" in algo.name:  # a class of the user's own, or trusted, may be made of anything
        return
    numbers = _whole_numbers(algo.hyperparams.get("policy_kwargs"), "algo.policy_kwargs")
    for key, least in (*numbers, (f"{_policy_key(algo)}.net_arch", _n_weights(algo))):
        if least > n_bytes + ROOM:
            raise RlzooError(f"{key} describes a larger network than {where} holds", code=ExitCode.UNSAFE)


@contextmanager
def _counting(left: int, where: str) -> Iterator[None]:
    from torch.nn.modules.module import register_module_parameter_registration_hook

    def count(_module: Any, _name: str, parameter: Any) -> None:
        nonlocal left
        left -= 0 if parameter is None else parameter.numel() + PER_LAYER
        if left < 0:
            raise RlzooError(f"a larger network is described than {where} holds", code=ExitCode.UNSAFE)

    hook = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        hook.remove()


def _policy_key(algo: AlgoConfig) -> str:
    """Where its networks are described."""
    return "algo.policy_kwargs" if "policy_kwargs" in algo.hyperparams else "algo"


def _whole_numbers(value: Any, key: str) -> Iterator[tuple[str, int]]:
    if isinstance(value, Mapping):
        for name, child in value.items():
            yield from _whole_numbers(child, f"{key}.{name}")
    elif isinstance(value, list | tuple):
        for child in value:
            yield from _whole_numbers(child, key)
    elif is_whole(value):
        yield key, int(value)


def problems(
    config: TrainConfig, sizes: Sizes, *, n_jobs: int = 1, typed: Callable[[str], bool] = lambda key: False
) -> list[Problem]:
    """What does not fit into the memory of this machine, if `n_jobs` such trainings run on it at the same time.

    `typed` says of a key whether the user gave its value: then it is the one to change.
    """
    memory = available()
    algo, n_envs, total = config.algo, config.env.n_envs, config.total_timesteps
    stack = config.env.frame_stack
    filled = buffer_bytes(algo, sizes, n_envs=n_envs, total_timesteps=total, frame_stack=stack) * n_jobs
    whole = buffer_bytes(algo, sizes, n_envs=n_envs, frame_stack=stack)
    network = network_bytes(algo, sizes) * n_jobs
    found = []
    if network > memory.free:
        message = f"needs {size(network)} at least{_together(n_jobs)}, {size(memory.free)} are free"
        found.append(Problem(f"{_policy_key(algo)}.net_arch", message, "use smaller layers"))
    if filled > memory.free or whole > memory.allocatable:
        by_allocation = filled <= memory.free
        needed, limit = (whole, memory.allocatable) if by_allocation else (filled, memory.free)
        what = "can be allocated" if by_allocation else "are free"
        message = f"needs {size(needed)}{'' if by_allocation else _together(n_jobs)}, {size(limit)} {what}"
        fitting = min(memory.free // n_jobs, memory.allocatable)
        found.append(_buffer_problem(config, sizes, fitting, message, typed))
    if not found and (ends := ends_bytes(algo, sizes) * n_jobs) > memory.free:
        most = "observation" if sizes.n_inputs > sizes.n_choices else "action"
        what = f"{sizes.n_inputs:,} inputs and {sizes.n_choices:,} outputs"
        message = f"makes {what}, which need {size(ends)} at least{_together(n_jobs)}, {size(memory.free)} are free"
        hint = "each value of a discrete space is one: declare fewer, or numbers that are near each other as a Box"
        found.append(Problem(f"env.{most}_space", message, hint))
    return found


def require(config: TrainConfig, observation_space: Space, action_space: Space) -> None:
    """Refuse a training whose buffer does not fit, by the spaces of its real environments.

    Raises:
        RlzooError: with the size that would fit.
    """
    found = problems(config, Sizes.of(observation_space, action_space))
    if found:
        raise RlzooError(f"{found[0].key} {found[0].message}", found[0].hint)


def _buffer_problem(
    config: TrainConfig, sizes: Sizes, fitting: int, message: str, typed: Callable[[str], bool]
) -> Problem:
    """The setting to make smaller: of those by which it would fit, one that the user gave."""
    algo, n_envs, stack = config.algo, config.env.n_envs, config.env.frame_stack or 1
    largest = {}  # that fit, by key
    if _count(algo, "buffer_size"):
        largest["algo.buffer_size"] = fitting // _transition_bytes(algo, sizes, config.env.frame_stack)
        least = _count(algo, "batch_size")
    else:
        one = _rollout_step_bytes(algo, sizes)
        largest["algo.n_steps"] = fitting // (one * n_envs)
        largest["env.n_envs"] = fitting // (one * _count(algo, "n_steps"))
        least = LEAST_STEPS
    for frames in range(1, stack):
        fewer = replace(sizes, observation=sizes.observation * frames // stack, images=sizes.images * frames // stack)
        if buffer_bytes(algo, fewer, n_envs=n_envs, frame_stack=frames) <= fitting:
            largest["env.frame_stack"] = frames
    for key in sorted(largest, key=lambda key: not typed(key)):
        if largest[key] >= (least if key.startswith("algo.") else 1):
            return Problem(key, message, f"{key}={_rounded(largest[key])} fits")
    key = "algo.policy_kwargs.lstm_hidden_size" if algo.name == "ppo_lstm" else "env.observation_space"
    return Problem(key, message, "a single step is too large")


def _count(algo: AlgoConfig, key: str) -> int:
    """A number among the hyperparameters; 0 if it is not there, or of a class of one's own something else."""
    value: Any = algo.hyperparams.get(key)
    return int(value) if is_whole(value) else 0


def _rounded(number: int) -> int:
    """Down to three digits that count: free memory changes from moment to moment."""
    unit = 10 ** max(0, len(str(number)) - 3)
    return number // unit * unit


def _together(n_jobs: int) -> str:
    return f" in {n_jobs} jobs at the same time" if n_jobs > 1 else ""


def _transition_bytes(algo: AlgoConfig, sizes: Sizes, frame_stack: int | None) -> int:
    values = algo.hyperparams
    if algo.name == "dqn_scratch":
        frame = sizes.observation - sizes.images + sizes.images // (frame_stack or 1)
        return frame + 2 * FLOAT32 + 3 + (PRIORITY if values.get("prioritized") else 0)  # and action, reward, flags
    copies = 1 if values.get("optimize_memory_usage") else 2  # this and the next observation
    extra = HER_INFO if values.get("replay_buffer_class") == "her" else 0
    return copies * sizes.observation + sizes.action + 3 * FLOAT32 + extra  # reward, done, timeout


def _rollout_step_bytes(algo: AlgoConfig, sizes: Sizes) -> int:
    one = sizes.observation + sizes.action + 6 * FLOAT32  # reward, return, start, value, log prob, advantage
    if algo.name == "maskable_ppo":
        one += sizes.n_choices * FLOAT32
    if algo.name == "ppo_lstm":
        policy: Mapping[str, Any] = algo.hyperparams.get("policy_kwargs") or {}
        width = int(policy.get("lstm_hidden_size", 256)) * int(policy.get("n_lstm_layers", 1))
        one += 4 * width * FLOAT32  # hidden and cell states of actor and critic
    return one


def _described_size(space: spaces.Space) -> tuple[int, int]:
    """Bytes at least, and numbers."""
    if space.parts:
        parts = [_described_size(part) for _, part in space.parts]
        return sum(n_bytes for n_bytes, _ in parts), sum(n for _, n in parts)
    n = {"Discrete": 1, "MultiDiscrete": len(space.shape)}.get(space.kind, math.prod(space.shape))
    each = {"Discrete": INT64, "MultiDiscrete": INT64, "Box": 1 if space.uint8 else FLOAT32}.get(space.kind, 1)
    return n * each, n


def _observation_size(space: Space) -> tuple[int, int]:
    """Bytes and numbers; none for a space that no buffer stores."""
    from gymnasium.spaces import Dict, Discrete

    if isinstance(space, Dict):
        parts = [_observation_size(part) for part in space.values()]
        return sum(n_bytes for n_bytes, _ in parts), sum(n for _, n in parts)
    n = 1 if isinstance(space, Discrete) else math.prod(space.shape or ())
    return (space.dtype.itemsize * n, n) if space.dtype is not None else (0, 0)


def _n_inputs(space: spaces.Space) -> int:
    if space.parts:
        return sum(_n_inputs(part) for _, part in space.parts)
    if space.kind in ("Discrete", "MultiDiscrete"):
        return sum(space.shape)
    return 0 if space.is_image else math.prod(space.shape)


def _image_bytes(space: Space) -> int:
    from gymnasium.spaces import Dict
    from stable_baselines3.common.preprocessing import is_image_space

    parts = space.values() if isinstance(space, Dict) else [space]
    return sum(math.prod(part.shape or ()) for part in parts if is_image_space(part))


def _action_bytes(space: Space) -> int:
    from gymnasium.spaces import Box

    n_bytes, n = _observation_size(space)
    return FLOAT32 * n if isinstance(space, Box) else n_bytes


def _n_choices(space: Space) -> int:
    """Entries of an action mask."""
    from gymnasium.spaces import Discrete, MultiDiscrete

    if isinstance(space, Discrete):
        return int(space.n)
    return int(space.nvec.sum()) if isinstance(space, MultiDiscrete) else 2 * math.prod(space.shape or ())
