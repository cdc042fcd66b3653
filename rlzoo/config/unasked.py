"""Configuration files of the user's folder that take part without having been asked for by their own names.

They may set values, but name no module, place, host or account: somebody else may have put them there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rlzoo import registry
from rlzoo.config import env_names, files
from rlzoo.config.overrides import Word
from rlzoo.config.paths import short_path
from rlzoo.config.yaml_file import YamlFile
from rlzoo.errors import Problem


def find(
    taking_part: Sequence[str], typed: Sequence[Word], env: str | None, parents: Mapping[str, str | None]
) -> set[str]:
    """The files of the user's folder that take part without having been asked for by their own names.

    Such are one that stands in the place of a shipped file, what its defaults list brings, one that is found by an id
    of somebody else's, and the search space of an algorithm. What is asked for may bring others.
    """
    found = {path: file for path in taking_part if not (file := files.at(path)).shipped}
    shadows = {path for path in found if found[path].shadows}
    names = {f"{word.key}/{value}" for word in typed for value in _choices(word)}
    ids = [str(word.value) for word in typed if word.key == "env"]
    by_id = {path for path in found if path == f"env/{env}" and path not in names and ids}
    is_theirs = any(map(env_names.is_known, ids)) if by_id else False
    asked = (names if is_theirs else names | by_id).intersection(found) - shadows
    for _ in found:  # what brings others stands before or behind them
        asked |= {child for child in found if parents.get(child) in asked and child not in shadows}
    others = set(found) - asked
    return others if shadows else {path for path in others if path in by_id or path.startswith("search_space/")}


def _choices(word: Word) -> list[str]:
    """What a word chooses of its group."""
    return [str(value) for value in (word.value if isinstance(word.value, list) else [word.value])]


def problems(file: YamlFile, package: str, *, shadows: bool) -> list[Problem]:
    """Modules, places, hosts and accounts that a file names which was not asked for by its name."""
    values = {package: file.values} if package else file.values
    loggers = values.get("logger")
    drawn = _drawn(values.get("search_space"))
    named = [
        name for each in (values, *drawn) for name in (*registry.modules_named(each), *registry.places_named(each))
    ]
    named += [
        f"logger.{name}" for name in (loggers if isinstance(loggers, dict) else ()) if name not in registry.OWN_LOGGERS
    ]
    named += [key for key in ("launcher", "runs_dir", "init_from") if values.get(key)]
    if not named:
        return []
    named = list(dict.fromkeys(named))
    what = "takes the place of a shipped file" if shadows else "was not asked for by its name"
    hint = "a file that brings modules, places or accounts has a name of its own, by which it is asked for"
    return [Problem(package, f"{what} and names {', '.join(named)}", hint, short_path(file.path))]


def _drawn(space: Any) -> list[dict[str, Any]]:
    """What a search space may lay over a request: each value of each choice."""
    found = []
    for name, settings in space.items() if isinstance(space, dict) else ():
        values = settings.get("values") if isinstance(settings, dict) else None
        for value in values.values() if isinstance(values, dict) else values if isinstance(values, list) else ():
            for key in reversed(str(settings.get("key", f"algo.{name}")).split(".")):
                value = {key: value}
            found.append(value)
    return found
