"""A configuration tree that remembers, for every value, the file and line (or the command line) it came from."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rlzoo.config.paths import short_path
from rlzoo.config.yaml_file import KeyPath, YamlFile


@dataclass(frozen=True)
class Origin:
    """Where a value comes from: a file and line, or the command line."""

    file: Path | None = None
    line: int | None = None
    shipped: bool = False

    def __str__(self) -> str:
        if self.file is None:
            return "command line"
        return f"{short_path(self.file)}:{self.line}" if self.line else short_path(self.file)


COMMAND_LINE = Origin()


@dataclass
class Tree:
    """Plain nested values and the origin of each leaf (a leaf is anything that is not merged key by key)."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[KeyPath, Origin] = field(default_factory=dict)

    def copy(self) -> Tree:
        return Tree(copy.deepcopy(self.values), dict(self.origins))  # an origin does not change

    def merge_file(self, file: YamlFile, package: KeyPath, shipped: bool) -> None:
        """Lay a file's values over the tree, below the key path `package`."""
        values = {key: value for key, value in file.values.items() if key != "defaults"}

        def origin(path: KeyPath) -> Origin:
            return Origin(file.path, file.line(path[len(package) :]), shipped)

        self._merge(values, package, origin)

    def set(self, path: KeyPath, value: Any, origin: Origin = COMMAND_LINE) -> None:
        """Lay one value over the tree."""
        self._place(path, value, lambda _: origin)

    def delete(self, path: KeyPath) -> bool:
        """Remove a key of a section; False if it was not there. The section counts as changed on the command line."""
        parent: Any = self.values
        for key in path[:-1]:
            parent = parent.get(key) if isinstance(parent, dict) else None
        if not isinstance(parent, dict) or path[-1] not in parent:
            return False
        self._forget(path, parent.pop(path[-1]))
        self.origins[path[:-1]] = COMMAND_LINE
        return True

    def origin(self, path: KeyPath) -> Origin | None:
        """The origin of a value: its own, the first one below it, or the nearest one above it."""
        if path in self.origins:
            return self.origins[path]
        below = next((key for key in self.origins if key[: len(path)] == path), None)
        above = (path[:length] for length in range(len(path) - 1, 0, -1) if path[:length] in self.origins)
        found = below or next(above, None)
        return self.origins[found] if found is not None else None

    def leaves(self) -> Iterator[tuple[KeyPath, Any, Origin | None]]:
        """Every value that is not merged key by key, in order, with its origin."""
        yield from self._leaves(self.values, ())

    def _leaves(self, values: Mapping[str, Any], path: KeyPath) -> Iterator[tuple[KeyPath, Any, Origin | None]]:
        for key, value in values.items():
            here = (*path, key)
            if isinstance(value, dict) and value and is_section(here):
                yield from self._leaves(value, here)
            else:
                yield here, value, self.origin(here)

    def _merge(self, values: Mapping[str, Any], path: KeyPath, origin: Any) -> None:
        for key, value in values.items():
            self._place((*path, key), value, origin)

    def _place(self, path: KeyPath, value: Any, origin: Any) -> None:
        parent = self.values
        for length, key in enumerate(path[:-1], 1):
            self._open(parent, path[:length])
            parent = parent[key]
        if isinstance(value, dict) and is_section(path):
            self._open(parent, path)
            self.origins.setdefault(path, origin(path))
            self._merge(value, path, origin)
            return
        self._forget(path, parent.get(path[-1]))
        parent[path[-1]] = copy.deepcopy(value)
        self.origins[path] = origin(path)

    def _open(self, parent: dict[str, Any], path: KeyPath) -> None:
        """Make a mapping of what is at `path`, unless it is one; where another value came from says nothing of it."""
        if not isinstance(parent.get(path[-1]), dict):
            parent[path[-1]] = {}
            self.origins.pop(path, None)

    def _forget(self, path: KeyPath, old: Any) -> None:
        """Drop the origins of a value that goes, and of all in it."""
        self.origins.pop(path, None)
        if isinstance(old, dict):
            for key, child in old.items():
                self._forget((*path, key), child)


def is_section(path: KeyPath) -> bool:
    """Whether the mapping at `path` is merged key by key; any other mapping is one value and is replaced whole.

    Sections are the top level, keyword mappings (`*kwargs`), loggers' options, and the wrappers with their options.
    """
    if len(path) == 1 or path[-1].endswith("kwargs"):
        return True
    return path[0] == "logger" or path[:2] == ("env", "wrappers")


def is_open(path: KeyPath) -> bool:
    """Whether keys directly below `path` are free: keyword mappings and the options of wrappers and loggers."""
    return any(key.endswith("kwargs") for key in path) or path[:2] == ("env", "wrappers") or path[:1] == ("logger",)
