"""Pickles read as plain values, on a machine of our own that has no functions.

A pickle is a program. Here a global has to stand in an exact list, and even then it is a name and nothing more; calling
it writes down what it was called with. Arrays are made from what was written down, and checked on the way.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

MAX_OPCODES = 200_000
MAX_ARRAY = 64 * 2**20

ARRAYS = frozenset(
    {
        "numpy ndarray",
        "numpy dtype",
        "numpy.core.multiarray _reconstruct",
        "numpy._core.multiarray _reconstruct",
        "numpy.core.multiarray scalar",
        "numpy._core.multiarray scalar",
        "numpy.core.numeric _frombuffer",
        "numpy._core.numeric _frombuffer",
        "_codecs encode",
    }
)
"""The globals that NumPy's arrays and numbers name."""


class UnreadableError(ValueError):
    """A pickle that asks for what is not allowed here, or that makes no sense."""


@dataclass(frozen=True)
class Global:
    """`"module name"`; nothing is imported."""

    name: str


@dataclass(eq=False)
class Record:
    """What a global was called with, and what it was then given."""

    name: str
    args: tuple[Any, ...]
    state: Any = None
    items: dict[Any, Any] = field(default_factory=dict)


def parse(data: bytes, allowed: frozenset[str], *, max_opcodes: int = MAX_OPCODES, persistent: bool = False) -> Any:
    """Read a pickle of protocol 2 or later as plain values, `Global` and `Record`.

    Args:
        data: the pickle.
        allowed: the globals it may name, each `"module name"`.
        max_opcodes: how long it may be.
        persistent: whether it may refer to something outside of it, which becomes a `Record` named `persistent`.

    Raises:
        UnreadableError: if it asks for anything else.
    """
    machine = _Machine(allowed, persistent)
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(data)):
            if count >= max_opcodes:
                raise UnreadableError(f"it has more than {max_opcodes} instructions")
            if opcode.name == "STOP":
                return machine.result()
            machine.step(opcode.name, argument)
    except UnreadableError:
        raise
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise UnreadableError(f"it is damaged ({type(error).__name__})") from error
    raise UnreadableError("it has no end")


def to_array(value: Any) -> np.ndarray:
    """An array of numbers from a number, or from what an array's pickle wrote down.

    Raises:
        UnreadableError: if it is none, or its size is not what its bytes hold.
    """
    import numpy as np

    if isinstance(value, bool | int | float):
        return np.asarray(value)
    kind = value.name.rpartition(" ")[2] if isinstance(value, Record) else ""
    fortran = False
    if kind == "_reconstruct" and isinstance(value.state, tuple) and len(value.state) == 5:
        _, shape, dtype, fortran, raw = value.state
    elif kind == "_frombuffer" and len(value.args) == 4:
        raw, dtype, shape, order = value.args
        fortran = order == "F"
    elif kind == "scalar" and len(value.args) == 2:
        (dtype, raw), shape = value.args, ()
    else:
        raise UnreadableError("a part that should be an array is none")
    number, raw = _dtype(dtype), _bytes(raw)
    if not isinstance(shape, tuple) or not all(type(size) is int and 0 <= size <= MAX_ARRAY for size in shape):
        raise UnreadableError("an array has no valid shape")
    if len(shape) > 8 or prod(shape) * number.itemsize != len(raw):
        raise UnreadableError("an array has another size than its shape says")
    array = np.frombuffer(raw, number).reshape(shape, order="F" if fortran else "C")
    return array.astype(number.newbyteorder("="))


