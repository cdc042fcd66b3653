"""What rl_zoo3 publishes beside an agent, read and written: its settings in its own words, and its evaluations.

`config.yml` holds what its YAML files of hyperparameters hold, `args.yml` what its command line was given,
`train_eval_metrics.zip` the evaluations during the training. What is read is data: texts that rl_zoo3 would evaluate
are parsed, class names are looked up in the tables below. What is written names the classes of Stable-Baselines3,
Gymnasium and rl_zoo3, so that its `enjoy` builds the same environment.
"""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from rlzoo import registry
from rlzoo.algos.schema.types import ACTIVATIONS, OPTIMIZERS
from rlzoo.algos.specs import ALGOS, ALIASES, find_spec
from rlzoo.config.fields import LARGEST
from rlzoo.config.schema import EnvConfig, TrainConfig
from rlzoo.envs.wrappers import WRAPPERS
from rlzoo.errors import ConfigError, Problem, clean, show
from rlzoo.hub.formats.source import Repository, write_zip
from rlzoo.hub.privacy import portable
from rlzoo.loggers.csv import CsvTable
from rlzoo.redaction import one_line
from rlzoo.runs import tables
from rlzoo.runs.run import Run
from rlzoo.untrusted import zoo_yaml
from rlzoo.untrusted.zip import Archive, Limits, refused

if TYPE_CHECKING:
    import numpy as np

    from rlzoo.evaluation.agent import Agent

CONFIG, ARGS, ENV_KWARGS, METRICS = "config.yml", "args.yml", "env_kwargs.yml", "train_eval_metrics.zip"
EVALUATIONS, ARRAYS = "evaluations.npz", ("timesteps", "results", "ep_lengths")
METRICS_ENTRY = re.compile(r"evaluations\.npz|[\w.\-]{1,80}\.csv")
MAX_BYTES = 32 * 2**20
LIMITS = Limits(entries=512, total=512 * 2**20)
MAX_ROWS = 10_000
MAX_SEED = 2**31 - 1

CLASSES = {
    "AtariWrapper": "atari",
    "TimeLimit": "time_limit",
    "FlattenObservation": "flatten",
    "FilterObservation": "filter",
    "GrayScaleObservation": "grayscale",
    "GrayscaleObservation": "grayscale",
    "ResizeObservation": "resize",
    "YAMLCompatResizeObservation": "resize",
    "RescaleAction": "rescale_action",
    "ClipReward": "clip_reward",
    "StickyAction": "sticky_action",
    "RepeatAction": "frame_skip",
    "TimeFeatureWrapper": "time_feature",
    "FrameSkip": "frame_skip",
    "ActionNoiseWrapper": "action_noise",
    "DelayedRewardWrapper": "delayed_reward",
    "MaskVelocityWrapper": "mask_velocity",
}
"""Class names of wrappers, and rlzoo's that do the same."""
OTHER_WORDS = {"FrameSkip": {"num_repeats": "skip"}, "ActionNoiseWrapper": {"std": "noise_std"}}
"""Options that have another name there."""
OWN_CLASSES = {
    "mask_velocity": "MaskVelocityWrapper",
    "action_noise": "ActionNoiseWrapper",
    "delayed_reward": "DelayedRewardWrapper",
    "resize": "YAMLCompatResizeObservation",
}
"""Wrappers that `rl_zoo3.wrappers` has too."""
NOTHING = frozenset({"PlotActionWrapper", "Monitor", "VecMonitor", "RecordEpisodeStatistics"})
"""Wrappers that only look on, or that every environment has."""
REQUIRED_DEFAULTS = {"frame_skip": {"num_repeats": 4}}
"""Options that have a default there and none here."""
PACKAGES = frozenset({"stable_baselines3", "sb3_contrib", "gymnasium", "gym", "rl_zoo3", "utils"})
"""Where the classes of the tables come from; `utils` was rl_zoo3's own once."""

ELSEWHERE = frozenset(
    "n_envs n_timesteps normalize normalize_kwargs frame_stack env_wrapper vec_env_wrapper monitor_kwargs env_kwargs "
    "policy policy_kwargs noise_type noise_std".split()
)
"""Keys that are not keywords of the algorithm. The network is as the zip says."""
GONE = frozenset(
    "create_eval_env model_class online_sampling max_episode_length goal_selection_strategy n_sampled_goal "
    "n_episodes_rollout".split()
)
"""Keywords of older versions that meant nothing to a policy."""
WITHOUT_MEANING = frozenset({"callback", "seed", "tensorboard_log", "verbose", "device", "_init_setup_model"})
OF_MAKE = frozenset({"render_mode", "max_episode_steps", "disable_env_checker"})
"""Keywords of `gymnasium.make` itself, which rl_zoo3 takes among the environment's."""
NOISES = {"normal": "normal", "ornstein_uhlenbeck": "ornstein-uhlenbeck"}
TEXTS = ("replay_buffer_kwargs", "normalize", "monitor_kwargs", "env_kwargs")
NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")


