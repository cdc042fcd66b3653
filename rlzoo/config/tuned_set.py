"""What a tuned set may say. It applies by itself, whoever wrote it: it holds values, and names nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import fields
from functools import lru_cache
from typing import Any, get_type_hints

from rlzoo.config.paths import short_path
from rlzoo.config.schema import REQUESTED, TUNED, AlgoConfig, TrainConfig
from rlzoo.config.tune_schema import TuneConfig
from rlzoo.config.yaml_file import KeyPath, YamlFile
from rlzoo.errors import Problem

HINT = "it belongs into an experiment, conf/experiment/<name>.yaml and experiment=<name>, or on the command line"
_NO_SETTINGS = frozenset(("defaults", "search_space", *(field.name for field in fields(TuneConfig))))
_OF_PLACES = frozenset(":/\\")
"""Characters of module:Class, paths and hosts."""


def values_only(file: YamlFile) -> tuple[YamlFile, list[Problem]]:
    """A tuned set without what it may not say, and a problem for each key of that."""
    kept, left_out = split(file.values)
    problems = []
    for path in left_out:
        what = "is not for a tuned set" if _mark(path) == REQUESTED else "names a module or a place"
        where = f"{short_path(file.path)}:{file.line(path) or 1}"
        problems.append(Problem(".".join(path), f"{what}, and a tuned set holds values only", HINT, where))
    return dataclasses.replace(file, values=kept), problems


def split(values: Mapping[str, Any], above: KeyPath = ()) -> tuple[dict[str, Any], list[KeyPath]]:
    """What a tuned set may say of a request's values, and the keys of the rest.

    What is not a setting at all it may say as well: the check of the whole request knows the nearest one.
    """
    kept: dict[str, Any] = {}
    left_out: list[KeyPath] = []
    for key, value in values.items():
        path = (*above, key)
        texts = _texts(key if isinstance(value, dict) else [key, value])
        if _mark(path) == REQUESTED or any(_OF_PLACES.intersection(text) for text in texts):
            left_out.append(path)
        elif isinstance(value, dict):
            inside, below = split(value, path)
            if inside or not below:
                kept[key] = inside
            left_out += below
        else:
            kept[key] = value
    return kept, left_out


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for child in value:
            yield from _texts(child)
    elif isinstance(value, dict):
        yield from _texts([*value, *value.values()])


def _mark(path: KeyPath) -> str | None:
    """How the schema marks a setting; None for a section, and for what is not a setting."""
    if path[0] in _NO_SETTINGS:
        return REQUESTED
    schema: Any = TrainConfig
    for key in path:
        name = "hyperparams" if schema is AlgoConfig and key != "name" else key
        if name not in marks(schema):
            return None
        if (found := marks(schema)[name]) is not None:
            return found
        schema = _types(schema)[name]
    return None


_types = lru_cache(get_type_hints)


@lru_cache
def marks(schema: type) -> dict[str, str | None]:
    """Each field's mark, `"tuned"` or `"requested"`; None for one that is a section, whose fields have their own."""
    hints = get_type_hints(schema, include_extras=True)
    found: dict[str, str | None] = {}
    for field in fields(schema):
        metadata = getattr(hints[field.name], "__metadata__", ())
        found[field.name] = next((mark for mark in metadata if mark in (TUNED, REQUESTED)), None)
    return found
