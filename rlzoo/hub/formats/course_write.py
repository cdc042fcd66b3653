"""Algorithms of rlzoo's own in the forms of the Deep RL Course: a pickled Q-table, or a state dict beside JSON."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlzoo.algos.specs import find_spec
from rlzoo.hub.privacy import portable
from rlzoo.protocols import Evaluation
from rlzoo.runs.state_files import as_numpy
from rlzoo.untrusted import pickle_files

if TYPE_CHECKING:
    from rlzoo.evaluation.agent import Agent

Q_LEARNING = "q-learning.pkl"
TABLES = ("q_values", "v_values", "policy")
SETTINGS = ("learning_rate", "gamma", "max_epsilon", "min_epsilon", "decay_rate")
"""Hyperparameters that the course keeps beside its table."""


def write(folder: Path, agent: Agent, evaluation: Evaluation) -> None:
    """Write q-learning.pkl for a table of action values, values.json for one of states, model.pt for networks.

    Always hyperparameters.json, and config.json with the algorithm and the environment.
    """
    state = agent.algorithm.state()
    if "q_values" in state.tensors:
        values = q_learning_values(agent, evaluation)
        pickle_files.write_q_learning(folder / Q_LEARNING, as_numpy("q_values", state.tensors["q_values"]), values)
    elif tables := {name: as_numpy(name, state.tensors[name]).tolist() for name in TABLES if name in state.tensors}:
        _write_json(folder / "values.json", tables)
    _write_weights(folder / "model.pt", agent)
    settings = hyperparameters(agent, evaluation)
    _write_json(folder / "hyperparameters.json", settings)
    described = {"algo": agent.config.algo.name, "env": agent.config.env.id, "hyperparameters": settings}
    _write_json(folder / "config.json", described)


def q_learning_values(agent: Agent, evaluation: Evaluation) -> dict[str, Any]:
    """What the course keeps beside its table, by its names: with the seeds of the evaluation, its loop repeats it."""
    chosen = agent.config.algo.hyperparams
    kwargs = spec_kwargs(agent)
    values: dict[str, Any] = {
        "env_id": agent.config.env.id,
        "max_steps": _max_steps(agent),
        "n_training_episodes": int(getattr(agent.algorithm, "n_episodes", 0)),
        "n_eval_episodes": evaluation.n_episodes,
        "eval_seed": list(evaluation.seeds),
        **{key: chosen[key] for key in SETTINGS if key in chosen},
    }
    if "map_name" in kwargs:
        values["map_name"] = kwargs["map_name"]
    if kwargs.get("is_slippery") is False:
        values["slippery"] = False
    return values


def env_tag(agent: Agent) -> str:
    """The environment as the course's cards name it: `FrozenLake-v1-4x4-no_slippery`."""
    kwargs = spec_kwargs(agent) if find_spec(agent.config.algo.name).family in ("tabular", "planning") else {}
    parts = [agent.config.env.id]
    if "map_name" in kwargs:
        parts.append(str(kwargs["map_name"]))
    if kwargs.get("is_slippery") is False:
        parts.append("no_slippery")
    return "-".join(parts)


def hyperparameters(agent: Agent, evaluation: Evaluation) -> dict[str, Any]:
    """Every keyword of the algorithm, and the words that the course's hyperparameters.json has besides."""
    cfg = agent.config
    env = agent.make_env()
    try:
        state_space, action_space = (_size(space) for space in (env.observation_space, env.action_space))
    finally:
        env.close()
    found = dict(cfg.algo.hyperparams)
    layers = found.get("net_arch")
    if isinstance(layers, list | tuple) and layers:
        found["h_size"] = layers[0]
    if "learning_rate" in found:
        found["lr"] = found["learning_rate"]
    found |= {
        "n_training_episodes": int(getattr(agent.algorithm, "n_episodes", 0)),
        "n_evaluation_episodes": evaluation.n_episodes,
        "max_t": _max_steps(agent),
        "env_id": cfg.env.id,
        "state_space": state_space,
        "action_space": action_space,
    }
    published: dict[str, Any] = portable(found)
    return published


def spec_kwargs(agent: Agent) -> Mapping[str, Any]:
    """What the environment was made with, its own defaults included; a map of one's own has no name."""
    kwargs = dict(_spec(agent).kwargs)
    return {key: value for key, value in kwargs.items() if key != "map_name" or not kwargs.get("desc")}


def _spec(agent: Agent) -> Any:
    from rlzoo.envs.make import make_raw

    cfg = agent.config.env
    env = make_raw(
        cfg.id, imports=cfg.imports, kwargs=cfg.kwargs, max_steps=agent.config.eval.max_steps or cfg.max_steps
    )
    try:
        return env.spec
    finally:
        env.close()


def _max_steps(agent: Agent) -> int | None:
    limit = _spec(agent).max_episode_steps
    return None if limit is None else int(limit)


def _size(space: Any) -> Any:
    """How many there are of something discrete, how long a vector is, the shape of all else."""
    if hasattr(space, "n"):
        return int(space.n) if not hasattr(space.n, "__len__") else list(map(int, space.n))
    shape = space.shape
    return (int(shape[0]) if len(shape) == 1 else list(shape)) if shape is not None else str(space)


def _write_weights(path: Path, agent: Agent) -> None:
    import torch

    from rlzoo.hub.formats.notebook_weights import weights

    found = weights(find_spec(agent.config.algo.name).name, agent.algorithm)
    if found:
        buffer = io.BytesIO()  # torch's own writing of a file calls a full disk an "iostream error"
        torch.save(found, buffer)
        path.write_bytes(buffer.getvalue())


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