@dataclass
class ZooSettings:
    """What the files say.

    Attributes:
        algo: the algorithm, None where they do not say.
        env_id: the environment, None where they do not say.
        hyperparams: keywords of the algorithm, without those of the network.
        env: keys of the `env` section.
        normalize: False, or the keywords of the normalisation.
        training: keys at the top: `total_timesteps`, `seed`.
        notes: what was left out.
        problems: what has no meaning here.
    """

    algo: str | None = None
    env_id: str | None = None
    hyperparams: dict[str, Any] = field(default_factory=dict)
    env: dict[str, Any] = field(default_factory=dict)
    normalize: dict[str, Any] | bool = False
    training: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def refuse(self, key: str, message: str, hint: str = "") -> None:
        self.problems.append(Problem(key, message, hint, CONFIG))


def read(repository: Repository) -> ZooSettings:
    """Read the settings; all but `config.yml` may be missing.

    Raises:
        ConfigError: naming every key that has no meaning here.
        RlzooError: with exit code 7, if a file holds anything but data.
    """
    config = zoo_yaml.read_zoo(repository.need(CONFIG))
    args, env_kwargs = (
        {} if (path := repository.find(name)) is None else zoo_yaml.read_zoo(path) for name in (ARGS, ENV_KWARGS)
    )
    config = {
        key: zoo_yaml.parse_expression(value) if key in TEXTS and isinstance(value, str) else value
        for key, value in config.items()
    }
    algo, env_id = args.get("algo"), args.get("env")
    found = ZooSettings(
        algo=algo if isinstance(algo, str) and (algo in ALGOS or algo in ALIASES) else None,
        env_id=env_id if isinstance(env_id, str) and env_id else None,
    )
    _environment(config, args, env_kwargs, found)
    _normalize(config, found)
    _hyperparams(config, found)
    _training(config, args, found)
    if found.problems:
        raise ConfigError(found.problems)
    return found


def read_evaluations(path: Path, into: Path) -> None:
    """Make a run's evaluations.csv, with a row for each evaluation; nothing if there were none.

    Args:
        path: the `train_eval_metrics.zip`.
        into: the table.

    Raises:
        RlzooError: if the file is refused or damaged.
    """
    with path.open("rb") as file:
        archive = Archive(file, path.name, lambda name: METRICS_ENTRY.fullmatch(name) is not None, LIMITS)
        if EVALUATIONS not in archive:
            return
        data = archive.read(EVALUATIONS, MAX_BYTES)
    arrays = Archive(io.BytesIO(data), EVALUATIONS, lambda name: bool(re.fullmatch(r"\w{1,40}\.npy", name)), LIMITS)
    timesteps, results, lengths = (_array(arrays, name) for name in ARRAYS)
    if timesteps.ndim != 1 or results.ndim != 2 or lengths.shape != results.shape or len(results) != len(timesteps):
        raise refused(EVALUATIONS, "its arrays have other shapes than those of evaluations")
    table = CsvTable(into)
    for step, returns, steps in zip(timesteps.tolist()[:MAX_ROWS], results, lengths.tolist(), strict=False):
        table.append(_row(int(step), returns, [int(length) for length in steps]))


def write(folder: Path, agent: Agent) -> None:
    """Write config.yml, args.yml, env_kwargs.yml and train_eval_metrics.zip."""
    cfg = agent.config
    values, left_out = hyperparameters(cfg, _policy(agent))
    note = "".join(f"# not in the words of rl_zoo3, see config.yaml: {one_line(key)}\n" for key in left_out)
    _write_yaml(folder / CONFIG, values, note)
    _write_yaml(folder / ARGS, arguments(cfg))
    _write_yaml(folder / ENV_KWARGS, env_kwargs(cfg.env))
    _write_metrics(folder / METRICS, agent.run)


