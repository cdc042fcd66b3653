"""The `data` of a Stable-Baselines3 zip: JSON, of which known scalars are taken; what is pickled in it is not read."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from rlzoo.algos.schema.check import Signature, check_values, find_signature
from rlzoo.algos.schema.space_rules import choose_policy
from rlzoo.algos.schema.types import CLASSES
from rlzoo.algos.specs import ALGOS, AlgoSpec, find_spec
from rlzoo.config.fields import Fields
from rlzoo.errors import clean
from rlzoo.untrusted.zip import refused

if TYPE_CHECKING:
    import gymnasium
    import numpy as np

PICKLED, TYPE = ":serialized:", ":type:"
NAME_IN_ZIP = "rlzoo_algo"

BACKENDS = ("sb3", "sb3_contrib")
BY_MODULE = {
    "sb3_contrib.ars.policies": "ars",
    "sb3_contrib.common.maskable.policies": "maskable_ppo",
    "sb3_contrib.common.recurrent.policies": "ppo_lstm",
    "sb3_contrib.crossq.policies": "crossq",
    "sb3_contrib.qrdqn.policies": "qrdqn",
    "sb3_contrib.tqc.policies": "tqc",
    "stable_baselines3.dqn.policies": "dqn",
    "stable_baselines3.sac.policies": "sac",
    "stable_baselines3.td3.policies": "td3",
}
"""Where an algorithm's policy comes from, in the readable part of `policy_class`."""
SHARED_MODULE = "stable_baselines3.common.policies"
ALIKE = (("td3", "ddpg"),)
"""Algorithms whose files cannot be told apart: DDPG is TD3 with other values."""

NOT_TAKEN = frozenset(
    "policy_kwargs action_noise replay_buffer_class replay_buffer_kwargs rollout_buffer_class rollout_buffer_kwargs "
    "optimize_memory_usage".split()
)
"""Keywords that matter to a training and not to a policy, and whose values are objects."""
OTHER_NAMES = {"stats_window_size": "_stats_window_size", "delta_std": "delta_std_schedule"}
COUNTERS = ("num_timesteps", "_total_timesteps", "_n_updates", "_n_calls", "_episode_num")
SHARES = ("exploration_rate", "_current_progress_remaining")
MAX_COUNT = 10**13
MAX_ENVS = 10_000
MOST = {"n_epochs": 1000, "n_steps": 10**7, "gradient_steps": 10**6, "n_delta": 10**5, "n_eval_episodes": 10**4}
MOST_OF_ANY = 10**9
"""Upper limits, so that no value taken from a file makes a training endless."""

NUMBER = r"([-+.\deE]{1,32})"
SCHEDULES = {
    "constant": re.compile(rf"ConstantSchedule\(val={NUMBER}\)"),
    "linear": re.compile(rf"LinearSchedule\(start={NUMBER}, end={NUMBER}, end_fraction={NUMBER}\)"),
}
CLASS = re.compile(r"<class '((?:torch\.(?:nn|optim)|stable_baselines3\.common)\.[\w.]*?)(\w+)'>")
MAX_SIZE = 2**22
DTYPES = ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
SPACE = re.compile(r"<class '(?:gymnasium|gym)\.spaces\.\w+\.(Box|Discrete|MultiDiscrete|MultiBinary)'>")


@dataclass(frozen=True)
class ModelData:
    """What the `data` of a zip says without unpickling.

    Attributes:
        spec: the algorithm.
        hyperparams: its keywords in rlzoo's words, checked; those that cannot be read are absent.
        counters: how far it was trained.
        observation_space, action_space: None where the readable part does not say it all.
        not_read: names of the fields that are pickled, and of those that nobody knows.
        n_envs: environments that it was trained in side by side.
    """

    spec: AlgoSpec
    hyperparams: dict[str, Any]
    counters: dict[str, int | float]
    observation_space: gymnasium.Space | None
    action_space: gymnasium.Space | None
    not_read: tuple[str, ...]
    n_envs: int = 1


def read_data(raw: bytes, name: str, algo: str | None, tensor_names: frozenset[str]) -> ModelData:
    """Read the `data` of a zip.

    Args:
        raw: its bytes.
        name: what the zip is called in errors.
        algo: the algorithm it should be of; None finds it out.
        tensor_names: the names of the policy's tensors, which tell the kind of its network.

    Raises:
        RlzooError: if it is damaged, of another algorithm, or holds values of a wrong type or size.
    """
    fields = _load(raw, name)
    spec = find_spec(_algorithm(fields, name, algo))
    signature = find_signature(spec)
    policy = _policy(signature, tensor_names, spec)
    hyperparams = {"policy": policy, **_keywords(fields, signature.keywords, spec)}
    policy_kwargs, unknown = _policy_kwargs(fields.get("policy_kwargs"), signature.policies[policy], name)
    hyperparams["policy_kwargs"] = policy_kwargs
    _check(spec, hyperparams, name)
    pickled = (key for key, value in fields.items() if isinstance(value, Mapping) and PICKLED in value)
    return ModelData(
        spec,
        hyperparams,
        _counters(fields, name),
        read_space(fields.get("observation_space")),
        read_space(fields.get("action_space")),
        tuple(clean(key)[:80] for key in (*pickled, *unknown)),
        n_envs if type(n_envs := fields.get("n_envs")) is int and 1 <= n_envs <= MAX_ENVS else 1,
    )


