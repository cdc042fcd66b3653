"""The words of types that only algorithms need: schedules, noises, networks, and the names that stand for classes.

References are text, `"package.module:Class"`, so that checking a word imports nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rlzoo.config.fields import KINDS, Field, Kind, is_list, is_number, is_whole
from rlzoo.errors import Problem, show
from rlzoo.registry import did_you_mean

NOT_HYPERPARAMETERS = {
    "env": "the environment is chosen with env=",
    "seed": "is a setting of the whole run: seed=",
    "device": "is a setting of the whole run: device=",
    "verbose": "rlzoo shows progress itself",
    "tensorboard_log": "metrics go where logger= says",
    "_init_setup_model": "",
}
"""Constructor keywords that rlzoo sets itself, with what a user should write instead."""

ACTIVATIONS = {
    "relu": "torch.nn:ReLU",
    "tanh": "torch.nn:Tanh",
    "elu": "torch.nn:ELU",
    "gelu": "torch.nn:GELU",
    "silu": "torch.nn:SiLU",
    "leaky_relu": "torch.nn:LeakyReLU",
    "selu": "torch.nn:SELU",
    "mish": "torch.nn:Mish",
    "softplus": "torch.nn:Softplus",
    "sigmoid": "torch.nn:Sigmoid",
}

OPTIMIZERS = {
    "adam": "torch.optim:Adam",
    "adamw": "torch.optim:AdamW",
    "nadam": "torch.optim:NAdam",
    "rmsprop": "torch.optim:RMSprop",
    "rmsprop_tf_like": "stable_baselines3.common.sb2_compat.rmsprop_tf_like:RMSpropTFLike",
    "sgd": "torch.optim:SGD",
}

FEATURES_EXTRACTORS = {
    "flatten": "stable_baselines3.common.torch_layers:FlattenExtractor",
    "nature_cnn": "stable_baselines3.common.torch_layers:NatureCNN",
    "combined": "stable_baselines3.common.torch_layers:CombinedExtractor",
}

REPLAY_BUFFERS = {
    "replay": "stable_baselines3.common.buffers:ReplayBuffer",
    "dict": "stable_baselines3.common.buffers:DictReplayBuffer",
    "her": "stable_baselines3.her.her_replay_buffer:HerReplayBuffer",
}

ROLLOUT_BUFFERS = {
    "rollout": "stable_baselines3.common.buffers:RolloutBuffer",
    "dict": "stable_baselines3.common.buffers:DictRolloutBuffer",
}

NOISES = {
    "normal": "stable_baselines3.common.noise:NormalActionNoise",
    "ornstein_uhlenbeck": "stable_baselines3.common.noise:OrnsteinUhlenbeckActionNoise",
}

SCHEDULES = {
    "constant": ("value",),
    "linear": ("start", "end", "end_fraction"),
    "exponential": ("start", "end", "end_fraction"),
    "cosine": ("start", "end", "end_fraction"),
}
"""Schedules and their numbers in order: `{linear: 1}` gives the first, `{linear: [1, 0]}` the first two, and so on.

They run from `start` at the beginning of training to `end` (0; a hundredth of `start` for exponential) when
`end_fraction` of it (all) is done, and stay there.
"""

CLASSES = {
    "activation": ACTIVATIONS,
    "optimizer": OPTIMIZERS,
    "features_extractor": FEATURES_EXTRACTORS,
    "replay_buffer": REPLAY_BUFFERS,
    "rollout_buffer": ROLLOUT_BUFFERS,
}
"""The tables whose words stand for classes, by the name of the type in a signature."""

POSITIVE = Field("float", gt=0)


def named_numbers(given: Any, names: Sequence[str]) -> dict[str, Any]:
    """A schedule's numbers by name; they are given as one number, a list in order, or by name."""
    if isinstance(given, Mapping):
        return dict(given)
    return dict(zip(names, given if is_list(given) else [given], strict=False))


def _class_of(table: Mapping[str, str], kind: str) -> Callable[[str, str, Field], list[Problem]]:
    def details(key: str, value: str, _field: Field) -> list[Problem]:
        if value in table:
            return []
        return [Problem(key, f"unknown {kind} {value!r}{did_you_mean(value, table)}", f"known: {', '.join(table)}")]

    return details


