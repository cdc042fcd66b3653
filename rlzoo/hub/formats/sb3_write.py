"""Stable-Baselines3's files: the zip that its `load` opens, the same unzipped, and the normalisation statistics."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlzoo.hub.privacy import portable
from rlzoo.runs import checkpoints
from rlzoo.runs.run import Checkpoint
from rlzoo.untrusted import pickle_files

if TYPE_CHECKING:
    from rlzoo.evaluation.agent import Agent

BEGINNING_OF_TIME = (1980, 1, 1, 0, 0, 0)
"""The date of every file in a zip: the same contents give the same bytes."""


def write_model(folder: Path, name: str, agent: Agent) -> None:
    """Write `<name>.zip`, its contents in `<name>/`, and `config.json`, what it says about itself without pickle.

    The zip of a checkpoint of this user's own run is taken as it is; any other is made anew from the weights.
    """
    contents = _contents(agent)
    write_zip(folder / f"{name}.zip", contents)
    (folder / name).mkdir()
    for entry, data in contents.items():
        (folder / name / entry).write_bytes(data)
    described = {key: _plain(value) for key, value in json.loads(contents["data"]).items()}
    described["system_info"] = _system_info(contents.get("system_info.txt", b"").decode("utf-8"))
    (folder / "config.json").write_text(json.dumps(portable(described), indent=2) + "\n", encoding="utf-8")


def write_zip(path: Path, contents: dict[str, bytes]) -> None:
    """Write a zip whose bytes depend on its contents alone."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in contents.items():
            archive.writestr(zipfile.ZipInfo(name, BEGINNING_OF_TIME), data)


def write_statistics(path: Path, agent: Agent) -> None:
    """Write `vec_normalize.pkl` as the training had it: going on with it normalises rewards again if it did."""
    from stable_baselines3.common.vec_env import unwrap_vec_normalize

    env = agent.make_env()
    try:
        normalize = unwrap_vec_normalize(env)
        assert normalize is not None
        chosen = agent.config.env.normalize
        normalize.training = True
        normalize.norm_reward = bool(chosen.get("norm_reward", True)) if isinstance(chosen, dict) else True
        pickle_files.write_vec_normalize(path, env)
    finally:
        env.close()


def _contents(agent: Agent) -> dict[str, bytes]:
    """The files in the zip of an agent, in their order."""
    buffer = io.BytesIO()
    if _has_own_zip(agent):
        buffer.write(agent.checkpoint.model_zip.read_bytes())
    else:
        agent.algorithm.model.save(buffer)  # type: ignore[attr-defined]
    with zipfile.ZipFile(buffer) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _has_own_zip(agent: Agent) -> bool:
    checkpoint: Checkpoint = agent.checkpoint
    if not agent.run.is_own() or not checkpoint.model_zip.is_file():
        return False
    if "model.zip" not in checkpoints.read_manifest(checkpoint)["files"]:
        return False
    checkpoints.read(checkpoint, (checkpoints.ALGORITHM, "model"))  # it is what was written
    return True


def _plain(value: Any) -> Any:
    """A value of the zip's description without its pickle, and without the class it is of."""
    if not isinstance(value, dict) or ":type:" not in value:
        return value
    shown = {key: part for key, part in value.items() if not key.startswith("__") and " at 0x" not in str(part)}
    return {key: part for key, part in shown.items() if key != ":serialized:"}


def _system_info(text: str) -> dict[str, str]:
    pairs = (line.removeprefix("- ").partition(": ") for line in text.splitlines())
    return {key: value for key, _, value in pairs if key}
