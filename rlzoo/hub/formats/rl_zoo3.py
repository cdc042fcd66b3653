"""The settings that rl_zoo3 publishes beside an agent (`config.yml`, `args.yml`, `env_kwargs.yml`), in rlzoo's words.

They are data: texts that rl_zoo3 would evaluate are parsed, class names are looked up in the tables below.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rlzoo import own_modules
from rlzoo.algos.specs import ALGOS, ALIASES
from rlzoo.config.schema import LARGEST
from rlzoo.errors import ConfigError, Problem, clean, show
from rlzoo.hub.formats.repository import Repository
from rlzoo.untrusted import expressions, zoo_yaml

CONFIG, ARGS, ENV_KWARGS = "config.yml", "args.yml", "env_kwargs.yml"
MAX_SEED = 2**31 - 1

WRAPPERS: dict[str, tuple[str, dict[str, str]]] = {
    "AtariWrapper": ("atari", {}),
    "TimeLimit": ("time_limit", {}),
    "FlattenObservation": ("flatten", {}),
    "FilterObservation": ("filter", {}),
    "GrayScaleObservation": ("grayscale", {}),
    "GrayscaleObservation": ("grayscale", {}),
    "ResizeObservation": ("resize", {}),
    "YAMLCompatResizeObservation": ("resize", {}),
    "RescaleAction": ("rescale_action", {}),
    "ClipReward": ("clip_reward", {}),
    "StickyAction": ("sticky_action", {}),
    "RepeatAction": ("frame_skip", {}),
    "TimeFeatureWrapper": ("time_feature", {}),
    "FrameSkip": ("frame_skip", {"skip": "num_repeats"}),
    "ActionNoiseWrapper": ("action_noise", {"noise_std": "std"}),
    "DelayedRewardWrapper": ("delayed_reward", {}),
    "MaskVelocityWrapper": ("mask_velocity", {}),
}
"""Class names to wrappers of rlzoo that do the same, and the options that have another name here."""
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
"""Keys that are no keywords of the algorithm. The network is as the zip says."""
GONE = frozenset(
    "create_eval_env model_class online_sampling max_episode_length goal_selection_strategy n_sampled_goal "
    "n_episodes_rollout".split()
)
"""Keywords of older versions that meant nothing to a policy."""
WITHOUT_MEANING = frozenset({"callback", "seed", "tensorboard_log", "verbose", "device", "_init_setup_model"})
OF_MAKE = frozenset({"render_mode", "max_episode_steps", "disable_env_checker"})
"""Keywords of `gymnasium.make` itself, which rl_zoo3 takes among the environment's."""
NOISES = {"normal": "normal", "ornstein-uhlenbeck": "ornstein_uhlenbeck"}
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
    """

    algo: str | None = None
    env_id: str | None = None
    hyperparams: dict[str, Any] = field(default_factory=dict)
    env: dict[str, Any] = field(default_factory=dict)
    normalize: dict[str, Any] | bool = False
    training: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read(repository: Repository) -> ZooSettings:
    """Read the files; all but `config.yml` may be missing.

    Raises:
        ConfigError: naming every key that has no meaning here.
        RlzooError: with exit code 7, if a file holds anything but data.
    """
    config = zoo_yaml.read_zoo(repository.need(CONFIG))
    args, env_kwargs = (
        {} if (path := repository.find(name)) is None else zoo_yaml.read_zoo(path) for name in (ARGS, ENV_KWARGS)
    )
    config = {
        key: expressions.parse(value) if key in TEXTS and isinstance(value, str) else value
        for key, value in config.items()
    }
    found = ZooSettings()
    problems: list[Problem] = []
    _identity(args, found)
    _environment(config, args, env_kwargs, found, problems)
    _normalize(config, found, problems)
    _hyperparams(config, found, problems)
    _training(config, args, found)
    if problems:
        raise ConfigError(problems)
    return found


def wrapper(reference: Any, options: Any, problems: list[Problem]) -> tuple[str, dict[str, Any]] | None:
    """A wrapper by its class, as rlzoo's name and options; None if it does nothing, or has no counterpart.

    Args:
        reference: `package.module.Class`.
        options: its keywords.
        problems: gets what is wrong with it.
    """
    key = "env_wrapper"
    package, _, name = str(reference).rpartition(".")
    if name in NOTHING:
        return None
    if name not in WRAPPERS or package.partition(".")[0] not in PACKAGES:
        hint = f"known: {', '.join(WRAPPERS)}; env=… with wrappers of your own, and init_from=, use its weights"
        problems.append(Problem(key, f"{clean(reference)[:100]!r} has no counterpart in rlzoo", hint, CONFIG))
        return None
    if options is not None and not isinstance(options, Mapping):
        problems.append(Problem(key, f"the options of {name} must be a mapping, not {show(options)}", "", CONFIG))
        return None
    ours, renamed = WRAPPERS[name]
    given = {renamed.get(str(option), str(option)): value for option, value in (options or {}).items()}
    return ours, {**REQUIRED_DEFAULTS.get(ours, {}), **given}


def _identity(args: Mapping[str, Any], found: ZooSettings) -> None:
    algo, env_id = args.get("algo"), args.get("env")
    if isinstance(algo, str) and (algo in ALGOS or algo in ALIASES):
        found.algo = algo
    if isinstance(env_id, str) and env_id:
        found.env_id = env_id


def _environment(
    config: Mapping[str, Any],
    args: Mapping[str, Any],
    env_kwargs: Mapping[str, Any],
    found: ZooSettings,
    problems: list[Problem],
) -> None:
    kwargs = next((given for given in (args.get("env_kwargs"), env_kwargs, config.get("env_kwargs")) if given), {})
    if isinstance(kwargs, Mapping):
        found.env["kwargs"] = {key: value for key, value in kwargs.items() if key not in OF_MAKE}
        found.env["max_steps"] = kwargs.get("max_episode_steps")
    else:
        problems.append(Problem("env_kwargs", f"must be a mapping, not {show(kwargs)}", "", CONFIG))
    wrappers: dict[str, Any] = {}
    for reference, options in _listed(config.get("env_wrapper")):
        applied = wrapper(reference, options, problems)
        if applied is not None:
            if applied[0] in wrappers:
                problems.append(Problem("env_wrapper", f"has {applied[0]} twice, which rlzoo cannot do", "", CONFIG))
            wrappers[applied[0]] = applied[1]
    found.env["wrappers"] = wrappers
    found.env["frame_stack"] = _frame_stack(config, problems)
    if "n_envs" in config:
        found.env["n_envs"] = config["n_envs"]
    packages = args.get("gym_packages")
    if isinstance(packages, list):
        found.env["imports"] = [str(name) for name in packages if name not in ("rl_zoo3", "rl_zoo3.import_envs")]


def _frame_stack(config: Mapping[str, Any], problems: list[Problem]) -> Any:
    stack = config.get("frame_stack")
    for reference, options in _listed(config.get("vec_env_wrapper")):
        name = str(reference).rpartition(".")[2]
        if name in NOTHING or name == "VecTransposeImage":
            continue
        if name == "VecFrameStack" and isinstance(options, Mapping) and stack is None and not config.get("normalize"):
            stack = options.get("n_stack")
        else:
            text = f"{clean(reference)[:100]!r} has no counterpart in rlzoo"
            problems.append(Problem("vec_env_wrapper", text, "frame_stack and normalize are known", CONFIG))
    return stack


def _listed(given: Any) -> list[tuple[Any, Any]]:
    """Wrappers as (class, options), from a name, a mapping of one name to options, or a list of these."""
    found: list[tuple[Any, Any]] = []
    for item in given if isinstance(given, list) else [] if given is None else [given]:
        found += item.items() if isinstance(item, Mapping) else [(item, None)]
    return found


def _normalize(config: Mapping[str, Any], found: ZooSettings, problems: list[Problem]) -> None:
    given, more = config.get("normalize"), config.get("normalize_kwargs")
    if given in (None, False):
        return
    if given is not True and not isinstance(given, Mapping):
        problems.append(Problem("normalize", f"must be true, false or a mapping, not {show(given)}", "", CONFIG))
        return
    options = dict(given) if isinstance(given, Mapping) else {}
    if isinstance(more, Mapping) and not options:
        # what is kept beside `true` is how it is evaluated, without rewards
        options = {key: value for key, value in more.items() if key != "norm_reward" or value}
    found.normalize = options or True


def _hyperparams(config: Mapping[str, Any], found: ZooSettings, problems: list[Problem]) -> None:
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
        name = next((ours for theirs, ours in NOISES.items() if theirs in str(config["noise_type"])), None)
        if name is None:
            text = f"must be {' or '.join(NOISES)}, not {show(config['noise_type'])}"
            problems.append(Problem("noise_type", text, "", CONFIG))
        else:
            found.hyperparams["action_noise"] = {name: config.get("noise_std", 0.1)}


def _value(key: str, value: Any) -> Any:
    if isinstance(value, str) and NUMBER.fullmatch(value):
        return float(value)
    if key == "replay_buffer_class" and value == "HerReplayBuffer":
        return "her"
    return expressions.schedule(value)


def _training(config: Mapping[str, Any], args: Mapping[str, Any], found: ZooSettings) -> None:
    for steps in (args.get("n_timesteps"), config.get("n_timesteps")):
        steps = _value("n_timesteps", steps)
        if isinstance(steps, int | float) and not isinstance(steps, bool) and 1 <= steps < LARGEST:
            found.training["total_timesteps"] = int(steps)
            break
    seed = args.get("seed")
    if type(seed) is int and 0 <= seed <= MAX_SEED:
        found.training["seed"] = seed
    unknown = [name for name in found.env.get("imports", ()) if name.partition(".")[0] not in own_modules.PACKAGES]
    if unknown:
        found.notes.append(f"it was trained with the packages {', '.join(unknown)}")