def hyperparameters(cfg: TrainConfig, policy: str) -> tuple[dict[str, Any], list[str]]:
    """Settings in rl_zoo3's words, and the keys of those that it has no words for.

    Of the algorithm's keywords those are left out that have their default.
    """
    from rlzoo.config.files import read_choice

    env = cfg.env
    values: dict[str, Any] = {"n_envs": env.n_envs, "n_timesteps": cfg.total_timesteps, "policy": policy}
    if env.normalize is not False:
        values["normalize"] = True if env.normalize is True else dict(env.normalize)
    if env.frame_stack is not None:
        values["frame_stack"] = env.frame_stack
    if env.wrappers:
        values["env_wrapper"] = [_wrapper(name, options) for name, options in env.wrappers.items()]
    if kwargs := env_kwargs(env):
        values["env_kwargs"] = kwargs
    if env.monitor_kwargs:
        values["monitor_kwargs"] = dict(env.monitor_kwargs)
    left_out = []
    defaults = read_choice("algo", cfg.algo.name)
    for key, value in cfg.algo.hyperparams.items():
        if key == "policy" or value is None or value == defaults.get(key):
            continue
        try:
            values |= _in_its_words(key, value)
        except LookupError:
            left_out.append(key)
    return dict(sorted(portable(values).items())), left_out


def arguments(cfg: TrainConfig) -> dict[str, Any]:
    """The command line of rl_zoo3 that this training would have had."""
    given = {
        "algo": cfg.algo.name,
        "env": cfg.env.id,
        "env_kwargs": env_kwargs(cfg.env) or None,
        "eval_episodes": cfg.eval.n_episodes,
        "eval_freq": cfg.frequency(cfg.eval.freq, 10),
        "gym_packages": list(cfg.env.imports),
        "n_timesteps": cfg.total_timesteps,
        "seed": cfg.seed,
        "vec_env": cfg.env.vec_env,
    }
    published: dict[str, Any] = portable(given)
    return published


def env_kwargs(env: EnvConfig) -> dict[str, Any]:
    """What `gymnasium.make` gets, the step limit included."""
    limit = {} if env.max_steps is None else {"max_episode_steps": env.max_steps}
    kwargs: dict[str, Any] = portable({**env.kwargs, **limit})
    return kwargs


def evaluations(run: Run) -> dict[str, Any]:
    """The evaluations on the way as Stable-Baselines3 keeps them in evaluations.npz; empty if there were none.

    `timesteps` (n,), `results` and `ep_lengths` (n, n_episodes): an evaluation with more or fewer episodes than most
    is left out.
    """
    import numpy as np

    rows = [row for row in tables.read_evaluations(run.evaluations_file) if len(row.returns) == len(row.lengths)]
    if not rows:
        return {}
    usual, _ = Counter(len(row.returns) for row in rows).most_common(1)[0]
    kept = [row for row in rows if len(row.returns) == usual]
    return {
        "timesteps": np.array([row.timesteps for row in kept]),
        "results": np.array([row.returns for row in kept]),
        "ep_lengths": np.array([row.lengths for row in kept]),
    }


def _read_wrapper(reference: Any, options: Any, found: ZooSettings) -> tuple[str, dict[str, Any]] | None:
    """A wrapper by its class, as rlzoo's name and options; None if it does nothing, or has no counterpart."""
    package, _, name = str(reference).rpartition(".")
    if name in NOTHING:
        return None
    if name not in CLASSES or package.partition(".")[0] not in PACKAGES:
        hint = f"known: {', '.join(CLASSES)}; env=… with wrappers of your own, and init_from=, use its weights"
        found.refuse("env_wrapper", f"{clean(reference)[:100]!r} has no counterpart in rlzoo", hint)
        return None
    if options is not None and not isinstance(options, Mapping):
        found.refuse("env_wrapper", f"the options of {name} must be a mapping, not {show(options)}")
        return None
    ours = CLASSES[name]
    renamed = {theirs: word for word, theirs in OTHER_WORDS.get(name, {}).items()}
    given = {renamed.get(str(option), str(option)): value for option, value in (options or {}).items()}
    return ours, {**REQUIRED_DEFAULTS.get(ours, {}), **given}


