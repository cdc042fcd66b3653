"""Where a study is, whose it is, and what its study.yaml says.

A study that this user began says so by the signature of its study.yaml (`untrusted.signature`). Of any other folder the
SQLite file in it is read, as data: no other storage that it names, and nothing through links that lead out of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlzoo import contained
from rlzoo.config import yaml_file
from rlzoo.config.paths import at_home
from rlzoo.config.records import problem
from rlzoo.config.study_records import StudyFile
from rlzoo.errors import ExitCode, Problem, RlzooError, clean, code_of
from rlzoo.registry import did_you_mean
from rlzoo.tuning.storage.store import Store, problems_of
from rlzoo.untrusted import signature as origin

YAML = "study.yaml"
FILES = {"study.db": "sqlite", "journal.log": "journal"}
LATEST = "latest"


@dataclass(frozen=True)
class Place:
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


def find(study: str, studies_dir: Path, storage: str | None) -> Place:
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
    described, own = read(folder)
    name = described["study"] if described is not None else folder.resolve().name
    return Place(folder, name, _store(folder, storage, described, own), described, own)


def _store(folder: Path, storage: str | None, described: dict[str, Any] | None, own: bool) -> Store:
    """Where the trials are read from."""
    file = folder / "study.db"
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


def admit(folder: Path, *, trust: bool) -> None:
    """Let a study's folder be written to that is the user's own, or new, or trusted.

    Raises:
        RlzooError: with exit code 7 otherwise.
    """
    if trust is True or not is_study(folder):
        return
    if not read(folder)[1]:
        hint = "trust=true continues it, and signs it as yours; rlzoo tune import begins another with its best trials"
        raise RlzooError(f"the study in {folder} was not begun here, or its {YAML} was changed", hint, ExitCode.UNSAFE)


def require_whole(folder: Path) -> None:
    """Make sure that no link leads out of a study's folder, which need not be there.

    It may be a link itself to a study of the user's own.

    Raises:
        RlzooError: with exit code 7.
    """
    contained.require_way(folder)
    if folder.is_symlink() and not read(folder)[1]:
        message = f"{folder} is a link, and no study that was begun here is where it leads to"
        raise RlzooError(message, f"name that place itself: {folder.resolve()}", ExitCode.UNSAFE)
    contained.require_whole(folder)


def read(folder: Path) -> tuple[dict[str, Any] | None, bool]:
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
    return values, origin.is_own(text)


def _folders(studies_dir: Path) -> list[Path]:
    """The folders of studies, the one that something happened to last at the end."""
    found = [each for each in studies_dir.iterdir() if is_study(each)] if studies_dir.is_dir() else []
    files = (YAML, *FILES)
    newest = {each: max((each / f).stat().st_mtime for f in files if (each / f).is_file()) for each in found}
    return sorted(found, key=lambda each: (newest[each], each.name))


def is_study(folder: Path) -> bool:
    """Whether a folder is a study's."""
    return any((folder / name).is_file() for name in (YAML, *FILES))


def _refuse(problems: list[Problem]) -> None:
    if problems:
        raise RlzooError(str(problems[0]), code=code_of(problems))
