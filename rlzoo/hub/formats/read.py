"""Published agents of every known layout, turned into runs that every command takes.

| layout | who writes it | known by |
|---|---|---|
| rlzoo | `rlzoo push-to-hub` | `config.yaml` and `rlzoo/checkpoint/` |
| rl_zoo3 | rl_zoo3's `push_to_hub` | a zip and `config.yml` |
| huggingface_sb3 | huggingface_sb3's `package_to_hub` | a zip |
| q_learning | unit 2 of the Deep RL Course | `q-learning.pkl` |
| torch | units 4 and 8 of the Deep RL Course | `model.pt` |

Nothing is unpickled, imported or evaluated. `trust=true` unpickles what the safe readers refuse, and is recorded.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from rlzoo import __version__, contained
from rlzoo.console import say, warn
from rlzoo.errors import ExitCode, RlzooError, clean
from rlzoo.hub.formats import course, rl_zoo3, rlzoo, sb3
from rlzoo.hub.formats import source as imported
from rlzoo.hub.formats.source import ImportOptions, Origin, Repository, Source, shown
from rlzoo.runs.checkpoints import NotFiniteError
from rlzoo.runs.run import Run, folder_name
from rlzoo.untrusted import signature

ABOUT = ("results.json", "README.md")
NAMED = ("env", "algo", "file")
"""Words that say what an agent does not say by itself; where it is a run they are settled."""
ROOT = Path("hub", "local")
"""Where agents on this disk become runs, below the current folder."""
WEIGHTS = (".zip", ".pt", ".pkl")
"""Kinds of files that agents are in."""
CHUNK = 2**20
NO_PLACE = "free some space, or choose another place with folder="
Reader = Callable[[Source, str, Run], tuple[dict[str, Any], str]]
"""Makes the checkpoint of a run from the named file; returns the run's configuration, and the checkpoint's name."""


class Format(NamedTuple):
    """One of the table above: whose layout it is, what is read besides the weights and `ABOUT`, and its reader."""

    title: str
    files: tuple[str, ...]
    read: Reader


FORMATS = {
    "rlzoo": Format("rlzoo's own", (), rlzoo.read),
    "rl_zoo3": Format(
        "rl_zoo3's",
        (rl_zoo3.CONFIG, rl_zoo3.ARGS, rl_zoo3.ENV_KWARGS, rl_zoo3.METRICS, *sb3.STATISTICS),
        partial(sb3.read, zoo=True),
    ),
    "huggingface_sb3": Format("huggingface_sb3's", sb3.STATISTICS, sb3.read),
    "q_learning": Format("the course's Q-learning", (), course.read_q_learning),
    "torch": Format("the course's PyTorch", (course.HYPERPARAMETERS,), course.read_torch),
}


@dataclass(frozen=True)
class Layout:
    """How a repository is laid out: its format, where the weights are, and all that is read if it is there."""

    name: str
    file: str
    files: tuple[str, ...]

    @property
    def format(self) -> Format:
        return FORMATS[self.name]


def recognise(names: Sequence[str], *, file: str | None = None, repo_name: str = "") -> Layout:
    """Find out the layout from the names of a repository's files.

    Args:
        names: all of them.
        file: the file with the weights that the user names; it need not be the layout's own.
        repo_name: the name of the repository, which tells its agent's file from others.

    Raises:
        RlzooError: if it is none that is known, or holds several agents, with what there is.
    """
    if file is not None and file not in names:
        models = [name for name in names if _is_model(name)]
        raise RlzooError(f"there is no {clean(file)[:100]}", f"file= takes one of: {shown(models)}", ExitCode.HUB)
    if file is None and {rlzoo.CONFIG, rlzoo.MANIFEST} <= set(names):
        return _layout("rlzoo", rlzoo.MANIFEST, rlzoo.files(names), names)
    chosen = file or _choose([name for name in names if _is_model(name)], names, repo_name)
    folder = chosen.rpartition("/")[0]
    if chosen.endswith(".zip"):
        name = "rl_zoo3" if rl_zoo3.CONFIG in names and not folder else "huggingface_sb3"
    elif chosen.endswith(".pkl"):
        name = "q_learning"
    elif chosen.endswith(".pt"):
        name = "torch"
    else:
        raise RlzooError(f"{clean(chosen)[:100]} holds no agent", "file= takes a .zip, a .pkl or a .pt")
    return _layout(name, chosen, FORMATS[name].files, names)


def beside(file: str) -> tuple[str, ...]:
    """What is read where a file of weights is named alone: it, and what the known layouts have in its folder."""
    return tuple(dict.fromkeys((file, *(name for format in FORMATS.values() for name in format.files), *ABOUT)))


def read(
    folder: Path,
    into: Path,
    *,
    origin: Origin | None = None,
    options: ImportOptions | None = None,
    only: Sequence[str] = (),
    replace_old: bool = False,
) -> Run:
    """Turn a folder of published files into a run.

    Args:
        folder: the files, as they lie in the repository.
        into: where the run is made. It appears as a whole, or not at all.
        origin: where the files come from; by default the folder.
        options: what the repository does not say by itself.
        only: the names of the files that are looked at, if not all are.
        replace_old: a run that is there is replaced; else there must be none.

    Raises:
        RlzooError: if the layout is not known, a file is refused (exit code 7), damaged or missing, or they do not fit
            each other and the environment.
    """
    origin, options = origin or Origin(str(folder)), options or ImportOptions()
    repository = Repository(folder, origin, tuple(only))
    layout = recognise(repository.names(), file=options.file, repo_name=origin.name)
    source = Source(repository, options)
    if into.exists() and not replace_old:
        raise RlzooError(f"{into} is there already", code=ExitCode.STORAGE)
    places: list[Path] = []
    try:
        with contained.replacing(into, hint=NO_PLACE, new_only=not replace_old) as new:
            places += [new, folder]
            values, checkpoint = layout.format.read(source, layout.file, Run(new))
            imported.write_run(Run(new), values, source, layout=layout.name, file=layout.file, checkpoint=checkpoint)
            _try(Run(new), layout, options)
    except NotFiniteError as error:
        raise RlzooError(f"{layout.file} holds numbers that are not finite", code=ExitCode.UNSAFE) from error
    except RlzooError as error:
        raise _of_repository(error, places, origin) from error
    return Run(into)


def is_agent(path: Path) -> bool:
    """Whether there is something to read at a path: a file of weights, or a folder with one, that is not a run's."""
    if path.is_file():
        return path.suffix in WEIGHTS
    if not path.is_dir() or (path / "info.json").is_file():
        return False
    with os.scandir(path) as found:
        return (path / rlzoo.MANIFEST).is_file() or any(Path(entry.name).suffix in WEIGHTS for entry in found)


