"""An agent from the Hugging Face Hub as a run on this machine: the files that are read, at one commit."""

from __future__ import annotations

import re
import secrets
import shlex
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlzoo import contained
from rlzoo.config.compose import read_keywords
from rlzoo.config.paths import at_home
from rlzoo.config.schema import LoadFromHubConfig
from rlzoo.console import print_lines, print_pairs, say, warn
from rlzoo.errors import ConfigError, ExitCode, Problem, RlzooError, clean
from rlzoo.hub import client
from rlzoo.hub.formats import read as layouts
from rlzoo.hub.formats.source import ImportOptions, Origin, check_size, loaded_mark
from rlzoo.runs.run import Run

if TYPE_CHECKING:
    from huggingface_hub import HfApi

ROOT = "hub"
"""Where agents land below the current folder: `hub/<owner>/<name>`."""
COMMIT = re.compile(r"[0-9a-f]{40}")
FORCE = "force=true replaces it, with its results and films; folder= takes another place"


def load_from_hub(
    repo_id: str,
    *,
    revision: str | None = None,
    folder: Path | str | None = None,
    file: str | None = None,
    algo: str | None = None,
    env_id: str | None = None,
    trust: bool = False,
    force: bool = False,
) -> Run:
    """Get an agent and make a run of it, which every command takes.

    What is there already is kept: of the same commit it is returned as it is, of another one it is an error. The
    folder appears as a whole or not at all, and what `force` replaces is there until then.

    Args:
        repo_id: `owner/name`.
        revision: a branch, a tag or a commit; by default the main branch. The commit it means now is recorded.
        folder: where the run is made; by default `hub/<owner>/<name>`.
        file: the file with the weights, of several.
        algo: the algorithm that they are of, where the file does not say.
        env_id: the environment, where the repository does not say, or another one.
        trust: unpickle what the safe readers refuse, which runs whatever its author put into it.
        force: replace an agent of another commit, or load the same one again.

    Raises:
        RlzooError: if the Hub or the repository cannot be reached (exit code 6), its layout is not known, a file is
            refused (7) or damaged, or the folder is in the way (5).
    """
    read_keywords(LoadFromHubConfig, {**locals(), "env": {"id": env_id}})
    problem = client.check_repo_id(repo_id)
    if problem is None and "/" not in repo_id:
        problem = Problem("repo_id", f"{repo_id!r} names no owner", f"repo_id=owner/{repo_id}")
    if problem is not None:
        raise ConfigError([problem])
    target = Path(ROOT, *repo_id.split("/")) if folder is None else at_home(folder)
    contained.require_way(target)
    options = ImportOptions(file, algo, env_id, trust)
    there = _there(target, repo_id)
    if there is not None and not force and revision == _about(there).get("commit"):
        return _kept(there, options)
    api = client.connect()
    origin, sizes = _listing(api, repo_id, revision)
    if there is not None and not force:
        commit = str(_about(there).get("commit"))
        if commit == origin.commit:
            return _kept(there, options)
        raise RlzooError(f"{target} holds {repo_id} at commit {commit[:8]}, not {origin.commit[:8]}", FORCE)
    layout = layouts.recognise(sorted(sizes), file=file, repo_name=origin.name)
    for name in layout.files:
        contained.inside(Path.cwd(), name)
        check_size(name, sizes[name], origin)
    total = sum(sizes[name] for name in layout.files)
    say(f"{origin}: {layout.format.title} layout, {len(layout.files)} files, {total / 2**20:.1f} MiB")
    with _place_for_files(target) as files:
        _fetch(api, origin, {name: sizes[name] for name in layout.files}, files)
        return layouts.read(files, target, origin=origin, options=options, replace_old=True)


def describe(run: Run) -> dict[str, Any]:
    """What a loaded run is and where it comes from."""
    values, about = run.read_config(), run.read_info()["hub"]
    return {
        "run": str(run.path),
        "algo": values["algo"]["name"],
        "env": values["env"]["id"],
        "checkpoint": run.find_checkpoint().name,
        "num_timesteps": run.find_checkpoint().num_timesteps,
        **{key: value for key, value in about.items() if key != "wishes"},
    }


