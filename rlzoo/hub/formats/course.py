"""Agents as the notebooks of the Deep RL Course publish them, read and written: Q-tables, and networks beside JSON.

Q-tables (unit 2) become runs of `q_learning`, the network of unit 4 one of `reinforce`, that of unit 8 one of
`ppo_scratch`. Networks of rlzoo's own algorithms are written under the names that the plain layers of a notebook have:

| algorithm | layers |
|---|---|
| `reinforce` | `fc1`, `fc2`, …: the `Policy` of unit 4 |
| `ppo_scratch`, `actor_critic` | `actor` and `critic`, each an `nn.Sequential`: the `Agent` of unit 8 |
| `dqn_scratch` | `network`, an `nn.Sequential`; with `dueling` it ends in two, `value` and `advantage` |
| searches | `network`, an `nn.Sequential` with tanh between the layers, in double precision |

Images pass through convolutions first, `conv1` or more layers of the same `nn.Sequential`; where two parts follow, that
is `network`. `log_std` are the logarithms of the standard deviations of continuous actions. What the parts of a Dict
observation pass through keeps the names that Stable-Baselines3 gives it, behind `features`. What is not needed to act,
a baseline or a target network, is left out, but for the critics that the course keeps.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlzoo.algos.specs import find_spec
from rlzoo.errors import ExitCode, RlzooError, clean
from rlzoo.hub.formats import source as imported
from rlzoo.hub.formats.sb3 import CHECKPOINT, names_of_env
from rlzoo.hub.formats.source import Source, write_json
from rlzoo.hub.privacy import portable
from rlzoo.protocols import CountsEpisodes, Evaluation, State
from rlzoo.runs import checkpoints
from rlzoo.runs.run import Run
from rlzoo.runs.state_files import as_numpy
from rlzoo.untrusted import pickle_files
from rlzoo.untrusted.pickle_files import QLearning

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    from rlzoo.evaluation.agent import Agent

    Parts = dict[str, nn.Module | Tensor]
    """Modules and parameters by their names."""
    Layers = list[tuple[np.ndarray, np.ndarray]]
    """Of a chain of linear layers the weights (n_out, n_in) and biases (n_out,)."""

Q_TABLE, MODEL, HYPERPARAMETERS = "q-learning.pkl", "model.pt", "hyperparameters.json"
TABLES = ("q_values", "v_values", "policy")
SETTINGS = ("learning_rate", "gamma", "max_epsilon", "min_epsilon", "decay_rate")
"""Hyperparameters that the course keeps beside its table."""
SAID = {"lr": "learning_rate", "learning_rate": "learning_rate", "gamma": "gamma", "activation_fn": "activation_fn"}
"""What a `hyperparameters.json` says of a network's training; the last of them is rlzoo's word."""
MAX_STEPS = 10**12
REINFORCE_LAYER = re.compile(r"(?:fc|actor\.layers\.)(\d+)\.(weight|bias)")
PPO_LAYER = re.compile(r"(actor|critic)\.(?:layers\.)?(\d+)\.(weight|bias)")
"""The course's names, and those of the `model.pt` that rlzoo 0.1 wrote."""
STACKED = "network.actor_and_critic"
"""What stands before the names of `deep.networks.Pair`, as rlzoo 0.1 wrote them."""
STATE_DICT = "its author can share a state dict instead: torch.save(policy.state_dict(), 'model.pt')"


