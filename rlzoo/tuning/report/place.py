"""Where a study is: its folder, its name in its storage, and that storage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rlzoo.config import yaml_file
from rlzoo.errors import ExitCode, RlzooError
from rlzoo.registry import did_you_mean
from rlzoo.tuning.storage import problems_of

YAML = "study.yaml"
FILES = {"study.db": "sqlite", "journal.log": "journal"}
LATEST = "latest"


def find(study: str, studies_dir: Path, storage: str | None) -> tuple[Path, str, str]:
    """The folder of a study, its name in its storage, and that storage.

    Raises:
        RlzooError: if there is no such study here and no storage is named.
    """
    if storage is not None and (problems := problems_of(storage)):
        code = ExitCode.MISSING if all(each.missing for each in problems) else ExitCode.WRONG_REQUEST
        raise RlzooError(str(problems[0]), code=code)
    there = _folders(studies_dir)
    if study == LATEST and not there:
        raise RlzooError(f"there is no study in {studies_dir}", "study= names one, or its folder; studies_dir= a place")
    given = Path(study).expanduser()
    folder = there[-1] if study == LATEST else given if is_study(given) else studies_dir / study
    if not is_study(folder) and storage is None:
        names = [each.name for each in there]
        hint = f"{studies_dir} has: {', '.join(names[-10:])}" if names else "studies_dir= says where studies are"
        raise RlzooError(f"there is no study {study!r} in {studies_dir}{did_you_mean(study, names)}", hint)
    kept = described(folder)
    own = next((kind for file, kind in FILES.items() if (folder / file).is_file()), "sqlite")
    kind = storage or str(kept.get("search", {}).get("storage") or own)
    return folder, str(kept.get("study") or folder.resolve().name), kind


def _folders(studies_dir: Path) -> list[Path]:
    """The folders of studies, the one that something happened to last at the end."""
    found = [each for each in studies_dir.iterdir() if is_study(each)] if studies_dir.is_dir() else []
    files = (YAML, *FILES)
    newest = {each: max((each / f).stat().st_mtime for f in files if (each / f).is_file()) for each in found}
    return sorted(found, key=lambda each: (newest[each], each.name))


def is_study(folder: Path) -> bool:
    """Whether a folder is a study's."""
    return any((folder / name).is_file() for name in (YAML, *FILES))


def described(folder: Path) -> dict[str, Any]:
    """What `study.yaml` says, nothing if there is none."""
    path = folder / YAML
    return yaml_file.read(path).values if path.is_file() else {}
