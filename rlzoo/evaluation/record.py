"""Films an agent: the episodes that `evaluate` would play, a frame for the first state and one after each step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rlzoo import console
from rlzoo.envs import display, render
from rlzoo.evaluation.evaluate import finite
from rlzoo.evaluation.film import Film, enlarged
from rlzoo.protocols import Evaluation

if TYPE_CHECKING:
    import numpy as np
    from stable_baselines3.common.vec_env import VecEnv

    from rlzoo.evaluation.agent import Actor

MAX_STEPS = 30_000
"""Steps of one episode that a film shows unless told: a whole game of Atari, and an end to what has none."""

LINE = 24
"""Pixels of a line of text above the pictures; even, as the height of a film has to be."""


@dataclass(frozen=True)
class Recording:
    """A film that was made.

    Attributes:
        path: the MP4.
        n_frames, fps: its length; `n_frames` is one for each step, and one for the first state of each episode.
        returns, lengths, seeds: of the whole episodes in it, as `evaluate` gives them. An episode that the end of the
            film cut is in none of them.
        n_steps: the agent's steps in the film, those of a cut episode too.
        checkpoints: whose each of the whole episodes is.
        deterministic: whether actions were greedy.
        gif: the GIF, if there is one.
    """

    path: Path
    n_frames: int
    fps: float
    returns: tuple[float, ...]
    lengths: tuple[int, ...]
    seeds: tuple[int, ...]
    n_steps: int
    checkpoints: tuple[str, ...]
    deterministic: bool
    gif: Path | None = None

    @property
    def seconds(self) -> float:
        return self.n_frames / self.fps

    def as_data(self) -> dict[str, Any]:
        """For programs."""
        files = {"path": str(self.path), "gif": None if self.gif is None else str(self.gif)}
        return {**asdict(self), "seconds": self.seconds, "returns": [finite(value) for value in self.returns], **files}


def record(
    agents: Iterable[Actor],
    path: Path | str,
    *,
    captions: Sequence[str] = (),
    fps: float | None = None,
    gif: bool = False,
    overlay: bool = False,
    **settings: Any,
) -> Recording:
    """Film an agent, or several that play the same episodes, one after the other.

    The film is there once it is whole, and never in part. That of an episode ends with the episode's own last state.
    Nothing else changes: the returns are those of `Actor.evaluate` with the same seeds, and the caller's random
    generators are left as they are.

    Args:
        agents: whom to film: checkpoints of one run, say; each is needed only while it is filmed.
        path: where; ends in `.mp4`.
        captions: one for each agent, written above its pictures.
        fps: frames per second; by default 1 for toy texts, else what the environment says (see `envs.render`).
        gif: also make a GIF.
        overlay: write step, reward and return above the pictures.
        settings: what each agent plays: `n_episodes`, whole episodes, one after the other (1); or `n_timesteps` of its
            steps, however many episodes they are; `seeds`, one for each episode, by default those of the final
            evaluation; `deterministic`, greedy or sampled actions, where `"auto"` follows the environment.

    Raises:
        RlzooError: if the environment gives no pictures, a package or library is missing (exit code 3), or the film
            cannot be written (5).
    """
    evaluations: list[Evaluation] = []
    checkpoints: list[str] = []
    with Film(Path(path), fps, gif=gif) as film:
        camera = _Camera(film, overlay)
        for number, agent in enumerate(agents):
            camera.begin(captions[number] if captions else None)
            evaluations.append(_play_for(camera, agent, **settings))
            checkpoints += [agent.name] * evaluations[-1].n_episodes
    assert film.fps is not None
    return Recording(
        path=film.path,
        n_frames=film.n_frames,
        fps=film.fps,
        returns=tuple(value for evaluation in evaluations for value in evaluation.returns),
        lengths=tuple(value for evaluation in evaluations for value in evaluation.lengths),
        seeds=tuple(value for evaluation in evaluations for value in evaluation.seeds),
        n_steps=camera.n_all_steps,
        checkpoints=tuple(checkpoints),
        deterministic=evaluations[0].deterministic,
        gif=film.gif,
    )


def _play_for(
    camera: _Camera,
    agent: Actor,
    *,
    n_episodes: int = 1,
    n_timesteps: int | None = None,
    seeds: Sequence[int] | None = None,
    deterministic: bool | Literal["auto"] = "auto",
) -> Evaluation:
    n_episodes = len(seeds) if seeds else n_episodes
    limit = MAX_STEPS * n_episodes if n_timesteps is None else n_timesteps
    evaluation = play(
        agent,
        camera.show,
        render_mode="rgb_array",
        opened=camera.opened,
        n_episodes=n_episodes,
        n_timesteps=n_timesteps,
        seeds=seeds,
        deterministic=deterministic,
        should_stop=lambda: camera.n_steps >= limit,
    )
    if n_timesteps is None and evaluation.n_episodes < n_episodes:
        console.warn(f"the film is cut after {limit:,} steps; n_timesteps= films longer ones")
    return evaluation


def play(
    agent: Actor,
    show: Callable[[render.Moment], None],
    *,
    render_mode: str | None,
    opened: Callable[[VecEnv, Actor], None] | None = None,
    **options: Any,
) -> Evaluation:
    """`Actor.evaluate` with a spectator.

    Args:
        agent: who plays.
        show: is given every moment, in order.
        render_mode: how the environment draws; None does not.
        opened: is given the environment before it is played.
        options: of `Actor.evaluate`.

    Raises:
        RlzooError: if the environment does not draw like this, or cannot here.
    """
    if render_mode is not None:
        render.require(agent.config.env, render_mode)

    def watch(env: VecEnv) -> None:
        if opened is not None:
            opened(env, agent)
        render.watch(env, show)

    shown: list[render.Moment] = []
    with display.screen_if_needed(lambda: not shown) as again:
        return again(lambda: agent.evaluate(render_mode=render_mode, watch=watch, **options))


class _Camera:
    """Puts moments on film."""

    def __init__(self, film: Film, overlay: bool) -> None:
        self.caption: str | None = None
        self.n_steps = 0  # of the agent that is filmed
        self.n_all_steps = 0
        self._film, self._overlay = film, overlay

    def opened(self, env: VecEnv, agent: Actor) -> None:
        if self._film.fps is None:
            self._film.fps = render.frames_per_second(env.unwrapped.envs[0], agent.config.env)  # type: ignore[attr-defined]

    def show(self, moment: render.Moment) -> None:
        picture = enlarged(render.pixels(moment.picture))
        lines = [] if self.caption is None else [self.caption]
        if self._overlay:
            lines.append(f"step {moment.step:,}   reward {moment.reward:.6g}   return {moment.total:.6g}")
        self._film.add(titled(picture, lines) if lines else picture)
        self.n_steps += moment.step > 0
        self.n_all_steps += moment.step > 0

    def begin(self, caption: str | None) -> None:
        """Film the next agent."""
        self.caption, self.n_steps = caption, 0


def titled(picture: np.ndarray, lines: Sequence[str]) -> np.ndarray:
    """A picture with lines of text above it, (height + lines * LINE, width, 3) uint8; nothing of it is hidden."""
    import numpy as np
    from PIL import Image, ImageDraw, ImageFont

    bar = Image.new("RGB", (picture.shape[1], LINE * len(lines)), (24, 24, 28))
    draw = ImageDraw.Draw(bar)
    for row, line in enumerate(lines):
        font = ImageFont.load_default(size=15)
        if (width := draw.textlength(line, font=font)) > bar.width - 12:
            font = ImageFont.load_default(size=15 * (bar.width - 12) / width)
        draw.text((6, LINE * (row + 0.5)), line, font=font, fill=(235, 235, 235), anchor="lm")
    return np.concatenate([np.asarray(bar), picture])