def _environment(
    config: Mapping[str, Any], args: Mapping[str, Any], env_kwargs: Mapping[str, Any], found: ZooSettings
) -> None:
    kwargs = next((given for given in (args.get("env_kwargs"), env_kwargs, config.get("env_kwargs")) if given), {})
    if isinstance(kwargs, Mapping):
        found.env["kwargs"] = {key: value for key, value in kwargs.items() if key not in OF_MAKE}
        found.env["max_steps"] = kwargs.get("max_episode_steps")
    else:
        found.refuse("env_kwargs", f"must be a mapping, not {show(kwargs)}")
    wrappers: dict[str, Any] = {}
    for reference, options in _listed(config.get("env_wrapper")):
        applied = _read_wrapper(reference, options, found)
        if applied is not None:
            if applied[0] in wrappers:
                found.refuse("env_wrapper", f"has {applied[0]} twice, which rlzoo cannot do")
            wrappers[applied[0]] = applied[1]
    found.env["wrappers"] = wrappers
    found.env["frame_stack"] = _frame_stack(config, found)
    if "n_envs" in config:
        found.env["n_envs"] = config["n_envs"]
    packages = args.get("gym_packages")
    if isinstance(packages, list):
        found.env["imports"] = [str(name) for name in packages if name not in ("rl_zoo3", "rl_zoo3.import_envs")]


def _frame_stack(config: Mapping[str, Any], found: ZooSettings) -> Any:
    stack = config.get("frame_stack")
    for reference, options in _listed(config.get("vec_env_wrapper")):
        name = str(reference).rpartition(".")[2]
        if name in NOTHING or name == "VecTransposeImage":
            continue
        if name == "VecFrameStack" and isinstance(options, Mapping) and stack is None and not config.get("normalize"):
            stack = options.get("n_stack")
        else:
            text = f"{clean(reference)[:100]!r} has no counterpart in rlzoo"
            found.refuse("vec_env_wrapper", text, "frame_stack and normalize are known")
    return stack


def _listed(given: Any) -> list[tuple[Any, Any]]:
    """Wrappers as (class, options), from a name, a mapping of one name to options, or a list of these."""
    found: list[tuple[Any, Any]] = []
    for item in given if isinstance(given, list) else [] if given is None else [given]:
        found += item.items() if isinstance(item, Mapping) else [(item, None)]
    return found


def _normalize(config: Mapping[str, Any], found: ZooSettings) -> None:
    given, more = config.get("normalize"), config.get("normalize_kwargs")
    if given in (None, False):
        return
    if given is not True and not isinstance(given, Mapping):
        found.refuse("normalize", f"must be true, false or a mapping, not {show(given)}")
        return
    options = dict(given) if isinstance(given, Mapping) else {}
    if isinstance(more, Mapping) and not options:
        # what is kept beside `true` is how it is evaluated, without rewards
        options = {key: value for key, value in more.items() if key != "norm_reward" or value}
    found.normalize = options or True


def _hyperparams(config: Mapping[str, Any], found: ZooSettings) -> None:
    for key, value in config.items():
        if key in ELSEWHERE or key in WITHOUT_MEANING:
            continue
        if key in GONE:
            found.notes.append(f"{key} of {CONFIG} is left out: today's versions do not have it")
            continue
        if key == "optimize_memory_usage" and value is True:
            found.notes.append(
                f"{key} of {CONFIG} is left out: it changes the memory of a training, and not every buffer has it"
            )
            continue
        found.hyperparams[key] = _value(key, value)
    kwargs = found.hyperparams.get("replay_buffer_kwargs")
    if isinstance(kwargs, Mapping):
        left = {key: value for key, value in kwargs.items() if key not in ("online_sampling", "max_episode_length")}
        found.hyperparams["replay_buffer_kwargs"] = left
    if config.get("noise_type") is not None:
        # rl_zoo3 looks for the name within the text
        name = next((ours for ours, theirs in NOISES.items() if theirs in str(config["noise_type"])), None)
        if name is None:
            found.refuse("noise_type", f"must be {' or '.join(NOISES.values())}, not {show(config['noise_type'])}")
        else:
            found.hyperparams["action_noise"] = {name: config.get("noise_std", 0.1)}


def _value(key: str, value: Any) -> Any:
    if isinstance(value, str) and NUMBER.fullmatch(value):
        return float(value)
    if key == "replay_buffer_class" and value == "HerReplayBuffer":
        return "her"
    return zoo_yaml.schedule(value)


def _training(config: Mapping[str, Any], args: Mapping[str, Any], found: ZooSettings) -> None:
    for steps in (args.get("n_timesteps"), config.get("n_timesteps")):
        steps = _value("n_timesteps", steps)
        if isinstance(steps, int | float) and not isinstance(steps, bool) and 1 <= steps < LARGEST:
            found.training["total_timesteps"] = int(steps)
            break
    seed = args.get("seed")
    if type(seed) is int and 0 <= seed <= MAX_SEED:
        found.training["seed"] = seed
    unknown = [name for name in found.env.get("imports", ()) if name.partition(".")[0] not in registry.KNOWN_PACKAGES]
    if unknown:
        found.notes.append(f"it was trained with the packages {', '.join(unknown)}")


