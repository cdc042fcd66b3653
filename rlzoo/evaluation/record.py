"""Films an agent: the episodes that `evaluate` would play, a frame for the first state and one after each step.

A film is H.264 that browsers play, and a GIF of it on request. The ffmpeg of the package imageio-ffmpeg writes it, so
nothing has to be installed on the system. Frames go to it as they come; none is kept.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self
from weakref import WeakSet

from rlzoo import console, contained
from rlzoo.envs import display, render
from rlzoo.errors import ExitCode, RlzooError
from rlzoo.evaluation.evaluate import finite, say_cut
from rlzoo.protocols import Evaluation
from rlzoo.registry import outside_the_folder

if TYPE_CHECKING:
    import numpy as np
    from stable_baselines3.common.vec_env import VecEnv

    from rlzoo.evaluation.agent import Actor

MAX_STEPS = 30_000
"""Steps of one episode that a film shows unless told: a whole game of Atari, and an end to what has none."""

LINE = 24
"""Pixels of a line of text above the pictures; even, as the height of a film has to be."""

LEAST_SIDE = 400
"""Pixels that the longer side of a picture gets at least: smaller ones are enlarged by whole numbers, not blurred."""
QUALITY = 20
"""x264's constant rate factor: lower is better and larger; 18 looks like the original."""
MAX_GIF_FPS = 25
"""A GIF counts in hundredths of a second, and players show what is quicker than 50 frames a second slowly."""


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
        console.warn(f"the film is cut after {limit:,} steps; rlzoo record n_timesteps=… films longer ones")
    say_cut(evaluation)
    return evaluation


def play(
    agent: Actor,
    show: Callable[[render.Frame], None],
    *,
    render_mode: str | None,
    opened: Callable[[VecEnv, Actor], None] | None = None,
    **options: Any,
) -> Evaluation:
    """`Actor.evaluate` with a spectator.

    Args:
        agent: who plays.
        show: is given every frame, in order.
        render_mode: how the environment draws; None does not.
        opened: is given the environment before it is played.
        options: of `Actor.evaluate`.

    Raises:
        RlzooError: if the environment does not draw like this, or cannot here.
    """
    if render_mode is not None:
        render.require(agent.config.env, render_mode, hint="render=none prints the scores alone")

    def watch(env: VecEnv) -> None:
        if opened is not None:
            opened(env, agent)
        render.watch(env, show)

    shown: list[render.Frame] = []
    with display.screen_if_needed(lambda: not shown) as again:
        return again(lambda: agent.evaluate(render_mode=render_mode, watch=watch, **options))


class _Camera:
    """Puts frames on film."""

    def __init__(self, film: Film, overlay: bool) -> None:
        self.caption: str | None = None
        self.n_steps = 0  # of the agent that is filmed
        self.n_all_steps = 0
        self._film, self._overlay = film, overlay

    def opened(self, env: VecEnv, agent: Actor) -> None:
        if self._film.fps is None:
            self._film.fps = render.frames_per_second(env.unwrapped.envs[0], agent.config.env)  # type: ignore[attr-defined]

    def show(self, frame: render.Frame) -> None:
        picture = enlarged(render.pixels(frame.picture))
        lines = [] if self.caption is None else [self.caption]
        if self._overlay:
            lines.append(f"step {frame.step:,}   reward {frame.reward:.6g}   return {frame.total:.6g}")
        self._film.add(titled(picture, lines) if lines else picture)
        self.n_steps += frame.step > 0
        self.n_all_steps += frame.step > 0

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


