"""Checkpoints on disk: whole or not there at all, without pickle, checked against their hashes when they are read.

A checkpoint is built under a temporary name beside its place: files, each synced, then `manifest.json` with their sizes
and SHA-256, then one rename. Whoever is killed on the way leaves the previous checkpoint as it was.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlzoo import console, contained
from rlzoo.config.records import Manifest, problem
from rlzoo.errors import ExitCode, RlzooError, show
from rlzoo.protocols import Algorithm, Saveable, State
from rlzoo.runs.run import CANDIDATES, Checkpoint, Run
from rlzoo.runs.state_files import not_finite, parse_state, write_state

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv

FORMAT = 1
ALGORITHM = "algorithm"
NORMALIZATION = "normalization"
MAX_MANIFEST, MAX_JSON, MAX_PART = 4 * 2**20, 32 * 2**20, 2 * 2**30
"""Bytes of the largest files of each kind that are read."""
MAX_BYTES = 2**36
"""Of all files of a checkpoint: a minute's reading, while one full of holes takes no room where it lies."""


class NotFiniteError(RlzooError):
    """A model with NaN or infinity in it, which is never saved."""


@dataclass(frozen=True)
class Contents:
    """What a checkpoint holds, by part; arrays are NumPy's."""

    parts: dict[str, State]
    manifest: dict[str, Any]

    @property
    def algorithm(self) -> State:
        return self.parts[ALGORITHM]

    @property
    def normalization(self) -> State | None:
        return self.parts.get(NORMALIZATION)

    @property
    def num_timesteps(self) -> int:
        return int(self.manifest["num_timesteps"])

    @property
    def n_bytes(self) -> int:
        """Of the arrays that were learned."""
        return sum(array.nbytes for array in self.algorithm.tensors.values())


def save(
    run: Run,
    name: str,
    *,
    algorithm: Algorithm,
    env: VecEnv | None,
    model_zip: bool = False,
    others: Mapping[str, State] | None = None,
    info: Mapping[str, Any] | None = None,
    copy_of: Checkpoint | None = None,
    unchanged: Mapping[str, Checkpoint] | None = None,
) -> Checkpoint:
    """Write the checkpoint `name` (`best`, `last` or the step), replacing one of that name.

    Args:
        run: the run it belongs to.
        name: `best`, `last` or the number of steps.
        algorithm: its state is written, and with `model_zip` its file for other tools.
        env: the training environment, whose normalisation statistics are written.
        model_zip: whether to write `model.zip`, which Stable-Baselines3 opens; rlzoo's own algorithms have none.
        others: further parts by name.
        info: JSON-able values for the manifest.
        copy_of: a checkpoint of this very moment; its files are linked instead of written again.
        unchanged: parts that an earlier checkpoint holds as they are, by name; their files are linked.

    Raises:
        NotFiniteError: if the algorithm holds NaN or infinity.
        RlzooError: if it cannot be written. Either way the previous one of that name is as it was.
    """
    from rlzoo.envs.vector.normalization import statistics

    with _building(run, name) as folder:
        files: dict[str, dict[str, Any]] = {}
        if copy_of is not None:
            files.update(_link_parts(copy_of, folder))
        else:
            parts = {ALGORITHM: algorithm.state(), **(others or {})}
            _require_finite(run.checkpoint(name), parts[ALGORITHM])
            normalization = statistics(env) if env is not None else None
            if normalization is not None:
                parts[NORMALIZATION] = normalization
            for part, state in parts.items():
                write_state(folder, part, state)
            for part, source in (unchanged or {}).items():
                files.update(_link_parts(source, folder, only=(part,)))
        if model_zip and isinstance(algorithm, Saveable):
            algorithm.save(folder / "model.zip")
        for path in sorted(folder.iterdir()):
            if path.name not in files:
                _sync(path)
                files[path.name] = {"size": path.stat().st_size, "sha256": _sha256(path)}
        manifest = {
            **(info or {}),
            "format": FORMAT,
            "run": run.name,
            "num_timesteps": int(algorithm.num_timesteps),
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "files": files,
        }
        manifest["sha256"] = _digest(manifest)
        _write_synced(folder / "manifest.json", json.dumps(manifest, indent=2).encode())
        _sync(folder)
    return run.checkpoint(name)


