"""The one function that builds environments, for training, evaluation, video and the Hub alike."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from rlzoo import registry
from rlzoo.config import aliases
from rlzoo.envs import display, registration, wrappers
from rlzoo.envs.vector.normalization import load_statistics
from rlzoo.errors import ExitCode, RlzooError
from rlzoo.protocols import State

if TYPE_CHECKING:
    import gymnasium
    from stable_baselines3.common.vec_env import VecEnv

    from rlzoo.config.schema import EnvConfig


def make(  # noqa: PLR0913 - whatever one of its callers decides
    cfg: EnvConfig,
    *,
    n_envs: int,
    seed: int,
    gamma: float = 0.99,
    training: bool = True,
    statistics: State | None = None,
    render_mode: str | None = None,
    episode_seeds: Sequence[int] | None = None,
    max_steps: int | None = None,
    unlimited_max_steps: int | None = None,
    on_nan: Literal["stop", "warn"] | None = None,
) -> VecEnv:
    """Build `n_envs` environments side by side.

    From the inside out: the environment with its step limit, the monitor, the configured wrappers, the vectorised
    environment (subprocesses only for more than one environment), the look for NaN and infinity, normalisation, frame
    stack, images channels first.

    Args:
        cfg: what to build; everything but the arguments below comes from it.
        n_envs: how many.
        seed: environment i resets first with `seed + i`, and its action space draws from it.
        gamma: discount of the returns that reward normalisation is based on, unless `cfg.normalize` sets one.
        training: False freezes the normalisation statistics and leaves rewards as they are.
        statistics: normalisation statistics to start from.
        render_mode: None does not draw, which is up to three times faster.
        episode_seeds: environment i's k-th episode starts from `episode_seeds[i::n_envs][k]`.
        max_steps: step limit of an episode instead of `cfg.max_steps`.
        unlimited_max_steps: step limit of an environment that has none.
        on_nan: what NaN or infinity from an environment, or in an action, does; None does not look for it.

    An environment that fails later is restarted, up to `cfg.max_restarts` times: see `restarts`.

    Raises:
        RlzooError: if the environment is not known, not installed or cannot be made like this.
    """
    from rlzoo.envs.vector.in_process import InProcessVecEnv
    from rlzoo.envs.vector.nan_guard import FiniteCheck
    from rlzoo.envs.vector.restarts import Blueprint, Restarting

    seeds = [int(value) for value in episode_seeds or ()]
    name = "environment" if training else "evaluation environment"
    blueprints = [
        Blueprint(
            f"{name} {index}",
            partial(
                build,
                cfg,
                render_mode=render_mode,
                max_steps=max_steps,
                unlimited_max_steps=unlimited_max_steps,
                episode_seeds=tuple(seeds[index::n_envs]),
            ),
            seed=seed + index,
            max_restarts=cfg.max_restarts,
        )
        for index in range(n_envs)
    ]
    env: VecEnv
    if cfg.vec_env == "subproc":
        from rlzoo.envs.vector.subprocess import RestartingSubprocVecEnv

        env = RestartingSubprocVecEnv(blueprints, step_timeout=cfg.step_timeout)
    else:
        held = registration.processes_held(aliases.current(cfg.id), cfg.imports, cfg.wrappers)
        step_timeout = math.inf if render_mode == "human" else float(cfg.step_timeout)  # who watches may let it wait
        env = InProcessVecEnv([partial(Restarting, blueprint, step_timeout) for blueprint in blueprints], within=held)
    env.seed(seed)
    if on_nan is not None:
        env = FiniteCheck(env, on_nan, training=training)
    env = _vector_wrapped(env, cfg, gamma, training)
    if statistics is not None:
        load_statistics(env, statistics)
    return env


def build(
    cfg: EnvConfig,
    *,
    seed: int | None = None,
    render_mode: str | None = None,
    max_steps: int | None = None,
    unlimited_max_steps: int | None = None,
    episode_seeds: Sequence[int] = (),
) -> gymnasium.Env:
    """One environment of `make`, before it is vectorised."""
    from gymnasium.wrappers import TimeLimit

    from rlzoo.envs.monitor import EpisodeMonitor, ShowEpisodes

    limit = max_steps or cfg.max_steps
    raw = make_raw(cfg.id, imports=cfg.imports, kwargs=cfg.kwargs, max_steps=limit, render_mode=render_mode)
    if unlimited_max_steps is not None and "time_limit" not in cfg.wrappers and not has_step_limit(raw):
        raw, max_steps = TimeLimit(raw, unlimited_max_steps), unlimited_max_steps
    monitored = EpisodeMonitor(raw, episode_seeds=episode_seeds, cut_at=max_steps, **cfg.monitor_kwargs)
    env = ShowEpisodes(wrappers.apply(monitored, cfg.wrappers), monitored) if cfg.wrappers else monitored
    if seed is not None:
        env.action_space.seed(seed)
    return env


def make_raw(
    env_id: str,
    *,
    imports: Sequence[str] = (),
    kwargs: Mapping[str, Any] | None = None,
    max_steps: int | None = None,
    render_mode: str | None = None,
) -> gymnasium.Env:
    """`gymnasium.make`, with old ids, registration, the old Gym API and errors taken care of.

    Without a `render_mode` the environment's own default holds: there are environments that do not know the keyword.

    Raises:
        RlzooError: if the id is unknown (exit code 2) or its package is missing (3).
    """
    import gymnasium
    from gymnasium import error as gym_error

    from rlzoo.envs import old_gym

    display.prepare()
    env_id = aliases.current(env_id)
    module, _, name = env_id.rpartition(":")
    registration.register([*imports, *([module] if module else [])])
    options = dict(kwargs or {})
    if render_mode is not None:
        options["render_mode"] = render_mode
    try:
        spec = gymnasium.registry.get(name)
        if spec is not None and old_gym.may_be_old(spec):
            return old_gym.make(spec, max_episode_steps=max_steps, **options)
        return gymnasium.make(env_id, max_episode_steps=max_steps, **options)
    except (gym_error.DependencyNotInstalled, ModuleNotFoundError) as error:
        hint = registry.import_hint(error.name or "") if isinstance(error, ImportError) else ""
        raise RlzooError(f"{env_id} needs a package that is missing: {error}", hint, ExitCode.MISSING) from error
    except gym_error.UnregisteredEnv as error:
        problem = registration.unknown(env_id, imports)
        raise RlzooError(problem.message, problem.hint) from error
    except gym_error.Error as error:
        raise RlzooError(f"{env_id} cannot be made: {error}") from error


def has_step_limit(env: gymnasium.Env) -> bool:
    """Whether every episode ends, as far as can be seen: by Gymnasium's limit, or by the emulator's own (Atari)."""
    import gymnasium
    from gymnasium.wrappers import TimeLimit

    layer, layers = env, [env]
    while isinstance(layer, gymnasium.Wrapper):
        layer = layer.env
        layers.append(layer)
    by_emulator = env.spec is not None and env.spec.kwargs.get("max_num_frames_per_episode")
    return bool(by_emulator) or any(isinstance(one, TimeLimit) for one in layers)


def set_episode_seeds(env: VecEnv, seeds: Sequence[int]) -> None:
    """Begin a new evaluation: the episodes so far are forgotten, and environment i of n gets `seeds[i::n]`.

    The next call has to be `env.reset()`.
    """
    for index in range(env.num_envs):
        share = [int(seed) for seed in seeds[index :: env.num_envs]]
        env.env_method("set_episode_seeds", share, indices=[index])


def _vector_wrapped(env: VecEnv, cfg: EnvConfig, gamma: float, training: bool) -> VecEnv:
    from stable_baselines3.common.vec_env import VecFrameStack, VecNormalize, VecTransposeImage

    if cfg.normalize is not False:
        if cfg.frame_stack is None and _has_channels_last(env.observation_space):
            env = VecTransposeImage(env)  # within: a replay buffer keeps what goes into the normalisation
        options: dict[str, Any] = {"gamma": gamma}
        options |= cfg.normalize if isinstance(cfg.normalize, Mapping) else {}
        if not training:
            options["norm_reward"] = False
        env = VecNormalize(env, training=training, **options)
    if cfg.frame_stack is not None:
        env = VecFrameStack(env, n_stack=cfg.frame_stack)
    return VecTransposeImage(env) if _has_channels_last(env.observation_space) else env


def _has_channels_last(space: gymnasium.Space) -> bool:
    from gymnasium import spaces
    from stable_baselines3.common.preprocessing import is_image_space, is_image_space_channels_first

    parts = space.spaces.values() if isinstance(space, spaces.Dict) else [space]
    return any(
        isinstance(part, spaces.Box) and is_image_space(part) and not is_image_space_channels_first(part)
        for part in parts
    )
