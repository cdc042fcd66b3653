"""Reads constructors into the table `signatures.json`, and writes the YAML of rlzoo's own algorithms from theirs.

Run as `python -m rlzoo.algos.schema.compile` after an upgrade, and after a change of an algorithm's constructor or of a
tuned set, whose ranges are compiled too. What the tables are for: `rlzoo.algos.schema.check`, `rlzoo.training.notices`.
"""

from __future__ import annotations

import inspect
import json
import re
import typing
from collections.abc import Callable, Container, Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rlzoo.algos.schema import tuned_ranges
from rlzoo.algos.schema import types as words
from rlzoo.algos.schema.types import NOT_HYPERPARAMETERS
from rlzoo.algos.specs import ALGOS, AlgoSpec
from rlzoo.config import paths
from rlzoo.config.fields import LIMITS, Field, field_of
from rlzoo.registry import load

TABLE = Path(__file__).with_name("signatures.json")
PACKAGES = ("stable_baselines3", "sb3_contrib")

Limits = dict[str, Any]
"""What a `Field` says of numbers."""

SHARE: Limits = {"ge": 0, "le": 1}
POSITIVE_SHARE: Limits = {"gt": 0, "le": 1}
POSITIVE: Limits = {"gt": 0}
NOT_NEGATIVE: Limits = {"ge": 0}
COUNT: Limits = {"ge": 1}
COUNT_OR_ALL: Limits = {"ge": 1, "also": -1}
ANY: Limits = {}

RANGES: dict[tuple[str, str], Limits] = {
    ("*", "learning_rate"): POSITIVE,
    ("*", "gamma"): SHARE,
    ("*", "gae_lambda"): SHARE,
    ("*", "ent_coef"): NOT_NEGATIVE,
    ("*", "vf_coef"): NOT_NEGATIVE,
    ("*", "max_grad_norm"): POSITIVE,
    ("*", "rms_prop_eps"): POSITIVE,
    ("*", "sde_sample_freq"): COUNT_OR_ALL,
    ("*", "stats_window_size"): COUNT,
    ("*", "batch_size"): COUNT,
    ("*", "n_epochs"): COUNT,
    ("*", "n_steps"): COUNT,
    ("*", "clip_range"): POSITIVE,
    ("*", "clip_range_vf"): POSITIVE,
    ("*", "target_kl"): POSITIVE,
    ("off_policy", "buffer_size"): COUNT,
    ("off_policy", "learning_starts"): NOT_NEGATIVE,
    ("off_policy", "tau"): POSITIVE_SHARE,
    ("off_policy", "train_freq"): COUNT,
    ("off_policy", "gradient_steps"): COUNT_OR_ALL,
    ("off_policy", "target_update_interval"): COUNT,
    ("off_policy", "exploration_fraction"): POSITIVE_SHARE,
    ("off_policy", "exploration_initial_eps"): SHARE,
    ("off_policy", "exploration_final_eps"): SHARE,
    ("off_policy", "policy_delay"): COUNT,
    ("off_policy", "target_policy_noise"): NOT_NEGATIVE,
    ("off_policy", "target_noise_clip"): NOT_NEGATIVE,
    ("off_policy", "top_quantiles_to_drop_per_net"): NOT_NEGATIVE,
    ("evolution", "n_delta"): COUNT,
    ("evolution", "n_top"): COUNT,
    ("evolution", "delta_std"): POSITIVE,
    ("evolution", "n_eval_episodes"): COUNT,
    ("on_policy", "cg_max_steps"): COUNT,
    ("on_policy", "cg_damping"): NOT_NEGATIVE,
    ("on_policy", "line_search_shrinking_factor"): {"gt": 0, "lt": 1},
    ("on_policy", "line_search_max_iter"): COUNT,
    ("on_policy", "n_critic_updates"): COUNT,
    ("on_policy", "sub_sampling_factor"): COUNT,
    ("policy_kwargs", "n_critics"): COUNT,
    ("policy_kwargs", "n_quantiles"): COUNT,
    ("policy_kwargs", "clip_mean"): NOT_NEGATIVE,
    ("policy_kwargs", "lstm_hidden_size"): COUNT,
    ("policy_kwargs", "n_lstm_layers"): COUNT,
    ("policy_kwargs", "batch_norm_momentum"): POSITIVE_SHARE,
    ("policy_kwargs", "batch_norm_eps"): POSITIVE,
    ("policy_kwargs", "renorm_warmup_steps"): NOT_NEGATIVE,
    ("lstm_kwargs", "dropout"): SHARE,
    ("replay_buffer_kwargs", "n_sampled_goal"): COUNT,
    ("features_extractor_kwargs", "features_dim"): COUNT,
    ("features_extractor_kwargs", "cnn_output_dim"): COUNT,
    ("optimizer_kwargs", "betas"): {"ge": 0, "lt": 1},
    ("optimizer_kwargs", "eps"): NOT_NEGATIVE,
    ("optimizer_kwargs", "alpha"): SHARE,
    ("optimizer_kwargs", "momentum"): NOT_NEGATIVE,
    ("optimizer_kwargs", "momentum_decay"): NOT_NEGATIVE,
    ("optimizer_kwargs", "dampening"): NOT_NEGATIVE,
    ("optimizer_kwargs", "weight_decay"): NOT_NEGATIVE,
    ("action_noise", "sigma"): NOT_NEGATIVE,
    ("action_noise", "theta"): NOT_NEGATIVE,
    ("action_noise", "dt"): POSITIVE,
    ("evolution", "alive_bonus_offset"): ANY,
    ("off_policy", "target_entropy"): ANY,
    ("policy_kwargs", "log_std_init"): ANY,
    ("action_noise", "mean"): ANY,
    ("action_noise", "initial_noise"): ANY,
}
"""The numbers that keywords of Stable-Baselines3 take, which says them nowhere, by (family of algorithms or the mapping
that the keyword is in, keyword); `*` is every family."""

