"""A zip of Stable-Baselines3 and its normalisation statistics, as rl_zoo3 and huggingface_sb3 publish them.

The zip is read without unpickling: networks are rebuilt and filled with its tensors. What that refuses is opened by
Stable-Baselines3 itself only with `trust=true`. It is written as its `load` opens it, and unzipped beside that.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlzoo.algos.specs import ALGOS, ALIASES, find_spec
from rlzoo.errors import ConfigError, ExitCode, Problem, RlzooError
from rlzoo.hub.formats import rl_zoo3
from rlzoo.hub.formats import source as imported
from rlzoo.hub.formats.rl_zoo3 import ZooSettings
from rlzoo.hub.formats.source import Source, write_json, write_zip
from rlzoo.hub.privacy import portable
from rlzoo.protocols import State
from rlzoo.runs import checkpoints
from rlzoo.runs.run import Run
from rlzoo.untrusted import pickle_files, sb3_zip
from rlzoo.untrusted import unpickle as trust
from rlzoo.untrusted.sb3_data import ModelData
from rlzoo.untrusted.sb3_zip import VARIABLES, SavedModel
from rlzoo.untrusted.zoo_yaml import class_word

if TYPE_CHECKING:
    import gymnasium

    from rlzoo.evaluation.agent import Agent

STATISTICS = ("vec_normalize.pkl", "vecnormalize.pkl")
CHECKPOINT = "last"
NORMALIZE_DEFAULTS = {"norm_obs": True, "norm_reward": True, "clip_obs": 10.0, "clip_reward": 10.0, "epsilon": 1e-8}
EMPTIED = ("buffer_size", 1)
"""What the zip of an off-policy agent says if rl_zoo3 has loaded and saved it again to publish it."""
SCREEN = 84
"""Pixels of a side of the images that Atari's usual preprocessing makes."""


def read(source: Source, file: str, run: Run, *, zoo: bool = False) -> tuple[dict[str, Any], str]:
    """Make the checkpoint of a run from a zip and what lies beside it.

    Args:
        source: the zip, and what lies beside it.
        file: the name of the zip.
        run: gets the checkpoint.
        zoo: rl_zoo3's settings lie beside it.

    Returns:
        The run's configuration, and the name of the checkpoint.

    Raises:
        RlzooError: if a file is refused, damaged or missing, or they do not fit each other.
    """
    from rlzoo.envs import make

    settings = rl_zoo3.read(source.repository) if zoo else None
    saved = _open(source.repository.need(file), settings, source)
    values = _values(file, saved, settings, source)
    statistics, values["env"]["normalize"] = _normalization(settings, values, source)
    where = f"{rl_zoo3.CONFIG if zoo else file} of {source.origin.name}"
    cfg = imported.checked(values, source, where=where)
    env = make(cfg.env, n_envs=1, seed=0, training=False, statistics=statistics)
    try:
        with imported.explained(file):
            algorithm = sb3_zip.build(saved, env=env, algo=cfg.algo, device="cpu")
        checkpoints.save(run, CHECKPOINT, algorithm=algorithm, env=env, model_zip=True)
    finally:
        env.close()
    metrics = source.repository.find(rl_zoo3.METRICS) if zoo else None
    if metrics is not None:
        try:
            rl_zoo3.read_evaluations(metrics, run.evaluations_file)
        except RlzooError as error:
            source.assume(f"{rl_zoo3.METRICS} is left out: {error.message[:200]}")
    return values, CHECKPOINT


def write_model(folder: Path, name: str, agent: Agent) -> None:
    """Write `<name>.zip`, its contents in `<name>/`, and `config.json`, what it says about itself without pickle.

    The zip of a checkpoint of this user's own run is taken as it is; any other is written from the weights.
    """
    contents = _contents(agent)
    write_zip(folder / f"{name}.zip", contents)
    (folder / name).mkdir()
    for entry, data in contents.items():
        (folder / name / entry).write_bytes(data)
    described = {key: _without_pickle(value) for key, value in json.loads(contents["data"]).items()}
    described["system_info"] = _system_info(contents.get("system_info.txt", b"").decode("utf-8"))
    write_json(folder / "config.json", portable(described))


def write_statistics(path: Path, agent: Agent) -> None:
    """Write `vec_normalize.pkl` as the training had it: resuming from it normalises rewards again if it did."""
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


