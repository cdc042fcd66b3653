"""Reads a YAML file with the line and the comment of every key. Data only: no tags, no aliases, no duplicate keys."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import takewhile
from pathlib import Path
from typing import Any

import yaml

from rlzoo.config.paths import short_path
from rlzoo.errors import RlzooError

KeyPath = tuple[str, ...]

MAX_BYTES = 256 * 1024
MAX_DEPTH = 32
UNCHECKED_DEPTH = 1000
"""Levels that libyaml is known to survive."""

_NUMBER = re.compile(r"[-+]?(\d[\d_]*)(\.[\d_]*)?([eE][-+]?\d+)?|[-+]?\.\d[\d_]*([eE][-+]?\d+)?")
_SCALARS: dict[str, Callable[[str], Any]] = {
    "tag:yaml.org,2002:null": lambda text: None,
    "tag:yaml.org,2002:bool": lambda text: text.lower() in ("true", "yes", "on"),
}
_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "str", "int", "float", "timestamp", "value")}


@dataclass(frozen=True)
class YamlFile:
    """A mapping read from a file: its plain values, and the line (from 1) and comment of every key in it."""

    path: Path
    values: dict[str, Any]
    lines: dict[KeyPath, int]
    comments: dict[KeyPath, str]
    header: tuple[str, ...]

    def line(self, path: KeyPath) -> int | None:
        """The line of a key, or of the nearest key above it."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return None


