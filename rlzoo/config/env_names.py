"""What `env=` takes: the names of files in `conf/env`, and the ids that environments are known by elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from rlzoo.config import aliases, files, yaml_file
from rlzoo.config.paths import root
from rlzoo.errors import Problem, RlzooError

GYM, ATARI = "gym", "atari"
"""The choices that take any id: `env=gym env.id=…`."""

ELSEWHERE = (
    (re.compile(r"ALE/|.*NoFrameskip-v\d"), "ale_py", "it is an Atari game: env=atari env.id={id}"),
    (re.compile(r"Panda"), "panda_gym", "env.imports=[panda_gym] registers it"),
    (
        re.compile(r"Fetch|Hand|AntMaze|PointMaze|Adroit|FrankaKitchen"),
        "gymnasium_robotics",
        "env.imports=[gymnasium_robotics] registers it",
    ),
    (re.compile(r"MiniGrid-|BabyAI-"), "minigrid", "env.imports=[minigrid] registers it"),
    (re.compile(r"Vizdoom"), "vizdoom.gymnasium_wrapper", "env.imports=[vizdoom.gymnasium_wrapper] registers it"),
)
"""Ids that a package registers once it is imported, and what to do about them until then."""

_ID = re.compile(r"^id: *([^\s#]+)", re.MULTILINE)
LAKES = {
    "FrozenLake-v1-4x4": "FrozenLake",
    "FrozenLake-v1-4x4-no_slippery": "FrozenLakeNoSlippery",
    "FrozenLake-v1-8x8": "FrozenLake8x8",
    "FrozenLake-v1-8x8-no_slippery": "FrozenLake8x8NoSlippery",
}
"""What the course's cards call the lakes."""
_VERSIONED = re.compile(r"([\w.-]+/)?[\w.()-]+-v\d+")
_ALE = re.compile(r"ALE/(\w+)-v5")
_NOT_STICKY = ", without its sticky actions: env.kwargs.repeat_action_probability=0.25 has them"


@dataclass(frozen=True)
class Choice:
    """What a text behind `env=` stands for.

    Attributes:
        name: the file in `conf/env`.
        settings: by dotted key; what the user types wins over them.
        notice: what to say about it; empty if it is the name itself.
    """

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    notice: str = ""


@lru_cache(maxsize=1)
def short_names() -> dict[str, str]:
    """The ids of the environments that rlzoo ships, each with the name that `env=` takes.

    Only the line of the id is read, so that it costs nothing to ask. Of several files with one id, such as FrozenLake
    and FrozenLakeNoSlippery, the one of the shortest name is the environment as it comes: it stands for the id.
    """
    names: dict[str, str] = {}
    for name, env_id in _shipped():
        names.setdefault(env_id, name)
    return names


def short_name(env_id: str) -> str | None:
    """The shipped name of an id, of today or older; None if it is not shipped."""
    return short_names().get(aliases.current(env_id))


def name_of(typed: str) -> str:
    """The file that `env=` takes for a text; the text itself if that is known to none."""
    found = resolve(typed, {})
    return found.name if isinstance(found, Choice) and not found.settings else typed


def package_of(env_id: str) -> str | None:
    """The module that registers an id once it is imported, of those that are known; None for any other id."""
    return next((module for pattern, module, _ in ELSEWHERE if pattern.match(env_id)), None)


def is_known(env_id: str) -> bool:
    """Whether an id means something apart from the user's files: one of rlzoo's, Gymnasium's or a known package's."""
    return bool(short_name(env_id) or package_of(env_id)) or _is_registered(env_id)


def resolve(typed: str, kwargs: Mapping[str, Any], *, imports: bool = False) -> Choice | Problem | None:
    """What `env=` means: a name of a file, an id of today or older, in any case of letters, or any registered id.

    Args:
        typed: what stands behind `env=`.
        kwargs: of the environment, as typed: they tell files of the same id from each other.
        imports: whether the request names modules that register environments.

    Returns:
        The choice, a problem if the id is known to mean something else today, or None if nothing is known by it.
    """
    if typed in files.options("env"):
        return Choice(typed)
    module, _, env_id = typed.rpartition(":")
    if module and module not in ("gymnasium", package_of(env_id)):
        return Choice(GYM, {"env.id": typed}, f"env={typed} is env=gym env.id={typed}")
    found = _by_any_id(env_id, kwargs) or _in_any_case(env_id, kwargs)
    if found is not None:
        return Choice(found.name, found.settings, f"env={typed} is {found.notice}")
    alias = aliases.resolve(env_id)
    if alias is not None:
        return Problem("env", alias.differs(env_id), f"use env={short_names().get(alias.id, alias.id)}")
    return _unshipped(env_id, typed, imports=imports)


