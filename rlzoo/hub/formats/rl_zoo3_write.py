"""The files that rl_zoo3 reads beside an agent: its settings in its own words, and the evaluations on the way.

`config.yml` holds what its YAML files of hyperparameters hold, `args.yml` what its command line was given. Names of
classes are those of Stable-Baselines3, Gymnasium and rl_zoo3, so that its `enjoy` builds the same environment.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from rlzoo.algos.schema.types import ACTIVATIONS, OPTIMIZERS
from rlzoo.config.schema import EnvConfig, TrainConfig
from rlzoo.envs.wrappers import WRAPPERS
from rlzoo.escape import one_line
from rlzoo.hub.privacy import portable
from rlzoo.runs import tables
from rlzoo.runs.run import Run

if TYPE_CHECKING:
    from rlzoo.evaluation.agent import Agent

NOISES = {"normal": "normal", "ornstein_uhlenbeck": "ornstein-uhlenbeck"}
_WRAPPERS = {
    "mask_velocity": ("rl_zoo3.wrappers.MaskVelocityWrapper", {}),
    "action_noise": ("rl_zoo3.wrappers.ActionNoiseWrapper", {"std": "noise_std"}),
    "delayed_reward": ("rl_zoo3.wrappers.DelayedRewardWrapper", {}),
    "resize": ("rl_zoo3.wrappers.YAMLCompatResizeObservation", {}),
}
"""Wrappers that rl_zoo3 has too, and where its keywords have other names."""


def write(folder: Path, agent: Agent) -> None:
    """Write config.yml, args.yml, env_kwargs.yml and train_eval_metrics.zip."""
    cfg = agent.config
    values, left_out = hyperparameters(cfg, _policy(agent))
    note = "".join(f"# not in the words of rl_zoo3, see config.yaml: {one_line(key)}\n" for key in left_out)
    _write_yaml(folder / "config.yml", values, note)
    _write_yaml(folder / "args.yml", arguments(cfg))
    _write_yaml(folder / "env_kwargs.yml", env_kwargs(cfg.env))
    _write_metrics(folder / "train_eval_metrics.zip", agent.run)


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


def _write_metrics(path: Path, run: Run) -> None:
    import numpy as np

    from rlzoo.hub.formats.sb3_write import write_zip

    contents = {}
    if arrays := evaluations(run):
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        contents["evaluations.npz"] = buffer.getvalue()
    write_zip(path, contents)


def _policy(agent: Agent) -> str:
    from rlzoo.algos.create import policy_for
    from rlzoo.algos.specs import find_spec

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
    if name in _WRAPPERS:
        path, words = _WRAPPERS[name]
        options = {words.get(key, key): value for key, value in options.items()}
    else:
        path = (WRAPPERS[name].entry_point if name in WRAPPERS else name).replace(":", ".")
    return {path: dict(options)} if options else path


def _write_yaml(path: Path, values: Mapping[str, Any], note: str = "") -> None:
    text = yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True, default_flow_style=False)
    path.write_text(note + text, encoding="utf-8")