def promote(run: Run, candidate: Checkpoint, selection: Mapping[str, Any]) -> Checkpoint:
    """Make a candidate that was shown to be better than the last checkpoint the run's `best`.

    Args:
        run: the run.
        candidate: one of its candidates; its files get a second name.
        selection: JSON-able values that say how that was found out.

    Raises:
        RlzooError: if the candidate is damaged or `best` cannot be written.
    """
    verify(candidate)
    manifest = read_manifest(candidate)
    with _building(run, "best") as folder:
        _link(candidate, folder, manifest["files"])
        manifest |= {"selected": True, "selection": dict(selection)}
        manifest["sha256"] = _digest(manifest)
        _write_synced(folder / "manifest.json", json.dumps(manifest, indent=2).encode())
        _sync(folder)
    return run.checkpoint("best")


def retract_best(run: Run) -> None:
    """Take away the `best` of an earlier selection: the training has continued, and none is better than `last` now."""
    best = run.checkpoint("best")
    if best.was_selected and _written_by(run, best):
        remove(best)


def fingerprint(checkpoint: Checkpoint) -> tuple[str, ...]:
    """Hashes of what was learned: two checkpoints that have the same play the same.

    Raises:
        RlzooError: if the manifest is missing or damaged.
    """
    files = read_manifest(checkpoint)["files"]
    named = sorted(name for name in files if Path(name).stem in (ALGORITHM, NORMALIZATION))
    return tuple(files[name]["sha256"] for name in named if name.endswith(".safetensors"))


def verify(checkpoint: Checkpoint) -> None:
    """Check sizes and SHA-256 of every file of a checkpoint.

    Raises:
        RlzooError: as `read` does.
    """
    manifest = read_manifest(checkpoint)
    for name, expected in manifest["files"].items():
        _check_file(checkpoint, name, expected)


def read(checkpoint: Checkpoint, only: Collection[str] | None = None) -> Contents:
    """What a checkpoint holds, after checking sizes and SHA-256.

    Args:
        checkpoint: which.
        only: names of the parts to check and read; the others (a replay buffer, say) are left alone.

    Raises:
        RlzooError: if a file is missing or differs from the manifest, or a newer rlzoo wrote it.
    """
    manifest = read_manifest(checkpoint)
    _note_writer(checkpoint, manifest)
    chosen = {name: entry for name, entry in manifest["files"].items() if only is None or Path(name).stem in only}
    parts = [Path(name).stem for name in chosen if name.endswith(".safetensors")]
    if ALGORITHM not in parts:
        raise _damaged(checkpoint, f"{ALGORITHM}.safetensors is missing")
    for name, expected in chosen.items():
        if Path(name).stem not in parts:
            _check_file(checkpoint, name, expected)
    return Contents({part: _read_part(checkpoint, part, chosen) for part in parts}, manifest)


@contextmanager
def restoring(contents: Contents) -> Iterator[None]:
    """What a checkpoint holds is restored; where it is not what rlzoo would have written, this is said.

    Raises:
        RlzooError: with exit code 5 in place of whatever it comes to.
    """
    try:
        yield
    except RlzooError:
        raise
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        first = (str(error).strip().splitlines() or [""])[0]
        message = (
            f"the checkpoint of step {contents.num_timesteps:,} cannot be restored: {type(error).__name__}: {first}"
        )
        raise RlzooError(message, "it is damaged, or of another algorithm or environment", ExitCode.STORAGE) from error


def _read_part(checkpoint: Checkpoint, part: str, files: Mapping[str, Any]) -> State:
    """One part, parsed from the very bytes whose hash was checked: nobody can exchange the file in between."""
    data = {}
    for name in (f"{part}.safetensors", f"{part}.json"):
        if name not in files:
            raise _damaged(checkpoint, f"{name} is missing")
        size = _check_size(checkpoint, name, files[name])
        try:
            data[name] = contained.read(checkpoint.path / name, checkpoint.path, size)
        except (OSError, ValueError) as error:
            raise _damaged(checkpoint, f"{name} cannot be read: {error}") from error
        if hashlib.sha256(data[name]).hexdigest() != files[name]["sha256"]:
            raise _damaged(checkpoint, f"{name} is not what was written (SHA-256)")
    try:
        return parse_state(part, *data.values())
    except (ValueError, RecursionError) as error:
        raise _damaged(checkpoint, str(error)) from error


