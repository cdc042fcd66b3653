"""Spaces as text: `Box(8)`, `Box(4, 84, 84) uint8`, `Discrete(4)`, `Dict(a: Box(3), b: Discrete(2))`, read and written.

A Box of whole bytes says `uint8`, and is an image if it has three axes; other element types are not written.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rlzoo.errors import RlzooError
from rlzoo.registry import did_you_mean

if TYPE_CHECKING:
    import gymnasium

KINDS = ("Box", "Discrete", "MultiDiscrete", "MultiBinary", "Dict", "Tuple")


@dataclass(frozen=True)
class Space:
    """A space.

    Attributes:
        kind: one of `KINDS`, or the name of another Gymnasium space.
        shape: a Box's or MultiBinary's shape, (n,) of a Discrete, the sizes of a MultiDiscrete.
        uint8: whether a Box holds bytes.
        parts: name and space of the parts of a Dict; of a Tuple, whose names are empty.
        start: the least number of a Discrete, the first one of a MultiDiscrete that is not 0.
    """

    kind: str
    shape: tuple[int, ...] = ()
    uint8: bool = False
    parts: tuple[tuple[str, Space], ...] = ()
    start: int = 0

    @property
    def is_image(self) -> bool:
        """Whether policies see it as an image: bytes with three axes."""
        return self.kind == "Box" and self.uint8 and len(self.shape) == 3

    def __str__(self) -> str:
        if self.kind == "Dict":
            return f"Dict({', '.join(f'{name}: {part}' for name, part in self.parts)})"
        if self.kind == "Tuple":
            return f"Tuple({', '.join(str(part) for _, part in self.parts)})"
        if self.kind not in KINDS:
            return self.kind
        start = f", start={self.start}" if self.start else ""
        return f"{self.kind}({', '.join(map(str, self.shape))}{start}){' uint8' if self.uint8 else ''}"


def describe(space: gymnasium.Space) -> str:
    """The text of a Gymnasium space."""
    return str(of(space))


def of(space: gymnasium.Space) -> Space:
    """A Gymnasium space, reduced to what is written."""
    from gymnasium import spaces

    if isinstance(space, spaces.Box):
        return Space("Box", tuple(map(int, space.shape)), uint8=space.dtype == "uint8")
    if isinstance(space, spaces.Discrete):
        return Space("Discrete", (int(space.n),), start=int(space.start))
    if isinstance(space, spaces.MultiDiscrete):
        starts = space.start.flatten().tolist()
        start = next((number for number in starts if number), 0)
        return Space("MultiDiscrete", tuple(int(size) for size in space.nvec.flatten()), start=start)
    if isinstance(space, spaces.MultiBinary):
        return Space("MultiBinary", tuple(map(int, space.shape)))
    if isinstance(space, spaces.Dict):
        return Space("Dict", parts=tuple(sorted((key, of(part)) for key, part in space.spaces.items())))
    if isinstance(space, spaces.Tuple):
        return Space("Tuple", parts=tuple(("", of(part)) for part in space.spaces))
    return Space(type(space).__name__)


def parse(text: str) -> Space:
    """Read the text of a space.

    Raises:
        RlzooError: if it is none.
    """
    match = re.fullmatch(r"\s*(\w+)\((.*)\)\s*(uint8)?\s*", text, re.DOTALL)
    if match is None:
        raise RlzooError(f"{text!r} is not a space", "write Box(8), Box(4, 84, 84) uint8, Discrete(4), …")
    kind, inside, dtype = match.groups()
    if kind not in KINDS:
        raise RlzooError(f"{kind!r} is not a kind of space{did_you_mean(kind, KINDS)}", f"known: {', '.join(KINDS)}")
    if dtype and kind != "Box":
        raise RlzooError(f"{text!r}: only a Box can be uint8")
    items = _split(inside)
    if kind == "Dict":
        named = [item.partition(":") for item in items]
        return Space(kind, parts=tuple(sorted((name.strip(), parse(part)) for name, _, part in named)))
    if kind == "Tuple":
        return Space(kind, parts=tuple(("", parse(item)) for item in items))
    start = 0
    if kind in ("Discrete", "MultiDiscrete") and items and (found := re.fullmatch(r"start=(-?\d+)", items[-1])):
        start = int(found[1])
        items.pop()
    if not all(re.fullmatch(r"[1-9]\d*", item) for item in items) or (kind == "Discrete" and len(items) != 1):
        raise RlzooError(f"{text!r}: a {kind} holds whole numbers", f"{kind}({'4' if kind == 'Discrete' else '4, 4'})")
    return Space(kind, tuple(map(int, items)), uint8=bool(dtype), start=start)


def stacked(space: Space, n: int) -> Space:
    """The space of the last `n` observations together: along the channels of images, else along the last axis."""
    if space.kind == "Dict":
        return replace(space, parts=tuple((name, stacked(part, n)) for name, part in space.parts))
    if space.kind != "Box" or not space.shape:
        raise RlzooError(f"only Box observations can be stacked, not {space}")
    axis = 0 if space.is_image and _channels_first(space) else len(space.shape) - 1
    return replace(space, shape=tuple(size * n if at == axis else size for at, size in enumerate(space.shape)))


def channels_first(space: Space) -> Space:
    """The space with its images' channels in front, where policies expect them."""
    if space.kind == "Dict":
        return replace(space, parts=tuple((name, channels_first(part)) for name, part in space.parts))
    if not space.is_image or _channels_first(space):
        return space
    height, width, channels = space.shape
    return replace(space, shape=(channels, height, width))


def _channels_first(image: Space) -> bool:
    return image.shape.index(min(image.shape)) == 0


def _split(text: str) -> list[str]:
    """The parts between the commas that are in no parenthesis."""
    items, depth, start = [], 0, 0
    for at, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            items.append(text[start:at].strip())
            start = at + 1
    last = text[start:].strip()
    return [*items, last] if last or items else []
