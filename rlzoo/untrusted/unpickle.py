"""The one place where an untrusted file is unpickled, which runs what its author wrote; only after `trust=true`.

Nothing falls back on this module: a file that the safe readers refuse stays refused until somebody asks for it here.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlzoo.errors import ExitCode, RlzooError

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv

    from rlzoo.algos.sb3.adapter import SB3Algorithm

HINT = "trust=true opens it all the same, which runs whatever its author put into it"


@dataclass(frozen=True)
class Trusted:
    """What was opened on trust, for the run's record: exactly these bytes."""

    file: str
    size: int
    sha256: str
    source: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Unpickled:
    """An object out of a pickle, and the record of it."""

    value: Any
    record: Trusted


@dataclass(frozen=True)
class TrustedModel:
    """A model that Stable-Baselines3 itself loaded, and the record of it."""

    algorithm: SB3Algorithm
    record: Trusted


def unpickle(path: Path, *, trust: bool, source: str = "") -> Unpickled:
    """Unpickle a file.

    Args:
        path: the file.
        trust: that the user has asked for it, for this file.
        source: where it came from: a repository and its commit, or a path.

    Raises:
        RlzooError: if `trust` is not True, or the file cannot be unpickled.
    """
    data, record = _read(path, trust, source)
    try:
        return Unpickled(pickle.loads(data), record)
    except Exception as error:  # whatever the file's own code raises
        raise RlzooError(f"{path.name!r} cannot be unpickled: {type(error).__name__}: {error}") from error


def load_model(
    path: Path, algo: str, *, trust: bool, env: VecEnv | None = None, device: str = "auto", source: str = ""
) -> TrustedModel:
    """Load a zip of Stable-Baselines3 by its own `load`, which unpickles parts of it.

    Args:
        path: the zip.
        algo: the algorithm that it holds.
        trust: that the user has asked for it, for this file.
        env: what it acts in.
        device: where the policy runs.
        source: where it came from: a repository and its commit, or a path.

    Raises:
        RlzooError: if `trust` is not True, or the file cannot be loaded.
    """
    data, record = _read(path, trust, source)
    from rlzoo.algos.sb3.adapter import SB3Algorithm, model_class
    from rlzoo.algos.specs import ALGOS
    from rlzoo.registry import lookup

    spec = lookup(ALGOS, algo, "algorithm")
    try:
        model = model_class(spec).load(io.BytesIO(data), env=env, device=device)
    except Exception as error:  # whatever the file's own code raises
        raise RlzooError(f"{path.name!r} cannot be loaded: {type(error).__name__}: {error}") from error
    return TrustedModel(SB3Algorithm(model, spec), record)


def _read(path: Path, trust: bool, source: str) -> tuple[bytes, Trusted]:
    """The bytes that are then opened, so that what is recorded is what ran."""
    if trust is not True:  # "false" and 1 are not consent
        raise RlzooError(f"{path.name!r} can only be opened by unpickling it", HINT, ExitCode.UNSAFE)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RlzooError(f"cannot read {str(path)!r}: {error.strerror}", code=ExitCode.STORAGE) from error
    return data, Trusted(path.name, len(data), hashlib.sha256(data).hexdigest(), source or str(path))