def _check_file(checkpoint: Checkpoint, name: str, expected: Mapping[str, Any]) -> None:
    _check_size(checkpoint, name, expected)
    if _sha256(checkpoint.path / name) != expected["sha256"]:
        raise _damaged(checkpoint, f"{name} is not what was written (SHA-256)")


def _check_size(checkpoint: Checkpoint, name: str, expected: Mapping[str, Any]) -> int:
    path = checkpoint.path / name
    if not path.is_file():
        raise _damaged(checkpoint, f"{name} is missing")
    contained.require(path, checkpoint.path)
    size = path.stat().st_size
    if size != expected["size"]:
        raise _damaged(checkpoint, f"{name} has {size} bytes instead of {expected['size']}")
    if size > (MAX_JSON if name.endswith(".json") else MAX_PART):
        raise _damaged(checkpoint, f"{name} is larger than any that rlzoo writes")
    return size


def export(checkpoint: Checkpoint, folder: Path) -> None:
    """Write what it takes to play, the algorithm and the normalisation, as a checkpoint of its own into a new folder.

    Nobody can train on from it exactly. The same checkpoint gives the same bytes.

    Raises:
        RlzooError: as `read` does.
    """
    manifest = read_manifest(checkpoint)
    files = {name: entry for name, entry in manifest["files"].items() if Path(name).stem in (ALGORITHM, NORMALIZATION)}
    folder.mkdir(parents=True)
    for name, expected in files.items():
        _check_file(checkpoint, name, expected)
        shutil.copyfile(checkpoint.path / name, folder / name)
    kept: dict[str, Any] = {
        key: manifest[key] for key in ("format", "run", "num_timesteps", "time", "mean_reward") if key in manifest
    }
    shared = {**kept, "at_boundary": False, "files": files}
    (folder / "manifest.json").write_text(json.dumps({**shared, "sha256": _digest(shared)}, indent=2), encoding="utf-8")


def prune(run: Run, keep: int) -> None:
    """Remove all step checkpoints but the newest `keep`; only those that this run wrote, never best and last."""
    steps = [checkpoint for checkpoint in run.checkpoints() if checkpoint.name.isdigit()]
    for checkpoint in steps[: max(0, len(steps) - keep)]:
        if _written_by(run, checkpoint):
            remove(checkpoint)


def recover(run: Run) -> None:
    """Put right what a killed training left; only for the one process that writes to the run."""
    for checkpoint in run.checkpoints():
        if checkpoint.path.name != checkpoint.name:
            checkpoint.path.rename(run.checkpoint(checkpoint.name).path)
    for leftover in (*run.leftovers(), *run.leftovers(CANDIDATES)):
        shutil.rmtree(leftover.path, ignore_errors=True)
    for path in run.temporaries():
        path.unlink(missing_ok=True)


def _require_finite(checkpoint: Checkpoint, algorithm: State) -> None:
    found = not_finite(algorithm)
    if found is not None:
        kept = "the previous one is kept" if checkpoint.exists() else "there was none before"
        text = f"checkpoint {checkpoint.name} is not written, because {found}; {kept}"
        raise NotFiniteError(text, code=ExitCode.TRAINING_FAILED)


@contextmanager
def _building(run: Run, name: str) -> Iterator[Path]:
    """A new directory to fill, which takes its place when the block ends without an error."""
    final = run.checkpoint(name).path
    try:
        if not run.path.is_dir():
            raise FileNotFoundError(errno.ENOENT, f"the folder {run.path} is not there")  # and is not made anew
        with contained.replacing(final, lambda: _sync(final.parent)) as folder:
            yield folder
    except OSError as error:
        why = error.strerror or str(error)
        kept = "the previous one is as it was" if final.exists() else "there was none before"
        raise RlzooError(f"checkpoint {name} could not be written: {why}; {kept}", code=ExitCode.STORAGE) from error