def read_q_learning(source: Source, file: str, run: Run) -> tuple[dict[str, Any], str]:
    """Make the checkpoint of a run from a `q-learning.pkl`.

    Returns:
        The run's configuration, and the name of the checkpoint.

    Raises:
        RlzooError: if it is refused or damaged, or the environment has other states and actions.
    """
    path = source.repository.need(file)
    found = imported.opened(path, source, pickle_files.read_q_learning, _trusted_table, "Q-table")
    said = found.values
    algo = source.options.algo or "q_learning"
    if find_spec(algo).family != "tabular":
        raise RlzooError(f"{file} holds a table of action values, and {algo} learns none", "leave out algo=")
    env_id = _env_id(said.get("env_id"), file, source)
    values = imported.defaults(algo, env_id)
    values["algo"] |= {key: said[key] for key in SETTINGS if key in said and key in values["algo"]}
    map_name = {"map_name": said["map_name"]} if said.get("map_name") and env_id.startswith("FrozenLake") else {}
    values["env"]["kwargs"] = {**map_name, **({"is_slippery": False} if said.get("slippery") is False else {})}
    n_trained, n_played = said.get("n_training_episodes"), said.get("n_eval_episodes")
    _lengths(values, said.get("max_steps"), n_trained, n_played)
    values["eval"]["deterministic"] = True
    seeds = said.get("eval_seed")
    if isinstance(seeds, list) and seeds:
        values["eval"]["seeds"] = seeds[:n_played] if _is_count(n_played) else seeds
    _build(values, {"q_values": found.qtable.astype("float64")}, n_trained, file, run, source)
    return values, CHECKPOINT


def read_torch(source: Source, file: str, run: Run) -> tuple[dict[str, Any], str]:
    """Make the checkpoint of a run from a `model.pt`: a state dict, or a whole network of the course's unit 4.

    Returns:
        The run's configuration, and the name of the checkpoint.

    Raises:
        RlzooError: if it is refused or damaged, or holds another network than the course's.
    """
    arrays = _apart(_arrays(source.repository.need(file), source))
    said = source.keys_and_values(HYPERPARAMETERS)
    actor = _layers(arrays, REINFORCE_LAYER, "")
    critic: Layers = []
    algo = "reinforce"
    if actor is None:
        algo = "ppo_scratch"
        actor, found = _layers(arrays, PPO_LAYER, "actor"), _layers(arrays, PPO_LAYER, "critic")
        critic = found or []
    if actor is None or (algo == "ppo_scratch" and _sizes(critic)[:-1] != _sizes(actor)[:-1]):
        names = clean(", ".join(list(arrays)[:4]))[:200]
        hint = "unit 4 has fc1, fc2, …; unit 8 has actor.0, actor.2, … and critic.0, … with the same hidden layers"
        raise RlzooError(f"{file} holds a network that is not the course's: {names}", hint)
    if source.options.algo not in (None, algo):
        raise RlzooError(f"{file} holds a network of {algo}, not of {source.options.algo}", "leave out algo=")
    values = imported.defaults(algo, _env_id(said.get("env_id"), file, source))
    values["algo"]["net_arch"] = _sizes(actor)[1:-1]
    for theirs, ours in SAID.items():
        if theirs in said:
            values["algo"][ours] = said[theirs]
    n_trained = said.get("n_training_episodes")
    _lengths(values, said.get("max_t"), n_trained, said.get("n_evaluation_episodes"))
    values["eval"]["deterministic"] = False
    tensors = _side_by_side(actor, critic) if critic else _one(actor, "actor.layers")
    _build(values, tensors, n_trained, file, run, source)
    return values, CHECKPOINT


def write(folder: Path, agent: Agent, evaluation: Evaluation) -> None:
    """Write q-learning.pkl for a table of action values, values.json for one of states, model.pt for networks.

    Always hyperparameters.json, and config.json with the algorithm and the environment.
    """
    import torch

    state = agent.algorithm.state()
    if "q_values" in state.tensors:
        values = q_learning_values(agent, evaluation)
        pickle_files.write_q_learning(folder / Q_TABLE, as_numpy("q_values", state.tensors["q_values"]), values)
    elif tables := {name: as_numpy(name, state.tensors[name]).tolist() for name in TABLES if name in state.tensors}:
        write_json(folder / "values.json", tables)
    if found := weights(find_spec(agent.config.algo.name).name, agent.algorithm):
        buffer = io.BytesIO()  # torch's own writing of a file calls a full disk an "iostream error"
        torch.save(found, buffer)
        (folder / MODEL).write_bytes(buffer.getvalue())
    settings = hyperparameters(agent, evaluation)
    write_json(folder / HYPERPARAMETERS, settings)
    described = {"algo": agent.config.algo.name, "env": agent.config.env.id, "hyperparameters": settings}
    write_json(folder / "config.json", described)


