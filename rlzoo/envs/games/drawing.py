"""What rlzoo's own environments are drawn with: pictures as arrays, and a window that shows them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from gymnasium import utils
from gymnasium.error import DependencyNotInstalled

Colour = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""


def blank(height: int, width: int, colour: Colour) -> np.ndarray:
    """A picture of one colour, (height, width, 3) uint8."""
    return np.full((height, width, 3), colour, dtype=np.uint8)


def rectangle(picture: np.ndarray, colour: Colour, top: float, left: float, bottom: float, right: float) -> None:
    """Fill the part of a rectangle that lies within the picture; edges are rounded to pixels."""
    edges = [max(0, round(edge)) for edge in (top, bottom, left, right)]
    picture[edges[0] : edges[1], edges[2] : edges[3]] = colour


def disc(picture: np.ndarray, colour: Colour, row: float, column: float, radius: float) -> None:
    """Fill the part of a disc that lies within the picture."""
    rows, columns = np.ogrid[: picture.shape[0], : picture.shape[1]]
    picture[(rows - row) ** 2 + (columns - column) ** 2 <= radius**2] = colour


def text(rows: Sequence[str], row: int, column: int, action: str | None) -> str:
    """A map of letters with one marked, and the last action above, as Gymnasium's toy texts show theirs."""
    lines = [list(line) for line in rows]
    lines[row][column] = utils.colorize(lines[row][column], "red", highlight=True)
    return "\n".join([f"  ({action})" if action else "", *("".join(line) for line in lines), ""])


class Window:
    """A window of pygame's.

    Raises:
        DependencyNotInstalled: if there is no pygame.
    """

    def __init__(self, title: str) -> None:
        try:
            import pygame
        except ImportError as error:
            raise DependencyNotInstalled('pygame is missing: pip install "gymnasium[classic-control]"') from error
        self._pygame = pygame
        self._title = title
        self._surface: pygame.Surface | None = None
        self._clock = pygame.time.Clock()

    def show(self, picture: np.ndarray, fps: int) -> None:
        """Show a picture, (height, width, 3) uint8, and wait until it is time for it."""
        pygame = self._pygame
        if self._surface is None:
            pygame.display.init()
            pygame.display.set_caption(self._title)
            self._surface = pygame.display.set_mode((picture.shape[1], picture.shape[0]))
        pygame.surfarray.blit_array(self._surface, picture.swapaxes(0, 1))
        pygame.event.pump()
        pygame.display.flip()
        self._clock.tick(fps)

    def close(self) -> None:
        if self._surface is not None:
            self._pygame.display.quit()
            self._surface = None
