"""What a training will need: memory, which is calculated, and time, which a short trial measures if it is small."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

from rlzoo import errors
from rlzoo.config.schema import AlgoConfig, TrainConfig
from rlzoo.protocols import Algorithm, Callback

TRIAL_SECONDS = 3.0
MOST_SECONDS = 20.0
"""Of the whole trial, if the first rollout alone takes longer."""
MAX_TRIED, MAX_ENVS_TRIED = 4_000_000, 64
"""Parameters and environments that are made for the trial at most: everything else is calculated."""


def estimates(config: TrainConfig) -> list[str]:
    """Lines about the memory of the buffers, and the time of the training by a short trial on this machine.

    Raises:
        RlzooError: if the trial fails, whoever's fault that is: with exit code 2, as no training has started.
    """
    with errors.before_work("the trial"):
        return _tried(config)


def _tried(config: TrainConfig) -> list[str]:
    from rlzoo.algos.create import create
    from rlzoo.algos.free_memory import available, size
    from rlzoo.algos.memory import COPIES, FLOAT32, Sizes, buffer_bytes
    from rlzoo.algos.parameters import n_parameters
    from rlzoo.envs.make import make
    from rlzoo.envs.seeding import seed_everything
    from rlzoo.training.train import set_threads, unlimited_max_steps

    set_threads(config)
    seed_everything(config.seed or 0)
    limit, n_envs, total = unlimited_max_steps(config), config.env.n_envs, config.total_timesteps
    options: dict[str, Any] = {"seed": config.seed or 0, "unlimited_max_steps": limit, "on_nan": config.on_nan}
    env = make(config.env, n_envs=1, **options)
    try:
        sizes = Sizes.of(env.observation_space, env.action_space)
        stack = config.env.frame_stack
        needed = buffer_bytes(config.algo, sizes, n_envs=n_envs, total_timesteps=total, frame_stack=stack)
        lines = [f"memory of the buffer: {size(needed)}, {size(available().free)} are free"]
        weights = n_parameters(config.algo, env.observation_space, env.action_space)
        if weights:
            learning = size(weights * FLOAT32 * COPIES)
            lines.append(f"networks: {weights:,} parameters at least, {learning} while they learn")
        if weights > MAX_TRIED or n_envs > MAX_ENVS_TRIED:
            return [*lines, "time: not tried: to make these networks and environments takes long itself"]
        if n_envs > 1:
            env.close()
            env = make(config.env, n_envs=n_envs, **options)
        trial_algo, warm_up = trial(config.algo, config.env.n_envs)
        algorithm = create(trial_algo, env, seed=config.seed or 0, device=config.device)
        clock = Clock(TRIAL_SECONDS, warm_up)
        algorithm.learn(config.total_timesteps, [clock])
    finally:
        env.close()
    if clock.rate is None:
        return [*lines, "time: the trial ended before anything could be measured"]
    seconds = config.total_timesteps / clock.rate
    return [
        *lines,
        f"time: about {_duration(seconds)} for {config.total_timesteps:,} steps at {clock.rate:,.0f} steps/s, "
        f"measured in a trial of {clock.seconds:.0f} s here; evaluations come on top",
    ]


def trial(algo: AlgoConfig, n_envs: int) -> tuple[AlgoConfig, int]:
    """The algorithm with a short rollout or warm-up and a small buffer, so that a few seconds are typical of hours.

    Returns:
        The changed algorithm, and the steps to leave out of the measurement.
    """
    hyperparams: dict[str, Any] = dict(algo.hyperparams)
    batch = int(hyperparams.get("batch_size") or 64)
    warm_up = 0
    if "learning_starts" in hyperparams:
        hyperparams["learning_starts"] = batch
        warm_up = batch + 100  # the first update alone takes as long as hundreds
        hyperparams["buffer_size"] = max(10 * batch, 2000)
    elif {"gae_lambda", "batch_size", "n_steps"} <= hyperparams.keys():
        rollout = int(hyperparams["n_steps"]) * n_envs
        hyperparams["n_steps"] = max(2, min(rollout, max(batch, 512)) // n_envs)
    return dataclasses.replace(algo, hyperparams=hyperparams), warm_up


class Clock(Callback):
    """Measures steps per second after a warm-up, between boundaries, and ends the trial."""

    def __init__(self, seconds: float, warm_up: int) -> None:
        self.limit = seconds
        self.warm_up = warm_up
        self.start: tuple[float, int] | None = None
        self.rate: float | None = None
        self.seconds = 0.0
        self.begun: float | None = None

    def on_boundary(self, algorithm: Algorithm) -> None:
        now = time.monotonic()
        if self.start is None:
            if algorithm.num_timesteps >= self.warm_up:
                self.start = (now, algorithm.num_timesteps)
        elif algorithm.num_timesteps > self.start[1]:
            self.seconds = now - self.start[0]
            self.rate = (algorithm.num_timesteps - self.start[1]) / self.seconds

    def on_step(self, algorithm: Algorithm) -> bool:
        began = self.begun = self.begun or time.monotonic()
        return self.seconds < self.limit and time.monotonic() - began < MOST_SECONDS


def _duration(seconds: float) -> str:
    minutes, hours = seconds / 60, seconds / 3600
    if hours >= 1:
        return f"{hours:.1f} hours"
    return f"{minutes:.0f} minutes" if minutes >= 2 else f"{seconds:.0f} seconds"
