"""Finds configuration files: rlzoo's own, installed plugins', and the user's, which win.

Of the user's `./conf` only whole groups are read, never command files, and every file is checked before it is used.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlzoo import contained
from rlzoo.config import paths, yaml_file
from rlzoo.config.provenance import Tree
from rlzoo.config.yaml_file import YamlFile
from rlzoo.errors import RlzooError

USER_GROUPS = ("algo", "env", "search_space", "logger", "experiment")
GLOBAL_GROUPS = ("hyperparams", "experiment", "family")
"""Groups whose files hold whole requests: their keys are top-level ones, with or without a package header."""

RESOLVER = re.compile(r"\$\{[^}]*[:$]")
"""What reads the environment or runs a function when it is resolved: `${oc.env:…}`, or `${${a}:…}` where a says so."""
_INSTRUCTION = re.compile(r"hydra|_\w+_")
"""Keys that tell Hydra what to do: `_target_`, `_args_`, `_partial_`."""


@dataclass(frozen=True)
class ConfigFile:
    """A file found for a config path such as `env/CartPole` or `hyperparams/ppo/CartPole`."""

    path: Path
    shipped: bool
    shadows: bool = False

    def read(self) -> YamlFile:
        file = yaml_file.read(self.path)
        if not self.shipped:
            _check_foreign(file)
        return file


def find(config_path: str) -> ConfigFile | None:
    """The file behind a config path (without suffix); the user's before plugins' before rlzoo's own."""
    found = [ConfigFile(path, shipped) for path, shipped in _candidates(config_path) if path.is_file()]
    if not found:
        return None
    return ConfigFile(found[0].path, found[0].shipped, shadows=len(found) > 1)


def at(config_path: str) -> ConfigFile:
    """The file of an entry: of a config path, or of a path given by the user."""
    found = None if config_path.endswith((".yaml", ".yml")) else find(config_path)
    return found or ConfigFile(paths.at_home(config_path), shipped=False)


def options(group: str) -> list[str]:
    """Every choice of a group, of all sources, sorted; for `hyperparams` as `<algo>/<name>`."""
    names: set[str] = set()
    for base, _ in _bases(group):
        folder = base / group
        if folder.is_dir():
            pattern = "*/*.yaml" if group == "hyperparams" else "*.yaml"
            found = [path for path in folder.glob(pattern) if path.is_file()]
            names.update(composed(path.relative_to(folder).with_suffix("").as_posix()) for path in found)
    return sorted(names, key=str.lower)


def composed(name: str) -> str:
    """A name with each accent and its letter as one sign: what looks alike is alike (NFC)."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def is_group(config_path: str) -> bool:
    """Whether a config path is a folder of choices."""
    return any((base / config_path).is_dir() for base, _ in _bases(config_path))


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


def header(group: str, name: str) -> dict[str, str]:
    """The `# key: value` lines at the top of a choice's file: a tuned set's source, date and score."""
    found = find(f"{group}/{name}")
    if found is None:
        return {}
    pairs = (line.lstrip("# ").partition(": ") for line in found.read().header)
    return {key: value for key, separator, value in pairs if separator and " " not in key}


def user_files() -> Iterator[ConfigFile]:
    """Every file of the user that could take part in a request."""
    for group in (*USER_GROUPS, "hyperparams"):
        for base, shipped in _bases(group):
            if not shipped:
                found = [path for path in contained.walk(base / group) if path.suffix == ".yaml" and path.is_file()]
                yield from (ConfigFile(path, shipped=False) for path in sorted(found))


def fingerprint() -> Hashable:
    """What changes when a file that could take part is added, removed or edited; rlzoo's own stay as they are."""
    stats = [(file.path, file.path.stat()) for file in user_files()]
    return paths.root(), tuple((path, stat.st_mtime_ns, stat.st_size) for path, stat in stats)


def _layers(group: str, name: str, above: tuple[str, ...]) -> Iterator[ConfigFile]:
    """The files of a choice, the ones that it builds on first."""
    found = find(f"{group}/{name}")
    if found is None:
        raise RlzooError(f"there is no {group}/{name}.yaml" + (f" (needed by {above[-1]})" if above else ""))
    if name in above:
        raise RlzooError(f"{found.path}: builds on itself")
    for entry in found.read().values.get("defaults") or ("_self_",):
        if isinstance(entry, str) and entry != "_self_":
            yield from _layers(group, entry, (*above, name))
    yield found


def _candidates(config_path: str) -> Iterator[tuple[Path, bool]]:
    name = config_path if config_path.endswith(".yaml") else f"{config_path}.yaml"
    for base, shipped in _bases(config_path):
        path = base / name
        if not name.isascii() and not path.is_file():
            path = next((one for one in path.parent.glob("*.yaml") if composed(one.name) == composed(path.name)), path)
        yield path, shipped


def _bases(config_path: str) -> Iterator[tuple[Path, bool]]:
    group = config_path.split("/")[0]
    below = "" if group == "hyperparams" else "conf"
    if group in USER_GROUPS or group == "hyperparams":
        for user_root in (*paths.user_roots(), *paths.plugin_roots()):
            yield user_root / below, False
    yield paths.root() / below, True


def _check_foreign(file: YamlFile) -> None:
    """Refuse what could run code or read secrets in a file that rlzoo does not ship."""
    for path, value in _walk(file.values, ()):
        key = path[-1]
        where = f"{paths.short_path(file.path)}:{file.line(path) or 1}"
        if _INSTRUCTION.fullmatch(key) or (key == "defaults" and len(path) > 1):
            raise RlzooError(f"{where}: the key {key!r} is not allowed here", "settings are data: names and values")
        if isinstance(value, str) and RESOLVER.search(value):
            raise RlzooError(
                f"{where}: {value!r} is not allowed here", "only other settings can be referred to: ${total_timesteps}"
            )
    defaults = [] if file.values.get("defaults") is None else file.values["defaults"]
    at = f"{paths.short_path(file.path)}:{file.line(('defaults',)) or 1}"
    if not isinstance(defaults, list):
        raise RlzooError(f"{at}: defaults must be a list, not {defaults!r}")
    for entry in defaults:
        if not isinstance(entry, str | dict):
            raise RlzooError(f"{at}: {entry!r} is not the name of a file in defaults")
        text = " ".join(f"{k} {v}" for k, v in entry.items()) if isinstance(entry, dict) else str(entry)
        if "hydra" in text or ".." in text or "${" in text:
            raise RlzooError(f"{at}: {text!r} is not allowed in defaults")


def _walk(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    items = value.items() if isinstance(value, dict) else ((str(i), v) for i, v in enumerate(value))
    for key, child in items:
        yield (*path, key), child
        if isinstance(child, dict | list):
            yield from _walk(child, (*path, key))