def _values(file: str, saved: SavedModel, settings: ZooSettings | None, source: Source) -> dict[str, Any]:
    """The configuration: defaults, then what the zip says, then what rl_zoo3's files say."""
    stem, data = Path(file).stem, saved.data
    named = [] if settings is None or settings.env_id is None else [settings.env_id]
    named += [*source.published.env_ids, *names_of_env(stem), *names_of_env(source.origin.name)]
    env_id = imported.env_id_of(named, source, where=file)
    values = imported.defaults(data.spec.name, env_id)
    network = {key: data.hyperparams[key] for key in ("policy", "policy_kwargs")}
    said = {} if settings is None else settings.hyperparams
    known = {key: value for key, value in data.hyperparams.items() if (key, value) != EMPTIED}
    values["algo"] |= {**known, **said, **network}
    values["env"]["n_envs"] = data.n_envs
    values["total_timesteps"] = max(1, saved.num_timesteps)
    if settings is None:
        values["env"] |= _guessed(env_id, data.observation_space, source)
    else:
        imports = [*values["env"]["imports"], *settings.env.get("imports", ())]
        values["env"] |= {**settings.env, "imports": list(dict.fromkeys(imports))}
        values |= settings.training
        for note in settings.notes:
            source.assume(note)
    if source.published.deterministic is not None:
        values["eval"]["deterministic"] = source.published.deterministic
    return values


def names_of_env(text: str) -> list[str]:
    """Environment ids that a name such as `ppo-LunarLander-v2` or `dqn-ALE-Pong-v5` may mean, the likeliest first."""
    algos = "|".join(sorted((*ALGOS, *ALIASES), key=len, reverse=True))
    rest = re.sub(rf"(?i)^(?:{algos}|q|reinforce)[-_]", "", text)
    match = re.match(r".*?-v\d+", rest)
    found = match[0] if match is not None else ""
    return [name for name in (re.sub(r"^ALE-", "ALE/", found), found) if name]


def _guessed(env_id: str, space: gymnasium.Space | None, source: Source) -> dict[str, Any]:
    """What was around the environment, from the observations alone: a zip does not say."""
    if not imported.is_atari(env_id):
        return {}
    shape = () if space is None else tuple(space.shape or ())
    sizes = sorted(shape)
    if len(sizes) != 3 or sizes[1] != sizes[2]:
        source.assume(f"nothing is around {env_id}: its agent sees {shape or 'something that is not said'}")
        return {}
    n_stack, side = sizes[0], sizes[2]
    source.assume(f"the usual preprocessing of Atari games, {n_stack} frames together, as its images have them")
    options = {} if side == SCREEN else {"screen_size": side}
    kwargs = {"frameskip": 1, "repeat_action_probability": 0.0} if "NoFrameskip" in env_id else {}
    return {"wrappers": {"atari": options}, "kwargs": kwargs, "frame_stack": n_stack if n_stack > 1 else None}


def _open(path: Path, settings: ZooSettings | None, source: Source) -> SavedModel:
    options = source.options
    algo = options.algo or (settings.algo if settings is not None else None)
    try:
        return sb3_zip.read(path, algo)
    except RlzooError as error:
        if error.code is not ExitCode.UNSAFE:
            raise
        if not options.trust:
            hint = "algo=ppo says which" if "name it" in error.message else trust.HINT
            raise RlzooError(error.message, error.hint or hint, error.code) from error
        return _trusted(path, algo, source)


