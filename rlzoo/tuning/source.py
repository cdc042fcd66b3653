"""The best trials of a study, ours or one of rl_zoo3's, as settings; it is read without any way to change it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlzoo.config.paths import at_home
from rlzoo.errors import ConfigError, ExitCode, RlzooError
from rlzoo.tuning import zoo_names
from rlzoo.tuning.queue import values_of
from rlzoo.tuning.space import Space
from rlzoo.tuning.space_file import read as read_space
from rlzoo.tuning.storage.read import Snapshot, find_study, is_study, made_sense_of, read_study, study_names
from rlzoo.tuning.storage.store import FILES, Store, problems_of

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

HEADER = b"SQLite format 3\0"
LOCAL = "sqlite:///"
WHERE = "a study's folder, an SQLite file, Optuna's journal, or a database's URL"


@dataclass(frozen=True)
class Found:
    """A trial of another study: its number, its score, and its values by dotted key, `algo.learning_rate`."""

    number: int
    score: float
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Source:
    """Another study.

    Attributes:
        name: in its storage.
        of: whose it is: `rlzoo`, with the algorithm, or `rl_zoo3`.
        trials: the complete ones, the best first.
        unknown: parameters that mean nothing here.
    """

    name: str
    of: str
    trials: tuple[Found, ...]
    unknown: tuple[str, ...]


def open_source(storage: str, name: str | None) -> Source:
    """Read a study.

    Raises:
        RlzooError: if there is none, or none that can be read, or nothing in it is complete.
    """
    store, known = _place(storage)
    found = read_study(store, name or known or _only(store))
    with made_sense_of(str(store.file)) if store.foreign is not None else nullcontext():
        return _source(found)


def _source(found: Snapshot) -> Source:
    maximize = found.directions[0].name != "MINIMIZE"
    of, space = _space_of(found)
    trials: list[Found] = []
    unknown: set[str] = set()
    for trial in _best(found, maximize):
        if space is not None:
            settings = space.settings(values_of(space, trial))
        else:
            settings, strange = zoo_names.settings(trial.params)
            unknown.update(strange)
        trials.append(Found(trial.number, trial.values[0], settings))
    if not trials:
        message = f"none of the {len(found.trials)} trials of {found.name} is complete"
        raise RlzooError(message, "there is nothing to begin with")
    return Source(found.name, of, tuple(trials), tuple(sorted(unknown)))


def _place(storage: str) -> tuple[Store, str | None]:
    """The storage, and the study's name where it follows from it."""
    if "://" in storage and not storage.startswith(LOCAL):
        if problems := problems_of(storage):
            raise ConfigError(problems)
        return Store(storage, Path()), None
    path = at_home(storage.removeprefix(LOCAL))
    if path.is_dir() and is_study(path):
        there = find_study(str(path), path.parent, None)
        return there.store, there.name
    kind = next((kind for kind, name in FILES.items() if name == path.name), None)
    if kind is not None and is_study(path.parent):
        return find_study(str(path.parent), path.parent, kind).store, None
    if not path.is_file():
        what = "is no study's folder" if path.is_dir() else "is not there"
        raise RlzooError(f"storage: {path} {what}", f"storage= takes {WHERE}")
    try:
        with path.open("rb") as file:
            begins = file.read(len(HEADER))
    except OSError as error:
        raise RlzooError(f"{path} cannot be read: {error.strerror}", "is it yours?", ExitCode.STORAGE) from error
    if begins != HEADER and not begins.startswith(b"{"):
        raise RlzooError(f"{path} is neither an SQLite file nor a journal of Optuna's", f"storage= takes {WHERE}")
    return Store("sqlite" if begins == HEADER else "journal", path.parent, foreign=path), None


def _only(store: Store) -> str:
    """The name of the one study of a storage."""
    there = study_names(store)
    if len(there) == 1:
        return there[0]
    listed = ", ".join(there[:10])
    message = f"{len(there)} studies are there: {listed}" if there else "there is no study in that storage"
    raise RlzooError(message, f"from_study={there[0]} names one" if there else f"storage= takes {WHERE}")


def _space_of(study: Snapshot) -> tuple[str, Space | None]:
    """Whose study it is, and the space that it searched, if it is one of ours."""
    request = study.request
    if request is None:
        return "rl_zoo3", None
    space, problems = read_space(request["search_space"], request["train"])
    if problems:
        raise RlzooError(f"the search space of {study.name} cannot be read: {problems[0]}")
    return f"rlzoo tune algo={request['train']['algo']['name']}", space


def _best(study: Snapshot, maximize: bool) -> list[FrozenTrial]:
    complete = [trial for trial in study.trials if trial.state.name == "COMPLETE" and math.isfinite(trial.values[0])]
    return sorted(complete, key=lambda trial: (-trial.values[0] if maximize else trial.values[0], trial.number))
