"""Spaces as text: `Box(8)`, `Box(4, 84, 84) uint8`, `Discrete(4)`, `Dict(a: Box(3), b: Discrete(2))`, read and written.

A Box of whole bytes says `uint8`, and is an image if it has three axes; other element types are not written. A word
behind a space is a trait that some algorithms cannot take: `Box(2) unbounded`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rlzoo.errors import RlzooError
from rlzoo.registry import did_you_mean

if TYPE_CHECKING:
    import gymnasium

KINDS = ("Box", "Discrete", "MultiDiscrete", "MultiBinary", "Dict", "Tuple")
TRAITS = ("bounded", "integer", "unbounded", "fixed", "wide", "array", "foreign")
"""Of bytes with three axes: their bounds are not 0 and 255, so they are not images to a policy (`bounded`). Of a Box
of actions: its numbers are whole (`integer`), a bound is infinite (`unbounded`), an entry has one value only (`fixed`),
or the distance of two bounds is infinite in its type (`wide`). A MultiDiscrete of several axes, and as actions a
MultiBinary that was declared by its shape, are an `array`. Numbers in the byte order of other machines, or of more than
64 bits, are `foreign` to torch.
"""
RANK, MAX_BYTE = 3, 255
"""Of an image."""
MAX_BYTES = 8
"""Of a number in torch."""
_QUOTED = r'"(?:[^"\\]|\\.)*"'


@dataclass(frozen=True)
class Space:
    """A space.

    Attributes:
        kind: one of `KINDS`, or the name of another Gymnasium space.
        shape: a Box's or MultiBinary's shape, (n,) of a Discrete, the sizes of a MultiDiscrete.
        uint8: whether a Box holds bytes.
        parts: name and space of those of a Dict, `<1>` for a key that is not text; of a Tuple, whose names are empty.
        start: the least number of a Discrete, the first one of a MultiDiscrete that is not 0.
        trait: one of `TRAITS`, or empty.
    """

    kind: str
    shape: tuple[int, ...] = ()
    uint8: bool = False
    parts: tuple[tuple[str, Space], ...] = ()
    start: int = 0
    trait: str = ""

    @property
    def is_image(self) -> bool:
        """Whether policies see it as an image: bytes from 0 to 255 with three axes."""
        return self.kind == "Box" and self.uint8 and len(self.shape) == RANK and self.trait != "bounded"

    @property
    def is_channels_first(self) -> bool:
        """Whether an image's channels, the shortest axis, are the first one."""
        return self.shape.index(min(self.shape)) == 0

    def __str__(self) -> str:
        if self.kind == "Dict":
            return f"Dict({', '.join(f'{quoted(name)}: {part}' for name, part in self.parts)})"
        if self.kind == "Tuple":
            return f"Tuple({', '.join(str(part) for _, part in self.parts)})"
        if self.kind not in KINDS:
            return self.kind
        start = f", start={self.start}" if self.start else ""
        words = f"{' uint8' if self.uint8 else ''}{' ' if self.trait else ''}{self.trait}"
        return f"{self.kind}({', '.join(map(str, self.shape))}{start}){words}"


def describe(space: gymnasium.Space) -> str:
    """The text of a Gymnasium space."""
    return str(of(space))


def declared_by(env: Any) -> dict[str, str]:
    """The texts of both spaces of an environment, by their names."""
    return {
        "observation_space": describe(env.observation_space),
        "action_space": str(of(env.action_space, acts=True)),
    }


def require_same(then: Mapping[str, Any], env: Any) -> None:
    """Compare an environment with the one that an agent has learned in, as far as is known.

    Args:
        then: what `declared_by` said.
        env: as it is now.

    Raises:
        RlzooError: if a space is another one.
    """
    for name, now in declared_by(env).items():
        if then.get(name) not in (None, now):
            hint = "the environment has changed: undo that, or train a new agent in it"
            raise RlzooError(f"{name} was {then[name]}, is {now}", hint)