def _trusted(path: Path, algo: str | None, source: Source) -> SavedModel:
    """A zip that Stable-Baselines3 itself loads, as its author wrote it, taken apart as any other."""
    name = algo or next((name for name in ALGOS if path.stem.lower().startswith(f"{name}-")), None)
    if name is None:
        raise RlzooError(f"{path.name!r} does not say which algorithm it holds", "algo=ppo says which")
    spec = find_spec(name)
    opened = trust.load_model(path, spec.name, trust=source.options.trust, device="cpu", source=str(source.origin))
    source.trusted.append(opened.record)
    model: Any = opened.algorithm.model
    state = opened.algorithm.state()
    values = {key: _plain(value) for key, value in vars(model).items() if isinstance(value, bool | int | float | str)}
    known = imported.defaults(spec.name, "CartPole-v1")["algo"]
    hyperparams = {key: value for key, value in values.items() if key in known and key not in ("name", "policy")}
    hyperparams |= {"policy": "LinearPolicy" if "Linear" in type(model.policy).__name__ else "auto"}
    hyperparams["policy_kwargs"] = _words(dict(model.policy_kwargs or {}), path.name)
    counters = {**state.values["counters"], "num_timesteps": int(model.num_timesteps)}
    spaces = (model.observation_space, model.action_space)
    data = ModelData(spec, hyperparams, counters, *spaces, not_read=(), n_envs=int(model.n_envs))
    weights = {key: tensor for key, tensor in state.tensors.items() if ".optimizer." not in key}
    policy = {key.removeprefix("policy."): tensor for key, tensor in weights.items() if key.startswith("policy.")}
    variables = {key: tensor for key, tensor in weights.items() if key in VARIABLES}
    return SavedModel(path.name, data, policy, variables, version="", system="")


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def _words(value: Any, name: str) -> Any:
    """Keywords of a policy with rlzoo's words for classes."""
    if isinstance(value, Mapping):
        return {str(key): _words(part, name) for key, part in value.items() if key != "use_sde"}
    if isinstance(value, list | tuple):
        return [_words(part, name) for part in value]
    if isinstance(value, type):
        word = class_word(f"{value.__module__}.{value.__qualname__}")
        if word is None:
            raise RlzooError(f"the network of {name!r} is built with {value.__qualname__}, which rlzoo does not build")
        return word
    return _plain(value)


def _normalization(settings: ZooSettings | None, values: Mapping[str, Any], source: Source) -> tuple[State | None, Any]:
    """The statistics, and `env.normalize`; the file of statistics is believed before the settings."""
    path = next((path for name in STATISTICS if (path := source.repository.find(name)) is not None), None)
    asked = None if settings is None else settings.normalize
    if asked is False:
        if path is not None:
            source.assume(f"{path.name} is left out: {rl_zoo3.CONFIG} says that nothing was normalised")
        return None, False
    if path is None:
        if asked is None:
            return None, False
        if isinstance(asked, Mapping) and asked.get("norm_obs") is False:
            source.assume("rewards were normalised, which does not matter to an agent that is trained")
            return None, False
        problem = Problem("normalize", "observations were normalised, and there are no statistics: vec_normalize.pkl")
        raise ConfigError([problem._replace(where=f"{rl_zoo3.CONFIG} of {source.origin.name}")])
    state = imported.opened(
        path, source, pickle_files.read_vec_normalize, _trusted_statistics, "statistics of a VecNormalize"
    )
    said = {key: value for key, value in state.values.items() if key in (*NORMALIZE_DEFAULTS, "gamma", "norm_obs_keys")}
    if isinstance(asked, Mapping) and "norm_reward" in asked:
        said["norm_reward"] = asked["norm_reward"]
    elif asked is True:
        said["norm_reward"] = True
    gamma = values["algo"].get("gamma", 0.99)
    usual = {**NORMALIZE_DEFAULTS, "gamma": gamma, "norm_obs_keys": None}
    odd = {key: value for key, value in said.items() if value != usual[key] and value != float("inf")}
    return state, odd or True


def _trusted_statistics(value: Any) -> State | None:
    """What a VecNormalize of Stable-Baselines3 has counted."""
    import numpy as np

    from rlzoo.envs.vector.normalization import statistics

    if type(value).__name__ != "VecNormalize":
        return None
    if isinstance(getattr(value, "__dict__", None), dict):
        value.returns = np.zeros(0)  # the file has none
    return statistics(value)


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
    checkpoint = agent.checkpoint
    if not agent.run.is_own() or not checkpoint.model_zip.is_file():
        return False
    if "model.zip" not in checkpoints.read_manifest(checkpoint)["files"]:
        return False
    checkpoints.read(checkpoint, (checkpoints.ALGORITHM, "model"))  # it is what was written
    return True


def _without_pickle(value: Any) -> Any:
    """A value of the zip's description without its pickle, and without the class it is of."""
    if not isinstance(value, dict) or ":type:" not in value:
        return value
    shown = {key: part for key, part in value.items() if not key.startswith("__") and " at 0x" not in str(part)}
    return {key: part for key, part in shown.items() if key != ":serialized:"}


def _system_info(text: str) -> dict[str, str]:
    pairs = (line.removeprefix("- ").partition(": ") for line in text.splitlines())
    return {key: value for key, _, value in pairs if key}
