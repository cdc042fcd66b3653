"""Single choices of a group, read without composing a whole request: for lists, help and validation."""

from __future__ import annotations

from typing import Any

from rlzoo.config import files
from rlzoo.config.provenance import Tree
from rlzoo.errors import RlzooError


def read_choice(group: str, name: str) -> dict[str, Any]:
    """The values of one choice, on top of those of the choices of its group that it builds on.

    Raises:
        RlzooError: if there is no such choice or its file cannot be read.
    """
    tree = Tree()
    _lay(tree, group, name, ())
    return dict(tree.values.get(group, {}))


def _lay(tree: Tree, group: str, name: str, above: tuple[str, ...]) -> None:
    found = files.find(f"{group}/{name}")
    if found is None:
        raise RlzooError(f"there is no {group}/{name}.yaml" + (f" (needed by {above[-1]})" if above else ""))
    if name in above:
        raise RlzooError(f"{found.path}: builds on itself")
    content = found.read()
    for entry in content.values.get("defaults") or ("_self_",):
        if isinstance(entry, str) and entry != "_self_":
            _lay(tree, group, entry, (*above, name))
    tree.merge_file(content, (group,), found.shipped)


def header(group: str, name: str) -> dict[str, str]:
    """The `# key: value` lines at the top of a choice's file: a tuned set's source, date and score."""
    found = files.find(f"{group}/{name}")
    if found is None:
        return {}
    pairs = (line.lstrip("# ").partition(": ") for line in found.read().header)
    return {key: value for key, separator, value in pairs if separator and " " not in key}
