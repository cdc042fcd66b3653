"""Takes a replay buffer back to an earlier moment, at the price of the rows that were overwritten since."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from rlzoo.algos.sb3.replay import ReplayBufferState


class ReplayUndo:
    """Remembers rows before they are overwritten, from `mark` on.

    A buffer that is not full has nothing to remember: rows beyond its position do not count.
    """

    def __init__(self, state: ReplayBufferState) -> None:
        self._state, self._buffer = state, state.buffer
        self._marked: tuple[int, bool, int] | None = None  # position, fullness, rows in use
        self._rows: dict[int, dict[str, Any]] = {}
        self._whole: dict[str, np.ndarray] = {}

    @property
    def n_rows(self) -> int:
        """How many rows it holds in memory."""
        return len(self._rows)

    def mark(self) -> None:
        """`roll_back` leads here."""
        self._rows.clear()
        self._marked = (int(self._buffer.pos), bool(self._buffer.full), self._state.n_rows)
        self._whole = {name: value.copy() for name, value in self._state.whole().items()}

    def forget(self) -> None:
        self._marked = None
        self._rows.clear()
        self._whole = {}

    def remember(self) -> None:
        """Call before a step is stored."""
        if self._marked is None:
            return
        position, size = int(self._buffer.pos), int(self._buffer.buffer_size)
        for row in (position, (position + 1) % size):  # the next observation may lie in the row after
            if row < self._marked[2] and row not in self._rows:
                self._rows[row] = self._state.row(row)

    def roll_back(self) -> None:
        """Make the buffer what it was at `mark`."""
        assert self._marked is not None
        for row, before in self._rows.items():
            self._state.put_row(row, before)
        for name, value in self._state.whole().items():
            value[...] = self._whole[name]
        self._buffer.pos, self._buffer.full, _ = self._marked