def of(space: gymnasium.Space, *, acts: bool = False) -> Space:
    """A Gymnasium space, reduced to what is written; `acts` says whether it is one of actions."""
    from gymnasium import spaces

    if isinstance(space, spaces.Box):
        shape, uint8 = tuple(map(int, space.shape)), space.dtype == "uint8" and not acts
        is_bounded = uint8 and len(shape) == RANK and bool((space.low != 0).any() or (space.high != MAX_BYTE).any())
        trait = (_trait(space) if acts else "bounded" if is_bounded else "") or _foreign(space)
        return Space("Box", shape, uint8=uint8, trait=trait)
    if isinstance(space, spaces.Discrete):
        return Space("Discrete", (int(space.n),), start=int(space.start), trait=_foreign(space))
    if isinstance(space, spaces.MultiDiscrete):
        starts = space.start.flatten().tolist()
        start = next((number for number in starts if number), 0)
        sizes = tuple(int(size) for size in space.nvec.flatten())
        return Space("MultiDiscrete", sizes, start=start, trait="array" if space.nvec.ndim > 1 else _foreign(space))
    if isinstance(space, spaces.MultiBinary):
        trait = "array" if acts and not isinstance(space.n, int) else ""
        return Space("MultiBinary", tuple(map(int, space.shape)), trait=trait)
    if isinstance(space, spaces.Dict):
        named = {key if isinstance(key, str) else f"<{key!r}>": part for key, part in space.spaces.items()}
        return Space("Dict", parts=tuple((name, of(named[name])) for name in sorted(named)))
    if isinstance(space, spaces.Tuple):
        return Space("Tuple", parts=tuple(("", of(part)) for part in space.spaces))
    return Space(type(space).__name__)


def _foreign(space: gymnasium.Space) -> str:
    dtype = space.dtype
    return "" if dtype is None or (dtype.isnative and dtype.itemsize <= MAX_BYTES) else "foreign"


def _trait(actions: gymnasium.spaces.Box) -> str:
    import numpy as np

    low, high = actions.low, actions.high
    if actions.dtype is None or actions.dtype.kind != "f":
        return "integer"
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        return "unbounded"
    with np.errstate(over="ignore"):
        is_wide = not np.isfinite(high - low).all()
    return "wide" if is_wide else "fixed" if (low == high).any() else ""


def parse(text: str) -> Space:
    """Read the text of a space.

    Raises:
        RlzooError: if it is none.
    """
    if re.fullmatch(r"[A-Za-z_]\w*", text.strip()) and text.strip() not in KINDS:
        return Space(text.strip())
    match = re.fullmatch(rf"\s*(\w+)\((.*)\)\s*(uint8)?\s*({'|'.join(TRAITS)})?\s*", text, re.DOTALL)
    if match is None:
        raise RlzooError(f"{text!r} is not a space", "write Box(8), Box(4, 84, 84) uint8, Discrete(4), …")
    kind, inside, dtype, trait = match.groups(default="")
    if kind not in KINDS:
        raise RlzooError(f"{kind!r} is not a kind of space{did_you_mean(kind, KINDS)}", f"known: {', '.join(KINDS)}")
    if dtype and kind != "Box":
        raise RlzooError(f"{text!r}: only a Box can be uint8")
    items = _split(inside)
    if kind == "Dict":
        named = dict(_named(item) for item in items)
        return Space(kind, parts=tuple((name, parse(named[name])) for name in sorted(named)))
    if kind == "Tuple":
        return Space(kind, parts=tuple(("", parse(item)) for item in items))
    start = 0
    if kind in ("Discrete", "MultiDiscrete") and items and (found := re.fullmatch(r"start=(-?\d+)", items[-1])):
        start = int(found[1])
        items.pop()
    number = r"\d+" if kind in ("Box", "MultiBinary") else r"[1-9]\d*"
    if not all(re.fullmatch(number, item) for item in items) or (kind == "Discrete" and len(items) != 1):
        raise RlzooError(f"{text!r}: a {kind} holds whole numbers", f"{kind}({'4' if kind == 'Discrete' else '4, 4'})")
    return Space(kind, tuple(map(int, items)), uint8=bool(dtype), start=start, trait=trait)


