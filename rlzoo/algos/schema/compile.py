"""Reads constructors of Stable-Baselines3, sb3-contrib and rlzoo into the table `signatures.json`.

Run as `python -m rlzoo.algos.schema.compile`, after an upgrade. What the table is for: `rlzoo.algos.schema.signatures`.
"""

from __future__ import annotations

import inspect
import json
import re
import types
import typing
from collections.abc import Callable, Container
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rlzoo.algos.schema import names
from rlzoo.algos.specs import ALGOS
from rlzoo.registry import load

TABLE = Path(__file__).with_name("signatures.json")
PACKAGES = ("stable_baselines3", "sb3_contrib")

Keywords = dict[str, dict[str, Any]]
"""Keyword to its type, as text, and its default if it has one."""

_POLICY_OWN = ("observation_space", "action_space", "lr_schedule", "use_sde")
_BUFFER_OWN = ("buffer_size", "observation_space", "action_space", "env", "device", "n_envs", "optimize_memory_usage")
_ROLLOUT_OWN = (*_BUFFER_OWN, "gamma", "gae_lambda")
_OPTIMIZER_OWN = ("params", "lr", "foreach", "maximize", "capturable", "differentiable", "fused")
_NOISE_OWN = ("dtype",)


def compile_table() -> dict[str, Any]:
    """The whole table, from the installed packages."""
    policies: dict[str, Keywords] = {}
    algorithms = {}
    for spec in ALGOS.values():
        algorithm = load(spec.entry_point)
        aliases = getattr(algorithm, "policy_aliases", {})
        by_name = {name: f"{policy.__module__}:{policy.__name__}" for name, policy in aliases.items()}
        policies |= {by_name[name]: keywords(cls, _POLICY_OWN) for name, cls in aliases.items()}
        algorithms[spec.name] = {
            "keywords": keywords(algorithm, ("policy", *names.NOT_HYPERPARAMETERS)),
            "policies": by_name,
        }
    return {
        "versions": {package: version(package) for package in PACKAGES},
        "algorithms": algorithms,
        "policies": dict(sorted(policies.items())),
        "replay_buffers": _all(names.REPLAY_BUFFERS, _BUFFER_OWN),
        "rollout_buffers": _all(names.ROLLOUT_BUFFERS, _ROLLOUT_OWN),
        "noises": _all(names.NOISES, _NOISE_OWN),
        "optimizers": _all(names.OPTIMIZERS, _OPTIMIZER_OWN),
        "features_extractors": _all(names.FEATURES_EXTRACTORS, _POLICY_OWN),
    }


def keywords(function: Callable[..., Any], without: Container[str] = ()) -> Keywords:
    """The keywords of a function or class that a configuration can give, with their types in the table's words."""
    found: Keywords = {}
    for name, parameter in inspect.signature(function, eval_str=True).parameters.items():
        if name in without or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        found[name] = {"type": type_text(parameter.annotation)}
        if parameter.default is not parameter.empty:
            found[name]["default"] = _default(parameter.default)
    return found


def type_text(annotation: Any) -> str:
    """An annotation in the words of the table: `"int | null"`, `"float | schedule"`; `"any"` if there is no word."""
    parts = typing.get_args(annotation) if _is_union(annotation) else (annotation,)
    words = [_word(part) for part in parts]
    return "any" if "any" in words else " | ".join(dict.fromkeys(words))


def _is_union(annotation: Any) -> bool:
    return typing.get_origin(annotation) in (typing.Union, types.UnionType)


def _word(part: Any) -> str:
    import numpy as np
    import torch
    from stable_baselines3.common.noise import ActionNoise
    from stable_baselines3.her.goal_selection_strategy import GoalSelectionStrategy

    simple = {
        int: "int",
        float: "float",
        bool: "bool",
        str: "str",
        type(None): "null",
        None: "null",
        torch.Tensor: "float",
        np.ndarray: "numbers",
        ActionNoise: "noise",
        GoalSelectionStrategy: "str",
    }
    if isinstance(part, type) and part in simple:
        return simple[part]
    origin, args = typing.get_origin(part), typing.get_args(part)
    if origin is type:
        return _class_word(args[0])
    if origin is Callable or part is Callable:
        return "schedule"
    if origin is list and args == (int,):
        return "layers"
    if origin is dict:
        return "networks" if args == (str, list[int]) else "mapping"
    if origin is tuple:
        return "frequency" if args == (int, str) else "pair"
    return "any"


def _class_word(cls: Any) -> str:
    import torch
    from stable_baselines3.common.buffers import ReplayBuffer, RolloutBuffer
    from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

    words = {
        BaseFeaturesExtractor: "features_extractor",
        torch.nn.Module: "activation",
        torch.optim.Optimizer: "optimizer",
        ReplayBuffer: "replay_buffer",
        RolloutBuffer: "rollout_buffer",
    }
    return words.get(cls, "any")


def _default(value: Any) -> Any:
    """A default as JSON: a class by the word that stands for it, a schedule as a configuration gives it."""
    from stable_baselines3.common.utils import LinearSchedule

    if isinstance(value, LinearSchedule):
        return {"linear": value.start}
    if isinstance(value, type):
        for table in names.CLASSES.values():
            for word, reference in table.items():
                if load(reference) is value:
                    return word
        return f"{value.__module__}:{value.__name__}"
    return list(value) if isinstance(value, tuple) else value


def _all(table: dict[str, str], without: Container[str]) -> dict[str, Keywords]:
    return {name: keywords(load(reference), without) for name, reference in table.items()}


def as_text(compiled: dict[str, Any]) -> str:
    """The table as JSON with a line for each keyword."""
    return re.sub(r"\{\s+([^{}]*?)\s+\}", _one_line, json.dumps(compiled, indent=1)) + "\n"


def _one_line(match: re.Match[str]) -> str:
    return "{" + re.sub(r"\s*\n\s*", " ", match[1]) + "}"


if __name__ == "__main__":
    TABLE.write_text(as_text(compile_table()))
    print(f"wrote {TABLE}")