class _Machine:
    """Carries out the instructions that build plain values."""

    def __init__(self, allowed: frozenset[str], persistent: bool) -> None:
        self.allowed = allowed
        self.persistent = persistent
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def step(self, name: str, argument: Any) -> None:
        if name in _IGNORED:
            return
        if name in _LITERALS:
            self.stack.append(argument)
        elif name in _MAKERS:
            self.stack.append(_MAKERS[name]())
        elif name in ("BINGET", "LONG_BINGET"):
            self.stack.append(self.memo[argument])
        elif name in ("BINPUT", "LONG_BINPUT"):
            self.memo[argument] = self.stack[-1]
        elif name in _STEPS:
            _STEPS[name](self, argument)
        else:
            raise UnreadableError(f"the instruction {name} is not allowed")

    def result(self) -> Any:
        (value,) = self.stack
        return value

    def pop(self, count: int) -> list[Any]:
        if len(self.stack) - (self.marks[-1] if self.marks else 0) < count:
            raise UnreadableError("it takes more than there is")
        taken = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return taken

    def pop_to_mark(self) -> list[Any]:
        start = self.marks.pop()
        taken = self.stack[start:]
        del self.stack[start:]
        return taken

    def find(self, name: str) -> None:
        if name not in self.allowed:
            raise UnreadableError(f"it names {name.replace(' ', '.')!r}, which is not among what such a file holds")
        self.stack.append(Global(name))

    def call(self) -> None:
        function, args = self.pop(2)
        if not isinstance(function, Global) or not isinstance(args, tuple):
            raise UnreadableError("it calls what is not a function")
        self.stack.append(Record(function.name, args))

    def build(self) -> None:
        (state,) = self.pop(1)
        record = self.stack[-1]
        if not isinstance(record, Record) or record.state is not None:
            raise UnreadableError("it changes what is not an object")
        record.state = state

    def extend(self, items: Sequence[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not list:
            raise UnreadableError("it appends to what is not a list")
        target.extend(items)

    def put(self, pairs: Sequence[Any]) -> None:
        target = self.stack[-1].items if isinstance(self.stack[-1], Record) else self.stack[-1]
        if type(target) is not dict or len(pairs) % 2:
            raise UnreadableError("it puts items into what is not a mapping")
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            if type(key) not in (str, int):  # nested tuples take for ever to hash
                raise UnreadableError("a mapping has keys that are neither text nor numbers")
            target[key] = value

    def refer(self) -> None:
        (key,) = self.pop(1)
        if not self.persistent or not isinstance(key, tuple):
            raise UnreadableError("it refers to something outside of itself")
        self.stack.append(Record("persistent", key))


_IGNORED = frozenset({"PROTO", "FRAME"})
_LITERALS = frozenset(
    "BININT BININT1 BININT2 LONG1 BINFLOAT SHORT_BINUNICODE BINUNICODE BINUNICODE8 SHORT_BINBYTES BINBYTES BINBYTES8 "
    "BYTEARRAY8".split()
)
_MAKERS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
}
_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "MARK": lambda machine, _: machine.marks.append(len(machine.stack)),
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine.pop_to_mark())),
    "TUPLE1": lambda machine, _: machine.stack.append(tuple(machine.pop(1))),
    "TUPLE2": lambda machine, _: machine.stack.append(tuple(machine.pop(2))),
    "TUPLE3": lambda machine, _: machine.stack.append(tuple(machine.pop(3))),
    "APPEND": lambda machine, _: machine.extend(machine.pop(1)),
    "APPENDS": lambda machine, _: machine.extend(machine.pop_to_mark()),
    "SETITEM": lambda machine, _: machine.put(machine.pop(2)),
    "SETITEMS": lambda machine, _: machine.put(machine.pop_to_mark()),
    "MEMOIZE": lambda machine, _: machine.memo.__setitem__(len(machine.memo), machine.stack[-1]),
    "GLOBAL": lambda machine, name: machine.find(name),
    "STACK_GLOBAL": lambda machine, _: machine.find(" ".join(machine.pop(2))),
    "REDUCE": lambda machine, _: machine.call(),
    "NEWOBJ": lambda machine, _: machine.call(),
    "BUILD": lambda machine, _: machine.build(),
    "BINPERSID": lambda machine, _: machine.refer(),
}


def _dtype(value: Any) -> np.dtype:
    import numpy as np

    code = value.args[0] if isinstance(value, Record) and value.name == "numpy dtype" and value.args else None
    if code not in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"):
        raise UnreadableError("an array holds something else than numbers")
    order = value.state[1] if isinstance(value.state, tuple) and len(value.state) > 1 else "="
    if order not in ("<", ">", "|", "="):
        raise UnreadableError("an array has no valid byte order")
    return np.dtype(code if order == "|" else f"{order}{code}")


def _bytes(value: Any) -> bytes:
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    if isinstance(value, Record) and value.name == "_codecs encode" and value.args[1:] == ("latin1",):
        return str(value.args[0]).encode("latin1")  # how protocol 2 writes bytes
    raise UnreadableError("an array has no bytes")