def read_local(path: Path, options: ImportOptions) -> Run:
    """The run of an agent on this disk, made when it is first asked for, and again when its files have changed.

    That is `hub/local/<name>-<digest>`, where results and films go too: nothing is written where the agent lies.

    Args:
        path: a file of weights, or a folder with one.
        options: what it does not say by itself.

    Raises:
        RlzooError: with exit code 7 if a file is refused, 5 if it is damaged, 2 if it does not say enough.
    """
    _require_no_checkpoint(path.parent if path.is_file() else path)
    try:
        run = _read_local(path, options)
    except RlzooError as error:
        code = ExitCode.WRONG_REQUEST if error.code is ExitCode.HUB else error.code
        raise RlzooError(error.message, error.hint, code) from error
    about = run.read_info()["hub"]
    say(f"{path}: {FORMATS[about['layout']].title} layout, as the run {run.path}")
    if path.suffix == ".zip" and not any((path.parent / name).is_file() for name in sb3.STATISTICS):
        say("no vec_normalize.pkl lies beside it: its observations are taken as they are")
    for text in about["assumed"]:
        say(f"assumed: {text}")
    for record in about["trusted"]:
        warn(f"unpickled on trust: {record['file']}, SHA-256 {record['sha256'][:16]}…")
    return run


def local_source(run: Run) -> Path | None:
    """The folder on this disk that a run was read from; None for any other run."""
    about = run.read_info().get("hub")
    return Path(str(about["repo_id"])).resolve() if isinstance(about, dict) and not about.get("commit") else None


def _of_repository(error: RlzooError, places: Sequence[Path], origin: Origin) -> RlzooError:
    """The error, saying the repository where it says a place that is gone by the time it is read."""
    message, hint = error.message, error.hint
    for place in places:
        message, hint = message.replace(str(place), str(origin)), hint.replace(str(place), str(origin))
    if (message, hint) == (error.message, error.hint):
        return error
    if error.code == ExitCode.STORAGE and origin.commit:  # it is not this disk that is damaged
        return RlzooError(message, "another revision= may be whole", ExitCode.HUB)
    return RlzooError(message, hint, error.code)