class Film:
    """An MP4 file in the making; used as a context, it is there when the context ends well, and otherwise is not.

    Args:
        path: ends in `.mp4`; its folder is made. A film of that name is replaced once this one is whole.
        fps: frames per second; if it is None, `fps` has to be set before the first frame.
        gif: also write a GIF beside it.

    Raises:
        RlzooError: if the path is no `.mp4` or cannot be written (exit code 5), or imageio-ffmpeg is missing (3).
    """

    def __init__(self, path: Path, fps: float | None, *, gif: bool = False) -> None:
        if path.suffix != ".mp4":
            raise RlzooError(f"a film is an .mp4 file, not {path.name!r}", "gif=true also makes a GIF beside it")
        if path.is_dir():
            raise RlzooError(f"{path} is a folder", "give a file name that ends in .mp4")
        contained.require_way(path)
        self.path, self.fps, self.n_frames = path, fps, 0
        self.gif = path.with_suffix(".gif") if gif else None
        self._program = ffmpeg()
        self._process: subprocess.Popen[bytes] | None = None
        self._said: Any = None
        self._size: tuple[int, ...] = ()
        name = f".{path.stem}.{os.getpid()}-{secrets.token_hex(3)}"
        place = path.absolute()  # ffmpeg takes what stands before a colon for a protocol
        self._part = place.with_name(f"{name}.tmp.mp4")
        self._gif_part, self._palette = place.with_name(f"{name}.tmp.gif"), place.with_name(f"{name}.tmp.png")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            if kind is None and self._process is not None:
                self._finish()
        finally:
            self._stop()
            for part in (self._part, self._gif_part, self._palette):
                with suppress(OSError):
                    part.unlink(missing_ok=True)

    def add(self, frame: np.ndarray) -> None:
        """Add one frame, (height, width, 3) uint8, as large as the first."""
        frame = _even(frame)
        if self._process is None:
            self._start(frame.shape)
        elif frame.shape != self._size:
            raise RlzooError(
                f"frame {self.n_frames} is {_text(frame.shape)} pixels, the ones before are {_text(self._size)}",
                "a film has one size",
            )
        assert self._process is not None and self._process.stdin is not None
        try:
            self._process.stdin.write(frame.tobytes())
        except OSError:  # it has gone; why is in what it said
            raise self._failure() from None
        self.n_frames += 1

    def let_go(self) -> None:
        """In a process that was forked from this one: the film ends for the encoder when it ends here."""
        if self._process is not None and self._process.stdin is not None and not self._process.stdin.closed:
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, self._process.stdin.fileno())
            os.close(nothing)

    def _start(self, shape: tuple[int, ...]) -> None:
        height, width, _ = self._size = shape
        assert self.fps is not None
        rate = f"{self.fps:.6g}"
        source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", rate, "-i", "-"]
        # A key frame every second or two, to jump to; what players need comes first
        coding = ["-c:v", "libx264", "-preset", "fast", "-crf", str(QUALITY), "-g", str(max(1, round(2 * self.fps)))]
        form = ["-pix_fmt", "yuv420p", "-movflags", "+faststart", "-f", "mp4"]
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - a pipe that nobody reads would fill up
        try:
            self._part.parent.mkdir(parents=True, exist_ok=True)
            contained.require_way(self.path)  # it may have become a link since
            remove_leftovers(self.path.parent)
            self._part.touch()
            self._process = self._ffmpeg([*source, *coding, *form, str(self._part)], subprocess.PIPE)
            _encoding.add(self)
        except OSError as error:
            reason = error.strerror or str(error)
            raise RlzooError(
                f"cannot write {self.path}: {reason}", "path= chooses another", ExitCode.STORAGE
            ) from error

    def _finish(self) -> None:
        assert self._process is not None and self._process.stdin is not None
        try:
            self._process.stdin.close()
        except OSError:
            raise self._failure() from None
        if self._process.wait() != 0 or not self._part.is_file() or self._part.stat().st_size == 0:
            raise self._failure()
        if self.gif is not None:
            self._make_gif()
        contained.require_way(self.path)
        try:
            self._part.replace(self.path)
            if self.gif is not None:
                self._gif_part.replace(self.gif)
        except OSError as error:
            raise RlzooError(f"cannot write {self.path}: {error.strerror}", code=ExitCode.STORAGE) from error

    def _make_gif(self) -> None:
        """First the palette of the whole film, then the film in it: in two passes neither keeps its frames."""
        rate = f"fps={MAX_GIF_FPS}," if self.fps is not None and self.fps > MAX_GIF_FPS else ""
        film, palette = ["-i", str(self._part)], ["-i", str(self._palette)]
        self._run([*film, "-vf", f"{rate}palettegen=stats_mode=diff", "-update", "1", str(self._palette)])
        paint = f"[0:v]{rate}null[film];[film][1:v]paletteuse=dither=none"
        self._run([*film, *palette, "-filter_complex", paint, str(self._gif_part)])

    def _run(self, arguments: Sequence[str]) -> None:
        self._said.close()
        self._said = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = self._ffmpeg(arguments, subprocess.DEVNULL)
        if self._process.wait() != 0:
            raise self._failure()

    def _ffmpeg(self, arguments: Sequence[str], stdin: int) -> subprocess.Popen[bytes]:
        with outside_the_folder():
            return subprocess.Popen(
                [self._program, "-y", "-loglevel", "error", *arguments],
                stdin=stdin,
                stdout=subprocess.DEVNULL,
                stderr=self._said,
                start_new_session=True,  # Ctrl-C is for this process, which ends the encoder
            )

    def _stop(self) -> None:
        """End an encoder that still runs."""
        if self._process is not None:
            if self._process.poll() is None:
                self._process.kill()
            if self._process.stdin is not None:
                with suppress(OSError):
                    self._process.stdin.close()
            self._process.wait()
        if self._said is not None:
            self._said.close()

    def _failure(self) -> RlzooError:
        """Why the encoder ended, in its own words."""
        assert self._process is not None
        try:
            code = self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            code = 0
        self._said.seek(0)
        lines = [line for line in self._said.read().decode(errors="replace").splitlines() if line.strip()]
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        message = f"{self.path} was not made: the video encoder {how}"
        said = (
            f"it said: {' | '.join(lines[:3])}"
            if lines
            else "it said nothing; a full disk or memory is the usual cause"
        )
        return RlzooError(message, said, ExitCode.STORAGE)


