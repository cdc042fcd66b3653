"""From plain values to a typed configuration, with every mistake reported at once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, get_type_hints

from pydantic import TypeAdapter, ValidationError

from rlzoo.config.schema import ADDED, CHANGEABLE, WHERE, AlgoConfig, TrainConfig
from rlzoo.errors import MAX_PROBLEMS, ConfigError, Problem, show
from rlzoo.redaction import redact_values
from rlzoo.registry import did_you_mean

T = TypeVar("T")

NOT_SET = "is not set"
UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
KINDS = {
    "string_type": "text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "none_required": "null",
    "dict_type": "a mapping",
    "dataclass_type": "a mapping",
    "tuple_type": "a list",
    "list_type": "a list",
    "too_short": "a list of {min_length} or more",
    "too_long": "a list of at most {max_length}",
    "greater_than_equal": "at least {ge}",
    "less_than_equal": "at most {le}",
    "greater_than": "greater than {gt}",
    "less_than": "less than {lt}",
}
"""What is allowed where pydantic finds something else, as the end of "must be ..."."""


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
    try:
        typed: T = _adapter(schema).validate_python(_nest_algo(values) if schema is TrainConfig else dict(values))
    except ValidationError as error:
        return None, problems + _problems(error, schema, values, known={problem.key for problem in problems})
    return (None if problems else typed), problems


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
    """A hash of everything that a training may not go on with changed."""
    values = redact_values(dump(config))  # as config.yaml holds them
    fixed = {key: value for key, value in values.items() if key not in (*CHANGEABLE, *WHERE)}
    return hashlib.sha256(json.dumps(fixed, sort_keys=True).encode()).hexdigest()


def _adapter(schema: type[T]) -> TypeAdapter[T]:
    if schema not in _ADAPTERS:
        _ADAPTERS[schema] = TypeAdapter(schema)
    return _ADAPTERS[schema]


_ADAPTERS: dict[type, TypeAdapter[Any]] = {}


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


def _problems(error: ValidationError, schema: type, values: Mapping[str, Any], known: set[str]) -> list[Problem]:
    """One problem for each key; what the members of a union allow is said together."""
    details: dict[tuple[str, ...], list[Any]] = {}
    nested = _nest_algo(values)
    for detail in error.errors(include_url=False):
        details.setdefault(tuple(_field_path(detail["loc"], nested)), []).append(detail)
    problems: list[Problem] = []
    for path, found in details.items():
        key = ".".join(path).replace("algo.hyperparams", "algo")
        if key in known:
            continue
        if found[0]["type"] in UNKNOWN:
            near = suggestion(list(path), schema, values) if len(problems) < MAX_PROBLEMS else ""
            problems.append(Problem(key, f"is not a known setting{near}"))
        elif found[0]["type"] == "missing":
            problems.append(Problem(key, NOT_SET))
        else:
            either = " or ".join(dict.fromkeys(allowed(detail) for detail in found))
            problems.append(Problem(key, f"must be {either}, not {show(found[0]['input'])}"))
    return problems


def allowed(detail: Any) -> str:
    """What an error says is allowed, as the end of "must be ..."."""
    if detail["type"] in KINDS:
        return KINDS[detail["type"]].format(**detail.get("ctx", {}))
    text = detail["msg"].removeprefix("Value error, ").removeprefix("must be ").removeprefix("Input should be ")
    return str(text)


def _field_path(location: tuple[Any, ...], node: Any) -> list[str]:
    """The key path of an error: pydantic appends the names of a union's members to it, which no user typed."""
    path: list[str] = []
    for part in location:
        if not isinstance(node, Mapping | list | tuple):
            break
        known = part in node if isinstance(node, Mapping) else isinstance(part, int)
        if not known:
            if isinstance(part, str) and (part.startswith("function-") or "[" in part or part in _UNION_MEMBERS):
                break
            path.append(str(part))
            break
        path.append(str(part))
        node = node[part]
    return path


_UNION_MEMBERS = ("bool", "int", "float", "str", "constrained-int", "constrained-float", "literal", "none")


def suggestion(path: list[str], schema: type, values: Mapping[str, Any]) -> str:
    """The nearest known keys: the same key in another section, then siblings, then similar ones of all sections."""
    elsewhere = [
        f"{section}.{path[-1]}"
        for section, content in values.items()
        if isinstance(content, Mapping) and path[-1] in content and section != path[0]
    ]
    if elsewhere:
        return f"; did you mean {' or '.join(repr(key) for key in elsewhere)}?"
    siblings = _field_names(schema, path[:-1])
    near = did_you_mean(path[-1], siblings)
    if near:
        return near
    sections = [s for s, content in values.items() if isinstance(content, Mapping) and s != path[0]]
    deeper = {f"{s}.{k}": k for s in sections for k in values[s]}
    from rlzoo.registry import nearest

    close = nearest(path[-1], deeper.values(), 1)
    found = [key for key, name in deeper.items() if name in close]
    return f"; did you mean {found[0]!r}?" if found else ""


def _field_names(schema: Any, path: list[str]) -> list[str]:
    for key in path:
        hints = get_type_hints(schema) if is_dataclass(schema) else {}
        schema = hints.get(key)
        if not is_dataclass(schema):
            return []
    return [field.name for field in fields(schema)]


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