def _try(run: Run, layout: Layout, options: ImportOptions) -> None:
    """Load the agent as every command will: its algorithm takes the weights, its environment the statistics."""
    from rlzoo.evaluation.agent import load

    with imported.explained(layout.file):
        load(run, device="cpu", trust=options.trust)


def _layout(name: str, file: str, others: Sequence[str], names: Sequence[str]) -> Layout:
    present = [other for other in (*others, *ABOUT) if other in names]
    return Layout(name, file, tuple(dict.fromkeys((file, *present))))


def _is_model(name: str) -> bool:
    base = name.rpartition("/")[2]
    if base == rl_zoo3.METRICS or base in sb3.STATISTICS or "replay_buffer" in base:
        return False
    return name.endswith((".zip", ".pt")) or bool(re.search(r"q[-_]?(learning|table).*\.pkl$", name, re.IGNORECASE))


def _choose(models: list[str], names: Sequence[str], repo_name: str) -> str:
    """The file with the weights: the only one at the top, the one that the repository is named after, the only one."""
    top = [name for name in models if "/" not in name]
    named = [name for name in top if name.rpartition(".")[0] == repo_name]
    known = [name for name in top if name in (course.Q_TABLE, course.MODEL)]
    for found in (top, named, known, [] if top else models):
        if len(found) == 1:
            return found[0]
    if models:
        raise RlzooError(f"there are several agents: {shown(models)}", f"say which: file={shown(models[:1])}")
    hint = "an agent is a zip of Stable-Baselines3, a q-learning.pkl, a model.pt, or what rlzoo push-to-hub writes"
    raise RlzooError(f"there is no agent that rlzoo knows among: {shown(list(names))}", hint, ExitCode.HUB)


def _read_local(path: Path, options: ImportOptions) -> Run:
    folder = path
    only: tuple[str, ...] = ()
    if path.is_file():
        folder, only = path.parent, beside(path.name)
        options = replace(options, file=path.name)
    origin = Origin(str(folder) if folder.name else str(folder.resolve()))
    folder = folder.absolute()  # what is found and replaced in messages
    repository = Repository(folder, origin, only)
    layout = recognise(repository.names(), file=options.file, repo_name=origin.name)
    into = ROOT / f"{_name(path)}-{_digest(repository, layout.files, options)}"
    contained.require_way(into)
    if into.absolute().is_relative_to(folder):
        contained.require(into, folder)
    if not into.exists():
        try:
            read(folder, into, origin=origin, options=options, only=only)
        except RlzooError:
            if not into.exists():  # another process was not quicker
                raise
    return Run.open(into)


def _require_no_checkpoint(folder: Path) -> None:
    """A checkpoint of a run is better named as such: the run knows its environment and settings."""
    run = folder.resolve().parent.parent
    if folder.resolve().parent.name == "checkpoints" and (run / "info.json").is_file():
        hint = f"run={run} checkpoint={folder.resolve().name}"
        raise RlzooError(f"{folder} is a checkpoint of a run, which knows its environment", hint)


def _name(path: Path) -> str:
    """What the run is called: as the folder, and as the file where that is named."""
    whole = path.resolve()
    return folder_name(f"{whole.parent.name}-{whole.stem}" if path.is_file() else whole.name).strip("-.")[:80]


def _digest(repository: Repository, names: tuple[str, ...], options: ImportOptions) -> str:
    """Of everything that the run is made of: the files that are read, what was wished for, and the reader.

    It is signed, so that nobody else can put a run where this user's will be looked for.
    """
    digest = hashlib.sha256(repr((__version__, astuple(options))).encode())
    for name in names:
        path = repository.need(name)
        digest.update(f"\0{name}\0{path.stat().st_size}\0".encode())
        try:
            with path.open("rb") as file:
                while chunk := file.read(CHUNK):
                    digest.update(chunk)
        except OSError as error:
            raise RlzooError(f"cannot read {path}: {error.strerror}", code=ExitCode.STORAGE) from error
    return hashlib.sha256(signature.signed(digest.hexdigest()).encode()).hexdigest()[:8]