def _load(raw: bytes, name: str) -> dict[str, Any]:
    try:
        fields = json.loads(raw.decode("utf-8"), object_pairs_hook=_unique)
    except RecursionError as error:
        raise refused(name, "its data is nested too deeply") from error
    except ValueError as error:  # also of text that is no UTF-8, and of numbers with thousands of digits
        raise refused(name, "its data is not proper JSON") from error
    if not isinstance(fields, dict):
        raise refused(name, "its data holds no fields")
    return fields


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key appears twice")
    return found


def _algorithm(fields: Mapping[str, Any], name: str, asked: str | None) -> str:
    found = _recognise(fields)
    if asked is not None:
        spec = ALGOS.get(find_spec(asked).name)
        if spec is None or spec.backend not in BACKENDS:
            raise refused(name, f"{asked} is not an algorithm of Stable-Baselines3 or sb3-contrib")
        asked = spec.name
    if asked is None:
        if found is None:
            raise refused(name, "it does not say which algorithm it holds; name it")
        return found
    if found is not None and asked != found and not any(asked in pair and found in pair for pair in ALIKE):
        raise refused(name, f"it holds {found}, not {asked}")
    return asked


def _recognise(fields: Mapping[str, Any]) -> str | None:
    own = fields.get(NAME_IN_ZIP)
    if isinstance(own, str) and own in ALGOS and ALGOS[own].backend in BACKENDS:
        return own
    policy_class = fields.get("policy_class")
    module = policy_class.get("__module__") if isinstance(policy_class, Mapping) else None
    if module == SHARED_MODULE:
        return "trpo" if "cg_max_steps" in fields else "ppo" if "clip_range" in fields else "a2c"
    if module == "stable_baselines3.td3.policies":
        kwargs = fields.get("policy_kwargs")
        single = isinstance(kwargs, Mapping) and kwargs.get("n_critics") == 1
        return "ddpg" if single and fields.get("policy_delay") == 1 else "td3"
    return BY_MODULE.get(module) if isinstance(module, str) else None


def _policy(signature: Signature, tensor_names: frozenset[str], spec: AlgoSpec) -> str:
    """The policy by the names of its tensors; the class that the file names is not looked at."""
    if spec.name == "ars" and not any(name.startswith("action_net.2.") for name in tensor_names):
        return "LinearPolicy" if "action_net.0.bias" not in tensor_names else "MlpPolicy"
    kind = "vector"
    if any("features_extractor.extractors." in name for name in tensor_names):
        kind = "dict"
    elif any("features_extractor.cnn." in name for name in tensor_names):
        kind = "image"
    return choose_policy(tuple(signature.policies), kind)


def _keywords(fields: Mapping[str, Any], keywords: Fields, spec: AlgoSpec) -> dict[str, Any]:
    taken = {}
    for key in keywords:
        field = OTHER_NAMES.get(key, key)
        if key in NOT_TAKEN or field not in fields:
            continue
        value = fields[field]
        if isinstance(value, Mapping):
            value = _schedule(value)
            if value is None:
                continue
        taken[key] = value
    return taken


def _schedule(shadow: Mapping[str, Any]) -> Any:
    """A schedule from its text, or None: a function of the author's has none."""
    text = shadow.get("value_schedule")
    for name, pattern in SCHEDULES.items():
        match = pattern.fullmatch(text) if isinstance(text, str) else None
        if match is not None:
            try:
                numbers = [float(number) for number in match.groups()]
            except ValueError:
                return None
            return numbers[0] if name == "constant" else {name: numbers}
    return None


def _policy_kwargs(value: Any, keywords: Fields, name: str) -> tuple[dict[str, Any], list[str]]:
    """The policy's keywords in rlzoo's words, and those that nobody knows."""
    if value is None:
        return {}, []
    if not isinstance(value, Mapping):
        raise refused(name, "its policy_kwargs are not a mapping")
    taken: dict[str, Any] = {}
    unknown = []
    for key, given in value.items():
        if key in (PICKLED, TYPE, "use_sde"):
            continue
        if key not in keywords:
            unknown.append(f"policy_kwargs.{key}")
            continue
        tables = [word for word in keywords[key].words if word in CLASSES]
        word = _word(given, CLASSES[tables[0]]) if tables else None
        if tables and word is None:
            if tables != ["optimizer"]:
                raise refused(name, f"its network is built with a {key} that is not known here")
            unknown.append(f"policy_kwargs.{key}")
            continue
        taken[key] = word if tables else _net_arch(given, name) if key == "net_arch" else given
    if "optimizer_class" not in taken:
        taken.pop("optimizer_kwargs", None)
    return taken, unknown


