"""A film, written frame by frame: H.264 that browsers play, and a GIF of it on request.

The ffmpeg of the package imageio-ffmpeg does it, so nothing has to be installed on the system. Frames go to it as they
come; none is kept.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rlzoo import contained
from rlzoo.errors import ExitCode, RlzooError
from rlzoo.own_modules import outside_the_folder

if TYPE_CHECKING:
    import numpy as np

LEAST_SIDE = 400
"""Pixels that the longer side of a picture gets at least: smaller ones are enlarged by whole numbers, not blurred."""
QUALITY = 20
"""x264's constant rate factor: lower is better and larger; 18 looks like the original."""
MAX_GIF_FPS = 25
"""A GIF counts in hundredths of a second, and players show what is quicker than 50 frames a second slowly."""


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
        self._part = path.with_name(f"{name}.tmp.mp4")
        self._gif_part, self._palette = path.with_name(f"{name}.tmp.gif"), path.with_name(f"{name}.tmp.png")

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
            remove_leftovers(self.path.parent)
            self._part.touch()
            self._process = self._ffmpeg([*source, *coding, *form, str(self._part)], subprocess.PIPE)
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
