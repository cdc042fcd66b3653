"""Shows pictures and text in a terminal, in time: each character cell is two pixels, an upper and a lower one."""

from __future__ import annotations

import os
import shutil
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

from rlzoo import console
from rlzoo.errors import clean, shorten
from rlzoo.escape import coloured, one_line
from rlzoo.redaction import redact

if TYPE_CHECKING:
    import numpy as np

Colours = Literal["truecolor", "256", "none"]

SHADES = " ░▒▓█"
"""From dark to bright, where there are no colours."""

OPEN, CLOSE = "\x1b[?1049h\x1b[?25l", "\x1b[0m\x1b[?25h\x1b[?1049l"
"""To the terminal's second screen without a cursor, and back to the first as it was."""
HOME, CLEAR_LINE, CLEAR_REST = "\x1b[H", "\x1b[K", "\x1b[J"

HOLD = 1.0
"""Seconds for which the end of an episode stays."""


def is_terminal() -> bool:
    """Whether standard output can be drawn on, and nobody asked for plain lines."""
    screen = console.stdout()
    plain = os.environ.get(console.PLAIN, "") not in ("", "0")
    return screen.is_terminal and not screen.is_dumb_terminal and not screen.legacy_windows and not plain


class Pace:
    """Keeps time.

    Args:
        fps: moments a second; None does not wait.
    """

    def __init__(self, fps: float | None) -> None:
        self._seconds = 0.0 if fps is None else 1 / fps
        self._due: float | None = None

    def wait(self) -> bool:
        """Wait until the next moment is due; False if that was longer than a moment ago, and drawing it can be left."""
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
