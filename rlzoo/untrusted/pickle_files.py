"""The two pickles that agents are shared with, `vec_normalize.pkl` and `q-learning.pkl`: read as data, and written."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite, isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlzoo.errors import ExitCode, RlzooError
from rlzoo.protocols import State
from rlzoo.untrusted.pickle_reader import ARRAYS, Record, UnreadableError, parse, to_array

if TYPE_CHECKING:
    import numpy as np
    from stable_baselines3.common.vec_env import VecEnv

MAX_BYTES = 64 * 2**20
MAX_NODES = 100_000
MAX_DEPTH = 16

VEC_NORMALIZE = ARRAYS | frozenset(
    {
        "stable_baselines3.common.vec_env.vec_normalize VecNormalize",
        "stable_baselines3.common.running_mean_std RunningMeanStd",
        "collections OrderedDict",
        "numpy.random._pickle __generator_ctor",
        "numpy.random._pickle __bit_generator_ctor",
        "numpy.random._pickle __randomstate_ctor",
        "numpy.random._pcg64 PCG64",
        "numpy.random._mt19937 MT19937",
        "numpy.random.bit_generator __pyx_unpickle_SeedSequence",
        "numpy.random.bit_generator SeedSequence",
        *(
            f"{package}.spaces.{module} {name}"
            for package in ("gymnasium", "gym")
            for module, name in (
                ("box", "Box"),
                ("discrete", "Discrete"),
                ("multi_discrete", "MultiDiscrete"),
                ("multi_binary", "MultiBinary"),
                ("dict", "Dict"),
                ("tuple", "Tuple"),
            )
        ),
    }
)
"""Every global that a normal file names; the modules and names are compared whole."""


@dataclass(frozen=True)
class QLearning:
    """A table of action values, shape (n_states, n_actions), and the plain values that lie beside it."""

    qtable: np.ndarray
    values: dict[str, Any]


def read_vec_normalize(path: Path) -> State:
    """The statistics in a `vec_normalize.pkl`, in the form of `rlzoo.envs.vector.normalization.statistics`.

    Raises:
        RlzooError: if the file is not such a file, or asks for anything else than a normal one does.
    """
    return _read(path, VEC_NORMALIZE, _statistics, "the statistics of a VecNormalize")


def read_q_learning(path: Path) -> QLearning:
    """The Q-table in a `q-learning.pkl`.

    Raises:
        RlzooError: if the file is not such a file, or asks for anything else than a normal one does.
    """
    return _read(path, ARRAYS, _q_learning, "a Q-table")


def write_vec_normalize(path: Path, env: VecEnv) -> None:
    """Write the statistics of a normalised environment as Stable-Baselines3's `VecNormalize.load` reads them.

    Raises:
        RlzooError: if the environment is not normalised.
    """
    from stable_baselines3.common.vec_env import VecNormalize, unwrap_vec_normalize

    normalize = unwrap_vec_normalize(env)
    if normalize is None:
        raise RlzooError("the environment is not normalised: there are no statistics to write")
    shared = VecNormalize.__new__(VecNormalize)  # pickle leaves the environments behind it out
    shared.__dict__.update(normalize.__dict__)
    shared.reset_infos = [{} for _ in range(normalize.num_envs)]
    shared.metadata = {"render_modes": []}
    path.write_bytes(pickle.dumps(shared, protocol=4))


def write_q_learning(path: Path, qtable: np.ndarray, values: Mapping[str, Any]) -> None:
    """Write a Q-table, shape (n_states, n_actions), and plain values beside it, as the Deep RL Course shares them."""
    import numpy as np

    plain = _plain(dict(values), [MAX_NODES])
    path.write_bytes(pickle.dumps({**plain, "qtable": np.ascontiguousarray(qtable)}, protocol=4))


def _read(path: Path, allowed: frozenset[str], convert: Callable[[Any], Any], what: str) -> Any:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise RlzooError(f"cannot read {str(path)!r}: {error.strerror}", code=ExitCode.STORAGE) from error
    try:
        if len(data) > MAX_BYTES:
            raise UnreadableError(f"it is larger than {MAX_BYTES} bytes")
        return convert(parse(data, allowed))
    except UnreadableError as error:
        message = f"{path.name!r} does not hold {what} as others write them: {error}"
        raise RlzooError(
            message, "it was not opened; if you know who wrote it, ask for another form", ExitCode.UNSAFE
        ) from error


def _statistics(root: Any) -> State:
    import numpy as np

    values = _attributes(root, "VecNormalize")
    norm_obs = _flag(values, "norm_obs")
    keys = values.get("norm_obs_keys")
    if keys is not None and not (isinstance(keys, list) and all(type(key) is str for key in keys)):
        raise UnreadableError("norm_obs_keys is not a list of names")
    settings: dict[str, Any] = {
        "norm_obs": norm_obs,
        "norm_reward": _flag(values, "norm_reward"),
        "clip_obs": _number(values, "clip_obs", infinite=True),
        "clip_reward": _number(values, "clip_reward", infinite=True),
        "gamma": _number(values, "gamma"),
        "epsilon": _number(values, "epsilon"),
        "norm_obs_keys": keys,
    }
    moments = {"ret": values.get("ret_rms")}
    if norm_obs:
        obs = values.get("obs_rms")
        parts = obs.items if isinstance(obs, Record) and obs.name.endswith(" OrderedDict") else obs
        moments |= {f"obs.{key}": rms for key, rms in parts.items()} if isinstance(parts, dict) else {"obs": obs}
    tensors: dict[str, Any] = {"returns": np.zeros(0)}  # the file has none
    for name, rms in moments.items():
        state = _attributes(rms, "RunningMeanStd")
        prefix, _, key = name.partition(".")
        suffix = f".{key}" if key else ""
        mean, var = (to_array(state.get(part)).astype(np.float64) for part in ("mean", "var"))
        if mean.shape != var.shape or not np.isfinite(mean).all() or not np.isfinite(var).all() or (var < 0).any():
            raise UnreadableError("its means and variances make no sense")
        tensors |= {f"{prefix}_mean{suffix}": mean, f"{prefix}_var{suffix}": var}
        settings[f"{prefix}_count{suffix}"] = _number(state, "count")
    return State(tensors, settings)


def _q_learning(root: Any) -> QLearning:
    if not isinstance(root, dict) or "qtable" not in root:
        raise UnreadableError("it has no qtable")
    qtable = to_array(root["qtable"])
    if qtable.ndim != 2 or qtable.dtype.kind not in "fiu":
        raise UnreadableError("its qtable is not a table of numbers")
    return QLearning(qtable, _plain({key: value for key, value in root.items() if key != "qtable"}, [MAX_NODES]))


def _attributes(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, Record) or value.name.rpartition(" ")[2] != name or not isinstance(value.state, dict):
        raise UnreadableError(f"it holds no {name}")
    return value.state


def _flag(values: Mapping[str, Any], name: str) -> bool:
    value = values.get(name)
    if type(value) is not bool:
        raise UnreadableError(f"{name} is neither true nor false")
    return value


def _number(values: Mapping[str, Any], name: str, infinite: bool = False) -> float:
    """A number of at least 0."""
    array = to_array(values.get(name))
    number = float(array) if array.shape == () else float("nan")
    if isnan(number) or number < 0 or not (infinite or isfinite(number)):
        raise UnreadableError(f"{name} is not a number of at least 0")
    return number


def _plain(value: Any, budget: list[int], depth: int = 0) -> Any:
    """Numbers, text and lists and mappings of them; a small value can stand for a huge one by repeating a part."""
    budget[0] -= 1
    if budget[0] < 0 or depth > MAX_DEPTH:
        raise UnreadableError("it is too large")
    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value) is dict:
        return {str(key): _plain(child, budget, depth + 1) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(child, budget, depth + 1) for child in value]
    array = to_array(value)
    budget[0] -= array.size
    if budget[0] < 0:
        raise UnreadableError("it is too large")
    return array.tolist()
