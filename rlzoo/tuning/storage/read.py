"""A study: where it is, whose it is, and what is in its storage, read without any way to change it.

A study that this user began says so by the signature of its study.yaml (`untrusted.signature`). Of any other folder the
SQLite file in it is read, as data: no other storage that it names, and nothing through links that lead out of it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlzoo import contained
from rlzoo.config import yaml_file
from rlzoo.config.paths import at_home
from rlzoo.config.records import problem
from rlzoo.config.study_records import StudyAttributes, StudyFile, TrialAttributes
from rlzoo.errors import ExitCode, Problem, RlzooError, clean, code_of
from rlzoo.registry import did_you_mean
from rlzoo.tuning.space_file import read as read_space
from rlzoo.tuning.storage import tables
from rlzoo.tuning.storage.store import FILES, Store, explained, problems_of
from rlzoo.untrusted import signature

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.study import StudyDirection
    from optuna.trial import FrozenTrial

YAML = "study.yaml"
LATEST = "latest"
SHOWN = 10
"""Studies of a storage that are named where the one that is looked for is not there."""


@dataclass(frozen=True)
class StudyFolder:
    """Where a study is.

    Attributes:
        folder: with its trials' runs; it need not be there if a storage was named.
        name: in its storage.
        store: its storage.
        described: what study.yaml says; None if there is none.
        own: whether this user began it.
    """

    folder: Path
    name: str
    store: Store
    described: dict[str, Any] | None
    own: bool


def find_study(study: str, studies_dir: Path, storage: str | None) -> StudyFolder:
    """The place of a study.

    Args:
        study: its name, its folder, or `latest`.
        studies_dir: where its folder is looked for.
        storage: that the user names; None is what the folder says, if it is the user's own.

    Raises:
        RlzooError: if there is no such study here and no storage is named, with exit code 7 if it is not the user's own
            and has more than an SQLite file to be read.
    """
    if storage is not None:
        _refuse(problems_of(storage))
    there = _folders(studies_dir)
    if study == LATEST and not there:
        raise RlzooError(f"there is no study in {studies_dir}", "study= names one, or its folder; studies_dir= a place")
    given = at_home(study)
    folder = there[-1] if study == LATEST else given if is_study(given) else studies_dir / study
    if not is_study(folder) and storage is None:
        names = [each.name for each in there]
        hint = f"{studies_dir} has: {', '.join(names[-10:])}" if names else "studies_dir= says where studies are"
        raise RlzooError(f"there is no study {study!r} in {studies_dir}{did_you_mean(study, names)}", hint)
    require_whole(folder)
    described, own = read_yaml(folder)
    name = described["study"] if described is not None else folder.resolve().name
    return StudyFolder(folder, name, _store(folder, storage, described, own), described, own)


def _store(folder: Path, storage: str | None, described: dict[str, Any] | None, own: bool) -> Store:
    """Where the trials are read from."""
    file = folder / FILES["sqlite"]
    if storage is None and not own:
        if not file.is_file():
            said = "" if described is None else f"; it says that its trials are in {described['search']['storage']}"
            raise RlzooError(
                f"{folder} was not begun here: of such a study its study.db is read, and there is none{said}",
                "storage=… names where they are, such as storage=journal; what is named there is taken at your word",
                ExitCode.UNSAFE,
            )
        return Store("sqlite", folder, foreign=file)
    kind = storage or str(described and described["search"]["storage"])
    if kind == "sqlite" and file.is_file():
        return Store(kind, folder, foreign=None if own else file)
    if storage is None:
        _refuse(problems_of(kind))  # an older rlzoo may have known it
    found = Store.of(kind, folder)
    return found if own or found.file is None else Store(found.kind, folder, foreign=found.file)


def require_trusted(folder: Path, *, trust: bool) -> None:
    """Let a study's folder be written to that is the user's own, or new, or trusted.

    Raises:
        RlzooError: with exit code 7 otherwise.
    """
    if trust is True or not is_study(folder):
        return
    if not read_yaml(folder)[1]:
        hint = "trust=true continues it, and signs it as yours; rlzoo tune import begins another with its best trials"
        raise RlzooError(f"the study in {folder} was not begun here, or its {YAML} was changed", hint, ExitCode.UNSAFE)


def require_whole(folder: Path) -> None:
    """Make sure that no link leads out of a study's folder, which need not be there.

    It may be a link itself to a study of the user's own.

    Raises:
        RlzooError: with exit code 7.
    """
    contained.require_way(folder)
    if folder.is_symlink() and not read_yaml(folder)[1]:
        message = f"{folder} is a link, and no study that was begun here is where it leads to"
        raise RlzooError(message, f"name that place itself: {folder.resolve()}", ExitCode.UNSAFE)
    contained.require_whole(folder)


def read_yaml(folder: Path) -> tuple[dict[str, Any] | None, bool]:
    """What study.yaml says, None if there is none, and whether this user wrote it as it is.

    Raises:
        RlzooError: if it is damaged.
    """
    path = folder / YAML
    if not path.exists():
        return None, False
    try:
        text = contained.read(path, folder, yaml_file.MAX_BYTES).decode("utf-8")
        values = yaml_file.parse_text(text, path).values
    except (ValueError, OSError) as error:
        raise contained.damaged(path, clean(error)) from error
    except RlzooError as error:
        raise error if error.code == ExitCode.UNSAFE else contained.damaged(path, error.message) from error
    if wrong := problem(StudyFile, values):
        raise contained.damaged(path, wrong)
    return values, signature.is_own(text)


def _folders(studies_dir: Path) -> list[Path]:
    """The folders of studies, the one that something happened to last at the end."""
    found = [each for each in studies_dir.iterdir() if is_study(each)] if studies_dir.is_dir() else []
    newest = {each: max(_changed(each / name) for name in (YAML, *FILES.values())) for each in found}
    return sorted(found, key=lambda each: (newest[each], each.name))


def _changed(path: Path) -> float:
    """When a file was written last, in seconds; 0 if it is not there (any more)."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def is_study(folder: Path) -> bool:
    """Whether a folder is a study's."""
    return any((folder / name).is_file() for name in (YAML, *FILES.values()))


