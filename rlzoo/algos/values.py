"""Data to objects: `{linear: 0.001}` to a schedule, `relu` to a class, `{normal: 0.1}` to noise.

Only objects of Stable-Baselines3, NumPy and the standard library come out, so a saved model opens without rlzoo.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from rlzoo.algos.kinds import named_numbers
from rlzoo.algos.names import CLASSES, NOISES, SCHEDULES
from rlzoo.algos.signatures import Keywords, Signature
from rlzoo.registry import load, lookup

EXPONENTIAL_FALL = 0.01
"""The share of its start that an exponential schedule ends at, unless its end is given."""


def resolve(values: Mapping[str, Any], signature: Signature, policy: str, n_actions: int) -> dict[str, Any]:
    """The constructor's keywords from checked configuration values.

    Args:
        values: the configuration, without `policy`.
        signature: keywords of the algorithm and of what it builds.
        policy: the name of the policy.
        n_actions: dimensions of a continuous action, for noise.
    """
    return _keywords(values, signature.keywords, signature, policy, n_actions)


def _keywords(
    values: Mapping[str, Any], keywords: Keywords, signature: Signature, policy: str, n_actions: int
) -> dict[str, Any]:
    resolved = {}
    for key, value in values.items():
        nested = signature.nested(key, values, keywords, policy)
        if nested is not None and value is not None:
            resolved[key] = _keywords(value, nested, signature, policy, n_actions)
        else:
            resolved[key] = _value(value, keywords[key]["type"] if key in keywords else "any", n_actions)
    return resolved


def _value(value: Any, type_text: str, n_actions: int) -> Any:
    words = type_text.split(" | ")
    for word in words:
        if word in CLASSES and isinstance(value, str):
            return load(lookup(CLASSES[word], value, word.replace("_", " ")))
    if isinstance(value, Mapping):
        if "schedule" in words:
            return schedule(value)
        if "noise" in words:
            return noise(value, n_actions)
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


def noise(value: Mapping[str, Any], n_actions: int) -> Any:
    """Action noise from `{normal: sigma}` or `{normal: {mean: 0, sigma: 0.1}}`, the same in each of `n_actions`."""
    import numpy as np

    ((name, given),) = value.items()
    options = dict(given) if isinstance(given, Mapping) else {"sigma": given}
    options.setdefault("mean", 0.0)
    for key in ("mean", "sigma", "initial_noise"):
        if options.get(key) is not None:
            options[key] = np.broadcast_to(np.asarray(options[key], dtype=float), (n_actions,)).copy()
    return load(lookup(NOISES, name, "action noise"))(**options)