def _link_parts(source: Checkpoint, folder: Path, only: Collection[str] | None = None) -> dict[str, dict[str, Any]]:
    """Give the files of `source` a second name, or copy them where the file system has no links."""
    files = {name: entry for name, entry in read_manifest(source)["files"].items() if name != "model.zip"}
    if only is not None:
        files = {name: entry for name, entry in files.items() if Path(name).stem in only}
    _link(source, folder, files)
    return files


def _link(source: Checkpoint, folder: Path, names: Iterable[str]) -> None:
    for name in names:
        try:
            os.link(source.path / name, folder / name)
        except OSError:
            shutil.copyfile(source.path / name, folder / name)
            _sync(folder / name)


def read_manifest(checkpoint: Checkpoint) -> dict[str, Any]:
    """What a checkpoint says about itself, checked against its own hash.

    Raises:
        RlzooError: if it is missing or damaged, or a newer rlzoo wrote it.
    """
    try:
        manifest = json.loads(contained.read(checkpoint.manifest, checkpoint.path, MAX_MANIFEST).decode("utf-8"))
        written = manifest["format"]
    except FileNotFoundError:
        raise _damaged(checkpoint, "manifest.json is missing") from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise _damaged(checkpoint, "manifest.json cannot be read") from None
    if written != FORMAT:
        hint = f"it has format {show(written)}, this rlzoo reads {FORMAT}; update rlzoo"
        raise RlzooError(f"checkpoint {checkpoint.path} was written by another rlzoo", hint)
    if wrong := problem(Manifest, manifest):
        raise _damaged(checkpoint, f"manifest.json: {wrong}")
    if manifest.pop("sha256", None) != _digest(manifest):
        raise _damaged(checkpoint, "manifest.json is not what was written (SHA-256)")
    if sum(entry["size"] for entry in manifest["files"].values()) > MAX_BYTES:
        raise _damaged(checkpoint, f"manifest.json names more than {MAX_BYTES // 2**30} GiB")
    return manifest


def _digest(manifest: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _home(checkpoint: Checkpoint) -> Run:
    """The run in whose folder it lies."""
    is_candidate = checkpoint.path.parent.name == CANDIDATES
    return Run(checkpoint.path.parents[2 if is_candidate else 1])


def _note_writer(checkpoint: Checkpoint, manifest: Mapping[str, Any]) -> None:
    """Say so, once, where a checkpoint was copied here: the numbers of this run are not about it."""
    with suppress(RlzooError):  # of a checkpoint on its own, say, or one whose run has a damaged info.json
        own = _home(checkpoint).read_info().get("run")
        if own is not None and manifest.get("run", own) != own:
            _say_once(f"note: {checkpoint.path} was written by another run, {show(manifest['run'])}, and copied here")


_say_once = cache(console.say)


def _damaged(checkpoint: Checkpoint, what: str) -> RlzooError:
    others = [other.name for other in _home(checkpoint).checkpoints() if other.name != checkpoint.name]
    hint = f"the run also has: {', '.join(others)} (checkpoint=<name>)" if others else "the run has no other"
    return RlzooError(f"checkpoint {checkpoint.path} is damaged: {what}", hint, ExitCode.STORAGE)


def _written_by(run: Run, checkpoint: Checkpoint) -> bool:
    try:
        return read_manifest(checkpoint).get("run") == run.name
    except RlzooError:
        return False


def remove(checkpoint: Checkpoint) -> None:
    """Take a checkpoint away at once: a half-removed one never has its name."""
    path = checkpoint.path
    hidden = path.with_name(f".{path.name}.{secrets.token_hex(4)}.old")
    path.rename(hidden)
    shutil.rmtree(hidden, ignore_errors=True)


def _sha256(path: Path) -> str:
    with contained.opened(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # IO[bytes] is what it reads


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(path: Path) -> None:
    """Bring a file or, where the system can, a directory's names to disk."""
    if path.is_dir() and os.name != "posix":
        return
    handle = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
