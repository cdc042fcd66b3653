"""Single choices of a group, read without composing a whole request: for lists, help and validation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rlzoo.config import files
from rlzoo.config.files import ConfigFile
from rlzoo.config.provenance import Tree
from rlzoo.errors import RlzooError


def read_choice(group: str, name: str) -> dict[str, Any]:
    """The values of one choice, on top of those of the choices of its group that it builds on.

    Raises:
        RlzooError: if there is no such choice or its file cannot be read.
    """
    tree = Tree()
    for file in _layers(group, name, ()):
        tree.merge_file(file.read(), (group,), file.shipped)
    return dict(tree.values.get(group, {}))


def read_comments(group: str, name: str) -> dict[str, str]:
    """What the keys of one choice mean: the comments of its own file, and of those that it builds on."""
    return {
        path[0]: comment
        for file in _layers(group, name, ())
        for path, comment in file.read().comments.items()
        if len(path) == 1
    }


def _layers(group: str, name: str, above: tuple[str, ...]) -> Iterator[ConfigFile]:
    """The files of a choice, the ones that it builds on first."""
    found = files.find(f"{group}/{name}")
    if found is None:
        raise RlzooError(f"there is no {group}/{name}.yaml" + (f" (needed by {above[-1]})" if above else ""))
    if name in above:
        raise RlzooError(f"{found.path}: builds on itself")
    for entry in found.read().values.get("defaults") or ("_self_",):
        if isinstance(entry, str) and entry != "_self_":
            yield from _layers(group, entry, (*above, name))
    yield found


def header(group: str, name: str) -> dict[str, str]:
    """The `# key: value` lines at the top of a choice's file: a tuned set's source, date and score."""
    found = files.find(f"{group}/{name}")
    if found is None:
        return {}
    pairs = (line.lstrip("# ").partition(": ") for line in found.read().header)
    return {key: value for key, separator, value in pairs if separator and " " not in key}
