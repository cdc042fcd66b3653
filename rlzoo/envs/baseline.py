"""The random play of an environment as far as it is known: the shipped ones bring theirs, others are kept once played.

What is kept lies in the user's cache folder and holds for as long as the modules that made the environment are as they
were; nothing of it is taken from a run or a package, which may be a stranger's.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import rlzoo
from rlzoo.config import aliases
from rlzoo.config.paths import cache_home

TABLE = Path(__file__).with_name("random_play.json")
"""That of the shipped environments; `python -m rlzoo.envs.compile_baselines` writes it."""

MAX_PATH = 1000
"""Characters of a text that may be the path of a file."""

FIRST_SEED = 10_000
"""Of the first episode: the default of `eval.seed`."""


@dataclass(frozen=True)
class RandomPlay:
    """What random play has shown.

    Attributes:
        returns: raw scores of whole games, before wrappers change rewards.
        lengths: the environment's own steps in each.
        n_steps: steps that were taken, as the algorithm takes them; so are the next two.
        episode_steps: of every episode that the algorithm would see the end of.
        truncated: whether it was cut, of each of these episodes.
        n_entries: numbers in an observation.
        n_constant: those that never changed.
        constant: names of the first of them.
        largest: mean + standard deviation of the entry where that is most; None of a large observation.
        largest_entry: its name.
        n_rewarded: steps with a reward that is not 0.
        n_rewarded_episodes: episodes with such a step, also one that was not played to its end.
        discounted: mean size of the discounted return of a step, by discount.
        reproducible: whether the same seed and actions gave the same steps; None if that was not tried.
        reacts: whether other actions gave other steps; None if that was not tried.
        range_used: the share of the range of continuous actions that does the same as all of it.
    """

    returns: tuple[float, ...]
    lengths: tuple[int, ...]
    n_steps: int
    episode_steps: tuple[int, ...]
    truncated: tuple[bool, ...]
    n_entries: int
    n_constant: int
    constant: tuple[str, ...]
    largest: float | None
    largest_entry: str
    n_rewarded: int
    n_rewarded_episodes: int
    discounted: Mapping[str, float]
    reproducible: bool | None = None
    reacts: bool | None = None
    range_used: float | None = None

    @property
    def mean_steps(self) -> float | None:
        """Mean steps of an episode; None if none ended."""
        return sum(self.episode_steps) / len(self.episode_steps) if self.episode_steps else None

    def as_data(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> RandomPlay:
        """From `as_data`, through JSON."""
        given: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
        return cls(**given)


def shape(env: Mapping[str, Any], max_steps: int | None = None) -> dict[str, Any]:
    """What the score of random play depends on, of an `env` section.

    Args:
        env: its plain values.
        max_steps: a step limit instead of its own.
    """
    return {
        "id": aliases.current(env["id"]),
        "kwargs": dict(env["kwargs"] or {}),
        "wrappers": {name: dict(options or {}) for name, options in env["wrappers"].items()},
        "max_steps": max_steps or env["max_steps"],
    }


@cache
def table() -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The shipped environments' shapes and plays."""
    return [(row["shape"], row["play"]) for row in json.loads(TABLE.read_text())]


def shipped(found: Mapping[str, Any]) -> RandomPlay | None:
    """The play that rlzoo brings for a shape."""
    wanted = json.loads(_text(found))
    return next((RandomPlay.from_data(play) for each, play in table() if each == wanted), None)


def kept(found: Mapping[str, Any]) -> RandomPlay | None:
    """The play that this user's cache has for a shape."""
    path = _file(found)
    try:
        if path is None or path.stat().st_uid not in (getattr(os, "getuid", lambda: 0)(), 0):
            return None
        content = json.loads(path.read_text(encoding="utf-8"))
        if all(_stamp(source) == stamp for source, stamp in content["sources"].items()):
            return RandomPlay.from_data(content["play"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # it is played again
        pass
    return None


def find(found: Mapping[str, Any]) -> RandomPlay | None:
    """What is known of a shape."""
    return shipped(found) or kept(found)


def keep(found: Mapping[str, Any], play: RandomPlay) -> None:
    """Keep a play in the user's cache, of the environment that this process has made."""
    path = _file(found)
    if path is None:
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        content = {"sources": {source: _stamp(source) for source in _sources(found)}, "play": play.as_data()}
        temporary.write_text(json.dumps(content), encoding="utf-8")
        temporary.replace(path)


def _file(found: Mapping[str, Any]) -> Path | None:
    folder = cache_home()
    if folder is None:
        return None
    places = [_folder(), os.environ.get("PYTHONPATH", "")]  # where another module may have the same name
    key = hashlib.sha256(f"{rlzoo.__version__} {places} {_text(found)}".encode("utf-8", "surrogatepass")).hexdigest()
    return folder / "rlzoo" / "random_play" / f"{key}.json"


def _folder() -> str:
    try:
        return str(Path.cwd())
    except OSError:
        return ""


def _text(found: Mapping[str, Any]) -> str:
    return json.dumps(found, sort_keys=True, default=str)


def _sources(found: Mapping[str, Any]) -> Iterator[str]:
    """The files that made the environment what it is: loaded modules of the user's, libraries, files that it is given.

    Of a library its first file stands for it, which an installation writes anew.
    """
    paths = sysconfig.get_paths()
    libraries = {paths["purelib"], paths["platlib"]}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if not isinstance(file, str) or name.partition(".")[0] == "rlzoo":
            continue
        is_library = any(file.startswith(folder) for folder in libraries)
        if is_library and "." not in name:
            yield file
        elif not is_library and not file.startswith(paths["stdlib"]):
            yield str(Path(file).absolute())
    for value in found["kwargs"].values():
        if isinstance(value, str) and len(value) < MAX_PATH and Path(value).is_file():
            yield str(Path(value).absolute())


def _stamp(path: str) -> list[int] | None:
    try:
        status = Path(path).stat()
    except (OSError, ValueError):
        return None
    return [status.st_mtime_ns, status.st_size]
