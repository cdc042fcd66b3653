"""`rlzoo enjoy`: watch an agent play, in a window or in the terminal."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from rlzoo.cli.commands.playing import KNOWN, WHO, Player, explained, player, split, who
from rlzoo.config.compose import parse_words
from rlzoo.config.parse import check
from rlzoo.config.schema import EnjoyConfig
from rlzoo.console import print_lines
from rlzoo.errors import ConfigError, ExitCode, Problem, RlzooError
from rlzoo.runs.run import Run
from rlzoo.training.preflight import episode_problems

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv

    from rlzoo.cli.main import Arguments
    from rlzoo.config.schema import EnvConfig
    from rlzoo.envs.render import Moment
    from rlzoo.evaluation.agent import Actor

Render = Literal["auto", "window", "terminal", "none"]


class Episode(NamedTuple):
    """A whole episode that was watched: whose, its raw return, and the agent's steps in it."""

    checkpoint: str
    total: float
    n_steps: int


def main(arguments: Arguments) -> int:
    env_words, others = split(arguments.words)
    cfg = parse_words("enjoy", others, EnjoyConfig, _problems)
    asked = {key: value for key, value in asdict(cfg).items() if key not in WHO}
    found = player(env_words=env_words, **who(cfg, arguments.words))
    enjoy(found, checkpoint=cfg.checkpoint, trust=cfg.trust, **asked)
    return ExitCode.DONE


def enjoy(  # noqa: PLR0913 - the keys of conf/enjoy.yaml
    run: Run | Player | Path | str | None = None,
    *env_words: str,
    policy: Literal["random"] | None = None,
    env: str | None = None,
    algo: str | None = None,
    file: str | None = None,
    checkpoint: str | None = None,
    n_episodes: int = 3,
    n_timesteps: int | None = None,
    seeds: Sequence[int] | None = None,
    deterministic: bool | Literal["auto"] = "auto",
    fps: float | None = None,
    render: Render = "auto",
    device: str = "auto",
    trust: bool = False,
) -> list[Episode]:
    """Watch an agent play; each whole episode's return is printed.

    Args:
        run: a run, its directory, `"latest"` or `"algo/env"`; a package's folder or a file of weights, which becomes a
            run below `hub/local`. By default the newest run.
        env_words: changes to the run's environment: `"env.kwargs.gravity=-5"`.
        policy: `"random"` instead of a run: every action is equally likely.
        env: where that acts; or the environment of a package or a file that does not say it.
        algo: the algorithm of a file that does not say it.
        file: the file with the weights, in a package of several.
        checkpoint: `"best"`, `"last"`, a step, or `"all"`, one after the other; by default the last, or `best`
            if that was shown to be better.
        n_episodes: whole episodes to watch, of each checkpoint.
        n_timesteps: watch this many steps instead, however many episodes they are.
        seeds: one seed for each episode; by default those of the final evaluation.
        deterministic: greedy or sampled actions; `"auto"` follows the environment.
        fps: steps per second; by default what the environment says.
        render: `"window"`, `"terminal"`, or `"none"` for the scores alone; `"auto"` takes the first that there is.
        device: where the policy runs.
        trust: use a run that was not made here although it names modules to import.

    Raises:
        RlzooError: if the run or checkpoint does not exist or is damaged, the environment cannot be drawn like this or
            fails; with exit code 130 on Ctrl-C.
    """
    import numpy as np

    from rlzoo.training.callbacks.interrupt import leaving_at_once

    said: dict[str, Any] = {"policy": policy, "env": env, "algo": algo, "file": file}
    found = player(run, env_words, checkpoint=checkpoint, trust=trust, **said)
    seeds = None if seeds is None else np.asarray(seeds).tolist()
    playing: dict[str, Any] = {"n_episodes": n_episodes, "n_timesteps": n_timesteps, "seeds": seeds}
    playing |= {"deterministic": deterministic}
    others = {"checkpoint": checkpoint, "fps": fps, "render": render, "device": device, "trust": trust}
    values = {**KNOWN, **playing, **others}
    if problems := [*check(EnjoyConfig, values)[1], *_problems(values)]:
        raise ConfigError(problems)
    checkpoints = found.checkpoints(checkpoint)
    view = _view(render)
    spectator = _Spectator(view, fps, n_episodes if n_timesteps is None else None)
    if seeds:
        playing["n_episodes"] = spectator.n_episodes = len(seeds)
    try:
        with leaving_at_once("the whole episodes are above"), explained("playing"), spectator.screen():
            mode = _render_mode(found.config.env, view)
            for one in checkpoints:
                _play(found.actor(one, device, deterministic), spectator, mode, **playing)
    finally:
        spectator.sum_up()
    return spectator.episodes


