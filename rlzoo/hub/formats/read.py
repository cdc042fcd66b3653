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

import re
import secrets
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rlzoo.errors import ExitCode, RlzooError, clean
from rlzoo.hub.formats import course as course_layouts
from rlzoo.hub.formats import published, rl_zoo3_metrics, sb3
from rlzoo.hub.formats import rl_zoo3 as zoo_settings
from rlzoo.hub.formats import rlzoo as own_layout
from rlzoo.hub.formats import source as imported
from rlzoo.hub.formats.repository import Origin, Repository, shown
from rlzoo.hub.formats.source import Notes, Source, Wishes
from rlzoo.runs.checkpoints import NotFiniteError
from rlzoo.runs.run import Run

RLZOO, RL_ZOO3, HUGGINGFACE_SB3, Q_LEARNING, TORCH = "rlzoo", "rl_zoo3", "huggingface_sb3", "q_learning", "torch"
TITLES = {
    RLZOO: "rlzoo's own",
    RL_ZOO3: "rl_zoo3's",
    HUGGINGFACE_SB3: "huggingface_sb3's",
    Q_LEARNING: "the course's Q-learning",
    TORCH: "the course's PyTorch",
}
ABOUT = ("results.json", "README.md")
FILES = {
    RL_ZOO3: (
        *(zoo_settings.CONFIG, zoo_settings.ARGS, zoo_settings.ENV_KWARGS, rl_zoo3_metrics.FILE),
        *sb3.STATISTICS,
    ),
    HUGGINGFACE_SB3: sb3.STATISTICS,
    Q_LEARNING: (),
    TORCH: (course_layouts.HYPERPARAMETERS,),
}
"""What is read besides the weights and `ABOUT`, where it is there."""


@dataclass(frozen=True)
class Layout:
    """How a repository is laid out.

    Attributes:
        name: one of the table above.
        file: where the weights are.
        files: all that is read; of these, only `file` has to be there.
    """

    name: str
    file: str
    files: tuple[str, ...]

    @property
    def title(self) -> str:
        """Whose layout it is: `rl_zoo3's`."""
        return TITLES[self.name]


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
    if file is None and {own_layout.CONFIG, own_layout.MANIFEST} <= set(names):
        return _layout(RLZOO, own_layout.MANIFEST, own_layout.files(names), names)
    chosen = file or _choose([name for name in names if _is_model(name)], names, repo_name)
    folder = chosen.rpartition("/")[0]
    if chosen.endswith(".zip"):
        name = RL_ZOO3 if zoo_settings.CONFIG in names and not folder else HUGGINGFACE_SB3
    elif chosen.endswith(".pkl"):
        name = Q_LEARNING
    elif chosen.endswith(".pt"):
        name = TORCH
    else:
        raise RlzooError(f"{clean(chosen)[:100]} holds no agent", "file= takes a .zip, a .pkl or a .pt")
    return _layout(name, chosen, FILES[name], names)


def beside(file: str) -> tuple[str, ...]:
    """What is read where a file of weights is named alone: it, and what the known layouts have in its folder."""
    return tuple(dict.fromkeys((file, *(name for names in FILES.values() for name in names), *ABOUT)))


def read(
    folder: Path,
    into: Path,
    *,
    origin: Origin | None = None,
    wishes: Wishes | None = None,
    only: Sequence[str] = (),
) -> Run:
    """Turn a folder of published files into a run.

    Args:
        folder: the files, as they lie in the repository.
        into: where the run is made; there must be nothing yet. It appears as a whole, or not at all.
        origin: where the files come from; by default the folder.
        wishes: what the repository does not say by itself.
        only: the names of the files that are looked at, if not all are.

    Raises:
        RlzooError: if the layout is not known, a file is refused (exit code 7), damaged or missing, or they do not fit
            each other and the environment.
    """
    origin, wishes = origin or Origin(str(folder)), wishes or Wishes()
    repository = Repository(folder, origin, tuple(only))
    layout = recognise(repository.names(), file=wishes.file, repo_name=origin.name)
    source = Source(origin, published.read(repository), wishes, Notes())
    if into.exists():
        raise RlzooError(f"{into} is there already", code=ExitCode.STORAGE)
    building = Run(into.with_name(f".{into.name}.{secrets.token_hex(4)}.new"))
    missing = [above for above in into.parents if not above.exists()]
    try:
        try:
            building.path.mkdir(parents=True)
            values, checkpoint = _read(repository, layout, building, source)
            imported.write(building, values, source, layout=layout.name, file=layout.file, checkpoint=checkpoint)
            _try(building, layout, wishes)
            building.path.rename(into)
        except NotFiniteError as error:
            raise RlzooError(f"{layout.file} holds numbers that are not finite", code=ExitCode.UNSAFE) from error
        except RlzooError as error:
            raise _of_repository(error, (building.path, folder), origin) from error
        except OSError as error:
            text = f"cannot write {into}: {error.strerror or error}"
            raise RlzooError(text, "free some space, or choose another place with folder=", ExitCode.STORAGE) from error
    finally:
        shutil.rmtree(building.path, ignore_errors=True)
        for above in missing:  # made for nothing if nothing is in them
            with suppress(OSError):
                above.rmdir()
    return Run(into)


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


def _read(repository: Repository, layout: Layout, run: Run, source: Source) -> tuple[dict[str, object], str]:
    if layout.name == RLZOO:
        return own_layout.read(repository, run, source)
    if layout.name in (RL_ZOO3, HUGGINGFACE_SB3):
        return sb3.read(repository, layout.file, run, source, zoo=layout.name == RL_ZOO3)
    if layout.name == Q_LEARNING:
        return course_layouts.read_q_learning(repository, layout.file, run, source)
    return course_layouts.read_torch(repository, layout.file, run, source)


def _try(run: Run, layout: Layout, wishes: Wishes) -> None:
    """Load the agent as every command will: its algorithm takes the weights, its environment the statistics."""
    from rlzoo.evaluation.agent import load

    with imported.explained(layout.file):
        load(run, device="cpu", trust=wishes.trust)


def _layout(name: str, file: str, others: Sequence[str], names: Sequence[str]) -> Layout:
    present = [other for other in (*others, *ABOUT) if other in names]
    return Layout(name, file, tuple(dict.fromkeys((file, *present))))


def _is_model(name: str) -> bool:
    base = name.rpartition("/")[2]
    if base == rl_zoo3_metrics.FILE or base in sb3.STATISTICS or "replay_buffer" in base:
        return False
    return name.endswith((".zip", ".pt")) or bool(re.search(r"q[-_]?(learning|table).*\.pkl$", name, re.IGNORECASE))


def _choose(models: list[str], names: Sequence[str], repo_name: str) -> str:
    """The file with the weights: the only one at the top, the one that the repository is named after, the only one."""
    top = [name for name in models if "/" not in name]
    named = [name for name in top if name.rpartition(".")[0] == repo_name]
    known = [name for name in top if name in (course_layouts.Q_TABLE, course_layouts.MODEL)]
    for found in (top, named, known, [] if top else models):
        if len(found) == 1:
            return found[0]
    if models:
        raise RlzooError(f"there are several agents: {shown(models)}", f"say which: file={shown(models[:1])}")
    hint = "an agent is a zip of Stable-Baselines3, a q-learning.pkl, a model.pt, or what rlzoo push-to-hub writes"
    raise RlzooError(f"there is no agent that rlzoo knows among: {shown(list(names))}", hint, ExitCode.HUB)
