"""Pixelcopter of the PyGame Learning Environment (PLE): fly a copter through a cave, around the blocks in its way.

The dynamics are PLE's to the last digit (https://github.com/ntasfi/PyGame-Learning-Environment, `pixelcopter.py`, at 48
by 48 pixels and 30 frames a second), without pygame: positions are pixels, y points down, and a step is a frame.

Everything but the copter moves left at one speed, so where the cave's columns are at which frame is no matter of
chance: `STAGES` has it once for all. Only their heights are drawn.
"""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import gymnasium
import numpy as np

from rlzoo.envs.games import drawing

UP, NOTHING = 0, 1

SIZE = 48  # of the screen, both ways
SPEED = 0.0004 * SIZE  # pixels a millisecond
FRAME = 1000.0 / 30  # milliseconds
SCROLL = SPEED * FRAME
CLIMB = SPEED * -0.875 * FRAME
FALL = SPEED * 0.09 * FRAME
DRAG = 0.99

COPTER_X = 16  # int(0.35 * SIZE)
COPTER_SIZE = SIZE * 0.05
HIGHEST, LOWEST = SIZE * 0.125, SIZE * 0.875
BLOCK_WIDTH, BLOCK_HEIGHT = 4, 9  # int(0.1 * SIZE), int(0.2 * SIZE)
ASIDE = 4  # int(0.1 * SIZE), by which a block above or below the middle of the screen is further off
GAP = SIZE * 0.25  # from the middle of the cave to its ceiling and its floor
COLUMN_WIDTH = 4  # int(0.1 * SIZE)
N_COLUMNS = 48  # that are made at once
N_LEFT = 13  # columns at which the next are made

# The game compares rectangles of whole pixels, positions cut to integers: the copter's is 2 by 2, so its columns are 15
# and 16. A block's or a column's 4 reach it if their cut x is 14 to 18, that is while 14 <= x < 19.
TOUCHES_FROM, TOUCHES_TO = 14, 19

REWARDS = {"game": (1.0, 1.0, -5.0), "course": (1.0, 0.0, -1.0)}
"""For a block passed, for a column of the cave that leaves the screen, for the end."""

BLACK, GREEN, ORANGE, WHITE, GREY = (0, 0, 0), (120, 240, 80), (250, 160, 60), (255, 255, 255), (160, 160, 160)
SCALE = 10  # pixels of a picture for one of the game


class Stage(NamedTuple):
    """The way of the cave's columns from when new ones are made until the next are.

    Attributes:
        places: x of every column's middle in the beginning.
        frames: at every frame from 0 on: `first` and `stop` of the columns that the copter is in, as rectangles go,
            and how many leave the screen.
    """

    places: list[float]
    frames: list[tuple[int, int, int]]


def _stages() -> tuple[Stage, Stage, Stage]:
    """The first columns alone, their last ones and the second ones, and from then on always two lots of the later kind.

    As in the game, what moves is moved frame by frame: rounding decides in which frame a whole pixel is reached.
    """
    stages = []
    places = [float(x) for x in _starts(0)]
    for _ in range(3):
        frames = [(*_touched(places), 0)]
        now, n_gone = places, 0
        while len(now) - n_gone > N_LEFT:
            now = [x - SCROLL for x in now]
            leaving = sum(x <= -COLUMN_WIDTH for x in now) - n_gone
            n_gone += leaving
            frames.append((*_touched(now), leaving))
        stages.append(Stage(places, frames))
        places = now[n_gone:] + [float(x) for x in _starts(SIZE)]
    return stages[0], stages[1], stages[2]


