"""A search space out of YAML, with everything that is wrong with it at once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rlzoo.config import fields
from rlzoo.config.fields import Field, Fields, is_number
from rlzoo.errors import Problem
from rlzoo.registry import did_you_mean
from rlzoo.tuning.space import KINDS, Choice, Constraint, Parameter, Space, is_schedule, look_up, named

CONSTRAINTS = "constraints"
"""The one name in a space that is not a parameter."""
OWN_KEYS = ("type", "key", "when", "default")
SECTIONS = ("algo", "env")
"""What can be searched: nothing else of a configuration changes what is learned."""
FACTOR = 10
"""How far from its default a number is searched where nobody has written how far."""


def read(section: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[Space, list[Problem]]:
    """A space, and everything that is wrong with it.

    Args:
        section: `search_space` of the composed request.
        config: the rest of it: what may be searched is there.
    """
    problems: list[Problem] = []
    parameters: list[Parameter] = []
    for name, settings in section.items():
        if name == CONSTRAINTS or settings is None:  # null takes a parameter out of the space
            continue
        found = _parameter(str(name), settings, config, parameters, problems)
        if found is not None:
            parameters.append(found)
    known = {**named(config), **{parameter.name: None for parameter in parameters}}
    constraints = _constraints(section.get(CONSTRAINTS), known, problems)
    problems += _twice(parameters)
    if not parameters and not problems:
        problems.append(Problem("search_space", "has no parameter to search", "search_space.<name>={type: float, …}"))
    return Space(tuple(parameters), tuple(constraints)), problems


def around_defaults(keywords: Fields) -> dict[str, dict[str, Any]]:
    """The space of an algorithm that has no file of its own: every positive number, around its default.

    Searched is from a tenth of the default to ten times it, as far as the range allows; numbers that lie between a half
    and 1 and cannot be more, as discounts do, by their distance from 1.
    """
    space: dict[str, dict[str, Any]] = {}
    for name, keyword in keywords.items():
        default = keyword.default
        if not is_number(default) or default <= 0:
            continue
        if 0.5 <= default < 1 and 1 in (keyword.le, keyword.lt):
            distance = 1 - default
            space[name] = {"type": "one_minus", "low": distance / FACTOR, "high": min(distance * FACTOR, 0.5)}
            continue
        low, high = max(default / FACTOR, keyword.ge or 0), min(default * FACTOR, keyword.le or math.inf)
        if isinstance(default, int):
            space[name] = {"type": "int", "low": math.ceil(low), "high": math.floor(high), "log": True}
        else:
            space[name] = {"type": "float", "low": low, "high": high, "log": True}
    return space


def _parameter(
    name: str, settings: Any, config: Mapping[str, Any], before: Sequence[Parameter], problems: list[Problem]
) -> Parameter | None:
    path = f"search_space.{name}"
    if not isinstance(settings, Mapping):
        message = f"must say what is searched, not {settings!r}"
        problems.append(Problem(path, message, f"{path}={{type: float, low: 0, high: 1}}"))
        return None
    count = len(problems)
    key = settings.get("key", f"algo.{name}")
    problems += _key_problems(path, key, config)
    when = _when(path, settings.get("when"), before, problems)
    transform = _transform(path, settings, problems)
    if len(problems) > count:
        return None
    default = settings.get("default")  # one that the range no longer holds is the nearest, or none
    if isinstance(transform, Choice):
        default = transform.values.get(default)
    given = look_up(config, key)
    return Parameter(name, key, transform, when, default, given if is_schedule(given) else None)


def _key_problems(path: str, key: Any, config: Mapping[str, Any]) -> list[Problem]:
    if not isinstance(key, str) or key.partition(".")[0] not in SECTIONS or "." not in key:
        return [Problem(f"{path}.key", f"must name a setting of algo or env, not {key!r}", "key: algo.learning_rate")]
    section, first = key.split(".")[:2]
    there = config.get(section) or {}
    if first in there and first != "name":
        return []
    names = [str(name) for name in there if name != "name"]
    algo = there.get("name", "the algorithm") if section == "algo" else "the environment"
    message = f"{algo} has no {first!r}{did_you_mean(first, names)}"
    return [Problem(path, message, f"it has: {', '.join(names)}; or name the key: {path}.key=env.n_envs")]


def _when(path: str, when: Any, before: Sequence[Parameter], problems: list[Problem]) -> dict[str, tuple[Any, ...]]:
    if when is None:
        return {}
    if not isinstance(when, Mapping):
        problems.append(Problem(f"{path}.when", f"must name parameters and their values, not {when!r}"))
        return {}
    known = {parameter.name: parameter for parameter in before}
    for name, allowed in when.items():
        if name not in known:
            message = f"{name!r} is not a parameter that is drawn before{did_you_mean(str(name), known)}"
            problems.append(Problem(f"{path}.when", message, f"before it: {', '.join(known) or 'none'}"))
            continue
        for value in _listed(allowed):
            try:
                known[name].transform.raw(value)
            except ValueError as error:
                problems.append(Problem(f"{path}.when.{name}", f"can never hold: {error}"))
    return {str(name): tuple(_listed(allowed)) for name, allowed in when.items()}


def _transform(path: str, settings: Mapping[str, Any], problems: list[Problem]) -> Any:
    kind = settings.get("type")
    if kind not in KINDS:
        message = f"unknown type {kind!r}{did_you_mean(str(kind), KINDS)}" if "type" in settings else "has no type"
        problems.append(Problem(f"{path}.type", message, f"one of: {', '.join(KINDS)}"))
        return None
    options = {key: value for key, value in settings.items() if key not in OWN_KEYS and value is not None}
    known = {"values": Field("any", required=True)} if kind == "choice" else fields.read(KINDS[kind])
    wrong = fields.problems(known, options, path)
    if kind == "choice":
        problems += wrong
        return None if wrong else _choice(path, options["values"], problems)
    numbers = {} if wrong else {key: known[key].plain(value) for key, value in options.items()}
    wrong = wrong or [Problem(f"{path}.{key}", message) for key, message in _range_mistakes(kind, numbers)]
    problems += wrong
    return None if wrong else KINDS[kind](**numbers)


def _choice(path: str, values: Any, problems: list[Problem]) -> Choice | None:
    if isinstance(values, Mapping):
        named_values = dict(values)
    elif isinstance(values, list | tuple):
        unnamed = [value for value in values if isinstance(value, list | tuple | Mapping)]
        if unnamed:
            hint = f"{path}.values={{small: {unnamed[0]}, …}}"
            problems.append(Problem(f"{path}.values", f"{unnamed[0]} needs a name", hint))
            return None
        named_values = {value: value for value in values}
    else:
        problems.append(Problem(f"{path}.values", f"must be a list, or a mapping of names to values, not {values!r}"))
        return None
    if not named_values:
        problems.append(Problem(f"{path}.values", "is empty"))
        return None
    return Choice(named_values)


def _range_mistakes(kind: str, numbers: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is wrong with a range of numbers, by key."""
    low, high = numbers["low"], numbers["high"]
    if low > high:
        return [("low", f"is {low:g}, which is more than high, {high:g}")]
    wrong = []
    if kind == "power_of_two":
        wrong += [
            (key, f"must be a power of two, not {numbers[key]}") for key in ("low", "high") if not _power(numbers[key])
        ]
    if kind == "one_minus" and not 0 < low <= high <= 0.5:
        wrong.append(("high" if low > 0 else "low", "must lie above 0 and up to 0.5: it is the distance from 1"))
    if numbers.get("log") and low <= 0:
        wrong.append(("low", f"must be more than 0 on a logarithmic scale, not {low:g}"))
    step = numbers.get("step")
    if step is not None and step <= 0:
        wrong.append(("step", f"must be more than 0, not {step:g}"))
    if step is not None and numbers.get("log") and step != 1:
        wrong.append(("step", "cannot be used on a logarithmic scale"))
    return wrong


def _power(number: int) -> bool:
    return number > 0 and not number & (number - 1)


def _constraints(texts: Any, known: Mapping[str, Any], problems: list[Problem]) -> list[Constraint]:
    found = []
    for text in _listed(texts) if texts is not None else []:
        try:
            constraint = Constraint.parse(text)
        except ValueError as error:
            problems.append(Problem(f"search_space.{CONSTRAINTS}", f"{text!r} {error}"))
            continue
        for name in sorted(constraint.names - set(known)):
            message = f"{text!r}: there is no {name!r}{did_you_mean(name, known)}"
            problems.append(Problem(f"search_space.{CONSTRAINTS}", message))
        found.append(constraint)
    return found


def _twice(parameters: Sequence[Parameter]) -> list[Problem]:
    """Two parameters for one setting, unless they never apply together."""
    problems = []
    for index, one in enumerate(parameters):
        for other in parameters[:index]:
            apart = any(not set(one.when[name]) & set(other.when[name]) for name in set(one.when) & set(other.when))
            if one.key == other.key and not apart:
                message = f"searches {one.key}, and so does {other.name}"
                problems.append(Problem(f"search_space.{one.name}", message, "let `when` divide them"))
    return problems


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