def q_learning_values(agent: Agent, evaluation: Evaluation) -> dict[str, Any]:
    """What the course keeps beside its table, by its names: with the seeds of the evaluation, its loop repeats it."""
    chosen = agent.config.algo.hyperparams
    kwargs = spec_kwargs(agent)
    values: dict[str, Any] = {
        "env_id": agent.config.env.id,
        "max_steps": _spec(agent).max_episode_steps,
        "n_training_episodes": _n_training_episodes(agent),
        "n_eval_episodes": evaluation.n_episodes,
        "eval_seed": list(evaluation.seeds),
        **{key: chosen[key] for key in SETTINGS if key in chosen},
    }
    if "map_name" in kwargs:
        values["map_name"] = kwargs["map_name"]
    if kwargs.get("is_slippery") is False:
        values["slippery"] = False
    return values


def _n_training_episodes(agent: Agent) -> int:
    return int(agent.algorithm.n_episodes) if isinstance(agent.algorithm, CountsEpisodes) else 0


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
        "n_training_episodes": _n_training_episodes(agent),
        "n_evaluation_episodes": evaluation.n_episodes,
        "max_t": _spec(agent).max_episode_steps,
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


def weights(name: str, algorithm: Any) -> dict[str, Tensor]:
    """A state dict of plain layers; of an algorithm that is not in the table above, that of each of its modules.

    Args:
        name: the algorithm's.
        algorithm: what has the networks.

    Returns:
        Tensors on the CPU, row-major; none if there is no network.
    """
    import torch
    from torch import nn

    from rlzoo.algos.search.base import PolicySearch

    if name in PARTS:
        parts = PARTS[name](algorithm)
    elif isinstance(algorithm, PolicySearch):
        parts = _unflattened(algorithm.weights, algorithm.policy.sizes)
    else:
        parts = {part: module for part, module in vars(algorithm).items() if isinstance(module, nn.Module)}
    named = {
        f"{part}.{key}" if key else part: tensor
        for part, value in parts.items()
        for key, tensor in (value.state_dict() if isinstance(value, nn.Module) else {"": value}).items()
    }
    return {key: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for key, tensor in named.items()}


def _build(
    values: dict[str, Any], tensors: Mapping[str, Any], n_episodes: Any, file: str, run: Run, source: Source
) -> None:
    """Write the checkpoint of a new algorithm whose tensors of these names are replaced."""
    from rlzoo.algos.create import create
    from rlzoo.envs import make
    from rlzoo.envs.seeding import isolated

    cfg = imported.checked(values, source, where=f"{file} of {source.origin.name}")
    with isolated(0):
        env = make(cfg.env, n_envs=1, seed=0, training=False)
        try:
            with imported.explained(file):
                algorithm = create(cfg.algo, env, seed=0, device="cpu", inference=True)
                fresh = algorithm.state()
                counted = _is_count(n_episodes) and "n_episodes" in fresh.values
                counters = {"n_episodes": n_episodes} if counted else {}
                algorithm.restore(State({**fresh.tensors, **tensors}, {**fresh.values, **counters}))
            checkpoints.save(run, CHECKPOINT, algorithm=algorithm, env=env)
        finally:
            env.close()


def _trusted_table(value: Any) -> QLearning | None:
    """What the course's pickle holds, out of one that is not quite like it."""
    import numpy as np

    table = np.asarray(value["qtable"]) if isinstance(value, Mapping) and "qtable" in value else None
    if table is None or table.ndim != 2 or table.dtype.kind not in "fiu":
        return None
    plain = (bool, int, float, str, list)
    return QLearning(table, {key: each for key, each in value.items() if isinstance(each, plain)})


def _arrays(path: Path, source: Source) -> dict[str, np.ndarray]:
    """The network's parameters by name."""
    from rlzoo.untrusted.torch_file import read_module, read_tensors

    data = path.read_bytes()
    try:
        return {name: tensor.numpy() for name, tensor in read_tensors(data, path.name).items()}
    except RlzooError as error:
        if error.code is not ExitCode.UNSAFE:
            raise
    try:
        found = read_module(data, path.name)
    except RlzooError as error:
        raise RlzooError(error.message, STATE_DICT, error.code) from error
    source.assume(f"{path.name} holds a whole pickled network: its numbers were read, its code was not")
    return found