def sample(space: gymnasium.Space, masks: Any = None) -> Any:
    """A random action, if masks are given one of those that they allow.

    Args:
        space: the actions.
        masks: True or False for each action of each part in turn, as `action_masks` returns them.
    """
    import numpy as np
    from gymnasium import spaces as kinds

    if masks is None:
        return space.sample()
    flat = np.asarray(masks).astype(np.int8).ravel()
    if isinstance(space, kinds.MultiDiscrete):
        return space.sample(tuple(np.split(flat, np.cumsum(space.nvec)[:-1])))
    if isinstance(space, kinds.MultiBinary):  # Gymnasium's masks say which value there has to be, 2 for either
        zero, one = flat.reshape(-1, 2).T
        return space.sample(np.where(zero & one, 2, one).astype(np.int8).reshape(space.shape))
    return space.sample(flat)


def stacked(space: Space, n: int) -> Space:
    """The space of the last `n` observations together: along the channels of images, else along the last axis."""
    if space.kind == "Dict":
        return replace(space, parts=tuple((name, stacked(part, n)) for name, part in space.parts))
    if space.kind != "Box" or not space.shape:
        raise RlzooError(f"only Box observations can be stacked, not {space}")
    axis = 0 if space.is_image and space.is_channels_first else len(space.shape) - 1
    found = replace(space, shape=tuple(size * n if at == axis else size for at, size in enumerate(space.shape)))
    if space.is_image and found.is_channels_first != space.is_channels_first:
        raise RlzooError(f"makes {found} of {space}, and what is a channel can only be told while these are fewest")
    return found


def channels_first(space: Space) -> Space:
    """The space with its images' channels in front, where policies expect them."""
    if space.kind == "Dict":
        images = [part for _, part in space.parts if part.is_image]
        if len({part.is_channels_first for part in images}) > 1:
            text = f"has images with the channels first and others with the channels last: {space}"
            raise RlzooError(
                text, "'env.wrappers={filter: {filter_keys: [...]}}' leaves out some, flatten makes a vector"
            )
        return replace(space, parts=tuple((name, channels_first(part)) for name, part in space.parts))
    if not space.is_image or space.is_channels_first:
        return space
    height, width, channels = space.shape
    return replace(space, shape=(channels, height, width))


def quoted(name: str) -> str:
    """The name of a part as it is written, here and on the command line: in quotes if it is not a plain word."""
    plain = is_other(name) or re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII)
    return name if plain else json.dumps(name, ensure_ascii=False)


def is_other(name: str) -> bool:
    """Whether the key of a part is not text."""
    return name.startswith("<") and name.endswith(">")


def _named(item: str) -> tuple[str, str]:
    """Name and text of a part of a Dict."""
    match = re.match(rf"({_QUOTED})\s*:", item)
    if match is not None:
        return json.loads(match[1]), item[match.end() :]
    name, _, part = item.rpartition(">:") if item.startswith("<") else item.partition(":")
    return (f"{name}>" if item.startswith("<") else name.strip()), part


def _split(text: str) -> list[str]:
    """The parts between the commas that are in no parenthesis and no quotes."""
    items, depth, start = [], 0, 0
    for token in re.finditer(rf"{_QUOTED}|[(),]", text):
        depth += (token[0] == "(") - (token[0] == ")")
        if token[0] == "," and depth == 0:
            items.append(text[start : token.start()].strip())
            start = token.end()
    last = text[start:].strip()
    return [*items, last] if last or items else []