def _play(agent: Actor, spectator: _Spectator, mode: str | None, *, n_timesteps: int | None, **playing: Any) -> None:
    from rlzoo.evaluation.record import play

    spectator.begin(agent.name)
    play(
        agent,
        spectator.show,
        render_mode=mode,
        opened=spectator.opened,
        n_timesteps=n_timesteps,
        should_stop=lambda: n_timesteps is not None and spectator.n_steps >= n_timesteps,
        **playing,
    )


class _Spectator:
    """Shows every moment in time, and keeps the episodes' scores."""

    def __init__(self, view: Render, fps: float | None, n_episodes: int | None) -> None:
        from rlzoo.evaluation import terminal as screen

        self.n_episodes = n_episodes
        self.n_steps = 0
        self.episodes: list[Episode] = []
        self._view, self._fps, self._name = view, fps, ""
        self._terminal = screen.Terminal() if view == "terminal" else None
        self._live = screen.is_terminal()
        self._pace = screen.Pace(fps)
        self._written = 0.0
        self._n_printed = 0

    def screen(self) -> AbstractContextManager[Any]:
        return nullcontext() if self._terminal is None else self._terminal

    def begin(self, checkpoint: str) -> None:
        self._name, self.n_steps = checkpoint, 0

    def opened(self, env: VecEnv, agent: Actor) -> None:
        from rlzoo.envs.render import frames_per_second
        from rlzoo.evaluation.terminal import Pace

        fps = self._fps
        if fps is None and self._view == "terminal":  # a window keeps its own time
            inner = env.unwrapped.envs[0]  # type: ignore[attr-defined]
            fps = frames_per_second(inner, agent.config.env, toy_text=None)
        self._pace = Pace(None if self._view == "none" else fps)

    def show(self, moment: Moment) -> None:
        from rlzoo.envs.render import pixels
        from rlzoo.evaluation.terminal import HOLD, write_over

        self.n_steps += moment.step > 0
        of = f" of {self.n_episodes}" if self.n_episodes else ""
        score = f"step {moment.step:,}  reward {moment.reward:.6g}  return {moment.total:.6g}"
        caption = f"{self._name}  episode {moment.episode + 1}{of}  {score}"
        in_time = self._pace.wait()
        if self._terminal is not None:
            if in_time or moment.ended:
                text = isinstance(moment.picture, str)
                self._terminal.show(moment.picture if text else pixels(moment.picture), caption)
        elif self._live and time.monotonic() - self._written > 0.1:
            write_over(caption)
            self._written = time.monotonic()
        if moment.ended:
            self.episodes.append(Episode(self._name, moment.total, moment.step))
            if self._terminal is None:
                self._print()
            self._pace.hold(HOLD if self._view != "none" else 0)

    def _print(self) -> None:
        """The episodes that have not been printed yet."""
        from rlzoo.evaluation.terminal import write_over

        if self._live and self._terminal is None:
            write_over("")
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


def _view(render: Render) -> Render:
    """Where to show it.

    Raises:
        RlzooError: if it cannot be shown where it was asked to be.
    """
    from rlzoo.envs.display import has_screen
    from rlzoo.evaluation.terminal import is_terminal

    window = has_screen() and os.environ.get("SDL_VIDEODRIVER") not in ("dummy", "offscreen")
    if render == "auto":
        return "window" if window else "terminal" if is_terminal() else "none"
    if render == "window" and not has_screen():
        hint = "render=terminal draws here; rlzoo record makes a film"
        raise RlzooError("there is no display to open a window on", hint, ExitCode.MISSING)
    if render == "terminal" and not is_terminal():
        raise RlzooError("standard output is no terminal to draw in", "render=none prints the scores alone")
    return render


def _render_mode(cfg: EnvConfig, view: Render) -> str | None:
    """How the environment is to draw."""
    from rlzoo.envs.render import render_modes

    if view == "terminal":
        return "ansi" if "ansi" in (render_modes(cfg) or ()) else "rgb_array"
    return "human" if view == "window" else None


def _problems(values: dict[str, Any]) -> list[Problem]:
    """What is wrong with a request beyond its types."""
    return episode_problems({**values, "n_episodes": None})