CHOICES = {"target_entropy": ("auto",), "goal_selection_strategy": ("future", "final", "episode")}
"""The texts that keywords of Stable-Baselines3 take; `ent_coef` has a form of its own."""

_POLICY_OWN = ("observation_space", "action_space", "lr_schedule", "use_sde")
_BUFFER_OWN = ("buffer_size", "observation_space", "action_space", "env", "device", "n_envs", "optimize_memory_usage")
_ROLLOUT_OWN = (*_BUFFER_OWN, "gamma", "gae_lambda")
_OPTIMIZER_OWN = ("params", "lr", "foreach", "maximize", "capturable", "differentiable", "fused")
_NOISE_OWN = ("dtype",)


def compile_table() -> dict[str, Any]:
    """The whole table, from the installed packages."""
    from torch.nn import ModuleDict

    policies: dict[str, Any] = {}
    algorithms = {}
    for spec in ALGOS.values():
        aliases = getattr(load(spec.entry_point), "policy_aliases", {})  # Stable-Baselines3's classes have them
        by_name = {name: f"{policy.__module__}:{policy.__name__}" for name, policy in aliases.items()}
        policies |= {
            by_name[name]: as_rows(keywords(cls, "policy_kwargs", _POLICY_OWN)) for name, cls in aliases.items()
        }
        algorithms[spec.name] = {"keywords": as_rows(keywords_of(spec)), "policies": by_name}
    return {
        "versions": {package: version(package) for package in PACKAGES},
        "algorithms": algorithms,
        "policies": dict(sorted(policies.items())),
        "replay_buffers": _all(words.REPLAY_BUFFERS, "replay_buffer_kwargs", _BUFFER_OWN),
        "rollout_buffers": _all(words.ROLLOUT_BUFFERS, "rollout_buffer_kwargs", _ROLLOUT_OWN),
        "noises": _all(words.NOISES, "action_noise", _NOISE_OWN),
        "optimizers": _all(words.OPTIMIZERS, "optimizer_kwargs", _OPTIMIZER_OWN),
        "features_extractors": _all(words.FEATURES_EXTRACTORS, "features_extractor_kwargs", _POLICY_OWN),
        "names_of_modules": sorted(dir(ModuleDict())),
    }


def keywords_of(spec: AlgoSpec) -> dict[str, Field]:
    """The keywords of an algorithm's constructor."""
    group = "" if spec.backend == "rlzoo" else spec.family
    return keywords(load(spec.entry_point), group, ("policy", *NOT_HYPERPARAMETERS))


def keywords(cls: type[Any], group: str = "", without: Container[str] = ()) -> dict[str, Field]:
    """The keywords of a class that a configuration can give.

    Types, ranges and choices are those of the annotations: `Annotated[float, Ge(0)]`, `Literal["episode", "batch"]`.
    Meanings are those of the constructor's docstring.

    Args:
        cls: whose constructor takes them.
        group: of `RANGES`, for what the annotations leave open; empty where they have to say it themselves.
        without: keywords that a configuration cannot give.
    """
    found: dict[str, Field] = {}
    meanings = dict(sections(inspect.getdoc(cls.__init__) or "")[1].get("Args", ()))
    for name, parameter in inspect.signature(cls, eval_str=True).parameters.items():
        if name in without or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        field = field_of(parameter.annotation, word_of)
        if group:
            limits = RANGES.get((group, name), RANGES.get(("*", name), ANY))
            field = replace(field, **limits, choices=CHOICES.get(name, field.choices))
            if name == "ent_coef":
                field = replace(field, type=field.type.replace("str", "auto"))
        if parameter.default is parameter.empty:
            field = replace(field, required=True)
        else:
            field = replace(field, default=_default(parameter.default))
        found[name] = replace(field, meaning=meanings.get(name, ""))
    return found