def _env_id(said: Any, file: str, source: Source) -> str:
    named = [said] if isinstance(said, str) else []
    named += [*source.published.env_ids, *names_of_env(source.origin.name)]
    return imported.env_id_of(named, source, where=file)


def _lengths(values: dict[str, Any], max_steps: Any, n_episodes: Any, n_evaluated: Any) -> None:
    """Limits of an episode, the training and its evaluation; one above the environment's own limit says nothing."""
    if _is_count(max_steps):
        import gymnasium

        from rlzoo.envs import registration

        registration.register(module for module in values["env"]["imports"] if registration.installed(module))
        own = getattr(gymnasium.registry.get(str(values["env"]["id"])), "max_episode_steps", None)
        values["env"]["max_steps"] = None if own is not None and own <= max_steps else max_steps
    if _is_count(n_episodes):
        values["stop"]["episodes"] = n_episodes
        if _is_count(max_steps):
            values["total_timesteps"] = min(n_episodes * max_steps, MAX_STEPS)
    if _is_count(n_evaluated):
        values["eval"]["final_n_episodes"] = n_evaluated


def _is_count(value: Any) -> bool:
    return type(value) is int and 1 <= value <= MAX_STEPS


def _layers(arrays: Mapping[str, Any], pattern: re.Pattern[str], part: str) -> Layers | None:
    """Weights (n_out, n_in) and biases (n_out,) of a chain of layers, None if the names are not those of one."""
    numbered: dict[int, dict[str, Any]] = {}
    for name, array in arrays.items():
        match = pattern.fullmatch(name)
        if match is None:
            return None
        *of, number, kind = match.groups()
        if part in ("", *of):
            numbered.setdefault(int(number), {})[kind] = array
    found = [numbered[number] for number in sorted(numbered)]
    if len(found) < 2 or any(set(layer) != {"weight", "bias"} for layer in found):
        return None
    layers = [(layer["weight"], layer["bias"]) for layer in found]
    chained = all(one[0].shape[:1] == two[0].shape[1:] for one, two in pairwise(layers))
    whole = all(weight.ndim == 2 and bias.shape == weight.shape[:1] for weight, bias in layers)
    return layers if chained and whole else None


def _sizes(layers: Layers) -> list[int]:
    return [int(layers[0][0].shape[1]), *(int(weight.shape[0]) for weight, _ in layers)] if layers else []


def _one(layers: Layers, name: str) -> dict[str, Any]:
    """As a sequence of layers with something between them."""
    named = (zip(("weight", "bias"), layer, strict=True) for layer in layers)
    return {f"{name}.{2 * index}.{kind}": array for index, layer in enumerate(named) for kind, array in layer}