def _schedule(key: str, value: Mapping[str, Any], field: Field) -> list[Problem]:
    found = _single(key, value, SCHEDULES, "schedule")
    if isinstance(found, Problem):
        return [found]
    name, given = found
    allowed = SCHEDULES[name]
    form = f"{{{name}: number}}, or {{{name}: {{{', '.join(f'{word}: number' for word in allowed)}}}}}"
    numbers = named_numbers(given, allowed)
    for word in numbers:
        if word not in allowed:
            near = did_you_mean(str(word), allowed)
            return [Problem(key, f"unknown {word!r} in the schedule {name}{near}", f"write {form}")]
    complete = allowed[0] in numbers and not (is_list(given) and len(given) > len(allowed))
    if not complete or not all(map(is_number, numbers.values())):
        return [Problem(key, f"the schedule {name} takes numbers, not {show(given)}", f"write {form}")]
    low, high = (field.gt if field.ge is None else field.ge), (field.lt if field.le is None else field.le)
    ranges = {"end": Field("float", ge=low, le=high), "end_fraction": Field("float", gt=0, le=1)}  # it may end at 0
    if name == "exponential":
        ranges |= {"start": POSITIVE, "end": POSITIVE}
    return [
        Problem(key, f"{word} of the schedule {name} must be {ranges.get(word, field).range}, not {show(number)}")
        for word, number in numbers.items()
        if not ranges.get(word, field).holds(number)
    ]


def _noise(key: str, value: Mapping[str, Any], _field: Field) -> list[Problem]:
    found = _single(key, value, NOISES, "action noise")
    if isinstance(found, Problem):
        return [found]
    name, given = found
    # the options of a noise are keywords like any others: the caller checks them against the table
    if isinstance(given, Mapping) or KINDS["numbers"].fits(given):
        return []
    return [Problem(key, f"the noise {name} takes its standard deviation, not {show(given)}", f"write {{{name}: 0.1}}")]


def _single(key: str, value: Mapping[str, Any], table: Mapping[str, Any], kind: str) -> tuple[str, Any] | Problem:
    """The only item of a mapping such as `{linear: 0.001}`, if its name is known."""
    known = f"known: {', '.join(table)}"
    if len(value) != 1:
        return Problem(key, f"must name one {kind}, not {len(value)}: {show(dict(value))}", known)
    ((name, given),) = value.items()
    if name not in table:
        return Problem(key, f"unknown {kind} {name!r}{did_you_mean(str(name), table)}", known)
    return name, given


def _automatic(key: str, value: str, field: Field) -> list[Problem]:
    """`auto`, or `auto_0.1`: a coefficient that is learned, from a start."""
    match = re.fullmatch(r"auto(?:_([^_]+))?", value)
    try:
        start = float(match[1] or 1) if match else None
    except ValueError:
        start = None
    if start is None:
        return [Problem(key, f"must be {field}, not {show(value)}")]
    if not (is_number(start) and start > 0):
        return [Problem(key, f"must start from a number greater than 0, not {show(value)}")]
    return []


def _frequency(key: str, value: Sequence[Any], _field: Field) -> list[Problem]:
    if len(value) == 2 and is_whole(value[0]) and value[0] >= 1 and value[1] in ("step", "episode"):
        return []
    return [Problem(key, f"must be a count and a unit, step or episode, not {show(value)}", "write [1, episode]")]


def _layers(key: str, value: Sequence[Any], _field: Field) -> list[Problem]:
    if all(is_whole(size) and size >= 1 for size in value):
        return []
    return [Problem(key, f"must be a list of layer sizes of at least 1, not {show(value)}", "write [64, 64]")]


def _networks(key: str, value: Mapping[str, Any], _field: Field) -> list[Problem]:
    layers = Field("layers")
    return [problem for name, sizes in value.items() for problem in layers.problems(f"{key}.{name}", sizes)]


def _is_mapping(value: Any) -> bool:
    return isinstance(value, Mapping)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


WORDS: dict[str, Kind] = {
    **{
        name: Kind(f"one of {', '.join(table)}", _is_text, _class_of(table, name.replace("_", " ")))
        for name, table in CLASSES.items()
    },
    "auto": Kind("auto, or auto_ and where to start from: auto_0.1", _is_text, _automatic),
    "schedule": Kind("a schedule ({linear: 0.001})", _is_mapping, _schedule),
    "noise": Kind("a noise ({normal: 0.1})", _is_mapping, _noise),
    "frequency": Kind("a count with a unit ([1, episode])", is_list, _frequency),
    "layers": Kind("a list of layer sizes ([64, 64])", is_list, _layers),
    "networks": Kind("a mapping to lists of layer sizes", _is_mapping, _networks),
}
"""What `rlzoo.algos.schema.check` adds to `rlzoo.config.fields.KINDS`."""
