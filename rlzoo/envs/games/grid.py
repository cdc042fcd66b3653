"""Environments whose states are the cells of a map, and what its actions do there, found out from what they show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

ARROWS = {(0, -1): "←", (0, 1): "→", (-1, 0): "↑", (1, 0): "↓"}
"""Where a step of one row or one column leads."""

Outcomes = list[tuple[int, float, int, bool]]
"""Action, probability, next state, terminated."""


@dataclass(frozen=True)
class Grid:
    """A map; states count along its rows.

    Attributes:
        shape: rows and columns.
        ends: what is drawn in cells where an episode is over, by state: the letter of the map, or `x`.
        arrows: where an action mostly leads, by action; none for one that moves nothing.
    """

    shape: tuple[int, int]
    ends: dict[int, str]
    arrows: dict[int, str]


def find_grid(env: Any, n_states: int) -> Grid | None:
    """The map of an environment, as toy texts show theirs: `desc` or `shape`, and the dynamics `P`.

    Returns:
        None of an environment without a map, or one whose states are not its cells.
    """
    raw = env.unwrapped
    letters = np.asarray(getattr(raw, "desc", None))
    shape = letters.shape if letters.ndim == 2 else getattr(raw, "shape", None)
    if not isinstance(shape, tuple) or len(shape) != 2 or shape[0] * shape[1] != n_states:
        return None
    try:
        outcomes = [_outcomes(raw.P[state]) for state in range(n_states)]
    except (AttributeError, KeyError, IndexError, TypeError, ValueError):
        return None
    over = _ends(outcomes)
    signs = _text(letters.ravel()) if letters.ndim == 2 else ["x"] * n_states
    ends = {state: signs[state].strip() or "x" for state in over}
    return Grid((int(shape[0]), int(shape[1])), ends, _arrows(outcomes, int(shape[1])))


def _outcomes(actions: Any) -> Outcomes:
    return [
        (int(action), float(chance), int(following), bool(over))
        for action in range(len(actions))
        for chance, following, _, over in actions[action]
    ]


def _ends(outcomes: list[Outcomes]) -> list[int]:
    """The states that nothing leads into from elsewhere but the end of an episode."""
    ending: dict[int, bool] = {}
    for state, found in enumerate(outcomes):
        for _, chance, following, over in found:
            if chance > 0 and following != state:
                ending[following] = over and ending.get(following, True)
    return [state for state, always in ending.items() if always]


def _text(letters: Any) -> list[str]:
    return [letter.decode("ascii", "replace") if isinstance(letter, bytes) else str(letter) for letter in letters]


def _arrows(outcomes: list[Outcomes], n_columns: int) -> dict[int, str]:
    """The direction of every action, on average over all cells: on ice, what slips to both sides cancels out."""
    moved: dict[int, np.ndarray] = {}
    for state, found in enumerate(outcomes):
        here = np.array(divmod(state, n_columns))
        for action, chance, following, _ in found:
            step = np.array(divmod(following, n_columns)) - here
            if np.abs(step).sum() == 1:  # not one back to the start, and none
                moved[action] = moved.get(action, np.zeros(2)) + chance * step
    arrows = {}
    for action, (down, right) in moved.items():
        main = (np.sign(down), 0) if abs(down) > abs(right) else (0, np.sign(right))
        if abs(down) != abs(right):
            arrows[action] = ARROWS[int(main[0]), int(main[1])]
    return arrows