def _row(step: int, returns: np.ndarray, lengths: list[int]) -> dict[str, Any]:
    """As `callbacks.evaluate` writes one; which was the best, and with which seeds, is not said."""
    return {
        "timesteps": step,
        "mean_reward": float(returns.mean()),
        "std_reward": float(returns.std()),
        "mean_ep_length": sum(lengths) / max(1, len(lengths)),
        "n_episodes": len(lengths),
        "returns": json.dumps([float(value) for value in returns]),
        "lengths": json.dumps(lengths),
    }


def _array(archive: Archive, name: str) -> np.ndarray:
    """An array of finite numbers; its header says its shape, which has to be that of what follows."""
    import numpy as np

    try:
        found = np.load(io.BytesIO(archive.read(f"{name}.npy", MAX_BYTES)), allow_pickle=False)
    except (ValueError, EOFError, OSError, MemoryError) as error:
        raise refused(EVALUATIONS, f"its {name} is not an array of numbers") from error
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "fiu" or not np.isfinite(found).all():
        raise refused(EVALUATIONS, f"its {name} is not an array of numbers")
    return found


def _write_metrics(path: Path, run: Run) -> None:
    import numpy as np

    contents = {}
    if arrays := evaluations(run):
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        contents[EVALUATIONS] = buffer.getvalue()
    write_zip(path, contents)


def _policy(agent: Agent) -> str:
    from rlzoo.algos.create import policy_for

    model = agent.algorithm.model  # type: ignore[attr-defined]
    chosen = str(agent.config.algo.hyperparams.get("policy", "auto"))
    return policy_for(chosen, find_spec(agent.config.algo.name), model.observation_space)


def _in_its_words(key: str, value: Any) -> dict[str, Any]:
    """One keyword of the algorithm.

    Raises:
        LookupError: if rl_zoo3 has no words for it.
    """
    if key == "policy_kwargs":
        return {key: _call(value)}
    if key == "replay_buffer_class":
        return {key: {"her": "HerReplayBuffer"}[value]}
    if key == "action_noise":
        ((name, given),) = value.items()
        sigma = given["sigma"] if isinstance(given, Mapping) else given
        return {"noise_type": NOISES[name], "noise_std": sigma}
    if isinstance(value, Mapping) and key in ("learning_rate", "clip_range", "clip_range_vf", "delta_std"):
        ((name, numbers),) = value.items()
        numbers = list(numbers) if isinstance(numbers, list | tuple) else [numbers]
        if name == "linear" and numbers[1:] in ([], [0], [0, 1]):
            return {key: f"lin_{numbers[0]}"}
        if name == "constant":
            return {key: numbers[0]}
        raise LookupError(name)
    if key.endswith("_class"):
        raise LookupError(key)
    return {key: value}


def _call(values: Mapping[str, Any]) -> str:
    """`policy_kwargs` as rl_zoo3 writes them: `dict(net_arch=[64, 64], activation_fn=nn.ReLU)`."""
    return f"dict({', '.join(f'{key}={_expression(key, value)}' for key, value in values.items())})"


def _expression(key: str, value: Any) -> str:
    if key == "activation_fn":
        return ACTIVATIONS[value].replace("torch.nn:", "nn.")
    if key == "optimizer_class":
        return "RMSpropTFLike" if value == "rmsprop_tf_like" else OPTIMIZERS[value].replace("torch.optim:", "th.optim.")
    if key.endswith("_class"):
        raise LookupError(key)
    if isinstance(value, Mapping):
        return _call(value) if all(str(name).isidentifier() for name in value) else repr(dict(value))
    return repr(value)


def _wrapper(name: str, options: Mapping[str, Any]) -> Any:
    if name in OWN_CLASSES:
        path, words = f"rl_zoo3.wrappers.{OWN_CLASSES[name]}", OTHER_WORDS.get(OWN_CLASSES[name], {})
        options = {words.get(key, key): value for key, value in options.items()}
    else:
        path = (WRAPPERS[name].entry_point if name in WRAPPERS else name).replace(":", ".")
    return {path: dict(options)} if options else path


def _write_yaml(path: Path, values: Mapping[str, Any], note: str = "") -> None:
    text = yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True, default_flow_style=False)
    path.write_text(note + text, encoding="utf-8")