def _by_id(env_id: str, kwargs: Mapping[str, Any]) -> Choice | None:
    """The file of an id; of several, the one with most of the keywords that are typed."""
    atari = _ALE.fullmatch(env_id)
    today = f"{atari[1]}NoFrameskip-v4" if atari else aliases.current(env_id)
    names = _files_of(today)
    if not names:
        return None
    given = {name: _kwargs_of(name) for name in names}
    fitting = [name for name in names if all(kwargs.get(key) == value for key, value in given[name].items())]
    name = max(fitting or names[:1], key=lambda name: len(given[name]))
    notice = f"env={name}"
    if atari:
        notice += _NOT_STICKY
    elif today != env_id:
        notice += f", {today}: {aliases.SAME[env_id][1]}"
    others = ", ".join(f"env={other}" for other in names if other != name)
    return Choice(name, notice=f"{notice}; of the same id: {others}" if others else notice)


def _by_any_id(env_id: str, kwargs: Mapping[str, Any]) -> Choice | None:
    """The file of an id, or of what the course's cards call its lake."""
    if env_id in LAKES:
        return Choice(LAKES[env_id], notice=f"env={LAKES[env_id]}")
    return _by_id(env_id, kwargs)


def _in_any_case(typed: str, kwargs: Mapping[str, Any]) -> Choice | None:
    """The file of a name or id that is typed in other capital letters, if that is only one."""
    names = files.options("env")
    known = dict.fromkeys((*names, *short_names(), *LAKES, *aliases.SAME))
    alike = [text for text in known if text.lower() == typed.lower()]
    meant = [Choice(text, notice=f"env={text}") if text in names else _by_any_id(text, kwargs) for text in alike]
    found = {choice.name: choice for choice in meant if choice is not None}
    return next(iter(found.values())) if len(found) == 1 else None


def _unshipped(env_id: str, typed: str, *, imports: bool) -> Choice | None:
    """An id that rlzoo has no file for, but Gymnasium or a known package has."""
    if not _VERSIONED.fullmatch(env_id):
        return None
    package = package_of(env_id)
    if package == "ale_py":
        notice = f"env={typed} is env=atari env.id={env_id}{_NOT_STICKY if _ALE.fullmatch(env_id) else ''}"
        return Choice(ATARI, {"env.id": env_id}, notice)
    if package is not None and not imports:
        words = f"env=gym env.id={env_id} env.imports=[{package}]"
        return Choice(GYM, {"env.id": env_id, "env.imports": [package]}, f"env={typed} is {words}")
    if imports or _is_registered(env_id):
        return Choice(GYM, {"env.id": env_id}, f"env={typed} is env=gym env.id={env_id}")
    return None


def _is_registered(env_id: str) -> bool:
    import gymnasium

    return env_id in gymnasium.registry


def _shipped() -> Iterator[tuple[str, str]]:
    """Name and id of every file that rlzoo ships, the shortest names first."""
    folder = root() / "conf" / "env"
    for path in sorted(folder.glob("*.yaml"), key=lambda path: (len(path.stem), path.stem)):
        if (env_id := _id_in(path)) is not None:
            yield path.stem, env_id


def _files_of(env_id: str) -> list[str]:
    """The choices of `env=` with that id: rlzoo's own with the shortest names first, then the user's."""
    names = [name for name, known in _shipped() if known == env_id]
    own = [file.path for file in files.user_files() if file.path.parent.name == "env"]
    return list(dict.fromkeys([*names, *(files.composed(path.stem) for path in own if _id_in(path) == env_id)]))


def _id_in(path: Path) -> str | None:
    try:
        found = _ID.search(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):  # said when the file takes part
        return None
    return found[1] if found and found[1] != "???" else None


def _kwargs_of(name: str) -> Mapping[str, Any]:
    """The keywords that a choice's own file gives its environment."""
    found = files.find(f"env/{name}")
    try:
        kwargs = yaml_file.read(found.path).values.get("kwargs") if found else None
    except RlzooError:
        return {}
    return kwargs if isinstance(kwargs, dict) else {}
