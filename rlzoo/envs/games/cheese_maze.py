"""The maze of the Deep RL Course's Q-learning example: a mouse, a small cheese, poison and a big cheese.

    +-----+
    |S>c: |    S start, c small cheese (+1)
    | :x:C|    x poison (-10, the end), C big cheese (+10, the end)
    +-----+

The best way is right, right, down; the first step right eats the small cheese, and down from there is poison.

The course's table has a row for every cell and no more. But whether the small cheese is still there does not follow
from where the mouse is, if it may come back to the start; and if the cheese were there every time, going back and forth
would be better than the big one. So the door `>` lets the mouse through to the right only. Then the small cheese is
there for whoever comes through the door, and for nobody else: six states are all there is.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.toy_text.utils import categorical_sample

from rlzoo.envs.games import drawing

LEFT, RIGHT, UP, DOWN = range(4)
ACTIONS = ("Left", "Right", "Up", "Down")
MOVES = ((0, -1), (0, 1), (-1, 0), (1, 0))  # rows and columns

MAP = ("Sc ", " xC")
PICTURE = ("+-----+", "|S>c: |", "| :x:C|", "+-----+")
N_ROWS, N_COLUMNS = 2, 3
START, SMALL_CHEESE, POISON, BIG_CHEESE = 0, 1, 4, 5  # row * N_COLUMNS + column

CELL = 96  # pixels of a picture
FLOOR, WALL, MOUSE, CHEESE, HOLE, BOTTLE = (
    (236, 229, 214),
    (70, 60, 60),
    (120, 120, 130),
    (250, 200, 40),
    (200, 140, 20),
    (150, 30, 120),
)

Outcome = tuple[float, int, float, bool]
"""Probability, next state, reward, terminated."""


class CheeseMaze(gymnasium.Env[Any, Any]):
    """Find the big cheese in at most five steps, and eat the small one on the way.

    Observations: the cell, 0 to 2 in the upper row and 3 to 5 in the lower. Actions: 0 left, 1 right, 2 up, 3 down; a
    step into a wall, or left into the door, leaves the mouse where it is. Rewards: +1 for the small cheese, +10 for the
    big one, -10 for poison, 0 for all else.

    An episode ends with poison or the big cheese (terminated), or after five steps (truncated, by Gymnasium's
    TimeLimit: a cell does not say how many steps are left, so what it is worth is not to depend on them).

    `P[state][action]`, a list of (probability, next state, reward, terminated), and `initial_state_distrib`, (6,), are
    as in Gymnasium's toy texts, and so is `desc`, the map's letters (2, 3).

    Args:
        render_mode: `ansi`, text; `rgb_array`, (192, 288, 3); or `human`, which needs pygame.
    """

    metadata = {"render_modes": ["human", "ansi", "rgb_array"], "render_fps": 2}  # noqa: RUF012, as Gymnasium declares it

    def __init__(self, render_mode: str | None = None) -> None:
        self.P = {state: {action: [outcome(state, action)] for action in range(4)} for state in range(6)}
        self.initial_state_distrib = np.eye(6)[START]
        self.desc = np.array([list(row) for row in MAP])
        self.observation_space = gymnasium.spaces.Discrete(6)
        self.action_space = gymnasium.spaces.Discrete(4)
        self.render_mode = render_mode
        self._window = drawing.Window("Cheese maze") if render_mode == "human" else None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        super().reset(seed=seed)
        self.s = int(categorical_sample(self.initial_state_distrib, self.np_random))
        self.lastaction: int | None = None
        self._show()
        return self.s, {"prob": 1}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        outcomes = self.P[self.s][action]
        index = categorical_sample([chance for chance, *_ in outcomes], self.np_random)
        chance, self.s, reward, terminated = outcomes[index]
        self.lastaction = int(action)
        self._show()
        return self.s, reward, terminated, False, {"prob": chance}

    def render(self) -> np.ndarray | str | None:
        if self.render_mode == "ansi":
            row, column = divmod(self.s, N_COLUMNS)
            action = None if self.lastaction is None else ACTIONS[self.lastaction]
            return drawing.text(PICTURE, 1 + row, 1 + 2 * column, action)
        if self.render_mode == "rgb_array":
            return self._picture()
        self._show()
        return None

    def close(self) -> None:
        if self._window is not None:
            self._window.close()

    def _show(self) -> None:
        if self._window is not None:
            self._window.show(self._picture(), self.metadata["render_fps"])

    def _picture(self) -> np.ndarray:
        picture = drawing.blank(N_ROWS * CELL, N_COLUMNS * CELL, FLOOR)
        for line in range(N_ROWS + 1):
            drawing.rectangle(picture, WALL, line * CELL - 1, 0, line * CELL + 1, N_COLUMNS * CELL)
        for line in range(N_COLUMNS + 1):
            drawing.rectangle(picture, WALL, 0, line * CELL - 1, N_ROWS * CELL, line * CELL + 1)
        drawing.rectangle(picture, WALL, 0, CELL - 5, CELL, CELL + 5)
        drawing.rectangle(picture, FLOOR, CELL * 0.3, CELL - 5, CELL * 0.7, CELL)  # the door opens to the right
        if self.s in (START, START + N_COLUMNS):
            _draw_cheese(picture, SMALL_CHEESE, 0.18)
        _draw_cheese(picture, BIG_CHEESE, 0.36)
        row, column = _middle(POISON)
        drawing.rectangle(picture, BOTTLE, row - 12, column - 20, row + 32, column + 20)
        drawing.rectangle(picture, BOTTLE, row - 32, column - 8, row - 12, column + 8)
        row, column = _middle(self.s)
        for side in (-14, 14):
            drawing.disc(picture, MOUSE, row - 14, column + side, 10)
        drawing.disc(picture, MOUSE, row, column, 20)
        for side in (-7, 7):
            drawing.disc(picture, WALL, row - 4, column + side, 3)
        return picture


def outcome(state: int, action: int) -> Outcome:
    """What a step leads to; an episode that has ended stays where it is."""
    if state in (POISON, BIG_CHEESE):
        return 1.0, state, 0.0, True
    row, column = (here + move for here, move in zip(divmod(state, N_COLUMNS), MOVES[action], strict=True))
    inside = 0 <= row < N_ROWS and 0 <= column < N_COLUMNS
    if not inside or (state, action) == (SMALL_CHEESE, LEFT):
        return 1.0, state, 0.0, False
    following = row * N_COLUMNS + column
    if following in (POISON, BIG_CHEESE):
        return 1.0, following, -10.0 if following == POISON else 10.0, True
    return 1.0, following, 1.0 if state == START and following == SMALL_CHEESE else 0.0, False


def _middle(state: int) -> tuple[float, float]:
    row, column = divmod(state, N_COLUMNS)
    return (row + 0.5) * CELL, (column + 0.5) * CELL


def _draw_cheese(picture: np.ndarray, state: int, size: float) -> None:
    row, column = _middle(state)
    drawing.disc(picture, CHEESE, row, column, size * CELL)
    for down, right in ((-0.4, -0.3), (0.3, 0.4), (0.35, -0.4)):
        drawing.disc(picture, HOLE, row + down * size * CELL, column + right * size * CELL, 0.2 * size * CELL)
