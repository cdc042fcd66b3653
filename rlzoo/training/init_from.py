"""`init_from=`: the weights that a training begins with, out of a run, a checkpoint, an SB3 zip or a Q-table.

Networks, learned coefficients and normalisation statistics are taken over; optimizers, counters, buffers and random
generators start afresh.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlzoo import contained
from rlzoo.algos.specs import find_spec
from rlzoo.config.parse import parse
from rlzoo.config.paths import at_home
from rlzoo.config.schema import TrainConfig
from rlzoo.errors import Problem, RlzooError
from rlzoo.protocols import Algorithm, HasWeights, State
from rlzoo.runs import checkpoints
from rlzoo.runs.run import Checkpoint, Run
from rlzoo.untrusted import pickle_files, sb3_zip

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv

STATISTICS = ("vec_normalize.pkl", "vecnormalize.pkl")
"""Where other tools keep the normalisation statistics, beside the zip or in a folder of the zip's name."""

LEARNED = (checkpoints.ALGORITHM, checkpoints.NORMALIZATION)


@dataclass(frozen=True)
class Source:
    """What `init_from` names: one checkpoint, one zip with its statistics if it has any, or a `q-learning.pkl`."""

    checkpoint: Checkpoint | None = None
    zip_file: Path | None = None
    statistics: Path | None = None
    q_table: Path | None = None

    @property
    def path(self) -> Path:
        path = self.checkpoint.path if self.checkpoint else self.zip_file or self.q_table
        assert path is not None
        return path


def is_by_age(text: str) -> bool:
    """Whether `init_from` is `latest` or `algo/env`: a name that means another run as soon as this one has begun."""
    return not at_home(text).exists()


def pinned(cfg: TrainConfig) -> str | None:
    """`init_from` with the run that such a name means now, before any training of the request has begun."""
    if cfg.init_from is None or not is_by_age(cfg.init_from):
        return cfg.init_from
    return str(Run.open(cfg.init_from, cfg.runs_dir).path)


def find(text: str, runs_dir: str) -> Source:
    """Look up what `init_from` names.

    Raises:
        RlzooError: if there is nothing of that name, or it holds no weights.
    """
    path = at_home(text)
    contained.require_way(path)
    if path.is_file():
        return _file(path)
    if (path / "manifest.json").is_file():
        return Source(Checkpoint(path.resolve()))
    if path.is_dir() and not (path / "info.json").is_file():
        zips = sorted(path.glob("*.zip"))
        if len(zips) != 1:
            names = ", ".join(file.name for file in zips) or "none"
            raise RlzooError(
                f"{path} is neither a run nor a checkpoint, and has no single zip: {names}", "name the file"
            )
        return _file(zips[0])
    return Source(Run.open(text, runs_dir).find_checkpoint())


def check(cfg: TrainConfig) -> list[Problem]:
    """What is wrong with `init_from`, as far as it can be known without torch; `training.rehearse` finds the rest."""
    if cfg.init_from is None:
        return []
    try:
        source = find(cfg.init_from, cfg.runs_dir)
        if source.q_table is not None:
            return _table_misfits(cfg, source.q_table)
        if source.checkpoint is None:
            return _misfits(cfg, source, normalized=source.statistics is not None)
        checkpoints.read(source.checkpoint, LEARNED)
        home = Run(source.path.parent.parent)
        if not home.config_file.is_file():  # a checkpoint that was taken out of its run
            parts = checkpoints.read_manifest(source.checkpoint)["files"]
            return _misfits(cfg, source, normalized=f"{checkpoints.NORMALIZATION}.safetensors" in parts)
        before = parse(home.read_config())
        return _misfits(cfg, source, normalized=before.env.normalize is not False, algo=before.algo.name)
    except RlzooError as error:
        return [Problem("init_from", error.message, error.hint, code=error.code)]