def _refuse(problems: list[Problem]) -> None:
    if problems:
        raise RlzooError(str(problems[0]), code=code_of(problems))


@dataclass(frozen=True)
class Snapshot:
    """A study at one moment.

    Attributes:
        name: in the storage.
        directions: of its objectives.
        attributes: what is kept with it.
        trials: in the order of their numbers.
    """

    name: str
    directions: Sequence[StudyDirection]
    attributes: Mapping[str, Any]
    trials: Sequence[FrozenTrial]

    @property
    def request(self) -> dict[str, Any] | None:
        """What it was begun with, `train`, `search_space` and `search`; None if it is none of rlzoo's."""
        found: dict[str, Any] | None = self.attributes.get("request")
        return found


def read_study(store: Store, name: str) -> Snapshot:
    """The study of that name.

    Raises:
        RlzooError: if the storage is not there, cannot be read, or has no such study, or what it has is damaged.
    """
    import optuna

    with made_sense_of(store.name), explained(store), _opened(store) as storage:
        names = optuna.get_all_study_names(storage)
        if name not in names:
            there = f"it has: {', '.join(names[:SHOWN])}" if names else "it has none"
            raise RlzooError(f"there is no study {name!r} in {store.name}{did_you_mean(name, names)}", there)
        study = optuna.load_study(study_name=name, storage=storage)
        trials = sorted(study.get_trials(deepcopy=False), key=lambda trial: trial.number)
        found = Snapshot(name, study.directions, study.user_attrs, trials)
        if wrong := _wrong(found):
            raise RlzooError(f"the study {name} in {store.name} is damaged: {wrong}", code=ExitCode.STORAGE)
        return found


