"""A replay buffer as parts of a checkpoint: in segments, so that a checkpoint costs what changed since the last one.

It can also be taken back to an earlier moment, at the price of the rows that were overwritten since.

Stacked images are stored frame by frame, each distinct frame once: an observation, the next one and their stacks share
most of theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from rlzoo.errors import ExitCode, RlzooError
from rlzoo.protocols import State

if TYPE_CHECKING:
    from stable_baselines3.common.buffers import BaseBuffer

SEGMENT = 10_000
"""Rows of a segment; a row is one step of every environment."""

WHOLE = ("ep_start", "ep_length", "_current_ep_start")
"""HER's arrays about episodes: small, and rewritten far from where the next row goes."""


class ReplayBufferState:
    """The rows of a Stable-Baselines3 replay buffer (plain, Dict, n-step or HER), exact to the byte.

    Segment k holds rows k * SEGMENT to (k + 1) * SEGMENT. `changed` says which differ from when `saved` was called.

    Attributes:
        buffer: the replay buffer itself.
    """

    def __init__(self, buffer: BaseBuffer) -> None:
        self.buffer: Any = buffer
        self._saved_step: int | None = None
        self._marked: tuple[int, bool, int] | None = None  # position, fullness and rows in use at `mark`
        self._rows: dict[int, dict[str, Any]] = {}  # what was overwritten since
        self._whole: dict[str, np.ndarray] = {}

    @property
    def n_rows(self) -> int:
        return int(self.buffer.buffer_size if self.buffer.full else self.buffer.pos)

    @property
    def n_segments(self) -> int:
        return -(-self.n_rows // SEGMENT)

    def changed(self, num_timesteps: int) -> set[int]:
        """The segments written to since `saved`, with `num_timesteps` environment steps taken by now."""
        every = set(range(self.n_segments))
        if self._saved_step is None or hasattr(self.buffer, "ep_start"):
            return every  # HER also rewrites the rows of episodes that end or are overwritten
        size, end = int(self.buffer.buffer_size), int(self.buffer.pos)
        n_new = (num_timesteps - self._saved_step) // int(self.buffer.n_envs)
        if n_new >= size:
            return every
        first = end - n_new
        rows = [(first, end)] if first >= 0 else [(first + size, size), (0, end)]
        return {k for start, stop in rows if stop > start for k in range(start // SEGMENT, -(-stop // SEGMENT))} & every

    def saved(self, num_timesteps: int) -> None:
        """Remember this moment as the one that a checkpoint holds."""
        self._saved_step = num_timesteps

    def segment(self, k: int) -> State:
        """Rows of one segment: every array of the buffer, images as distinct frames and the places they belong to."""
        rows = slice(k * SEGMENT, min((k + 1) * SEGMENT, self.n_rows))
        tensors: dict[str, Any] = {}
        frames = _Frames()
        for name, array in self.arrays():
            part = array[rows]
            if _is_stack(part):
                tensors[f"{name}.places"] = frames.add(part)
            else:
                tensors[name] = part.copy()
        if frames.found:
            tensors["frames"] = frames.array()
        return State(tensors, {"rows": [rows.start, rows.stop]})

    def restore(self, counters: State, segments: Iterable[State]) -> None:
        """Fill the buffer; the next `changed` is about what comes after `saved`.

        Raises:
            RlzooError: if the buffer is of another size or kind than the saved one.
        """
        arrays = dict(self.arrays())
        saved, size = counters.values["buffer_size"], self.buffer.buffer_size
        if saved != size:
            message = f"the saved replay buffer has {saved} rows, this one {size}"
            raise RlzooError(message, code=ExitCode.STORAGE)
        for segment in segments:
            rows = slice(*segment.values["rows"])
            for key, tensor in segment.tensors.items():
                name = key.removesuffix(".places")
                if key == "frames":
                    continue
                if name not in arrays:
                    raise RlzooError(f"the saved replay buffer has {name}, this one has not", code=ExitCode.STORAGE)
                arrays[name][rows] = segment.tensors["frames"][tensor] if key.endswith(".places") else tensor
        self.buffer.pos, self.buffer.full = counters.values["pos"], counters.values["full"]
        if "_current_ep_start" in counters.tensors:
            self.buffer._current_ep_start[:] = counters.tensors["_current_ep_start"]

    def counters(self) -> State:
        """Position, fullness, and the starts of HER's running episodes."""
        buffer = self.buffer
        values = {"pos": int(buffer.pos), "full": bool(buffer.full), "buffer_size": int(buffer.buffer_size)}
        current = getattr(buffer, "_current_ep_start", None)
        return State({} if current is None else {"_current_ep_start": np.array(current)}, values)

    @property
    def n_remembered(self) -> int:
        """How many rows are kept in memory for `roll_back`."""
        return len(self._rows)

    def mark(self) -> None:
        """`roll_back` leads here."""
        self._rows.clear()
        self._marked = (int(self.buffer.pos), bool(self.buffer.full), self.n_rows)
        self._whole = {name: value.copy() for name, value in self.whole().items()}

    def forget(self) -> None:
        """There will be no rolling back."""
        self._marked = None
        self._rows.clear()
        self._whole = {}

    def remember(self) -> None:
        """Keep the rows that the next step overwrites; rows beyond the position of a buffer at `mark` do not count."""
        if self._marked is None:
            return
        position, size = int(self.buffer.pos), int(self.buffer.buffer_size)
        for row in (position, (position + 1) % size):  # the next observation may lie in the row after
            if row < self._marked[2] and row not in self._rows:
                self._rows[row] = self.row(row)

    def roll_back(self) -> None:
        """Make the buffer what it was at `mark`."""
        assert self._marked is not None
        for row, before in self._rows.items():
            self.restore_row(row, before)
        for name, value in self.whole().items():
            value[...] = self._whole[name]
        self.buffer.pos, self.buffer.full, _ = self._marked

    def row(self, row: int) -> dict[str, Any]:
        """A copy of one row, for `restore_row`."""
        return {name: array[row].copy() for name, array in self.arrays() if name not in WHOLE}

    def restore_row(self, row: int, before: dict[str, Any]) -> None:
        """Make a row what it was when `row` copied it."""
        arrays = dict(self.arrays())
        for name, value in before.items():
            arrays[name][row] = value

    def whole(self) -> dict[str, np.ndarray]:
        """Arrays of which any part may change at any time, by name."""
        return {name: value for name in WHOLE if (value := getattr(self.buffer, name, None)) is not None}

    def arrays(self) -> Iterator[tuple[str, np.ndarray]]:
        """Every array with one row for each step, by name; observations of a Dict by `observations.<key>`."""
        for name, value in vars(self.buffer).items():
            if isinstance(value, dict):
                for key, array in value.items():
                    if self._is_rows(array):
                        yield f"{name}.{key}", array
            elif self._is_rows(value):
                yield name, value

    def _is_rows(self, value: Any) -> bool:
        return (
            isinstance(value, np.ndarray)
            and value.dtype != object
            and value.ndim >= 2
            and value.shape[0] == self.buffer.buffer_size
        )


class _Frames:
    """Distinct frames of stacked images, and where each stack finds its own."""

    def __init__(self) -> None:
        self.found: dict[bytes, int] = {}
        self._shape: tuple[int, ...] = ()
        self._dtype: Any = np.uint8

    def add(self, stacks: np.ndarray) -> np.ndarray:
        """Take in stacks (rows, n_envs, channels, height, width); returns their places (rows, n_envs, channels)."""
        self._shape, self._dtype = stacks.shape[-2:], stacks.dtype
        flat = np.ascontiguousarray(stacks).reshape(-1, int(np.prod(self._shape)))
        places = np.empty(len(flat), dtype=np.int32)
        for index, frame in enumerate(flat):
            places[index] = self.found.setdefault(frame.tobytes(), len(self.found))
        return places.reshape(stacks.shape[:-2])

    def array(self) -> np.ndarray:
        return np.frombuffer(b"".join(self.found), dtype=self._dtype).reshape(-1, *self._shape)


def _is_stack(array: np.ndarray) -> bool:
    """Images of rank 3, channels first: (rows, n_envs, channels, height, width)."""
    return array.dtype == np.uint8 and array.ndim == 5
