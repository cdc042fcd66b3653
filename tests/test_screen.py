"""Pictures in a terminal: two pixels in a cell, in the colours that there are, in their own proportions."""

import time

import numpy as np
import pytest

from rlzoo.evaluation.terminal import Pace, fitted, half_blocks

RED, BLUE, WHITE, BLACK = (255, 0, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)
PICTURE = np.array([[RED, RED, WHITE], [BLUE, BLUE, BLUE]], np.uint8)


def test_the_upper_pixel_is_the_ink_and_the_lower_one_the_paper():
    (line,) = half_blocks(PICTURE, "truecolor")
    assert line == "\x1b[38;2;255;0;0m\x1b[48;2;0;0;255m▀▀\x1b[38;2;255;255;255m▀"


def test_of_256_colours_the_nearest_in_the_cube():
    """16 + 36 red + 6 green + blue, each 0 to 5."""
    (line,) = half_blocks(PICTURE, "256")
    assert line == "\x1b[38;5;196m\x1b[48;5;21m▀▀\x1b[38;5;231m▀"


def test_without_colours_there_are_shades():
    picture = np.array([[BLACK, WHITE, WHITE], [BLACK, WHITE, BLACK]], np.uint8)
    assert half_blocks(picture, "none") == [" █▒"]  # 0, 255 and 127.5 of 256, in five levels


@pytest.mark.parametrize(
    ("shape", "room", "expected"),
    [
        ((400, 600), (80, 44), (44, 66)),  # 400 rows into 44: 600 * 0.11 columns
        ((210, 160), (80, 44), (44, 34)),
        ((100, 400), (80, 44), (20, 80)),
        ((4, 4), (80, 44), (44, 44)),
        ((1000, 1), (80, 44), (44, 1)),
        ((1, 1000), (80, 44), (2, 80)),
    ],
)
def test_a_picture_keeps_its_proportions(shape, room, expected):
    picture = fitted(np.zeros((*shape, 3), np.uint8), *room)
    assert picture.shape == (*expected, 3)


def test_pace():
    pace, begin = Pace(50), time.monotonic()
    answers = [pace.wait() for _ in range(6)]
    assert answers == [True] * 6
    assert 0.1 <= time.monotonic() - begin < 0.5  # the first moment at once, five waits of 0.02 s
    time.sleep(0.1)
    assert not pace.wait()  # too late to be worth drawing
    assert Pace(None).wait()
