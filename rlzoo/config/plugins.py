"""Algorithms of other installed packages: entry points of the group `rlzoo.algorithms`, read without importing them.

A package offers one with `[project.entry-points."rlzoo.algorithms"]`, `my_algo = "mine.learner:MyAlgo"`,
and describes its keywords in `mine/conf/algo/my_algo.yaml`.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

GROUP = "rlzoo.algorithms"


@cache
def algorithms() -> dict[str, str]:
    """Name to `"package.module:Class"` of every algorithm that installed packages offer."""
    return {entry.name: entry.value for entry in entry_points(group=GROUP)}


@cache
def plugin_roots() -> tuple[Path, ...]:
    """The folders of the packages that offer algorithms; `conf/algo/<name>.yaml` lies below them."""
    roots = []
    for reference in algorithms().values():
        spec = find_spec(reference.partition(":")[0].partition(".")[0])  # a top package is found without importing it
        if spec is not None and spec.origin is not None:
            roots.append(Path(spec.origin).parent)
    return tuple(dict.fromkeys(roots))
