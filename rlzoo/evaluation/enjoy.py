"""Shows agents at play, in a window or in the terminal, and prints the score of each whole episode."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from rlzoo.config.schema import EnjoyConfig, EnvConfig
from rlzoo.console import print_lines
from rlzoo.envs import display, render
from rlzoo.errors import ExitCode, RlzooError
from rlzoo.evaluation import terminal
from rlzoo.evaluation.record import play

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv

    from rlzoo.evaluation.agent import Actor

Render = Literal["auto", "window", "terminal", "none"]


class Episode(NamedTuple):
    """A whole episode that was watched: whose, its raw return, and the agent's steps in it."""

    checkpoint: str
    total: float
    n_steps: int


def watch(actors: Iterable[Actor], env: EnvConfig, cfg: EnjoyConfig) -> list[Episode]:
    """Show the episodes of each, one after the other; in the end the mean of their scores is printed.

    Raises:
        RlzooError: if the environment cannot be drawn as it was asked for, or fails.
    """
    view = _view(cfg.render)
    n_episodes = len(cfg.seeds) if cfg.seeds else cfg.n_episodes
    spectator = _Spectator(view, cfg.fps, n_episodes if cfg.n_timesteps is None else None)
    try:
        with spectator.screen():
            mode = _render_mode(env, view)
            for actor in actors:
                spectator.begin(actor.name)
                play(
                    actor,
                    spectator.show,
                    render_mode=mode,
                    opened=spectator.opened,
                    n_episodes=n_episodes,
                    n_timesteps=cfg.n_timesteps,
                    seeds=cfg.seeds,
                    deterministic=cfg.deterministic,
                    should_stop=lambda: cfg.n_timesteps is not None and spectator.n_steps >= cfg.n_timesteps,
                )
    finally:
        spectator.sum_up()
    return spectator.episodes


class _Spectator:
    """Shows every moment in time, and keeps the episodes' scores."""

    def __init__(self, view: Render, fps: float | None, n_episodes: int | None) -> None:
        self.n_episodes = n_episodes
        self.n_steps = 0
        self.episodes: list[Episode] = []
        self._view, self._fps, self._name = view, fps, ""
        self._terminal = terminal.Terminal() if view == "terminal" else None
        self._live = terminal.is_terminal()
        self._pace = terminal.Pace(fps)
        self._written = 0.0
        self._n_printed = 0

    def screen(self) -> AbstractContextManager[Any]:
        return nullcontext() if self._terminal is None else self._terminal

    def begin(self, checkpoint: str) -> None:
        self._name, self.n_steps = checkpoint, 0

    def opened(self, env: VecEnv, agent: Actor) -> None:
        fps = self._fps
        if fps is None and self._view == "terminal":  # a window keeps its own time
            inner = env.unwrapped.envs[0]  # type: ignore[attr-defined]
            fps = render.frames_per_second(inner, agent.config.env, toy_text=None)
        self._pace = terminal.Pace(None if self._view == "none" else fps)

    def show(self, moment: render.Moment) -> None:
        self.n_steps += moment.step > 0
        of = f" of {self.n_episodes}" if self.n_episodes else ""
        score = f"step {moment.step:,}  reward {moment.reward:.6g}  return {moment.total:.6g}"
        caption = f"{self._name}  episode {moment.episode + 1}{of}  {score}"
        in_time = self._pace.wait()
        if self._terminal is not None:
            if in_time or moment.ended:
                text = isinstance(moment.picture, str)
                self._terminal.show(moment.picture if text else render.pixels(moment.picture), caption)
        elif self._live and time.monotonic() - self._written > 0.1:
            terminal.write_over(caption)
            self._written = time.monotonic()
        if moment.ended:
            self.episodes.append(Episode(self._name, moment.total, moment.step))
            if self._terminal is None:
                self._print()
            self._pace.hold(terminal.HOLD if self._view != "none" else 0)

    def _print(self) -> None:
        """The episodes that have not been printed yet."""
        if self._live and self._terminal is None:
            terminal.write_over("")
        for number, episode in enumerate(self.episodes[self._n_printed :], self._n_printed + 1):
            line = f"episode {number}: return {episode.total:.2f}, {episode.n_steps:,} steps"
            print_lines(f"{line}, checkpoint {episode.checkpoint}")
        self._n_printed = len(self.episodes)

    def sum_up(self) -> None:
        """Print what is left, and the mean."""
        import numpy as np

        self._print()
        if not self.episodes and self.n_steps:
            print_lines(f"{self.n_steps:,} steps; no episode has ended")
        if len(self.episodes) > 1:
            totals = [episode.total for episode in self.episodes]
            print_lines(f"{len(totals)} episodes: {np.mean(totals):.2f} ± {np.std(totals):.2f}")


def _view(asked: Render) -> Render:
    """Where to show it.

    Raises:
        RlzooError: if it cannot be shown where it was asked to be.
    """
    window = display.has_screen() and os.environ.get("SDL_VIDEODRIVER") not in ("dummy", "offscreen")
    if asked == "auto":
        return "window" if window else "terminal" if terminal.is_terminal() else "none"
    if asked == "window" and not display.has_screen():
        hint = "render=terminal draws here; rlzoo record makes a film"
        raise RlzooError("there is no display to open a window on", hint, ExitCode.MISSING)
    if asked == "terminal" and not terminal.is_terminal():
        raise RlzooError("standard output is no terminal to draw in", "render=none prints the scores alone")
    return asked


def _render_mode(cfg: EnvConfig, view: Render) -> str | None:
    """How the environment is to draw."""
    if view == "terminal":
        return "ansi" if "ansi" in (render.render_modes(cfg) or ()) else "rgb_array"
    return "human" if view == "window" else None
