"""A state on disk: its arrays as safetensors, its values as JSON. Nothing in it can be code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlzoo.protocols import State

if TYPE_CHECKING:
    import numpy as np


def write_state(folder: Path, part: str, state: State) -> None:
    """Write a state as `<part>.safetensors` and `<part>.json`, every array exactly as it is."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    arrays = {name: as_numpy(name, tensor) for name, tensor in state.tensors.items()}
    try:
        save_file(arrays, folder / f"{part}.safetensors")
    except SafetensorError as error:  # what it says when the disk is full
        raise OSError(str(error)) from error
    # Not indented, which takes ten times as long: most of it are the hundreds of numbers of random generators.
    (folder / f"{part}.json").write_text(json.dumps(state.values), encoding="utf-8")


def read_state(folder: Path, part: str) -> State:
    """The state that `write_state` wrote, its arrays as NumPy's."""
    return parse_state(part, *((folder / f"{part}.{kind}").read_bytes() for kind in ("safetensors", "json")))


def parse_state(part: str, tensors: bytes, values: bytes) -> State:
    """The state in the contents of these two files.

    Raises:
        ValueError: if they are not such contents.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(tensors)
    except (SafetensorError, KeyError) as error:
        raise ValueError(f"{part}.safetensors cannot be read: {error}") from error
    found = json.loads(values.decode("utf-8"))
    if not isinstance(found, dict):
        raise ValueError(f"{part}.json holds no keys and values")
    return State(arrays, found)


def not_finite(state: State) -> str | None:
    """The first float array with NaN or infinity in it, `policy.action_net.bias is NaN`; None if there is none."""
    import numpy as np

    for name, tensor in state.tensors.items():
        array = as_numpy(name, tensor)
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            return f"{name} is {'NaN' if np.isnan(array).any() else 'infinite'}"
    return None


def as_numpy(name: str, tensor: Any) -> np.ndarray:
    """A NumPy or torch array in row-major order; `np.ascontiguousarray` would give scalars a dimension."""
    import numpy as np

    if hasattr(tensor, "detach"):
        tensor = tensor.detach().cpu().numpy()
    array = np.asarray(tensor)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} holds {array.dtype}, which a checkpoint cannot hold: numbers and truth values only")
    return array if array.flags.c_contiguous else array.copy(order="C")
