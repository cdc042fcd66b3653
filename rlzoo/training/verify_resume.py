"""The short twin of a training: its configuration made short, and the crash that cuts it off."""

from __future__ import annotations

import dataclasses
import math
import os

from rlzoo.config.schema import TrainConfig
from rlzoo.errors import ConfigError, Problem
from rlzoo.protocols import Algorithm, Callback
from rlzoo.runs.run import Run

BOUNDARIES = 4
"""Rollouts that the twin takes at least: two before the cut, two after it."""

LEAST_STEPS = 800
"""Steps that the twin takes at least: short rollouts alone would show no evaluation and hardly an episode's end."""

EVAL_STEPS = 500
"""Length of the twin's evaluation episodes at most."""

CRASHED = 86
"""Exit code of the process that is cut off, which no other end has."""


def shorten(cfg: TrainConfig, total_timesteps: int | None = None) -> tuple[TrainConfig, int]:
    """The twin's configuration, and the environment steps of one of its rollouts.

    Everything that decides how numbers come about is kept. What is shorter: the training with its schedules, the
    warm-up, the intervals of target networks, evaluations and checkpoints.

    Raises:
        ConfigError: if `total_timesteps` is too small.
    """
    limit = _episode_steps(cfg)
    hyperparams = dict(cfg.algo.hyperparams)
    unit = _rollout_steps(cfg, limit)
    warm_up = 0
    if hyperparams.get("learning_starts"):
        whole_episodes = limit * cfg.env.n_envs if hyperparams.get("replay_buffer_class") == "her" else 0
        warm_up = max(int(hyperparams.get("batch_size") or 0), 100, whole_episodes + 1)
        hyperparams["learning_starts"] = warm_up = min(int(hyperparams["learning_starts"]), warm_up)
    least = BOUNDARIES * max(unit, warm_up)
    if total_timesteps is not None and total_timesteps < least:
        message = (
            f"must be at least {least:,}: two rollouts of {unit:,} steps before and after the cut, and the warm-up"
        )
        raise ConfigError([Problem("total_timesteps", message, "null chooses", "command line")])
    wanted = least if _is_planning(cfg) else max(least, LEAST_STEPS)  # planning may be done after a few sweeps
    total = total_timesteps or math.ceil(wanted / (BOUNDARIES * unit)) * BOUNDARIES * unit
    if hyperparams.get("target_update_interval"):
        hyperparams["target_update_interval"] = min(int(hyperparams["target_update_interval"]), max(1, total // 8))
    evaluation = dataclasses.replace(
        cfg.eval,
        freq=max(1, total // 5) if cfg.frequency(cfg.eval.freq, 10) else 0,
        n_episodes=min(cfg.eval.n_episodes, 2),
        selection_n_episodes=0,
        final_n_episodes=1,
        seeds=None,
        n_envs=min(cfg.eval.n_envs, 2),
        max_steps=min(cfg.eval.max_steps or limit, limit, EVAL_STEPS),
    )
    twin = dataclasses.replace(
        cfg,
        algo=dataclasses.replace(cfg.algo, hyperparams=hyperparams),
        init_from=None,
        total_timesteps=total,
        eval=evaluation,
        checkpoint=dataclasses.replace(cfg.checkpoint, freq=total // 4, minutes=0.0),
        stop=dataclasses.replace(cfg.stop, reward=None, episodes=None, minutes=None),
        logger={},
    )
    return twin, unit


class Crash(Callback):
    """Ends the process as a crash does, in the middle of the rollout after the first boundary at or after a step."""

    def __init__(self, run: Run, after: int, unit: int) -> None:
        self._run, self._after, self._unit = run, after, unit
        self._at: int | None = None

    def on_boundary(self, algorithm: Algorithm) -> None:
        if self._at is None and algorithm.num_timesteps >= self._after:
            self._at = algorithm.num_timesteps + self._unit // 2

    def on_step(self, algorithm: Algorithm) -> bool:
        if self._at is not None and algorithm.num_timesteps >= self._at:
            self._run.update_info(cut_at=algorithm.num_timesteps)
            os._exit(CRASHED)
        return True


def _is_planning(cfg: TrainConfig) -> bool:
    from rlzoo.algos.specs import find_spec

    return find_spec(cfg.algo.name).family == "planning"


def _rollout_steps(cfg: TrainConfig, limit: int) -> int:
    """Environment steps from one boundary to the next, at most."""
    from rlzoo.algos.specs import find_spec

    hyperparams, family = cfg.algo.hyperparams, find_spec(cfg.algo.name).family
    if family == "evolution":
        tried = 2 * hyperparams["n_delta"] if "n_delta" in hyperparams else hyperparams.get("population_size", 2)
        episodes = int(tried * hyperparams["n_eval_episodes"])
        n_envs = cfg.env.n_envs
        return math.ceil(episodes / n_envs) * n_envs * limit  # the environments play them side by side
    if family == "on_policy":
        return int(hyperparams["n_steps"]) * cfg.env.n_envs
    frequency = hyperparams.get("train_freq") or 1
    count, what = frequency if isinstance(frequency, list | tuple) else (frequency, "step")
    return int(count) * (limit if what == "episode" else cfg.env.n_envs)


def _episode_steps(cfg: TrainConfig) -> int:
    """The step limit of an episode, or what is taken for one where there is none."""
    from rlzoo.envs.make import make_raw

    env = make_raw(cfg.env.id, imports=cfg.env.imports, kwargs=cfg.env.kwargs, max_steps=cfg.env.max_steps)
    env.close()
    return int((env.spec and env.spec.max_episode_steps) or 2 * EVAL_STEPS)