def _misfits(cfg: TrainConfig, source: Source, *, normalized: bool, algo: str | None = None) -> list[Problem]:
    problems = []
    if algo not in (None, cfg.algo.name):
        problems.append(Problem("init_from", f"{source.path} holds weights of {algo}, not of {cfg.algo.name}"))
    if normalized and cfg.env.normalize is False:
        hint = "env.normalize=true takes its statistics over"
        problems.append(Problem("init_from", f"{source.path} was trained on normalised observations", hint))
    return problems


def _table_misfits(cfg: TrainConfig, path: Path) -> list[Problem]:
    if find_spec(cfg.algo.name).family != "tabular":
        return [Problem("init_from", f"{path} holds a table of action values, and {cfg.algo.name} learns no table")]
    n_states, n_actions = pickle_files.read_q_learning(path).qtable.shape
    spaces = (cfg.env.observation_space, cfg.env.action_space)
    if None in spaces or spaces == (f"Discrete({n_states})", f"Discrete({n_actions})"):
        return []
    text = f"{path} has {n_states} states and {n_actions} actions, and this environment {spaces[0]} and {spaces[1]}"
    return [Problem("init_from", text)]


def statistics(source: Source) -> State | None:
    """The normalisation statistics, None if there are none; nothing is unpickled."""
    if source.checkpoint is not None:
        return checkpoints.read(source.checkpoint, LEARNED).normalization
    return None if source.statistics is None else pickle_files.read_vec_normalize(source.statistics)


def load_weights(
    algorithm: Algorithm, source: Source, cfg: TrainConfig, env: VecEnv, *, trust: bool = False
) -> dict[str, Any]:
    """Give a new algorithm the weights.

    Args:
        algorithm: it has learned nothing yet.
        source: from `find`.
        cfg: the training's configuration.
        env: the training environment.
        trust: open a zip with Stable-Baselines3's own loader, which runs what its author put into it.

    Returns:
        What was taken, for the run's record.

    Raises:
        RlzooError: if the weights are not those of such an algorithm, or the file is damaged or refused.
    """
    if not isinstance(algorithm, HasWeights):
        raise RlzooError(f"{cfg.algo.name} cannot begin with given weights", "leave out init_from=")
    record: dict[str, Any] = {"path": str(source.path)}
    if source.checkpoint is not None:
        contents = checkpoints.read(source.checkpoint, (checkpoints.ALGORITHM,))
        record["num_timesteps"] = contents.num_timesteps
        state = contents.algorithm
    elif source.q_table is not None:
        found = pickle_files.read_q_learning(source.q_table)
        state = State({"q_values": found.qtable.astype(float)})
        record["values"] = {key: value for key, value in found.values.items() if key != "eval_seed"}
    elif trust:
        from rlzoo.untrusted.unpickle import load_model

        trusted = load_model(source.path, cfg.algo.name, trust=True, env=None, device="cpu")
        record["trusted"] = trusted.record.to_json()
        state = trusted.algorithm.state()
    else:
        saved = sb3_zip.read(source.path, cfg.algo.name)
        record["num_timesteps"] = saved.num_timesteps
        state = sb3_zip.build(saved, env=env, algo=cfg.algo, device="cpu").state()
    try:
        algorithm.restore_weights(state)
    except (KeyError, RuntimeError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        raise RlzooError(
            f"the weights of {source.path} do not fit: {first}",
            "they need the algorithm, policy, network and spaces that they were learned with",
        ) from error
    return record


def _file(path: Path) -> Source:
    if path.suffix == ".pkl" and path.name not in STATISTICS:
        return Source(q_table=path)
    if path.suffix != ".zip":
        raise RlzooError(f"{path} is not a run, a checkpoint, a zip of Stable-Baselines3 or a q-learning.pkl")
    if (path.parent / "manifest.json").is_file():  # beside it is all that it leaves out, the statistics too
        return Source(Checkpoint(path.parent.resolve()))
    places = (folder / name for folder in (path.parent, path.with_suffix("")) for name in STATISTICS)
    return Source(zip_file=path, statistics=next((place for place in places if place.is_file()), None))
