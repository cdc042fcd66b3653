"""What lists need of every run, kept in the user's cache: to read thousands of runs anew takes many seconds.

Of a run whose files have changed since, and of all where the index is damaged or not this user's, the files are read.
Whether a run is being trained is not kept: its lock says it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rlzoo import __version__, contained
from rlzoo.config.paths import cache_home
from rlzoo.errors import RlzooError
from rlzoo.runs.run import Run
from rlzoo.untrusted import signature

FORMAT = f"{__version__} 2"
"""Its number is to be raised whenever `Summary`, or what is read into one, changes."""
LEFT_OUT = ("returns", "lengths", "seeds", "selection")
"""Of an evaluation: what there is of every episode. How many of its seeds repeat others is kept, as `n_repeated`."""
LARGEST, MAX_BYTES = 100_000, 2**28
"""Characters of a summary that is kept, a stranger's may be any; bytes of an index that is read."""
MAX_FILES = 50
"""Folders of runs whose index is kept: those that were listed last."""


@dataclass(frozen=True)
class Summary:
    """A run that can be read: its config.yaml, what info.json says, its evaluations, and the steps of its training."""

    config: dict[str, Any]
    info: dict[str, Any]
    entries: list[dict[str, Any]]
    trained: int


Known = Mapping[Path, Summary | RlzooError]
"""What is known of runs, or what is wrong with them, by their paths."""


def summaries(runs: Sequence[Run], root: Path | str | None = None) -> Known:
    """What is known of every run; an index is kept if `root` is the folder that they were found in."""
    found: dict[Path, Summary | RlzooError] = {}
    file = None if root is None else _file(root)
    kept, rows = {} if file is None else _load(file), {}
    for run in runs:
        name, stamps = os.path.abspath(run.path), run.stamps()  # noqa: PTH100 - as it is written, links and all
        row = kept.get(name)
        if row is None or row[0] != stamps:
            try:
                row = [stamps, asdict(_read(run))]
            except RlzooError as error:
                found[run.path] = error
                continue
        found[run.path] = Summary(**row[1])
        if row is kept.get(name) or len(str(row)) < LARGEST:
            rows[name] = row
    if file is not None and rows != kept:
        _save(file, rows)
    return found


def _read(run: Run) -> Summary:
    config, results, info = run.read_config(), run.read_results(), run.read_info()
    entries = list(map(_in_short, results))
    about = {key: value for key, value in info.items() if key in ("status", "versions")}
    return Summary(config, about, entries, run.trained_timesteps())


def _in_short(entry: Mapping[str, Any]) -> dict[str, Any]:
    seeds = entry.get("seeds") or ()
    repeated = {"n_repeated": len(seeds) - len(set(map(str, seeds)))} if isinstance(seeds, Sequence) else {}
    return {key: value for key, value in entry.items() if key not in LEFT_OUT} | repeated


def _file(root: Path | str) -> Path | None:
    folder, name = cache_home(), os.fsencode(os.path.abspath(root))  # noqa: PTH100
    return folder and folder / "rlzoo" / "runs" / f"{hashlib.sha256(name).hexdigest()[:32]}.json"


def _load(file: Path) -> dict[str, Any]:
    """The rows of an index as this user has written them; none of any other."""
    try:
        text = contained.read(file, file.parent, MAX_BYTES).decode()
        content = json.loads(text.partition("\n")[2]) if signature.is_own(text) else {}
    except (OSError, ValueError, RlzooError):
        return {}
    rows: dict[str, Any] = content["rows"] if content.get("format") == FORMAT else {}
    return rows


def _save(file: Path, rows: Mapping[str, Any]) -> None:
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            temporary.write_text(signature.signed(json.dumps({"format": FORMAT, "rows": rows})))
            temporary.replace(file)
        finally:
            temporary.unlink(missing_ok=True)
        for old in sorted(file.parent.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)[:-MAX_FILES]:
            old.unlink(missing_ok=True)
