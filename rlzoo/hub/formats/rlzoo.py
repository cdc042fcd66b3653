"""Agents as `rlzoo push-to-hub` publishes them: the run's own configuration and checkpoint, copied and verified."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from typing import Any

from rlzoo.errors import ExitCode, RlzooError
from rlzoo.hub.formats import source as imported
from rlzoo.hub.formats.published import read_json
from rlzoo.hub.formats.repository import Repository
from rlzoo.hub.formats.source import Source
from rlzoo.runs import checkpoints
from rlzoo.runs.run import Run
from rlzoo.untrusted.zoo_yaml import read_config

CONFIG, INFO = "config.yaml", "rlzoo/info.json"
CHECKPOINT = "rlzoo/checkpoint"
MANIFEST = f"{CHECKPOINT}/manifest.json"
TABLES = ("metrics.csv", "evaluations.csv")
PART = re.compile(rf"{CHECKPOINT}/(?!manifest\.)[a-z_]{{1,40}}\.(safetensors|json)")
KEPT = (
    "started", "finished", "wall_seconds", "versions", "python", "platform", "cpu", "cpu_count", "memory_gib", "gpu",
    "torch_threads", "determinism", "variables", "hyperparams", "words", "run",
)  # fmt: skip
"""What is taken over of the circumstances that the repository tells."""
LOCAL = {"runs_dir": "runs", "n_seeds": 1, "n_jobs": 1, "init_from": None}
"""Settings of the place where it was trained, which mean nothing here."""


def files(names: Sequence[str]) -> tuple[str, ...]:
    """The files of a repository that belong to this layout."""
    fixed = (CONFIG, INFO, MANIFEST, *(f"rlzoo/{name}" for name in TABLES))
    return tuple(name for name in names if name in fixed or PART.fullmatch(name))


def read(repository: Repository, run: Run, source: Source) -> tuple[dict[str, Any], str]:
    """Copy the checkpoint and the tables into a run.

    Returns:
        The run's configuration, and the name of the checkpoint.

    Raises:
        RlzooError: if a file is refused, damaged or missing.
    """
    values = _values(repository, source)
    info = _info(repository, source)
    package = info.get("package")
    name = package.get("checkpoint") if isinstance(package, dict) else None
    name = name if name in ("best", "last") else "last"
    folder = run.checkpoint(name).path
    folder.mkdir(parents=True)
    for published in files(repository.names()):
        if published.startswith(f"{CHECKPOINT}/"):
            shutil.copyfile(repository.need(published), folder / published.rpartition("/")[2])
    checkpoints.verify(run.checkpoint(name))
    for table in TABLES:
        path = repository.find(f"rlzoo/{table}")
        if path is not None:
            shutil.copyfile(path, run.path / table)
    run.write_info({key: info[key] for key in KEPT if key in info})
    return values, name


def _values(repository: Repository, source: Source) -> dict[str, Any]:
    """The published configuration, checked; what it leaves out has rlzoo's default."""
    path = repository.need(CONFIG)
    try:
        published = read_config(path)
    except RlzooError as error:
        raise RlzooError(
            f"{CONFIG} of {source.origin} is not taken: {error.message}", error.hint, error.code
        ) from error
    algo, env = published.get("algo"), published.get("env")
    if not isinstance(algo, dict) or not isinstance(env, dict):
        raise RlzooError(f"{CONFIG} of {source.origin} has no algo and no env", code=ExitCode.UNSAFE)
    if source.wishes.algo not in (None, algo.get("name")):
        raise RlzooError(f"{source.origin} holds {algo.get('name')}, not {source.wishes.algo}", "leave out algo=")
    if source.wishes.env_id is not None:
        env["id"] = source.wishes.env_id
    values = imported.defaults(str(algo.get("name")), str(env.get("id")))
    launcher = values["launcher"]
    values |= {**published, **LOCAL, "launcher": launcher, "logger": {"csv": {}}}
    declared = {key: env.get(key) for key in ("observation_space", "action_space")}
    imported.checked(values, source, where=f"{CONFIG} of {source.origin.name}")
    env |= declared
    return values


def _info(repository: Repository, source: Source) -> dict[str, Any]:
    path = repository.find(INFO)
    if path is None:
        return {}
    try:
        found = read_json(path)
        json.dumps(found, allow_nan=False)
    except ValueError as error:
        source.notes.assume(f"{INFO} is left out: {str(error)[:100]}")
        return {}
    return found
