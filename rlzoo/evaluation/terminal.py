"""Shows agents at play, in a window or in the terminal, and prints the score of each whole episode.

In a terminal each character cell is two pixels, an upper and a lower one.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

from rlzoo import console
from rlzoo.config.schema import EnjoyConfig, EnvConfig
from rlzoo.console import print_lines
from rlzoo.envs import display, render
from rlzoo.errors import ExitCode, RlzooError, clean, shorten
from rlzoo.evaluation.evaluate import say_cut
from rlzoo.evaluation.record import play
from rlzoo.protocols import Evaluation
from rlzoo.redaction import coloured, one_line, redact

if TYPE_CHECKING:
    import numpy as np
    from stable_baselines3.common.vec_env import VecEnv

    from rlzoo.evaluation.agent import Actor

Colours = Literal["truecolor", "256", "none"]

SHADES = " ░▒▓█"
"""From dark to bright, where there are no colours."""

OPEN, CLOSE = "\x1b[?1049h\x1b[?25l", "\x1b[0m\x1b[?25h\x1b[?1049l"
"""To the terminal's second screen without a cursor, and back to the first as it was."""
HOME, CLEAR_LINE, CLEAR_REST = "\x1b[H", "\x1b[K", "\x1b[J"

HOLD = 1.0
"""Seconds for which the end of an episode stays."""

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
    mode = _render_mode(env, view)
    if cfg.render == "auto" and mode is not None and not render.can_draw(env, mode):
        console.say(f"note: {env.id} declares that it cannot draw here: these are its scores alone")
        view, mode = "none", None
    n_episodes = len(cfg.seeds) if cfg.seeds else cfg.n_episodes
    spectator = _Spectator(view, cfg.fps, n_episodes if cfg.n_timesteps is None else None)
    evaluations: list[Evaluation] = []
    try:
        with spectator.screen():
            for actor in actors:
                spectator.begin(actor.name)
                played = play(
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
                evaluations.append(played)
    finally:
        spectator.sum_up()
    for evaluation in evaluations:
        say_cut(evaluation)
    return spectator.episodes


class _Spectator:
    """Shows every frame on time, and keeps the episodes' scores."""

    def __init__(self, view: Render, fps: float | None, n_episodes: int | None) -> None:
        self.n_episodes = n_episodes
        self.n_steps = 0
        self.episodes: list[Episode] = []
        self._view, self._fps, self._name = view, fps, ""
        self._terminal = Terminal() if view == "terminal" else None
        self._live = is_terminal()
        self._pace = Pace(fps)
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
        self._pace = Pace(None if self._view == "none" else fps)

    def show(self, frame: render.Frame) -> None:
        self.n_steps += frame.step > 0
        of = f" of {self.n_episodes}" if self.n_episodes else ""
        score = f"step {frame.step:,}  reward {frame.reward:.6g}  return {frame.total:.6g}"
        caption = f"{self._name}  episode {frame.episode + 1}{of}  {score}"
        in_time = self._pace.wait()
        if self._terminal is not None:
            if in_time or frame.ended:
                text = isinstance(frame.picture, str)
                self._terminal.show(frame.picture if text else render.pixels(frame.picture), caption)
        elif self._live and time.monotonic() - self._written > 0.1:
            write_over(caption)
            self._written = time.monotonic()
        if frame.ended:
            self.episodes.append(Episode(self._name, frame.total, frame.step))
            if self._terminal is None:
                self._print()
            self._pace.hold(HOLD if self._view != "none" else 0)

    def _print(self) -> None:
        """The episodes that have not been printed yet."""
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


def _view(asked: Render) -> Render:
    """Where to show it.

    Raises:
        RlzooError: if it cannot be shown where it was asked to be.
    """
    window = display.has_screen() and os.environ.get("SDL_VIDEODRIVER") not in ("dummy", "offscreen")
    if asked == "auto":
        return "window" if window else "terminal" if is_terminal() else "none"
    if asked == "window" and not display.has_screen():
        hint = "render=terminal draws here; rlzoo record makes a film"
        raise RlzooError("there is no display to open a window on", hint, ExitCode.MISSING)
    if asked == "terminal" and not is_terminal():
        raise RlzooError("standard output is not a terminal to draw in", "render=none prints the scores alone")
    return asked


def _render_mode(cfg: EnvConfig, view: Render) -> str | None:
    """How the environment is to draw."""
    if view == "terminal":
        return "ansi" if "ansi" in (render.render_modes(cfg) or ()) else "rgb_array"
    return "human" if view == "window" else None


def is_terminal() -> bool:
    """Whether standard output can be drawn on, and nobody asked for plain lines."""
    screen = console.stdout()
    plain = os.environ.get(console.PLAIN, "") not in ("", "0")
    return screen.is_terminal and not screen.is_dumb_terminal and not screen.legacy_windows and not plain


class Pace:
    """Keeps time.

    Args:
        fps: frames a second; None does not wait.
    """

    def __init__(self, fps: float | None) -> None:
        self._seconds = 0.0 if fps is None else 1 / fps
        self._due: float | None = None

    def wait(self) -> bool:
        """Wait until the next frame is due; False if it is late by more than a frame, and need not be drawn."""
        now = time.monotonic()
        if self._due is None:
            self._due = now
        late = now - self._due
        if late < 0:
            time.sleep(-late)
        self._due = max(self._due, now - self._seconds) + self._seconds
        return late <= self._seconds

    def hold(self, seconds: float) -> None:
        """Stand still."""
        if self._seconds:
            time.sleep(seconds)
            self._due = None


class Terminal:
    """The second screen of the terminal; used as a context, the first one is back afterwards as it was."""

    def __init__(self) -> None:
        screen = console.stdout()
        self._is_open = False
        self._colours: Colours = "truecolor" if screen.color_system == "truecolor" else "256"
        if screen.no_color:
            self._colours = "none"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._is_open:
            _write(CLOSE)

    def show(self, picture: np.ndarray | str, caption: str) -> None:
        """Draw a picture, (height, width, 3) uint8, or text that the environment drew, with a line of text below."""
        columns, rows = shutil.get_terminal_size()
        if not self._is_open:  # what was said until now stays on the first screen
            self._is_open = True
            _write(OPEN)
        if isinstance(picture, str):
            lines = redact(coloured(picture)).rstrip("\n").split("\n")[: rows - 2]
        else:
            lines = half_blocks(fitted(picture, columns, 2 * (rows - 2)), self._colours)
        body = "".join(f"{line}\x1b[0m{CLEAR_LINE}\n" for line in lines)
        _write(f"{HOME}{body}{shorten(one_line(clean(caption)), columns)}{CLEAR_LINE}{CLEAR_REST}")


def fitted(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """A picture in its own proportions, at most so many pixels wide and high; the height is even."""
    import cv2

    factor = min(width / picture.shape[1], height / picture.shape[0])
    size = (max(1, round(picture.shape[1] * factor)), max(2, 2 * round(picture.shape[0] * factor / 2)))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_NEAREST)


def half_blocks(picture: np.ndarray, colours: Colours) -> list[str]:
    """A picture, (height, width, 3) uint8 with an even height, as half as many lines of text.

    The upper pixel of a cell is the colour of the character, the lower one its background; a colour is only named
    where it changes.
    """
    import numpy as np

    if colours == "none":
        grey = picture.mean(axis=(2))  # (height, width)
        levels = ((grey[::2] + grey[1::2]) / 2 * len(SHADES) / 256).astype(int)
        return ["".join(SHADES[level] for level in row) for row in levels]
    if colours == "256":  # the cube of 6 x 6 x 6 colours
        red, green, blue = np.moveaxis((picture.astype(int) * 5 + 127) // 255, 2, 0)
        codes = (16 + 36 * red + 6 * green + blue)[..., None]
        name = "5;{}"
    else:
        codes, name = picture.astype(int), "2;{};{};{}"
    lines = []
    for upper_row, lower_row in zip(codes[::2].tolist(), codes[1::2].tolist(), strict=True):
        parts: list[str] = []
        ink = paper = None
        for upper, lower in zip(upper_row, lower_row, strict=True):
            if upper != ink:
                parts.append(f"\x1b[38;{name.format(*upper)}m")
                ink = upper
            if lower != paper:
                parts.append(f"\x1b[48;{name.format(*lower)}m")
                paper = lower
            parts.append("▀")
        lines.append("".join(parts))
    return lines


def write_over(text: str) -> None:
    """One line in place of the last one, on a terminal."""
    _write(f"\r{shorten(one_line(clean(text)), shutil.get_terminal_size().columns - 1)}{CLEAR_LINE}")


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
