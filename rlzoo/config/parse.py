"""From plain values to a typed configuration, with every mistake reported at once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, TypeVar, get_args, get_type_hints

from rlzoo.config.fields import Field, field_of
from rlzoo.config.schema import ADDED, CHANGEABLE, WHERE, AlgoConfig, Text, TrainConfig
from rlzoo.errors import MAX_PROBLEMS, ConfigError, Problem, show
from rlzoo.redaction import redact_values
from rlzoo.registry import did_you_mean, nearest

T = TypeVar("T")

NOT_SET = "is not set"


def parse(values: Mapping[str, Any]) -> TrainConfig:
    """Check a training request's values and give them their types.

    Raises:
        ConfigError: naming every key that is unknown, absent, of the wrong type or out of range.
    """
    config, problems = check(TrainConfig, values)
    if config is None:
        raise ConfigError(problems)
    return config


def check(schema: type[T], values: Mapping[str, Any]) -> tuple[T | None, list[Problem]]:
    """Check values against a schema.

    Returns:
        The typed object, or None and the problems.
    """
    if schema is TrainConfig:
        values = complete(values)
    problems = [Problem(key, "needs a value", f"{key}=…") for key in _mandatory(values, ())]
    typed, found = _read(schema, _nest_algo(values) if schema is TrainConfig else values, (), values)
    known = {problem.key for problem in problems}
    problems += [problem for problem in found if problem.key not in known]
    return (None if problems else schema(**typed)), problems


def complete(values: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of a run, with the settings that were added since it was written."""
    sections = {name: values[name] for name in ADDED if isinstance(values.get(name), Mapping)}
    return {**values, **{name: {**ADDED[name], **section} for name, section in sections.items()}}


def dump(config: TrainConfig) -> dict[str, Any]:
    """The plain values of a configuration, as `parse` takes them."""
    values = _plain(config)
    algo = values["algo"]
    return {**values, "algo": {"name": algo["name"], **algo["hyperparams"]}}


def fingerprint(config: TrainConfig) -> str:
    """A hash of everything that may not change when a training is resumed."""
    values = redact_values(dump(config))  # as config.yaml holds them
    fixed = {key: value for key, value in values.items() if key not in (*CHANGEABLE, *WHERE)}
    return hashlib.sha256(json.dumps(fixed, sort_keys=True).encode()).hexdigest()


def text_fields(schema: type) -> set[str]:
    """The settings of a command that are paths or text."""
    hints = get_type_hints(schema, include_extras=True)
    return {name for name, hint in hints.items() if hint == Text or Text in get_args(hint)}


def _nest_algo(values: Mapping[str, Any]) -> dict[str, Any]:
    algo = values.get("algo")
    if not isinstance(algo, Mapping):
        return dict(values)
    name = {"name": algo["name"]} if "name" in algo else {}
    return {**values, "algo": {**name, "hyperparams": {k: v for k, v in algo.items() if k != "name"}}}


def _mandatory(value: Any, path: tuple[str, ...]) -> Iterable[str]:
    if value == "???":
        yield ".".join(path)
    elif isinstance(value, Mapping):
        for key, child in value.items():
            yield from _mandatory(child, (*path, str(key)))


@cache
def _fields(schema: type) -> dict[str, Any]:
    """What each setting of a section takes: a `Field`, or the section that it is."""
    hints = get_type_hints(schema, include_extras=True)
    plain = get_type_hints(schema)
    return {name: plain[name] if is_dataclass(plain[name]) else field_of(hint) for name, hint in hints.items()}


def _read(
    schema: type, values: Mapping[str, Any], above: tuple[str, ...], whole: Mapping[str, Any]
) -> tuple[dict[str, Any], list[Problem]]:
    """The typed settings of a section, and what is wrong with them."""
    typed: dict[str, Any] = {}
    found: list[Problem] = []
    for name, field in _fields(schema).items():
        key = ".".join((*above, name)).replace("algo.hyperparams", "algo")
        if name not in values:
            found.append(Problem(key, NOT_SET))
        elif isinstance(field, Field):
            wrong = field.problems(key, values[name])
            found += wrong
            typed[name] = None if wrong else field.plain(values[name])
        elif isinstance(values[name], Mapping):
            inside, wrong = _read(field, values[name], (*above, name), whole)
            found += wrong
            typed[name] = None if wrong else field(**inside)
        else:
            found.append(Problem(key, f"must be a mapping, not {show(values[name])}"))
    for name in values:
        if name not in _fields(schema):
            path = [*above, str(name)]
            near = suggestion(path, _fields(schema), whole) if len(found) < MAX_PROBLEMS else ""
            found.append(Problem(".".join(path), f"is not a known setting{near}"))
    return typed, found


def suggestion(path: list[str], siblings: Iterable[str], values: Mapping[str, Any]) -> str:
    """The nearest known keys: the same key in another section, then siblings, then similar ones of all sections."""
    elsewhere = [
        f"{section}.{path[-1]}"
        for section, content in values.items()
        if isinstance(content, Mapping) and path[-1] in content and section != path[0]
    ]
    if elsewhere:
        return f"; did you mean {' or '.join(repr(key) for key in elsewhere)}?"
    near = did_you_mean(path[-1], siblings)
    if near:
        return near
    sections = [s for s, content in values.items() if isinstance(content, Mapping) and s != path[0]]
    deeper = {f"{s}.{k}": k for s in sections for k in values[s]}
    close = nearest(path[-1], deeper.values(), 1)
    found = [key for key, name in deeper.items() if name in close]
    return f"; did you mean {found[0]!r}?" if found else ""


def _plain(value: Any) -> Any:
    if isinstance(value, AlgoConfig):
        return {"name": value.name, "hyperparams": _plain(value.hyperparams)}
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(child) for key, child in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(child) for child in value]
    return value
