"""rlzoo's own files in a package: what it takes to make the published folder a run again."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlzoo import contained
from rlzoo.config import records, yaml_file
from rlzoo.config.parse import dump
from rlzoo.errors import ExitCode, RlzooError
from rlzoo.escape import shell
from rlzoo.evaluation import plot
from rlzoo.hub.formats import event_log
from rlzoo.hub.privacy import portable, portable_words
from rlzoo.registry import version_of
from rlzoo.runs import checkpoints, tables
from rlzoo.runs.info import PACKAGES
from rlzoo.runs.run import MAX_BYTES, Run

if TYPE_CHECKING:
    from rlzoo.evaluation.agent import Agent

FORMAT = 1
INFO = "rlzoo/info.json"
KEPT = (
    "status", "started", "finished", "wall_seconds", "versions", "python", "platform", "cpu", "cpu_count", "memory_gib",
    "gpu", "torch_threads", "determinism", "variables", "hyperparams", "git",
)  # fmt: skip
"""What a run's info.json says that means something elsewhere."""


def write(folder: Path, name: str, agent: Agent) -> None:
    """Write config.yaml, requirements.txt, learning_curve.png, and what lies in `logs/` and `rlzoo/`."""
    run = agent.run
    (folder / "config.yaml").write_text(yaml_file.dump(published_config(agent)), encoding="utf-8")
    (folder / "requirements.txt").write_text("".join(f"{line}\n" for line in requirements()), encoding="utf-8")
    checkpoints.export(agent.checkpoint, folder / "rlzoo" / "checkpoint")
    for file in (run.metrics_file, run.evaluations_file):
        if file.is_file():
            with suppress(RlzooError):  # one that is damaged is of use to nobody
                (folder / "rlzoo" / file.name).write_bytes(tables.escaped(file))
    event_log.write(folder, run)
    info = {**published_info(run), "package": {"format": FORMAT, "name": name, "checkpoint": agent.checkpoint.name}}
    _write_json(folder / INFO, info)
    plot.learning_curve(run, folder / "learning_curve.png")


def write_list(folder: Path) -> None:
    """Note the names of all files in rlzoo/info.json, by which a folder is known to hold nothing else."""
    info = json.loads((folder / INFO).read_text(encoding="utf-8"))
    info["package"]["files"] = sorted(_files(folder))
    _write_json(folder / INFO, info)


def require_free(folder: Path, name: str) -> str:
    """Make sure that a package can be put at `folder`.

    Returns:
        The README.md of the package of that name which is there, empty if there is none.

    Raises:
        RlzooError: if something else is there.
    """
    contained.require_way(folder)
    if folder.is_dir() and not any(folder.iterdir()):
        return ""
    if not folder.exists() and not folder.is_symlink():
        return ""
    hint = "choose another place with folder="
    if folder.is_symlink() or not folder.is_dir():
        raise RlzooError(f"{folder} is in the way: it is no folder", hint, ExitCode.STORAGE)
    package = _package(folder)
    if package is None:
        raise RlzooError(f"{folder} is not empty and no package of rlzoo's", hint, ExitCode.STORAGE)
    contained.require_whole(folder)
    if package.get("name") != name:
        raise RlzooError(f"{folder} holds the package {package.get('name')}, not {name}", hint, ExitCode.STORAGE)
    foreign = sorted(_files(folder) - set(package.get("files") or ()))
    if foreign:
        shown = ", ".join(foreign[:5])
        message = f"{folder} also holds files that rlzoo did not write, and replacing it would remove them: {shown}"
        raise RlzooError(message, f"move them away, or {hint}", ExitCode.STORAGE)
    try:
        return contained.read(folder / "README.md", folder, MAX_BYTES).decode("utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        raise RlzooError(f"{folder}/README.md cannot be read", "move it away", ExitCode.STORAGE) from error


def require_package(folder: Path) -> None:
    """Make sure that `folder` is a package: any other, a home or a project, may hold what nobody wants to publish.

    Raises:
        RlzooError: if it is none.
    """
    contained.require_way(folder)
    if _package(folder) is None:
        what = (
            "is no package of rlzoo's" if folder.is_dir() else "is not there" if not folder.exists() else "is no folder"
        )
        raise RlzooError(
            f"{folder} {what}", f"rlzoo package {shell(f'folder={folder}')} makes one", ExitCode.WRONG_REQUEST
        )


def published_config(agent: Agent) -> dict[str, Any]:
    """The run's configuration without secrets, and without what holds on its machine alone."""
    values = dump(agent.config)
    local = {"runs_dir": "runs", "n_seeds": 1, "n_jobs": 1, "launcher": {"name": "local"}, "logger": {}}
    local["init_from"] = None
    published: dict[str, Any] = portable(values | local)
    return published


def published_info(run: Run) -> dict[str, Any]:
    """What the run says of its circumstances, without the machine's name and places."""
    info = run.read_info()
    found = {key: info[key] for key in KEPT if key in info}
    found["words"] = portable_words([str(word) for word in info.get("words") or ()])
    found["initialised"] = run.read_config().get("init_from") is not None
    published: dict[str, Any] = portable(found)
    return published


def requirements() -> list[str]:
    """The installed packages that decide about a result, with their exact versions."""
    return [f"{name}=={found.partition('+')[0]}" for name in PACKAGES if (found := version_of(name))]


def _package(folder: Path) -> dict[str, Any] | None:
    """What a package says of itself; None if it is none."""
    try:
        package = json.loads(contained.read(folder / INFO, folder, MAX_BYTES).decode("utf-8"))["package"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return None if records.problem(records.Package, package) else package


def _files(folder: Path) -> set[str]:
    found = (path for path in contained.walk(folder) if not path.is_dir() or path.is_symlink())
    return {path.relative_to(folder).as_posix() for path in found}


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