def show(found: dict[str, Any]) -> None:
    """Print what `describe` says for people."""
    steps, commit = found["num_timesteps"], found["commit"][:8]
    print_pairs(
        [
            ("run", found["run"]),
            ("agent", f"{found['algo']} on {found['env']}{f', {steps:,} steps' if steps else ''}"),
            ("from", f"{found['repo_id']} at commit {commit}, {found['file']}"),
            ("layout", layouts.FORMATS[found["layout"]].title),
            ("published", found["published"] or "no score"),
        ]
    )
    for text in found["assumed"]:
        print_lines(f"assumed: {text}")
    for record in found["trusted"]:
        warn(f"unpickled on trust: {record['file']}, SHA-256 {record['sha256'][:16]}…")
    for command in ("evaluate", "enjoy", "record"):
        print_lines("  " + shlex.join(("rlzoo", command, f"run={found['run']}")))


def _listing(api: HfApi, repo_id: str, revision: str | None) -> tuple[Origin, dict[str, int]]:
    """The commit that a revision means now, and the sizes of its files in bytes."""
    found = client.patiently(lambda: client.listing(api, repo_id, revision), repo_id)
    if COMMIT.fullmatch(found.commit) is None:
        raise RlzooError(f"the Hub names no commit of {repo_id}", code=ExitCode.HUB)
    sizes = {name: size for name, size in found.sizes.items() if size is not None}
    return Origin(repo_id, found.commit, revision), sizes


def _fetch(api: HfApi, origin: Origin, sizes: Mapping[str, int], folder: Path) -> None:
    for name, size in sizes.items():
        with client.at_most(size):
            client.patiently(
                lambda name=name: api.hf_hub_download(  # type: ignore[misc]
                    origin.repo_id, name, revision=origin.commit, local_dir=folder
                ),
                origin.repo_id,
            )
        path = contained.inside(folder, name)
        if path.is_symlink() or path.stat().st_size != size:
            text = f"{clean(name)[:100]} of {origin} came with {path.stat().st_size} bytes instead of {size}"
            raise RlzooError(text, "try again", ExitCode.HUB)


def _there(target: Path, repo_id: str) -> Run | None:
    """The agent that was loaded into a folder before, None if nothing is there.

    Raises:
        RlzooError: if something else is in the way, which is never replaced.
    """
    if not target.exists() and not target.is_symlink():
        return None
    if target.is_dir() and not target.is_symlink() and not any(target.iterdir()):
        return None
    hint = "choose another place with folder="
    run = Run(target)
    if not target.is_dir() or target.is_symlink() or not run.info_file.is_file():
        raise RlzooError(f"{target} is in the way: it is not an agent from the Hub", hint, ExitCode.STORAGE)
    of = _about(run).get("repo_id")
    if of != repo_id:
        what = f"it holds {of}" if of else "it is a run that was not loaded from the Hub"
        raise RlzooError(f"{target} is in the way: {what}", hint, ExitCode.STORAGE)
    return run


def _about(run: Run) -> dict[str, object]:
    about = run.read_info().get("hub")
    return about if isinstance(about, dict) else {}


def _kept(run: Run, options: ImportOptions) -> Run:
    """The agent that is there, if it was loaded in the way that is asked for now."""
    run.find_checkpoint()
    about = _about(run)
    if run.read_info().get("loaded") != loaded_mark(about):
        raise RlzooError(f"{run.path} was not loaded from the Hub by you: what is in it may be anything", FORCE)
    before = about.get("wishes")
    asked = {"file": options.file, "algo": options.algo, "env.id": options.env_id}
    if before != asked:
        raise RlzooError(f"{run.path} is there already, loaded with other file=, algo= or env.id=", FORCE)
    say(f"{run.path} is there already, at commit {str(about.get('commit'))[:8]}; nothing was downloaded")
    return run


@contextmanager
def _place_for_files(target: Path) -> Iterator[Path]:
    """A hidden folder beside another one, of which nothing is left, nor of new parents that stay empty."""
    files = target.with_name(f".{target.name}.{secrets.token_hex(4)}.files")
    new = [parent for parent in target.parents if not parent.exists()]
    try:
        files.mkdir(parents=True)
        yield files
    except OSError as error:
        text = f"cannot write to {target}: {error.strerror or error}"
        raise RlzooError(text, layouts.NO_PLACE, ExitCode.STORAGE) from error
    finally:
        shutil.rmtree(files, ignore_errors=True)
        for parent in new:
            with suppress(OSError):  # what is in it stays
                parent.rmdir()
