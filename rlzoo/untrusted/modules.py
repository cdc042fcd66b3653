"""A whole network that somebody pickled (`torch.save(policy, "model.pt")`), read as data: its tensors by their names.

Unpickling it would import the class that it names, which was `__main__.Policy` of a notebook and is nowhere now. Here
the class is a name, and what the file holds is walked through: modules, their parameters, their places in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import TYPE_CHECKING, Any

from rlzoo.untrusted.pickle_reader import Record, UnreadableError, parse
from rlzoo.untrusted.torch_file import GLOBALS, ORDERED, PARAMETER, check_tensor, open_archive
from rlzoo.untrusted.zip import Archive, refused

if TYPE_CHECKING:
    import numpy as np

ROOT = "__main__ Policy"
"""How the course's notebook calls its network."""
MODULES = frozenset(
    {ROOT, "torch.nn.modules.linear Linear", "torch.nn.modules.container Sequential"}
    | {
        f"torch.nn.modules.activation {name}"
        for name in ("ReLU", "Tanh", "Softmax", "LeakyReLU", "ELU", "GELU", "SiLU")
    }
)
SETS = frozenset({"__builtin__ set", "builtins set"})
MAX_DEPTH = 8


def read_module(data: bytes, name: str) -> dict[str, np.ndarray]:
    """The parameters of a pickled network of linear layers, as a state dict would name them.

    Args:
        data: the file.
        name: what it is called in errors.

    Raises:
        RlzooError: with exit code 7, if it holds anything else.
    """
    archive, folder, description = open_archive(data, name)
    try:
        root = parse(description, GLOBALS | MODULES | SETS, persistent=True)
        return {key: _array(value, archive, folder) for key, value in _parameters(root, "", 0)}
    except UnreadableError as error:
        raise refused(name, str(error)) from error


def _parameters(module: Any, prefix: str, depth: int) -> Iterator[tuple[str, Any]]:
    if not isinstance(module, Record) or module.name not in MODULES or not isinstance(module.state, dict):
        raise UnreadableError("it holds something else than layers")
    if depth > MAX_DEPTH:
        raise UnreadableError("it is nested too deeply")
    for key, value in _items(module.state.get("_parameters")).items():
        if value is not None:
            yield f"{prefix}{key}", value
    for key, child in _items(module.state.get("_modules")).items():
        yield from _parameters(child, f"{prefix}{key}.", depth + 1)


def _items(value: Any) -> dict[str, Any]:
    items = value.items if isinstance(value, Record) and value.name == ORDERED else value
    if not isinstance(items, dict) or not all(isinstance(key, str) and len(key) < 100 for key in items):
        raise UnreadableError("a layer has no proper parts")
    return items


def _array(value: Any, archive: Archive, folder: str) -> np.ndarray:
    """A parameter, shape as it says, in row-major order."""
    import numpy as np

    check_tensor(value, archive, folder)
    if value.name == PARAMETER:
        value = value.args[0]
    storage, offset, shape, strides = value.args[:4]
    _, kind, key, _, count = storage.args
    if kind.name != "torch FloatStorage":
        raise UnreadableError("a parameter is not in single precision")
    numbers = np.frombuffer(archive.read(f"{folder}/data/{key}", 4 * count), "<f4")
    found = np.lib.stride_tricks.as_strided(
        numbers[offset:], shape, [4 * stride for stride in strides], writeable=False
    )
    return found.astype(np.float32) if prod(shape) else np.zeros(shape, np.float32)