def _apart(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Two networks that `algos.deep.networks.Pair` keeps as one, by the course's names; any others as they are."""
    weights, biases = (
        [arrays[key] for key in (f"{STACKED}.{kind}.{depth}" for depth in range(len(arrays))) if key in arrays]
        for kind in ("weights", "biases")
    )
    fits = all(array.ndim == 3 and len(array) == 2 for array in (*weights, *biases))
    if not weights or len(weights) + len(biases) != len(arrays) or len(weights) != len(biases) or not fits:
        return arrays
    found = {}
    for depth, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        for place, part in enumerate(("actor", "critic")):
            n_out = 1 if part == "critic" and depth == len(weights) - 1 else None
            found[f"{part}.{2 * depth}.weight"] = weight[place].T[:n_out]
            found[f"{part}.{2 * depth}.bias"] = bias[place, 0, :n_out]
    return found


def _side_by_side(actor: Layers, critic: Layers) -> dict[str, Any]:
    """As `algos.deep.networks.Pair` keeps them: of each layer both, (2, n_in, n_out), the narrower one filled up."""
    import numpy as np

    found: dict[str, Any] = {}
    for index, both in enumerate(zip(actor, critic, strict=True)):
        n_in, n_out = both[0][0].shape[1], max(bias.size for _, bias in both)
        weights, biases = np.zeros((2, n_in, n_out), np.float32), np.zeros((2, 1, n_out), np.float32)
        for place, (weight, bias) in enumerate(both):
            weights[place, :, : bias.size], biases[place, 0, : bias.size] = weight.T, bias
        found |= {f"{STACKED}.weights.{index}": weights, f"{STACKED}.biases.{index}": biases}
    return found


def _spec(agent: Agent) -> Any:
    from rlzoo.envs.make import make_raw

    cfg = agent.config.env
    max_steps = agent.config.eval.max_steps or cfg.max_steps
    env = make_raw(cfg.id, imports=cfg.imports, kwargs=cfg.kwargs, max_steps=max_steps)
    try:
        return env.spec
    finally:
        env.close()


def _size(space: Any) -> Any:
    """How many there are of something discrete, how long a vector is, the shape of all else."""
    if hasattr(space, "n"):
        return int(space.n) if not hasattr(space.n, "__len__") else list(map(int, space.n))
    shape = space.shape
    return (int(shape[0]) if len(shape) == 1 else list(shape)) if shape is not None else str(space)


def _policy(algorithm: Any) -> Parts:
    actor = algorithm.actor
    several, layers = _front(actor.features)
    return {"features": several, **_numbered([*layers, *actor.layers]), **_spread(actor.distribution)}


def _two_networks(algorithm: Any) -> Parts:
    actor, critic = algorithm.actor, algorithm.critic
    parts = _whole(actor.features, actor.layers, "actor", "actor_features")
    return parts | _whole(critic.features, critic.layers, "critic", "critic_features") | _spread(actor.distribution)


def _agent(algorithm: Any) -> Parts:
    network = algorithm.network
    both = {part: network.actor_and_critic.alone(index) for index, part in enumerate(("actor", "critic"))}
    return {**_whole(network.features), **both, **_spread(network.distribution)}


def _q_network(algorithm: Any) -> Parts:
    network = algorithm.q_network
    if network.value is None:
        return _whole(network.features, network.advantage)
    return {**_whole(network.features), "value": network.value, "advantage": network.advantage}


PARTS: dict[str, Callable[[Any], Parts]] = {
    "reinforce": _policy,
    "actor_critic": _two_networks,
    "ppo_scratch": _agent,
    "dqn_scratch": _q_network,
}


def _front(extractor: nn.Module) -> tuple[nn.Module, list[nn.Module]]:
    """What makes features of an observation: a module of several parts, or layers in a row; empty is the other one."""
    from stable_baselines3.common.torch_layers import NatureCNN
    from torch import nn

    if isinstance(extractor, NatureCNN):
        return nn.Module(), [*extractor.cnn, *extractor.linear]
    return (nn.Module(), [*extractor]) if isinstance(extractor, nn.Sequential) else (extractor, [])


def _whole(
    features: nn.Module, layers: Iterable[nn.Module] = (), name: str = "network", front: str = "features"
) -> Parts:
    """What makes features, and the layers behind them, as one module where they are all in a row."""
    from torch import nn

    several, first = _front(features)
    return {front: several, name: nn.Sequential(*first, *layers)}


def _numbered(layers: Iterable[nn.Module]) -> Parts:
    """Layers with weights, called `conv1`, `conv2`, … and `fc1`, `fc2`, … in their order."""
    from torch import nn

    found: Parts = {}
    counts: Counter[str] = Counter()
    for layer in layers:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            kind = "conv" if isinstance(layer, nn.Conv2d) else "fc"
            counts[kind] += 1
            found[f"{kind}{counts[kind]}"] = layer
    return found


def _spread(distribution: nn.Module) -> Parts:
    return {"log_std": distribution.log_std} if hasattr(distribution, "log_std") else {}


def _unflattened(vector: np.ndarray, sizes: Sequence[int]) -> Parts:
    """The layers of `search.flat_policy`."""
    import torch

    layers, begin = [], 0
    for n_in, n_out in pairwise(sizes):
        end = begin + n_in * n_out
        layers.append((vector[begin:end].reshape(n_out, n_in), vector[end : end + n_out]))
        begin = end + n_out
    return {name: torch.tensor(array) for name, array in _one(layers, "network").items()}
