"""One space of every kind that an environment may have."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, Graph, MultiBinary, MultiDiscrete, OneOf, Sequence, Space, Text, Tuple

SWAPPED = np.dtype(np.float32).newbyteorder()
"""Numbers of four bytes in the order of other machines."""


def box(*shape: int, low: float = -1, high: float = 1, dtype: Any = np.float32) -> Box:
    return Box(low, high, shape, dtype)


def image(*shape: int, high: int = 255) -> Box:
    return Box(0, high, shape, np.uint8)


class Own(Space):
    """A kind of space that its author has thought up."""

    def __init__(self) -> None:
        super().__init__(None, None)

    def sample(self, mask: Any = None, probability: Any = None) -> Any:
        return self

    def contains(self, x: Any) -> bool:
        return True


class OwnBox(Box):
    """A Box, if by another name."""


_NODES = Graph(node_space=Box(-1, 1, (2,)), edge_space=None)

UNSIZED: dict[str, Space] = {
    "text": Text(5),
    "sequence": Sequence(box(2)),
    "sequence-stacked": Sequence(Discrete(3), stack=True),
    "graph": _NODES,
    "one-of": OneOf((Discrete(2), box(2))),
    "own": Own(),
}
"""Kinds that no algorithm takes, as observations or as actions."""

VECTORS: dict[str, Space] = {
    "box": box(3),
    "box-float64": box(3, dtype=np.float64),
    "box-float16": box(3, dtype=np.float16),
    "box-int8": box(3, low=-9, high=9, dtype=np.int8),
    "box-int64": box(3, low=0, high=9, dtype=np.int64),
    "box-uint8": image(3),
    "box-uint16": box(3, low=0, high=9, dtype=np.uint16),
    "box-uint64": box(3, low=0, high=9, dtype=np.uint64),
    "box-bool": box(3, low=0, high=1, dtype=np.bool_),
    "box-swapped": box(3, dtype=SWAPPED),
    "box-longdouble": box(3, dtype=np.longdouble),
    "multi-discrete-swapped": MultiDiscrete([3, 2], dtype=np.dtype(np.int64).newbyteorder()),
    "box-0d": box(),
    "box-0d-int64": box(low=0, high=9, dtype=np.int64),
    "box-1": box(1),
    "box-2-axes": box(3, 4),
    "box-4-axes": box(2, 2, 2, 2),
    "box-empty": box(0),
    "box-empty-axis": box(2, 0),
    "box-unbounded": box(3, low=-np.inf, high=np.inf),
    "box-half": box(3, low=0, high=np.inf),
    "box-constant": box(3, low=1, high=1),
    "box-own": OwnBox(-1, 1, (3,)),
    "discrete": Discrete(3),
    "discrete-start": Discrete(3, start=1),
    "discrete-negative": Discrete(3, start=-1),
    "discrete-int32": Discrete(3, dtype=np.int32),
    "discrete-uint8": Discrete(3, dtype=np.uint8),
    "discrete-swapped": Discrete(3, dtype=np.dtype(np.int64).newbyteorder()),
    "discrete-1": Discrete(1),
    "multi-discrete": MultiDiscrete([3, 2]),
    "multi-discrete-1": MultiDiscrete([3]),
    "multi-discrete-ones": MultiDiscrete([1, 1]),
    "multi-discrete-start": MultiDiscrete([3, 2], start=[0, 1]),
    "multi-discrete-2-axes": MultiDiscrete([[3, 2], [2, 4]]),
    "multi-discrete-3-axes": MultiDiscrete([[[3, 2]]]),
    "multi-discrete-uint8": MultiDiscrete([3, 2], dtype=np.uint8),
    "multi-binary": MultiBinary(4),
    "multi-binary-1": MultiBinary(1),
    "multi-binary-2-axes": MultiBinary([2, 3]),
    "multi-binary-1-axis": MultiBinary([3]),
    "multi-discrete-empty": MultiDiscrete([]),
    "tuple": Tuple((Discrete(3), Discrete(2))),
    "tuple-empty": Tuple(()),
    "dict": Dict(a=box(3), b=Discrete(3)),
    "dict-empty": Dict({}),
}
"""Kinds that may be observations or actions."""

IMAGES: dict[str, Space] = {
    "image": image(40, 44, 3),
    "image-first": image(3, 40, 44),
    "image-grey": image(40, 40, 1),
    "image-2-channels": image(40, 40, 2),
    "image-7-channels": image(40, 40, 7),
    "image-between": image(40, 3, 44),
    "image-many-channels": image(40, 40, 48),
    "image-cube": image(40, 40, 40),
    "image-small": image(20, 24, 3),
    "image-36": image(36, 36, 3),
    "image-35": image(36, 35, 3),
    "image-flat": image(40, 1, 1),
    "image-bits": image(40, 40, 3, high=1),
    "image-2-axes": image(40, 40),
    "image-4-axes": image(2, 40, 40, 3),
    "image-float": box(40, 40, 3, low=0),
    "image-float-first": box(3, 40, 40, low=0),
    "image-int64": box(40, 40, 3, low=0, high=255, dtype=np.int64),
    "image-int8": box(40, 40, 3, low=0, high=100, dtype=np.int8),
}

_PARTS: dict[str, Space] = {
    "box-0d": box(),
    "box-empty": box(0),
    "box-unbounded": box(2, low=-np.inf, high=np.inf),
    "box-int64": box(2, low=0, high=9, dtype=np.int64),
    "box-bool": box(2, low=0, high=1, dtype=np.bool_),
    "box-swapped": box(2, dtype=SWAPPED),
    "box-2-axes": box(2, 3),
    "discrete-start": Discrete(3, start=1),
    "multi-discrete": MultiDiscrete([3, 2]),
    "multi-discrete-2-axes": MultiDiscrete([[3, 2], [2, 4]]),
    "multi-binary": MultiBinary(3),
    "multi-binary-2-axes": MultiBinary([2, 3]),
    "image": image(40, 40, 3),
    "image-small": image(20, 20, 3),
    "image-bits": image(40, 40, 3, high=1),
    "image-float": box(40, 40, 3, low=0),
    "image-between": image(40, 3, 44),
    "dict": Dict(c=box(2)),
    "dict-empty": Dict({}),
    "multi-discrete-empty": MultiDiscrete([]),
    "tuple": Tuple((Discrete(3),)),
    **UNSIZED,
}
_KEYS = ("a.b", "", " ", "a b", "a:b", "a, b", "(a", "ä", "keys", "type", "forward", "training", "_modules", "1")
DICTS: dict[str, Space] = {
    "dict-1": Dict(a=box(3)),
    "dict-2-images": Dict(a=image(40, 40, 3), b=image(1, 36, 36)),
    "dict-start-alone": Dict(a=Discrete(3, start=1)),
    "dict-key-whole-number": Dict({1: box(2), 2: box(2)}),
    **{f"dict-of-{name}": Dict(a=part, b=box(2)) for name, part in _PARTS.items()},
    **{f"dict-key-{key}": Dict({key: box(2), "z": Discrete(2)}) for key in _KEYS},
}


def goals(part: Space, observation: Space | None = None, **more: Space) -> Dict:
    return Dict(observation=observation or part, achieved_goal=part, desired_goal=part, **more)


GOALS: dict[str, Space] = {
    "box": goals(box(3)),
    "box-unbounded": goals(box(3, low=-np.inf, high=np.inf, dtype=np.float64)),
    "box-2-axes": goals(box(2, 3)),
    "box-0d": goals(box()),
    "box-int64": goals(box(3, low=0, high=9, dtype=np.int64)),
    "box-longdouble": goals(box(3, dtype=np.longdouble)),
    "box-empty": goals(box(0)),
    "discrete": goals(Discrete(3)),
    "discrete-start": goals(Discrete(3, start=1)),
    "multi-discrete": goals(MultiDiscrete([3, 2])),
    "multi-discrete-2-axes": goals(MultiDiscrete([[3, 2], [2, 4]])),
    "multi-binary": goals(MultiBinary(3)),
    "multi-binary-2-axes": goals(MultiBinary([2, 3])),
    "image": goals(image(40, 40, 3)),
    "image-small": goals(image(20, 20, 3)),
    "image-observed": goals(box(2), image(40, 40, 3)),
    "no-observation": Dict(achieved_goal=box(2), desired_goal=box(2)),
    "observation-only": Dict(observation=box(2)),
    "unlike": Dict(observation=box(2), achieved_goal=box(2), desired_goal=box(3)),
    "more": goals(box(2), more=box(1)),
    "nested": goals(Dict(a=box(2)), box(2)),
    "text": goals(box(2), Text(4)),
    "no-dict": box(3),
}
"""Observations for hindsight experience replay."""

OBSERVATIONS: dict[str, Space] = {**VECTORS, **IMAGES, **DICTS, **UNSIZED}
OBSERVATIONS |= {"tuple-of-box": Tuple((box(2), Discrete(2))), "dict-goals": goals(box(2))}
ACTIONS: dict[str, Space] = {**VECTORS, **UNSIZED, "box-wide": box(2, low=-1e6, high=1e6), "discrete-2": Discrete(2)}
ACTIONS |= {"box-lopsided": box(2, low=0.5, high=7), "box-half-below": box(2, low=-np.inf, high=0)}
ACTIONS |= {"box-one-end": Box(np.array([-1, -np.inf], np.float32), np.array([1, 1], np.float32))}
ACTIONS |= {"box-part-constant": Box(np.array([-1, 1], np.float32), np.array([1, 1], np.float32))}
ACTIONS |= {
    "box-huge": box(2, low=-3e38, high=3e38),
    "box-huge-float64": box(2, low=-1e300, high=1e300, dtype=np.float64),
}
ACTIONS |= {
    "image": image(2, 3, 3),
}