def word_of(part: Any) -> str:
    """The word for a part of an annotation that only constructors have: `"schedule"`, `"layers"`, `"any"`."""
    import numpy as np
    import torch
    from stable_baselines3.common.noise import ActionNoise
    from stable_baselines3.her.goal_selection_strategy import GoalSelectionStrategy

    simple = {
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

    found = {
        BaseFeaturesExtractor: "features_extractor",
        torch.nn.Module: "activation",
        torch.optim.Optimizer: "optimizer",
        ReplayBuffer: "replay_buffer",
        RolloutBuffer: "rollout_buffer",
    }
    return found.get(cls, "any")


def _default(value: Any) -> Any:
    """A default as JSON: a class by the word that stands for it, a schedule as a configuration gives it."""
    from stable_baselines3.common.utils import LinearSchedule

    if isinstance(value, LinearSchedule):
        return {"linear": value.start}
    if isinstance(value, type):
        for table in words.CLASSES.values():
            for word, reference in table.items():
                if load(reference) is value:
                    return word
        return f"{value.__module__}:{value.__name__}"
    return list(value) if isinstance(value, tuple) else value


def _all(table: Mapping[str, str], group: str, without: Container[str]) -> dict[str, Any]:
    return {name: as_rows(keywords(load(reference), group, without)) for name, reference in table.items()}


def as_rows(found: Mapping[str, Field]) -> dict[str, dict[str, Any]]:
    """Fields as JSON: what differs from a field without limits, and the default, if only that it is null."""
    return {name: _row(field) for name, field in found.items()}


def _row(field: Field) -> dict[str, Any]:
    limits = {name: getattr(field, name) for name in (*LIMITS, "also")}
    row = {"type": field.type, **{name: limit for name, limit in limits.items() if limit is not None}}
    row |= {"choices": list(field.choices)} if field.choices else {}
    return row if field.required else {**row, "default": field.default}


def as_text(compiled: dict[str, Any]) -> str:
    """The table as JSON with a line for each keyword."""
    return re.sub(r"\{\s+([^{}]*?)\s+\}", _one_line, json.dumps(compiled, indent=1)) + "\n"


def _one_line(match: re.Match[str]) -> str:
    return "{" + re.sub(r"\s*\n\s*", " ", match[1]) + "}"


_IN_YAML = {"None": "null", "True": "true", "False": "false"}


def as_yaml(spec: AlgoSpec) -> str:
    """The file of `conf/algo/` of one of rlzoo's own algorithms: every keyword, its default, its meaning."""
    place = spec.entry_point.partition(":")[0].replace(".", "/")
    lines = [f"# {spec.summary}.", f"# In-repo, {place}.py; {spec.paper}", f"name: {spec.name}"]
    for name, field in keywords_of(spec).items():
        meaning = re.sub(r"\b(None|True|False)\b", lambda word: _IN_YAML[word[0]], field.meaning)
        lines.append(f"{name}: {_value(field.default)}  # {meaning.rstrip('.')}")
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    """A value as YAML says it in one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_value(child)}" for key, child in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    if value is None or isinstance(value, bool):
        return _IN_YAML[str(value)]
    if isinstance(value, int) and value >= 10_000:
        return f"{value:_}"
    text = str(value)
    return text.replace("e", ".0e") if isinstance(value, float) and "e" in text and "." not in text else text


def sections(docstring: str) -> tuple[str, dict[str, list[tuple[str, str]]]]:
    """The text of a docstring of Google's form, and the names and meanings in each of its sections."""
    text, *parts = re.split(r"^(Args|Attributes|Raises|Returns):\n", docstring, flags=re.MULTILINE)
    found: dict[str, list[tuple[str, str]]] = {}
    for title, body in zip(parts[::2], parts[1::2], strict=True):
        entries = re.findall(r"^    (\w+)(?: \([^)]*\))?: (.*(?:\n {5,}\S.*)*)", body, flags=re.MULTILINE)
        found[title] = [(name, " ".join(what.split())) for name, what in entries]
    return text.strip(), found


if __name__ == "__main__":
    TABLE.write_text(as_text(compile_table()))
    for each in ALGOS.values():
        if each.backend == "rlzoo":
            (paths.root() / "conf" / "algo" / f"{each.name}.yaml").write_text(as_yaml(each))
    tuned_ranges.TABLE.write_text(tuned_ranges.as_text(tuned_ranges.compile_ranges(list(tuned_ranges.tuned_sets()))))
    print(f"wrote {TABLE}, {tuned_ranges.TABLE} and the YAML of rlzoo's own algorithms")
