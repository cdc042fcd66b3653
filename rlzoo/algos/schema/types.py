"""Whether a value has the form that a signature's type asks for; strict where Stable-Baselines3 takes anything.

The types are the words of `signatures.json`: `int`, `float | schedule`, `noise | null`, ...
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rlzoo.algos.schema.names import CLASSES, NOISES, SCHEDULES, TEXTS
from rlzoo.errors import Problem, show
from rlzoo.registry import did_you_mean

WORDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
    "null": "null",
    "schedule": "a schedule ({linear: 0.001})",
    "noise": "a noise ({normal: 0.1})",
    "frequency": "a count with a unit ([1, episode])",
    "layers": "a list of layer sizes ([64, 64])",
    "networks": "a mapping to lists of layer sizes",
    "mapping": "a mapping of keywords",
    "pair": "a list of two numbers",
    "numbers": "a number or a list of numbers",
}
"""Types in words for people."""

UNITS = ("step", "episode")


def check_value(key: str, value: Any, type_text: str) -> list[Problem]:
    """What is wrong with the form of a value; nothing if it is one that `type_text` allows."""
    words = type_text.split(" | ")
    if "any" in words:
        return []
    for word in words:
        if _looks_like(value, word):
            details = _DETAILS.get("class" if word in CLASSES else word)
            return details(key, value, word) if details else []
    hint = ""
    if isinstance(value, str) and _is_number_text(value):
        hint = "write the number without quotes"
    return [Problem(key, f"must be {_either(key, words)}, not {show(value)}", hint)]


def is_number(value: Any) -> bool:
    """Whether a value is a finite number; booleans are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number of more than 308 digits
        return False


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number that fits into a machine word; `1e6` is one."""
    return is_number(value) and float(value).is_integer() and abs(value) < 2**63


def named_numbers(given: Any, names: Sequence[str]) -> dict[str, Any]:
    """A schedule's numbers by name; they are given as one number, a list in order, or by name."""
    if isinstance(given, Mapping):
        return dict(given)
    listed = list(given) if isinstance(given, Sequence) else [given]
    return dict(zip(names, listed, strict=False))


def _looks_like(value: Any, word: str) -> bool:
    """Whether a value has the outer form of a type; details are checked after it is known which type is meant."""
    if word == "null":
        return value is None
    if word == "bool":
        return isinstance(value, bool)
    if word == "int":
        return is_whole(value)
    if word == "float":
        return is_number(value)
    if word == "str" or word in CLASSES:
        return isinstance(value, str) and not _is_number_text(value)
    if word in ("frequency", "layers", "pair"):
        return _is_list(value)
    if word == "numbers":
        return is_number(value) or _is_list(value)
    return isinstance(value, Mapping)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _is_number_text(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


def _either(key: str, words: Sequence[str]) -> str:
    of_key = {"str": TEXTS[name][1]} if (name := key.rpartition(".")[2]) in TEXTS else {}
    classes = {word: f"one of {', '.join(table)}" for word, table in CLASSES.items()}
    texts = [{**WORDS, **classes, **of_key}[word] for word in words]
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} or {texts[-1]}"


def _class(key: str, value: str, word: str) -> list[Problem]:
    table = CLASSES[word]
    if value in table:
        return []
    kind = word.replace("_", " ")
    return [Problem(key, f"unknown {kind} {value!r}{did_you_mean(value, table)}", f"known: {', '.join(table)}")]


def _schedule(key: str, value: Mapping[str, Any], _word: str) -> list[Problem]:
    found = _single(key, value, SCHEDULES, "schedule")
    if isinstance(found, Problem):
        return [found]
    name, given = found
    allowed = SCHEDULES[name]
    form = f"{{{name}: number}}, or {{{name}: {{{', '.join(f'{word}: number' for word in allowed)}}}}}"
    if isinstance(given, Mapping):
        unknown = [word for word in given if word not in allowed]
        if unknown:
            near = did_you_mean(str(unknown[0]), allowed)
            return [Problem(key, f"unknown {unknown[0]!r} in the schedule {name}{near}", f"write {form}")]
        numbers = list(given.values())
        complete = allowed[0] in given
    else:
        numbers = list(given) if _is_list(given) else [given]
        complete = 1 <= len(numbers) <= len(allowed)
    if not complete or not all(is_number(number) for number in numbers):
        return [Problem(key, f"the schedule {name} takes numbers, not {show(given)}", f"write {form}")]
    return []


def _noise(key: str, value: Mapping[str, Any], _word: str) -> list[Problem]:
    found = _single(key, value, NOISES, "action noise")
    if isinstance(found, Problem):
        return [found]
    name, given = found
    # the options of a noise are keywords like any others: the caller checks them against the table
    if isinstance(given, Mapping) or not check_value(key, given, "numbers"):
        return []
    return [Problem(key, f"the noise {name} takes its standard deviation, not {show(given)}", f"write {{{name}: 0.1}}")]


def _single(key: str, value: Mapping[str, Any], table: Mapping[str, Any], kind: str) -> tuple[str, Any] | Problem:
    """The only item of a mapping such as `{linear: 0.001}`, if its name is known."""
    if len(value) != 1:
        return Problem(
            key, f"must name one {kind}, not {len(value)}: {show(dict(value))}", f"known: {', '.join(table)}"
        )
    ((name, given),) = value.items()
    if name not in table:
        return Problem(key, f"unknown {kind} {name!r}{did_you_mean(str(name), table)}", f"known: {', '.join(table)}")
    return name, given


def _frequency(key: str, value: Sequence[Any], _word: str) -> list[Problem]:
    if len(value) == 2 and is_whole(value[0]) and value[1] in UNITS:
        return []
    return [Problem(key, f"must be a count and a unit, step or episode, not {show(value)}", "write [1, episode]")]


def _layers(key: str, value: Sequence[Any], _word: str) -> list[Problem]:
    if all(is_whole(size) and size >= 1 for size in value):
        return []
    return [Problem(key, f"must be a list of layer sizes of at least 1, not {show(value)}", "write [64, 64]")]


def _networks(key: str, value: Mapping[str, Any], _word: str) -> list[Problem]:
    return [problem for name, sizes in value.items() for problem in check_value(f"{key}.{name}", sizes, "layers")]


def _numbers(key: str, value: Any, word: str) -> list[Problem]:
    listed = value if _is_list(value) else [value]
    if all(is_number(number) for number in listed) and (word != "pair" or len(listed) == 2):
        return []
    return [Problem(key, f"must be {WORDS[word]}, not {show(value)}")]


_DETAILS: dict[str, Callable[[str, Any, str], list[Problem]]] = {
    "class": _class,
    "schedule": _schedule,
    "noise": _noise,
    "frequency": _frequency,
    "layers": _layers,
    "networks": _networks,
    "pair": _numbers,
    "numbers": _numbers,
}