def _starts(left: int) -> range:
    return range(left + COLUMN_WIDTH // 2, left + COLUMN_WIDTH // 2 + N_COLUMNS * COLUMN_WIDTH, COLUMN_WIDTH)


def _touched(places: list[float]) -> tuple[int, int]:
    touched = [index for index, x in enumerate(places) if TOUCHES_FROM <= x < TOUCHES_TO]
    return touched[0], touched[-1] + 1


STAGES = _stages()


class Pixelcopter(gymnasium.Env[np.ndarray, Any]):
    """Fly as far as possible; touching a block, ceiling or floor ends the episode.

    Observations, (7,) float32 in pixels, in PLE's order: y of the copter, its velocity (pixels a frame, downwards), its
    distance to the ceiling, its distance to the floor, the distance to the middle of the next block, "top" of that
    block, "bottom" of that block. What PLE calls top is the block's middle, and bottom lies its height of 9 below. (The
    course's list has floor and ceiling the other way round.)

    Actions: 0 goes up, 1 does nothing.

    Args:
        render_mode: `rgb_array`, (480, 480, 3), or `human`, which needs pygame.
        reward: `game`, PLE's own: +1 for every block passed, +1 for every column of the cave that leaves the screen,
            -5 in the end; or `course`, as the Deep RL Course describes it: +1 for every block passed, -1 in the end.
    """

    metadata = {"render_modes": ["human", "rgb_array"], "render_fps": 30}  # noqa: RUF012, as Gymnasium declares it

    def __init__(self, render_mode: str | None = None, reward: Literal["game", "course"] = "game") -> None:
        if reward not in REWARDS:
            raise ValueError(f"reward is one of {', '.join(REWARDS)}, not {reward!r}")
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (7,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(2)
        self.render_mode = render_mode
        self._for_block, self._for_column, self._for_end = REWARDS[reward]
        self._window = drawing.Window("Pixelcopter") if render_mode == "human" else None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self._y, self._momentum = SIZE / 2.0, 0.0
        self._block_x, self._block_y = self._new_block()
        self._passed_x, self._passed_y = -float(SIZE), 0  # the block before, out of sight
        self._heights = self._new_heights(0)
        self._stage = self._frame = 0
        self._show()
        return self._get_obs(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self._momentum = (self._momentum + (CLIMB if action == UP else FALL)) * DRAG
        self._y = y = self._y + self._momentum
        self._block_x = x = self._block_x - SCROLL
        self._passed_x -= SCROLL
        over = not HIGHEST <= y <= LOWEST
        if _hits(x, self._block_y, y) or _hits(self._passed_x, self._passed_y, y):
            over = True

        frames = STAGES[self._stage].frames
        self._frame += 1
        first, stop, n_leaving = frames[self._frame]
        for middle in self._heights[first:stop]:
            if y - COPTER_SIZE <= middle - GAP or y >= middle + GAP:
                over = True

        reward = n_leaving * self._for_column
        if x <= COPTER_X:
            reward += self._for_block
            self._passed_x, self._passed_y = x, self._block_y
            self._block_x, self._block_y = self._new_block()
        if self._frame == len(frames) - 1:
            self._heights = self._heights[-N_LEFT:] + self._new_heights(SIZE)
            self._stage, self._frame = min(self._stage + 1, 2), 0
        if over:
            reward += self._for_end
        if self._window is not None:
            self._show()
        return self._get_obs(), reward, over, False, {}

    def render(self) -> np.ndarray | None:
        if self.render_mode == "rgb_array":
            return self._picture()
        self._show()
        return None

    def close(self) -> None:
        if self._window is not None:
            self._window.close()

    def _get_obs(self) -> np.ndarray:
        y, block_y = self._y, self._block_y
        middle = self._heights[STAGES[self._stage].frames[self._frame][0]]
        return np.array(
            [
                y,
                self._momentum,
                y - (middle - GAP),
                (middle + GAP) - y,
                self._block_x - COPTER_X,
                block_y,
                block_y + BLOCK_HEIGHT,
            ],
            np.float32,
        )

    def _new_block(self) -> tuple[float, int]:
        """X and y of the middle of a block to the right of the screen."""
        x = int(self.np_random.integers(SIZE, SIZE * 3 // 2))
        offset = int(self.np_random.integers(-SIZE // 4, SIZE // 4))
        offset += ASIDE if offset > 0 else -ASIDE if offset < 0 else 0
        return float(x), SIZE // 2 + offset

    def _new_heights(self, left: int) -> list[int]:
        """Y of the middle of the cave at every new column, a wave of its own length that is jagged."""
        frequency = 4.5 / SIZE + self.np_random.uniform(-0.01, 0.01)
        jags = self.np_random.uniform(0.0, 0.5, N_COLUMNS).tolist()
        waves = [SIZE * 0.125 * math.sin(frequency * x + jag) for x, jag in zip(_starts(left), jags, strict=True)]
        return [int(SIZE / 2.0 + wave) for wave in waves]

    def _show(self) -> None:
        if self._window is not None:
            self._window.show(self._picture(), self.metadata["render_fps"])

    def _picture(self) -> np.ndarray:
        picture = drawing.blank(SIZE * SCALE, SIZE * SCALE, BLACK)

        def draw(colour: drawing.Colour, x: float, width: float, top: float, bottom: float) -> None:
            left, right = x - width / 2, x + width / 2
            drawing.rectangle(picture, colour, top * SCALE, left * SCALE, bottom * SCALE, right * SCALE)

        moved = self._frame * SCROLL
        for place, middle in zip(STAGES[self._stage].places, self._heights, strict=True):
            draw(GREEN, place - moved, COLUMN_WIDTH, 0, middle - GAP)
            draw(GREEN, place - moved, COLUMN_WIDTH, middle + GAP + 2, SIZE)
        for x, y in ((self._block_x, self._block_y), (self._passed_x, self._passed_y)):
            draw(ORANGE, x, BLOCK_WIDTH, y - BLOCK_HEIGHT // 2, y - BLOCK_HEIGHT // 2 + BLOCK_HEIGHT)
        draw(WHITE, COPTER_X, 2, self._y - 0.6, self._y + 1)
        draw(WHITE, COPTER_X - 1.5, 2, self._y - 0.2, self._y + 0.2)  # its tail
        draw(GREY, COPTER_X, 3, self._y - 1, self._y - 0.8)  # its rotor
        return picture


def _hits(x: float, block_y: int, y: float) -> bool:
    """Whether the copter touches a block: its rows are the cut y and the one above, a block's the nine around y."""
    half = BLOCK_HEIGHT // 2
    return TOUCHES_FROM <= x < TOUCHES_TO and block_y - half <= y < block_y + BLOCK_HEIGHT - half + 1
