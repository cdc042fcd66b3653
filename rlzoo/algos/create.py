"""Builds the algorithm that a configuration names, for an environment.

Data becomes objects: `{linear: 0.001}` a schedule, `relu` a class, `{normal: 0.1}` noise. Only objects of
Stable-Baselines3, NumPy and the standard library come out, so a saved model opens without rlzoo.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from inspect import signature
from typing import TYPE_CHECKING, Any

from rlzoo.algos.schema.check import Signature, find_signature, is_sb3, load_class, verify_versions
from rlzoo.algos.schema.space_rules import choose_policy
from rlzoo.algos.schema.types import CLASSES, NOISES, SCHEDULES, named_numbers
from rlzoo.algos.specs import AlgoSpec, find_spec
from rlzoo.config.fields import Fields
from rlzoo.config.schema import DEVICES
from rlzoo.envs.seeding import seed_everything
from rlzoo.errors import ConfigError, Problem, RlzooError, show
from rlzoo.protocols import Algorithm
from rlzoo.registry import load, lookup

if TYPE_CHECKING:
    from gymnasium import Space
    from stable_baselines3.common.vec_env import VecEnv

    from rlzoo.config.schema import AlgoConfig


def create(algo: AlgoConfig, env: VecEnv, *, seed: int | None, device: str, inference: bool = False) -> Algorithm:
    """Build an algorithm.

    Args:
        algo: its name and keywords, checked by `algos.schema.check.check`.
        env: what it learns from; its spaces shape the networks.
        seed: seeds Python, NumPy, torch, the environment and its action space; None leaves them alone.
        device: `auto`, `cpu` or `cuda[:i]`.
        inference: it will only predict: its replay or rollout buffer gets the smallest size there is.
    """
    if not isinstance(device, str) or not DEVICES.fullmatch(device):
        raise ConfigError([Problem("device", f"must be auto, cpu, cuda or cuda:<number>, not {show(device)}")])
    spec = find_spec(algo.name)
    if spec.backend == "custom":
        return create_custom(spec, algo.hyperparams, env, seed=seed, device=device)
    if spec.backend == "rlzoo":
        return create_own(spec, algo.hyperparams, env, seed=seed, device=device)
    verify_versions()
    from rlzoo.algos.sb3.adapter import SB3Algorithm, model_class

    if spec.masked and not inference:
        check_masks(env)
    values = dict(algo.hyperparams)
    values["policy"] = policy_for(values.get("policy", "auto"), spec, env.observation_space)
    small = {key: size for key, size in SMALLEST[spec.family].items() if inference and key in values}
    keywords = sb3_keywords(spec, values | small, env.action_space)
    if spec.name == "ars" and device == "auto":
        device = "cpu"  # its many small networks only lose time on a GPU
    model = model_class(spec)(env=env, seed=seed, device=device, verbose=0, **keywords)
    for key in small:
        setattr(model, key, values[key])  # what a saved model says it was trained with
    return SB3Algorithm(model, spec)


def create_own(
    spec: AlgoSpec, hyperparams: Mapping[str, Any], env: VecEnv, *, seed: int | None, device: str
) -> Algorithm:
    """Build an algorithm of rlzoo's own; its constructor takes the device if it has networks."""
    cls = load(spec.entry_point)
    if seed is not None:
        seed_everything(seed)  # after torch was imported
        env.seed(seed)
    values = resolve(hyperparams, find_signature(spec), policy="", action_shape=())
    offered = {"seed": seed, "device": device}
    taken = signature(cls).parameters
    algorithm: Algorithm = cls(env, **values, **{key: value for key, value in offered.items() if key in taken})
    return algorithm


def create_custom(
    spec: AlgoSpec, hyperparams: Mapping[str, Any], env: VecEnv, *, seed: int | None, device: str
) -> Algorithm:
    """Build a user's or a plugin's algorithm.

    Its constructor gets `env`, the keywords of the configuration, and `seed`, `device` and `policy` if it takes them.
    """
    cls = load_class(spec)
    if seed is not None:
        seed_everything(seed)  # as for those of rlzoo's own: one that takes no seed draws the same numbers again, too
        env.seed(seed)
    values = dict(hyperparams)
    policy = values.pop("policy", "auto")
    has_policies = bool(getattr(cls, "policy_aliases", {}))
    values["policy"] = policy_for(policy, spec, env.observation_space) if has_policies else policy
    keywords = sb3_keywords(spec, values, env.action_space)
    offered = {"seed": seed, "device": device, "policy": keywords.pop("policy")}
    taken = signature(cls).parameters
    algorithm = cls(env=env, **keywords, **{key: value for key, value in offered.items() if key in taken})
    if is_sb3(cls):
        from rlzoo.algos.sb3.adapter import SB3Algorithm

        return SB3Algorithm(algorithm, spec)
    made: Algorithm = algorithm
    return made


def check_masks(env: VecEnv) -> None:
    """Refuse an environment that cannot say which of its actions are valid."""
    from sb3_contrib.common.maskable.utils import is_masking_supported

    if not is_masking_supported(env):
        raise RlzooError(
            "this algorithm needs an environment that marks its valid actions, by a method action_masks()",
            "env=TaxiMasked has them; without masks it is plain ppo",
        )