def _word(given: Any, table: Mapping[str, str]) -> str | None:
    match = CLASS.fullmatch(given) if isinstance(given, str) else None
    for word, reference in table.items():
        package, _, class_name = reference.partition(":")
        if match is not None and match[2] == class_name and match[1].startswith(f"{package.partition('.')[0]}."):
            return word
    return None


def _net_arch(given: Any, name: str) -> Any:
    """Sizes of layers; before Stable-Baselines3 1.8 separate networks stood in a list."""
    if isinstance(given, list) and any(isinstance(part, Mapping) for part in given):
        if len(given) != 1:
            raise refused(name, "its networks share layers, which Stable-Baselines3 2 has no word for")
        return given[0]
    return given


def _check(spec: AlgoSpec, hyperparams: Mapping[str, Any], name: str) -> None:
    """Check every value by itself; whether they make a training together is asked where one begins."""
    values = {key: value for key, value in hyperparams.items() if key != "policy"}
    problems = check_values({"name": spec.name, **hyperparams}, whole=False)
    texts = [f"{problem.key.removeprefix('algo.')} {problem.message}" for problem in problems]
    texts += [
        f"{key} is {value:g}, at most {MOST.get(key, MOST_OF_ANY)} makes sense"
        for key, value in values.items()
        if not texts and isinstance(value, int | float) and value > MOST.get(key, MOST_OF_ANY)
    ]
    if texts:
        raise refused(name, "; ".join(clean(text)[:200] for text in texts[:5]))


def _counters(fields: Mapping[str, Any], name: str) -> dict[str, int | float]:
    found: dict[str, int | float] = {}
    for key in COUNTERS:
        value = fields.get(key, 0)
        if type(value) is not int or not 0 <= value <= MAX_COUNT:
            raise refused(name, f"its {key} is not a count")
        found[key] = value
    for key in SHARES:
        value = fields.get(key)
        if value is not None:
            if type(value) not in (int, float) or not -1 <= value <= 1:
                raise refused(name, f"its {key} is not a share")
            found[key] = value
    return found


def read_space(shadow: Any) -> gymnasium.Space | None:
    """The space that a `:serialized:` field describes, or None if its text does not say it all.

    Texts shorten long arrays: a Box comes back if its bounds are the same everywhere, or few enough to be written out.
    """
    from gymnasium import spaces

    kind = SPACE.fullmatch(str(shadow.get(":type:"))) if isinstance(shadow, Mapping) else None
    if kind is None:
        return None
    try:
        if kind[1] == "Box":
            return _box(shadow)
        if kind[1] == "Discrete":
            start = _whole(shadow.get("start", 0))
            return spaces.Discrete(_size(shadow["n"]), start=start) if abs(start) < MAX_SIZE else None
        if kind[1] == "MultiDiscrete":
            return spaces.MultiDiscrete([_size(word) for word in _words(shadow["nvec"])])
        return spaces.MultiBinary(_size(shadow["n"]))
    except (KeyError, ValueError, TypeError, AssertionError, OverflowError):
        return None


def _box(shadow: Mapping[str, Any]) -> gymnasium.Space | None:
    from gymnasium import spaces

    shape, dtype = shadow["_shape"], shadow["dtype"]
    if not isinstance(shape, list) or len(shape) > 8 or dtype not in DTYPES:
        return None
    shape = tuple(_size(size) for size in shape)
    if prod(shape) > MAX_SIZE:
        return None
    if dtype == "uint8" and len(shape) == 3:
        return spaces.Box(0, 255, shape, dtype)  # an image; its middle is never written out
    low, high = (_bounds(shadow[side], shape, dtype) for side in ("low", "high"))
    return None if low is None or high is None else spaces.Box(low, high, shape, dtype)


def _bounds(text: Any, shape: tuple[int, ...], dtype: str) -> np.ndarray | None:
    import numpy as np

    words = _words(text)
    numbers = np.array([float(word) for word in words if word != "..."]).astype(dtype)
    if numbers.size and (numbers == numbers[0]).all():
        return np.full(shape, numbers[0], dtype)
    if "..." not in words and numbers.size == prod(shape):
        return numbers.reshape(shape)
    return None


def _words(text: Any) -> list[str]:
    return re.sub(r"[\[\],\s]+", " ", str(text)).split()


def _size(value: Any) -> int:
    size = _whole(value)
    if not 1 <= size <= MAX_SIZE:
        raise ValueError("not a size")
    return size


def _whole(value: Any) -> int:
    if type(value) is int:
        return value
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,12}", value):
        return int(value)
    raise ValueError("not a whole number")
