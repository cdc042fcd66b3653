"""Packages of rlzoo: the run's own configuration, checkpoint and tables, written and read again, copied and verified.

The metrics of the training lie in `logs/` as a TensorBoard event file, where the Deep RL Course's unit 8 puts its own.
It is made from the run's metrics.csv: the run's own event files hold its configuration, name its machine, and after a
resumed training what was taken back. Its clock stands still at the beginning of the training.
"""

from __future__ import annotations

import io
import json
import math
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlzoo import contained
from rlzoo.config import records, yaml_file
from rlzoo.config.parse import dump
from rlzoo.errors import ExitCode, RlzooError
from rlzoo.evaluation import plot
from rlzoo.hub.formats.source import Source, checked, defaults, write_json
from rlzoo.hub.privacy import portable, portable_words
from rlzoo.redaction import shell
from rlzoo.registry import version_of
from rlzoo.runs import checkpoints, tables
from rlzoo.runs.info import PACKAGES
from rlzoo.runs.run import MAX_BYTES, Run
from rlzoo.untrusted.zoo_yaml import read_config

if TYPE_CHECKING:
    from rlzoo.evaluation.agent import Agent

FORMAT = 1
CONFIG, INFO = "config.yaml", "rlzoo/info.json"
CHECKPOINT = "rlzoo/checkpoint"
MANIFEST = f"{CHECKPOINT}/manifest.json"
TABLES = ("metrics.csv", "evaluations.csv")
PART = re.compile(rf"{CHECKPOINT}/(?!manifest\.)[a-z_]{{1,40}}\.(safetensors|json)")
LOGS = "logs"
CIRCUMSTANCES = (
    "started", "finished", "wall_seconds", "versions", "python", "platform", "cpu", "cpu_count", "memory_gib", "gpu",
    "torch_threads", "determinism", "variables", "hyperparams",
)  # fmt: skip
"""What a run's info.json says that means something elsewhere."""
WRITTEN, READ = ("status", *CIRCUMSTANCES, "git"), (*CIRCUMSTANCES, "words", "run")
LOCAL = {"runs_dir": "runs", "n_seeds": 1, "n_jobs": 1, "init_from": None}
"""Settings of the place where it was trained, which mean nothing elsewhere."""


def write(folder: Path, name: str, agent: Agent) -> None:
    """Write config.yaml, requirements.txt, learning_curve.png, and what lies in `logs/` and `rlzoo/`."""
    run = agent.run
    (folder / CONFIG).write_text(yaml_file.dump(published_config(agent)), encoding="utf-8")
    (folder / "requirements.txt").write_text("".join(f"{line}\n" for line in requirements()), encoding="utf-8")
    checkpoints.export(agent.checkpoint, folder / CHECKPOINT)
    for file in (run.metrics_file, run.evaluations_file):
        if file.is_file():
            with suppress(RlzooError):  # one that is damaged is of use to nobody
                (folder / "rlzoo" / file.name).write_bytes(tables.escaped(file))
    _write_events(folder / LOGS, run)
    info = {**published_info(run), "package": {"format": FORMAT, "name": name, "checkpoint": agent.checkpoint.name}}
    write_json(folder / INFO, info)
    plot.learning_curve(run, folder / "learning_curve.png")


def write_list(folder: Path) -> None:
    """Note the names of all files in rlzoo/info.json, by which a folder is known to hold nothing else."""
    info = json.loads((folder / INFO).read_text(encoding="utf-8"))
    info["package"]["files"] = sorted(_files(folder))
    write_json(folder / INFO, info)


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
        raise RlzooError(f"{folder} is in the way: it is not a folder", hint, ExitCode.STORAGE)
    package = _package(folder)
    if package is None:
        raise RlzooError(f"{folder} is not empty and is not a package of rlzoo's", hint, ExitCode.STORAGE)
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
            "is not there"
            if not folder.exists()
            else "is not a package of rlzoo's"
            if folder.is_dir()
            else "is not a folder"
        )
        raise RlzooError(
            f"{folder} {what}", f"rlzoo package {shell(f'folder={folder}')} makes one", ExitCode.WRONG_REQUEST
        )


def files(names: Sequence[str]) -> tuple[str, ...]:
    """The files of a repository that belong to this layout."""
    fixed = (CONFIG, INFO, MANIFEST, *(f"rlzoo/{name}" for name in TABLES))
    return tuple(name for name in names if name in fixed or PART.fullmatch(name))


