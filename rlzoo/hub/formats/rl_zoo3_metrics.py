"""The evaluations during a training that rl_zoo3 publishes in `train_eval_metrics.zip`, as a run's evaluations.csv."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlzoo.loggers.csv import CsvTable
from rlzoo.untrusted.zip import Archive, Limits, refused

if TYPE_CHECKING:
    import numpy as np

FILE, EVALUATIONS = "train_eval_metrics.zip", "evaluations.npz"
ARRAYS = ("timesteps", "results", "ep_lengths")
ENTRY = re.compile(r"evaluations\.npz|[\w.\-]{1,80}\.csv")
MAX_BYTES = 32 * 2**20
LIMITS = Limits(entries=512, total=512 * 2**20)
MAX_ROWS = 10_000


def write_evaluations(path: Path, into: Path) -> None:
    """Write a row for each evaluation; nothing if there were none.

    Args:
        path: the `train_eval_metrics.zip`.
        into: the table.

    Raises:
        RlzooError: if the file is refused or damaged.
    """
    with path.open("rb") as file:
        archive = Archive(file, path.name, lambda name: ENTRY.fullmatch(name) is not None, LIMITS)
        if EVALUATIONS not in archive:
            return
        data = archive.read(EVALUATIONS, MAX_BYTES)
    arrays = Archive(io.BytesIO(data), EVALUATIONS, lambda name: bool(re.fullmatch(r"\w{1,40}\.npy", name)), LIMITS)
    timesteps, results, lengths = (_array(arrays, name) for name in ARRAYS)
    if timesteps.ndim != 1 or results.ndim != 2 or lengths.shape != results.shape or len(results) != len(timesteps):
        raise refused(EVALUATIONS, "its arrays have other shapes than those of evaluations")
    table = CsvTable(into)
    for step, returns, steps in zip(timesteps.tolist()[:MAX_ROWS], results, lengths.tolist(), strict=False):
        table.append(_row(int(step), returns, [int(length) for length in steps]))


def _row(step: int, returns: np.ndarray, lengths: list[int]) -> dict[str, Any]:
    """As `callbacks.evaluate` writes one; which was the best, and with which seeds, is not said."""
    return {
        "timesteps": step,
        "mean_reward": float(returns.mean()),
        "std_reward": float(returns.std()),
        "mean_ep_length": sum(lengths) / max(1, len(lengths)),
        "n_episodes": len(lengths),
        "returns": json.dumps([float(value) for value in returns]),
        "lengths": json.dumps(lengths),
    }


def _array(archive: Archive, name: str) -> np.ndarray:
    """An array of finite numbers; its header says its shape, which has to be that of what follows."""
    import numpy as np

    try:
        found = np.load(io.BytesIO(archive.read(f"{name}.npy", MAX_BYTES)), allow_pickle=False)
    except (ValueError, EOFError, OSError, MemoryError) as error:
        raise refused(EVALUATIONS, f"its {name} is no array of numbers") from error
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "fiu" or not np.isfinite(found).all():
        raise refused(EVALUATIONS, f"its {name} is no array of numbers")
    return found