def read(path: Path) -> YamlFile:
    """Read a YAML file.

    Raises:
        RlzooError: with file, line and column if it is not a YAML mapping of plain data.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise RlzooError(f"cannot read {short_path(path)}: {error.strerror}") from error
    return _read(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=1024)
def _read(path: Path, _modified: int, size: int) -> YamlFile:
    if size > MAX_BYTES:
        raise RlzooError(f"{short_path(path)} is too large for a configuration file: {size} bytes, at most {MAX_BYTES}")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise RlzooError(f"{short_path(path)} is not UTF-8 text: {error.reason} at byte {error.start}") from error
    return parse_text(text, path)


def compose(text: str) -> list[yaml.Node]:
    """The documents of a YAML text, as nodes.

    Raises:
        yaml.YAMLError: if it is none.
        RecursionError: if it is nested too deeply; libyaml itself would overflow the stack, which ends the process.
    """
    # every level takes a bracket or a column, or shares its column with one other
    if text.count("[") + text.count("{") + 2 * max(map(len, text.splitlines()), default=0) > UNCHECKED_DEPTH:
        depth = 0
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > UNCHECKED_DEPTH:
                raise RecursionError
    return list(yaml.compose_all(text, Loader=yaml.CSafeLoader))


def parse_text(text: str, path: Path) -> YamlFile:
    """Read YAML text; `path` names it in errors."""
    file = short_path(path)
    try:
        documents = compose(text)
    except yaml.MarkedYAMLError as error:
        is_unclosed = "end of stream" in str(error.problem)  # what was opened is to blame, not the end of the file
        mark = (error.context_mark if is_unclosed else error.problem_mark) or error.problem_mark or error.context_mark
        where = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else file
        reason = " ".join(part for part in (error.context, error.problem) if part)
        raise RlzooError(
            f"{where}: not valid YAML: {reason}", "a tab, a colon or a quote is often the cause"
        ) from error
    except yaml.YAMLError as error:
        raise RlzooError(f"{file}: not valid YAML: {error}") from error
    except RecursionError as error:
        raise RlzooError(f"{file}: nested too deeply") from error
    if len(documents) > 1:
        raise RlzooError(f"{file}: holds {len(documents)} YAML documents; one is expected")
    root = documents[0] if documents else None
    reader = _Reader(path, text.splitlines())
    values = reader.value(root, ()) if root is not None else {}
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise RlzooError(f"{file}: must hold keys and values, not a {type(values).__name__}")
    header = tuple(line for line in text.splitlines()[:40] if line.startswith("#"))
    return YamlFile(path, values, reader.lines, reader.comments, header)


class _Reader:
    """Turns YAML nodes into plain values, noting lines and comments."""

    def __init__(self, path: Path, source: list[str]) -> None:
        self.path = path
        self.source = source
        self.lines: dict[KeyPath, int] = {}
        self.comments: dict[KeyPath, str] = {}
        self.seen: set[int] = set()

    def value(self, node: yaml.Node, path: KeyPath) -> Any:
        if id(node) in self.seen:
            raise self.error(node, "YAML aliases (*name) are not allowed here")
        self.seen.add(id(node))
        if len(path) > MAX_DEPTH:
            raise self.error(node, f"nested more than {MAX_DEPTH} deep")
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            self.plain(node, "seq")
            return [self.value(item, (*path, str(index))) for index, item in enumerate(node.value)]
        return self.scalar(node)

    def mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        self.plain(node, "map")
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag not in _TAGS:
                raise self.error(key_node, "keys must be plain words")
            key = key_node.value
            if key in result:
                raise self.error(key_node, f"the key {key!r} appears twice")
            key_path = (*path, key)
            self.lines[key_path] = key_node.start_mark.line + 1
            if comment := self.comment(key_node, value_node):
                self.comments[key_path] = comment
            result[key] = self.value(value_node, key_path)
        return result

    def scalar(self, node: yaml.ScalarNode) -> Any:
        if node.tag not in _TAGS:
            raise self.error(node, f"the tag {node.tag} is not allowed: only plain data is read")
        if not node.style and _NUMBER.fullmatch(node.value):
            try:
                return _number(node.value)
            except ValueError as error:  # Python reads no whole number of more than 4300 digits
                raise self.error(node, f"a number of {len(node.value)} characters is too long") from error
        if node.tag == "tag:yaml.org,2002:float":
            try:
                return float(node.value.lower().lstrip("+").replace(".inf", "inf").replace(".nan", "nan"))
            except ValueError:
                return node.value  # 1:30.5, which YAML 1.1 reads to base 60
        return _SCALARS.get(node.tag, str)(node.value)

    def plain(self, node: yaml.Node, kind: str) -> None:
        if node.tag != f"tag:yaml.org,2002:{kind}":
            raise self.error(node, f"the tag {node.tag} is not allowed: only plain data is read")

    def comment(self, key: yaml.Node, value: yaml.Node) -> str:
        """The comment at the end of the key's line (after its value), else the lines of comment right above it.

        Lines below continue the former if their `#` stands under its own; those above stand in the key's column.
        """
        line = key.start_mark.line
        end = value.end_mark.column if value.end_mark.line == line else key.end_mark.column
        before, found, comment = self.source[line][end:].partition("#")
        if found:
            below = self.comment_lines(range(line + 1, len(self.source)), end + len(before))
            return " ".join([comment.strip(), *below])
        above = self.comment_lines(range(line - 1, -1, -1), key.start_mark.column)[::-1]
        return " ".join(above) if above and not above[0].startswith("@") else ""

    def comment_lines(self, lines: Iterable[int], column: int) -> list[str]:
        """What lines hold, up to the first that is not a comment beginning in this column."""
        start = " " * column + "# "
        texts = (self.source[line] for line in lines)
        return [text[len(start) :].strip() for text in takewhile(lambda text: text.startswith(start), texts)]

    def error(self, node: yaml.Node, message: str) -> RlzooError:
        return RlzooError(f"{short_path(self.path)}:{node.start_mark.line + 1}:{node.start_mark.column + 1}: {message}")


def dump(values: dict[str, Any]) -> str:
    """Values as YAML that `parse_text` reads back as they are: text that looks like a number is quoted."""
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    """PyYAML takes `1e5` for text and would not quote it."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = "'" if _NUMBER.fullmatch(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def _number(text: str) -> int | float:
    digits = text.replace("_", "")
    return int(digits) if re.fullmatch(r"[-+]?\d+", digits) else float(digits)
