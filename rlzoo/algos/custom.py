"""Algorithms from outside of rlzoo: a user's own class, `algo=custom algo.name=package.module:Class`, or a plugin's.

What such a class takes is read from its constructor, so these functions import it, and torch with it.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rlzoo.algos.names import NOT_HYPERPARAMETERS
from rlzoo.algos.specs import AlgoSpec
from rlzoo.errors import RlzooError
from rlzoo.protocols import Algorithm
from rlzoo.registry import load

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv

    from rlzoo.algos.signatures import Signature

CONTRACT = ("learn", "predict", "state", "restore")
"""What a class that is not Stable-Baselines3's has to have: the methods of `rlzoo.protocols.Algorithm`."""


def read_signature(spec: AlgoSpec) -> Signature:
    """The keywords of a class and of its policies.

    Raises:
        RlzooError: if it cannot be imported, or is neither Stable-Baselines3's nor an `Algorithm`.
    """
    from rlzoo.algos.compile_signatures import keywords
    from rlzoo.algos.signatures import Signature

    cls = _load_class(spec)
    policies = {name: keywords(policy) for name, policy in getattr(cls, "policy_aliases", {}).items()}
    return Signature(keywords(cls, ("policy", *NOT_HYPERPARAMETERS)), policies)


def takes_any_keyword(spec: AlgoSpec) -> bool:
    """Whether the constructor has `**kwargs`, so that no keyword can be called unknown."""
    parameters = inspect.signature(_load_class(spec)).parameters.values()
    return any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)


def create_custom(
    spec: AlgoSpec, hyperparams: Mapping[str, Any], env: VecEnv, *, seed: int | None, device: str
) -> Algorithm:
    """Build a user's or a plugin's algorithm.

    Its constructor gets `env`, the keywords of the configuration, and `seed`, `device` and `policy` if it takes them.
    """
    from rlzoo.algos.create import policy_for, sb3_keywords

    cls = _load_class(spec)
    values = dict(hyperparams)
    policy = values.pop("policy", "auto")
    has_policies = bool(getattr(cls, "policy_aliases", {}))
    values["policy"] = policy_for(policy, spec, env.observation_space) if has_policies else policy
    keywords = sb3_keywords(spec, values, env.action_space)
    offered = {"seed": seed, "device": device, "policy": keywords.pop("policy")}
    taken = inspect.signature(cls).parameters
    algorithm = cls(env=env, **keywords, **{key: value for key, value in offered.items() if key in taken})
    if _is_sb3(cls):
        from rlzoo.algos.sb3 import SB3Algorithm

        return SB3Algorithm(algorithm, spec)
    made: Algorithm = algorithm
    return made


def _load_class(spec: AlgoSpec) -> Any:
    try:
        cls = load(spec.entry_point)
    except RlzooError:
        raise
    except (Exception, SystemExit) as error:  # whatever the user's own module raises
        raise RlzooError(f"importing {spec.entry_point} failed: {type(error).__name__}: {error}") from error
    if not isinstance(cls, type):
        raise RlzooError(f"{spec.entry_point} is not a class")
    missing = [name for name in CONTRACT if not hasattr(cls, name)]
    if not _is_sb3(cls) and missing:
        raise RlzooError(
            f"{spec.entry_point} cannot be trained: it has no {', '.join(missing)}",
            "a class of your own extends one of Stable-Baselines3, or follows rlzoo.protocols.Algorithm",
        )
    return cls


def _is_sb3(cls: type) -> bool:
    from stable_baselines3.common.base_class import BaseAlgorithm

    return issubclass(cls, BaseAlgorithm)
