"""Files of torch: every tensor is checked by its description.

A state dict (`policy.pth`) is then loaded with `weights_only`. A whole network that somebody pickled
(`torch.save(policy, "model.pt")`) is not: unpickling it would import the class that it names, which was
`__main__.Policy` of a notebook and is nowhere now. Here the class is a name, and the modules are walked through.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from math import prod
from typing import TYPE_CHECKING, Any

from rlzoo.untrusted.pickle_reader import Global, Record, UnreadableError, parse
from rlzoo.untrusted.zip import Archive, Limits, refused

if TYPE_CHECKING:
    import numpy as np
    import torch

MAX_TENSORS = 4096
MAX_DESCRIPTION = 4 * 2**20
LIMITS = Limits(entries=MAX_TENSORS + 8, total=2**29, methods=(0,))  # torch compresses nothing
SAFE_TORCH = (2, 10)
"""Before this version `weights_only` could be made to run code (CVE-2026-24747)."""

ENTRY = re.compile(
    r"([\w.\- ]{1,100})/(data\.pkl|data/\d{1,5}|version|byteorder|\.data/serialization_id|\.format_version"
    r"|\.storage_alignment)"
)
ITEM_SIZES = {
    "DoubleStorage": 8,
    "FloatStorage": 4,
    "HalfStorage": 2,
    "BFloat16Storage": 2,
    "LongStorage": 8,
    "IntStorage": 4,
    "ShortStorage": 2,
    "CharStorage": 1,
    "ByteStorage": 1,
    "BoolStorage": 1,
}
REBUILD, PARAMETER, ORDERED = (
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
    "collections OrderedDict",
)
GLOBALS = frozenset({REBUILD, PARAMETER, ORDERED, *(f"torch {name}" for name in ITEM_SIZES)})
POLICY = "__main__ Policy"
"""How the course's notebook calls its network."""
MODULES = frozenset(
    {POLICY, "torch.nn.modules.linear Linear", "torch.nn.modules.container Sequential"}
    | {
        f"torch.nn.modules.activation {name}"
        for name in ("ReLU", "Tanh", "Softmax", "LeakyReLU", "ELU", "GELU", "SiLU")
    }
)
SETS = frozenset({"__builtin__ set", "builtins set"})
MAX_DEPTH = 8


def read_tensors(data: bytes, name: str) -> dict[str, torch.Tensor]:
    """The named tensors in a file of `torch.save`, on the CPU.

    Args:
        data: the file.
        name: what it is called in errors.

    Raises:
        RlzooError: if it holds anything but named tensors whose sizes are those of the file.
    """
    import torch

    if tuple(int(part) for part in torch.__version__.split(".")[:2]) < SAFE_TORCH:
        raise refused(name, f"torch {torch.__version__} is not safe with files of others; update it to 2.10 or later")
    archive, root, description = open_archive(data, name)
    try:
        names = _check(parse(description, GLOBALS, persistent=True), archive, root)
        loaded = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except UnreadableError as error:
        raise refused(name, str(error)) from error
    except Exception as error:
        raise refused(name, "torch cannot read it") from error
    if not isinstance(loaded, dict) or set(loaded) != names:
        raise refused(name, "torch reads something else in it")
    return {key: tensor.detach() for key, tensor in loaded.items()}


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


def open_archive(data: bytes, name: str) -> tuple[Archive, str, bytes]:
    """A file of `torch.save`: the archive, the one folder in it, and the pickle that describes the rest.

    Raises:
        RlzooError: if it is something else.
    """
    archive = Archive(io.BytesIO(data), name, lambda entry: ENTRY.fullmatch(entry) is not None, LIMITS)
    roots = {entry.partition("/")[0] for entry in archive.sizes}
    if len(roots) != 1:
        raise refused(name, "it holds more than one set of tensors")
    (root,) = roots
    if f"{root}/byteorder" in archive and archive.read(f"{root}/byteorder", 16) != b"little":
        raise refused(name, "its numbers have another byte order")
    return archive, root, archive.read(f"{root}/data.pkl", MAX_DESCRIPTION)


def _check(root: Any, archive: Archive, folder: str) -> set[str]:
    """Check that a description is one of named tensors, each as large as what is stored of it."""
    items = root.items if isinstance(root, Record) and root.name == ORDERED and not root.args else root
    if not isinstance(items, dict) or len(items) > MAX_TENSORS:
        raise UnreadableError("it holds no named tensors")
    for name, value in items.items():
        if not isinstance(name, str) or len(name) > 200 or not name.isprintable():
            raise UnreadableError("a tensor has no proper name")
        check_tensor(value, archive, folder)
    return set(items)


def check_tensor(value: Any, archive: Archive, folder: str) -> None:
    """Check that a tensor lies within what is stored of it.

    Raises:
        UnreadableError: if it does not, or is not a tensor.
    """
    if isinstance(value, Record) and value.name == PARAMETER and value.args:
        value = value.args[0]
    if not isinstance(value, Record) or value.name != REBUILD or len(value.args) not in (6, 7):
        raise UnreadableError("it holds something else than tensors")
    storage, offset, shape, strides = value.args[:4]
    if not isinstance(storage, Record) or storage.name != "persistent" or len(storage.args) != 5:
        raise UnreadableError("a tensor has no storage")
    word, kind, key, _, count = storage.args
    if word != "storage" or not isinstance(kind, Global) or not isinstance(key, str) or not _is_count(count):
        raise UnreadableError("a tensor has no storage")
    item_size = ITEM_SIZES.get(kind.name.removeprefix("torch "))
    if item_size is None or archive.sizes.get(f"{folder}/data/{key}") != count * item_size:
        raise UnreadableError("a tensor has another size than what is stored of it")
    lists = isinstance(shape, tuple) and isinstance(strides, tuple) and len(shape) == len(strides) <= 8
    if not lists or not all(map(_is_count, (offset, *shape, *strides))):
        raise UnreadableError("a tensor has no valid shape")
    size = prod(shape)
    last = offset + sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True))
    if size > count or (size and last >= count):
        raise UnreadableError("a tensor has another size than what is stored of it")


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**40


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