def read(source: Source, file: str, run: Run) -> tuple[dict[str, Any], str]:
    """Copy the checkpoint, whose manifest is `file`, and the tables into a run.

    Returns:
        The run's configuration, and the name of the checkpoint.

    Raises:
        RlzooError: if a file is refused, damaged or missing.
    """
    values = _values(source)
    info = source.keys_and_values(INFO, finite=True)
    package = info.get("package")
    name = package.get("checkpoint") if isinstance(package, dict) else None
    name = name if name in ("best", "last") else "last"
    folder = run.checkpoint(name).path
    folder.mkdir(parents=True)
    for published in files(source.repository.names()):
        if published.startswith(f"{CHECKPOINT}/"):
            shutil.copyfile(source.repository.need(published), folder / published.rpartition("/")[2])
    checkpoints.verify(run.checkpoint(name))
    for table in TABLES:
        path = source.repository.find(f"rlzoo/{table}")
        if path is not None:
            shutil.copyfile(path, run.path / table)
    run.write_info({key: info[key] for key in READ if key in info})
    return values, name


def published_config(agent: Agent) -> dict[str, Any]:
    """The run's configuration without secrets, and without what holds on its machine alone."""
    values = dump(agent.config)
    published: dict[str, Any] = portable({**values, **LOCAL, "launcher": {"name": "local"}, "logger": {}})
    return published


def published_info(run: Run) -> dict[str, Any]:
    """What the run says of its circumstances, without the machine's name and places."""
    info = run.read_info()
    found = {key: info[key] for key in WRITTEN if key in info}
    found["words"] = portable_words([str(word) for word in info.get("words") or ()])
    found["initialised"] = run.read_config().get("init_from") is not None
    published: dict[str, Any] = portable(found)
    return published


def requirements() -> list[str]:
    """The installed packages that decide about a result, with their exact versions."""
    return [f"{name}=={found.partition('+')[0]}" for name in PACKAGES if (found := version_of(name))]


def _values(source: Source) -> dict[str, Any]:
    """The published configuration, checked; what it leaves out has rlzoo's default."""
    path = source.repository.need(CONFIG)
    try:
        published = read_config(path)
    except RlzooError as error:
        raise RlzooError(
            f"{CONFIG} of {source.origin} is not taken: {error.message}", error.hint, error.code
        ) from error
    algo, env = published.get("algo"), published.get("env")
    if not isinstance(algo, dict) or not isinstance(env, dict):
        raise RlzooError(f"{CONFIG} of {source.origin} has no algo and no env", code=ExitCode.UNSAFE)
    if source.options.algo not in (None, algo.get("name")):
        raise RlzooError(f"{source.origin} holds {algo.get('name')}, not {source.options.algo}", "leave out algo=")
    if source.options.env_id is not None:
        env["id"] = source.options.env_id
    values = defaults(str(algo.get("name")), str(env.get("id")))
    launcher = values["launcher"]
    values |= {**published, **LOCAL, "launcher": launcher, "logger": {"csv": {}}}
    declared = {key: env.get(key) for key in ("observation_space", "action_space")}
    checked(values, source, where=f"{CONFIG} of {source.origin.name}")
    env |= declared
    return values


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


def _write_events(folder: Path, run: Run) -> None:
    """Write the event file; nothing if the run has no metrics."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    began = _began(run.read_info().get("started"))
    data = io.BytesIO()
    records = RecordWriter(data)
    records.write(Event(wall_time=began, file_version="brain.Event:2").SerializeToString())
    empty = data.tell()
    for step, metrics in _metrics(run.metrics_file):
        values = [Summary.Value(tag=name, simple_value=value) for name, value in metrics.items()]
        records.write(Event(wall_time=began, step=step, summary=Summary(value=values)).SerializeToString())
    if data.tell() > empty:
        folder.mkdir()
        (folder / f"events.out.tfevents.{int(began):010d}.rlzoo").write_bytes(data.getvalue())


def _metrics(path: Path) -> Iterator[tuple[int, dict[str, float]]]:
    """Of every row the step, and every number by its name; nothing of a table that is damaged."""
    with suppress(RlzooError):
        for row in tables.read(path)[1]:
            step = tables.number(row.pop("step", None))
            numbers = {name: tables.number(cell) for name, cell in row.items() if name and cell}
            metrics = {name: number for name, number in numbers.items() if not math.isnan(number)}
            if 0 <= step < 2**63 and metrics:
                yield int(step), metrics


def _began(text: Any) -> float:
    """Seconds since 1970; 0 if nobody knows."""
    with suppress(TypeError, ValueError, OverflowError):
        return max(datetime.fromisoformat(text).timestamp(), 0.0)
    return 0.0