_encoding: WeakSet[Film] = WeakSet()


def _let_go() -> None:
    for film in _encoding:
        film.let_go()


if hasattr(os, "register_at_fork"):  # an environment may fork, and what it has forked may stay
    os.register_at_fork(after_in_child=_let_go)


def ffmpeg() -> str:
    """The program that encodes.

    Raises:
        RlzooError: with exit code 3 if it is missing.
    """
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except ImportError:
        message = "a film needs the package imageio-ffmpeg, which brings its own ffmpeg"
        raise RlzooError(message, 'pip install "hydra-rlzoo[video]"', ExitCode.MISSING) from None
    except RuntimeError as error:  # a source install has none, and the system neither
        message = f"a film needs ffmpeg: {str(error).partition(chr(10))[0]}"
        raise RlzooError(message, "pip install --force-reinstall imageio-ffmpeg", ExitCode.MISSING) from error


def enlarged(picture: np.ndarray) -> np.ndarray:
    """A picture of any size, (height, width, 3), so large that it can be watched; each pixel becomes a square."""
    import numpy as np

    factor = -(-LEAST_SIDE // max(picture.shape[:2]))
    return picture if factor <= 1 else np.repeat(np.repeat(picture, factor, axis=0), factor, axis=1)


def remove_leftovers(folder: Path) -> None:
    """Remove the unfinished films of processes that were killed."""
    import psutil

    for path in folder.glob(".*.tmp.*"):
        pid = path.name.split(".")[-3].partition("-")[0]
        if path.suffix in (".mp4", ".gif", ".png") and pid.isdigit() and not psutil.pid_exists(int(pid)):
            with suppress(OSError):
                path.unlink()


def _even(frame: np.ndarray) -> np.ndarray:
    """With an even height and width, as the colours of H.264 want it: the last row or column once more."""
    import numpy as np

    height, width = frame.shape[:2]
    if height % 2 or width % 2:
        frame = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return frame


def _text(shape: Sequence[int]) -> str:
    return f"{shape[1]}x{shape[0]}"
