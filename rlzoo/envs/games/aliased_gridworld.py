"""A world in which two cells look alike, so that the best policy that sees nothing else has to be one of chance.

    +---------+
    | :a: :a: |    a: walls above and below, look alike, and episodes begin in one of them
    |h| |D| |h|    D dust (+1, the end), h hamster (-1, the end)
    +---------+

A vacuum cleaner senses only the walls around it. From the left `a` it has to go right, from the right `a` left: a
policy that always does the same there finds the dust from one of them, and from the other it runs into a corner and
back for ever. One that goes either way with chance 1/2 is there after four steps on average. The example is David
Silver's (Lectures on Reinforcement Learning, 2015, lecture 7, "aliased gridworld"), and the Deep RL Course tells it.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.toy_text.utils import categorical_sample

from rlzoo.envs.games import drawing

LEFT, RIGHT, UP, DOWN = range(4)
ACTIONS = ("Left", "Right", "Up", "Down")

PICTURE = ("+---------+", "| : : : : |", "|h| |D| |h|", "+---------+")
WAY = range(5)  # cells of the upper row, from left to right
LEFT_HAMSTER, DUST, RIGHT_HAMSTER = 5, 6, 7
BELOW = {0: LEFT_HAMSTER, 2: DUST, 4: RIGHT_HAMSTER}
PLACES = tuple((0, column) for column in WAY) + tuple((1, column) for column in BELOW)  # rows and columns of the cells

LEFT_CORNER, CORRIDOR, JUNCTION, RIGHT_CORNER, DEAD_END = range(5)
SEEN = (LEFT_CORNER, CORRIDOR, JUNCTION, CORRIDOR, RIGHT_CORNER, DEAD_END, DEAD_END, DEAD_END)
"""What each cell looks like."""

CELL = 64  # pixels of a picture
FLOOR, ALIKE, WALL, CLEANER, DIRT, FUR = (
    (236, 229, 214),
    (200, 205, 214),
    (70, 60, 60),
    (60, 110, 180),
    (120, 95, 60),
    (220, 130, 60),
)

Outcome = tuple[float, int, float, bool]
"""Probability, next cell, reward, terminated."""


class AliasedGridworld(gymnasium.Env[Any, Any]):
    """Find the dust, and leave the hamsters alone, by the walls around you.

    Observations: 0 left corner, 1 corridor (two cells), 2 junction, 3 right corner, 4 dead end. Actions: 0 left,
    1 right, 2 up, 3 down; a step into a wall leaves the cleaner where it is. Rewards: +1 for dust, -1 for a hamster,
    0 for all else.

    An episode begins in either of the cells that look alike, with chance 1/2. It ends with the dust or a hamster
    (terminated), or after 20 steps (truncated, by Gymnasium's TimeLimit). Then the best deterministic policy has a mean
    return of 1/2, and the best one of chance 1 - 2**-10.

    `P[cell][action]`, a list of (probability, next cell, reward, terminated), and `initial_state_distrib`, (8,), are as
    in Gymnasium's toy texts, but over the eight cells, not over what is observed: that is `SEEN[cell]`.

    Args:
        render_mode: `ansi`, text; `rgb_array`, (128, 320, 3); or `human`, which needs pygame.
    """

    metadata = {"render_modes": ["human", "ansi", "rgb_array"], "render_fps": 4}  # noqa: RUF012, as Gymnasium declares it

    def __init__(self, render_mode: str | None = None) -> None:
        self.P = {cell: {action: [outcome(cell, action)] for action in range(4)} for cell in range(8)}
        self.initial_state_distrib = np.array([seen == CORRIDOR for seen in SEEN]) / 2
        self.observation_space = gymnasium.spaces.Discrete(5)
        self.action_space = gymnasium.spaces.Discrete(4)
        self.render_mode = render_mode
        self._window = drawing.Window("Aliased gridworld") if render_mode == "human" else None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        super().reset(seed=seed)
        self.cell = int(categorical_sample(self.initial_state_distrib, self.np_random))
        self.lastaction: int | None = None
        self._show()
        return self._get_obs(), {"prob": 0.5}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        ((chance, self.cell, reward, terminated),) = self.P[self.cell][action]
        self.lastaction = int(action)
        self._show()
        return self._get_obs(), reward, terminated, False, {"prob": chance}

    def render(self) -> np.ndarray | str | None:
        if self.render_mode == "ansi":
            row, column = PLACES[self.cell]
            action = None if self.lastaction is None else ACTIONS[self.lastaction]
            return drawing.text(PICTURE, 1 + row, 1 + 2 * column, action)
        if self.render_mode == "rgb_array":
            return self._picture()
        self._show()
        return None

    def close(self) -> None:
        if self._window is not None:
            self._window.close()

    def _get_obs(self) -> int:
        return SEEN[self.cell]

    def _show(self) -> None:
        if self._window is not None:
            self._window.show(self._picture(), self.metadata["render_fps"])

    def _picture(self) -> np.ndarray:
        picture = drawing.blank(2 * CELL, len(WAY) * CELL, WALL)
        for cell, place in enumerate(PLACES):
            colour = ALIKE if SEEN[cell] == CORRIDOR else FLOOR
            top, left = place[0] * CELL, place[1] * CELL
            drawing.rectangle(picture, colour, top + 1, left + 1, top + CELL - 1, left + CELL - 1)
        for cell in (LEFT_HAMSTER, RIGHT_HAMSTER):
            row, column = _middle(cell)
            drawing.disc(picture, FUR, row, column, 18)
            for side in (-7, 7):
                drawing.disc(picture, FUR, row - 16, column + side, 6)
                drawing.disc(picture, WALL, row - 4, column + side, 3)
        row, column = _middle(DUST)
        for down, right in ((-12, -10), (6, 12), (12, -14), (-4, 4), (-16, 14)):
            drawing.disc(picture, DIRT, row + down, column + right, 5)
        row, column = _middle(self.cell)
        drawing.disc(picture, CLEANER, row, column, 22)
        drawing.disc(picture, FLOOR, row, column, 7)
        return picture


def outcome(cell: int, action: int) -> Outcome:
    """What a step leads to; an episode that has ended stays where it is."""
    if cell not in WAY:
        return 1.0, cell, 0.0, True
    if action == DOWN and cell in BELOW:
        return 1.0, BELOW[cell], 1.0 if BELOW[cell] == DUST else -1.0, True
    following = cell + {LEFT: -1, RIGHT: 1}.get(action, 0)
    return 1.0, following if following in WAY else cell, 0.0, False


def _middle(cell: int) -> tuple[float, float]:
    row, column = PLACES[cell]
    return (row + 0.5) * CELL, (column + 0.5) * CELL