def study_names(store: Store) -> list[str]:
    """The studies of a storage.

    Raises:
        RlzooError: if it is not there, or cannot be read.
    """
    import optuna

    with made_sense_of(store.name), explained(store), _opened(store) as storage:
        return optuna.get_all_study_names(storage)


@contextmanager
def made_sense_of(where: str) -> Iterator[None]:
    """Whatever is raised by what a storage holds, which Optuna and others take for what they wrote: it is damaged."""
    try:
        yield
    except RlzooError:
        raise
    except Exception as error:
        reason = f"no sense can be made of it: {type(error).__name__}: {error}".splitlines()[0]
        raise RlzooError(f"{where} is damaged: {reason}", code=ExitCode.STORAGE) from error


@contextmanager
def _opened(store: Store) -> Iterator[BaseStorage]:
    from optuna.storages import RDBStorage

    if store.file is not None and not store.file.is_file():
        hint = "storage= names a study's storage where it is not a file; has its first trial begun?"
        raise RlzooError(f"there is no {store.file}", hint)
    with ExitStack() as stack:
        if store.kind == "sqlite":
            from sqlalchemy.pool import StaticPool

            assert store.file is not None
            memory = stack.enter_context(closing(sqlite3.connect(":memory:", check_same_thread=False)))
            storage = RDBStorage("sqlite://", engine_kwargs={"creator": lambda: memory, "poolclass": StaticPool})
            stack.callback(storage.engine.dispose)
            tables.fill(memory, store.file, busy_seconds=store.busy_seconds, own=store.foreign is None)
            yield storage
        elif store.kind == "journal":
            if store.foreign is not None:
                tables.require_moderate(store.foreign)
            yield store.journal()
        elif store.is_proxy:
            stack.callback(store.close)
            yield store.open()
        else:
            _check_tables(store)
            options = {**store.engine_options, "execution_options": {"postgresql_readonly": True}}
            try:
                storage = RDBStorage(store.url, engine_kwargs=options, skip_table_creation=True)
            except RuntimeError as error:  # its tables differ too much
                raise RlzooError(f"{store.name} was written by another version of Optuna: {error}") from error
            stack.callback(storage.engine.dispose)
            yield storage


def _check_tables(store: Store) -> None:
    """Whether a database has anything of Optuna's; asked first, as opening it would make the tables."""
    from sqlalchemy import create_engine, inspect

    engine = create_engine(store.url, **store.engine_options)
    try:
        if not inspect(engine).has_table("studies"):
            raise RlzooError(f"there is no study in {store.name}", "is it the right database?")
    finally:
        engine.dispose()


def _wrong(study: Snapshot) -> str:
    """What of a study is not as rlzoo writes it; nothing if all is, or if it is none of rlzoo's."""
    if any(len(t.values or ()) != len(study.directions) for t in study.trials if t.state.name == "COMPLETE"):
        return "complete trials without a score"
    if wrong := problem(StudyAttributes, dict(study.attributes)):
        return wrong
    if study.request is None:
        return ""
    for trial in study.trials:
        if wrong := problem(TrialAttributes, dict(trial.user_attrs)):
            return f"of trial {trial.number}, {wrong}"
    return _outside(study)


def _outside(study: Snapshot) -> str:
    """A value that cannot have been drawn: what it would become need not even be a number that memory holds."""
    assert study.request is not None
    for parameter in read_space(study.request["search_space"], study.request["train"])[0].parameters:
        ends: Any = parameter.transform.distribution()
        if not hasattr(ends, "low"):
            continue
        slack = 1e-6 * max(abs(ends.low), abs(ends.high))
        for trial in study.trials:
            value = trial.params.get(parameter.raw_name, ends.low)
            if not isinstance(value, int | float) or not ends.low - slack <= value <= ends.high + slack:
                return f"{parameter.raw_name} of trial {trial.number} lies outside of {ends.low:g} to {ends.high:g}"
    return ""