EXPONENTIAL_FALL = 0.01
"""The share of its start that an exponential schedule ends at, unless its end is given."""

SMALLEST: Mapping[str, Mapping[str, int]] = {
    "off_policy": {"buffer_size": 1},
    "on_policy": {"n_steps": 2, "batch_size": 2},
    "evolution": {},
}
"""The smallest sizes of buffers that the constructors of each family take without complaint."""


def sb3_keywords(spec: AlgoSpec, values: Mapping[str, Any], action_space: Space) -> dict[str, Any]:
    """The constructor's keywords, with data resolved to objects; `policy` is among them, no longer `auto`."""
    policy = values["policy"]
    hyperparams = {key: value for key, value in values.items() if key != "policy"}
    return {"policy": policy} | resolve(hyperparams, find_signature(spec), policy, action_space.shape or ())


def policy_for(policy: str, spec: AlgoSpec, observation_space: Space) -> str:
    """The name of the policy, chosen by the observation if it is `auto`."""
    from gymnasium.spaces import Dict
    from stable_baselines3.common.preprocessing import is_image_space

    if policy != "auto":
        return policy
    kind = "vector"
    if isinstance(observation_space, Dict):
        kind = "dict"
    elif is_image_space(observation_space):
        kind = "image"
    return choose_policy(tuple(find_signature(spec).policies), kind)


def resolve(
    values: Mapping[str, Any], signature: Signature, policy: str, action_shape: tuple[int, ...]
) -> dict[str, Any]:
    """The constructor's keywords from checked configuration values.

    Args:
        values: the configuration, without `policy`.
        signature: keywords of the algorithm and of what it builds.
        policy: the name of the policy.
        action_shape: of continuous actions, for noise.
    """
    return _keywords(values, signature.keywords, signature, policy, action_shape)


def _keywords(
    values: Mapping[str, Any], keywords: Fields, signature: Signature, policy: str, action_shape: tuple[int, ...]
) -> dict[str, Any]:
    resolved = {}
    for key, value in values.items():
        nested = signature.nested(key, values, keywords, policy)
        if nested is not None and value is not None:
            resolved[key] = _keywords(value, nested, signature, policy, action_shape)
        else:
            resolved[key] = _value(value, keywords[key].words if key in keywords else (), action_shape)
    return resolved


def _value(value: Any, words: Sequence[str], action_shape: tuple[int, ...]) -> Any:
    for word in words:
        if word in CLASSES and isinstance(value, str):
            return load(lookup(CLASSES[word], value, word.replace("_", " ")))
    if isinstance(value, Mapping):
        if "schedule" in words:
            return schedule(value)
        if "noise" in words:
            return noise(value, action_shape)
        if "networks" in words:
            return {name: [int(size) for size in sizes] for name, sizes in value.items()}
    elif isinstance(value, Sequence) and not isinstance(value, str):
        return _list(value, words)
    elif "int" in words and isinstance(value, float) and value.is_integer():
        return int(value)  # 1e6 is written where a whole number is meant
    return value


def _list(value: Sequence[Any], words: Sequence[str]) -> Any:
    if "frequency" in words:
        return int(value[0]), str(value[1])
    if "layers" in words:
        return [int(size) for size in value]
    return tuple(value) if "pair" in words else list(value)


def schedule(value: Mapping[str, Any]) -> Callable[[float], float]:
    """A function of the training's remaining progress (1 to 0) from `{name: numbers}`; see `names.SCHEDULES`."""
    from stable_baselines3.common.utils import ConstantSchedule, LinearSchedule

    ((name, given),) = value.items()
    numbers = named_numbers(given, lookup(SCHEDULES, name, "schedule"))
    if name == "constant":
        return ConstantSchedule(float(numbers["value"]))
    start, fraction = float(numbers["start"]), float(numbers.get("end_fraction", 1.0))
    end = float(numbers.get("end", EXPONENTIAL_FALL * start if name == "exponential" else 0.0))
    if name == "linear":
        return LinearSchedule(start, end, fraction)
    return _curve(name, start, end, fraction)


def _curve(name: str, start: float, end: float, end_fraction: float) -> Callable[[float], float]:
    """A schedule as a table of 1001 points: unlike a function of ours it can be unpickled where rlzoo is missing."""
    import numpy as np

    done = np.linspace(0.0, 1.0, 1001)
    values = end * (start / end) ** (1 - done) if name == "exponential" else _cosine(start, end, done)
    return partial(np.interp, xp=1 - end_fraction * done[::-1], fp=values[::-1])


def _cosine(start: float, end: float, done: Any) -> Any:
    import numpy as np

    return end + (start - end) * (1 + np.cos(np.pi * done)) / 2


def noise(value: Mapping[str, Any], action_shape: tuple[int, ...]) -> Any:
    """Action noise from `{normal: sigma}` or `{normal: {mean: 0, sigma: 0.1}}`, the same for all of an action."""
    import numpy as np

    ((name, given),) = value.items()
    options = dict(given) if isinstance(given, Mapping) else {"sigma": given}
    options.setdefault("mean", 0.0)
    for key in ("mean", "sigma", "initial_noise"):
        if options.get(key) is not None:
            options[key] = np.broadcast_to(np.asarray(options[key], dtype=float), action_shape).copy()
    return load(lookup(NOISES, name, "action noise"))(**options)
