"""A folder becomes one commit of a repository on the Hub, or nothing there changes.

Large files go up first and are named by their content, so a push that broke goes on where it was; only the commit at
the end makes anything visible. What can be done here is done before the repository is created.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlzoo import contained
from rlzoo.config.paths import at_home
from rlzoo.console import say, warn
from rlzoo.errors import ConfigError, ExitCode, RlzooError
from rlzoo.hub import failures
from rlzoo.hub.card_merge import merge
from rlzoo.hub.client import Listing, check_repo_id, connect, listing, patiently, writable
from rlzoo.hub.formats.rlzoo import INFO
from rlzoo.hub.privacy import refuse_leaks

if TYPE_CHECKING:
    from huggingface_hub import HfApi

README = "README.md"
README_HINT = "mend the lines between the two --- at the top of README.md, here or on the Hub"
NOT_OURS = (README, ".gitattributes")
"""Files of a repository that are never deleted."""


@dataclass(frozen=True)
class Pushed:
    """What a push did.

    Attributes:
        url: the repository's page.
        commit: what the branch is at now.
        changed: whether there is a new commit; a folder that is there already makes none.
        created: whether the repository is new.
        private: whether only its owners see it.
        files: every file's size in bytes, by its path.
        deleted: files of an older package that are gone.
    """

    repo_id: str
    url: str
    commit: str
    changed: bool
    created: bool
    private: bool
    files: dict[str, int]
    deleted: tuple[str, ...]


def push(
    folder: Path | str,
    repo_id: str,
    *,
    private: bool | None = None,
    commit_message: str = "Upload an agent with rlzoo",
    revision: str | None = None,
    api: HfApi | None = None,
) -> Pushed:
    """Publish a folder as it is, except that a README.md which somebody edited on the Hub keeps their text.

    A push that failed is repeated with the same call: large files that arrived are not sent again. Failures that may
    pass are waited out, for two minutes at most.

    Args:
        folder: what to publish; names that begin with a dot are left out.
        repo_id: `owner/name`, or `name` for one's own; made if it is not there.
        private: of a new repository: visible to its owners alone. None takes the owner's own setting.
        commit_message: the title of the commit.
        revision: an existing branch; by default the main one.
        api: what `connect(write=True)` gave a moment ago.

    Raises:
        RlzooError: with exit code 6 if the Hub cannot be reached or refuses; nothing that others see has changed then.
            With 2 or 5 if the folder or the name is wrong.
    """
    folder = at_home(folder)
    problem = check_repo_id(repo_id)
    if problem is not None:
        raise ConfigError([problem])
    files = files_of(folder)
    refuse_leaks(folder)
    readme = _text(folder / README) if README in files else None
    api = api or connect(write=True)
    repo_id = writable(api, repo_id)
    before = patiently(lambda: _published(api, repo_id, revision), repo_id)
    if before is None:
        _create(api, repo_id, revision, readme, private=private)
    elif private is not None and before.private != private:
        state = "private" if before.private else "public"
        where = f"{api.endpoint}/{repo_id}/settings"
        warn(f"{repo_id} is {state} and stays so: private= is for new repositories, {where} changes this one")
    size = sum(files.values())
    say(f"uploading {len(files)} files ({_readable(size)}) to {api.endpoint}/{repo_id}")

    def attempt() -> tuple[str, tuple[str, ...], bool]:
        return _commit(api, folder, files, readme, repo_id, revision, commit_message)

    try:
        commit, deleted, is_private = _repeating_lost_races(attempt, repo_id)
    except RlzooError as error:
        if before is not None:
            raise
        message = f"{error.message}\nthe repository {repo_id} was created and is still empty"
        raise RlzooError(message, error.hint, error.code) from error
    changed = before is None or commit != before.commit
    return Pushed(repo_id, f"{api.endpoint}/{repo_id}", commit, changed, before is None, is_private, files, deleted)


def _repeating_lost_races(attempt: Any, repo_id: str) -> tuple[str, tuple[str, ...], bool]:
    """Once more where somebody else's commit came in between: the README.md is read again."""
    try:
        return patiently(attempt, repo_id)
    except RlzooError as error:
        if error.__cause__ is None or failures.status_of(error.__cause__) != 412:
            raise
        say(f"{repo_id} was changed meanwhile: starting again from what is there now")
        return patiently(attempt, repo_id)


def files_of(folder: Path) -> dict[str, int]:
    """Every file to publish with its size; none of them a link, which could lead anywhere."""
    if not folder.is_dir():
        raise RlzooError(f"there is no folder {folder}", "rlzoo package makes one", ExitCode.WRONG_REQUEST)
    found = {}
    for path in sorted(contained.walk(folder)):
        name = path.relative_to(folder)
        if any(part.startswith(".") for part in name.parts):
            continue
        if path.is_symlink():
            raise RlzooError(f"{name} is a link", "put the file itself there", ExitCode.WRONG_REQUEST)
        if path.is_file():
            found[name.as_posix()] = path.stat().st_size
    if not found:
        raise RlzooError(f"{folder} is empty", "rlzoo package makes a folder to publish", ExitCode.WRONG_REQUEST)
    return found


def _published(api: HfApi, repo_id: str, revision: str | None) -> Listing | None:
    """What is there, None if the repository is not."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    try:
        return listing(api, repo_id, revision)
    except GatedRepoError:
        raise
    except RepositoryNotFoundError:
        return None


def _create(api: HfApi, repo_id: str, revision: str | None, readme: str | None, *, private: bool | None) -> None:
    if revision not in (None, "main"):
        message = f"{repo_id} is not there yet, so it has no branch {revision}"
        raise RlzooError(message, "push without a revision first", ExitCode.HUB)
    if readme is not None:
        patiently(lambda: _check_readme(api, readme), repo_id)
    patiently(lambda: api.create_repo(repo_id, private=private, exist_ok=True), repo_id)
    say(f"created {api.endpoint}/{repo_id}")


def _commit(
    api: HfApi,
    folder: Path,
    files: Mapping[str, int],
    readme: str | None,
    repo_id: str,
    revision: str | None,
    commit_message: str,
) -> tuple[str, tuple[str, ...], bool]:
    """Bring the repository from what it holds now to what the folder holds, in one commit; safe to repeat.

    Returns:
        The commit that the branch is at, the files that were deleted, and whether the repository is private.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    now = _published(api, repo_id, revision)
    if now is None:
        raise RlzooError(f"{repo_id} has just been removed", "the same command makes it again", ExitCode.HUB)
    contents: dict[str, Any] = {name: folder / name for name in files}
    if readme is not None and README in now.sizes:
        contents[README] = merge(_read(api, repo_id, now.commit, README), readme).encode()
    listed = _listed(_read(api, repo_id, now.commit, INFO)) if INFO in now.sizes else frozenset()
    deleted = tuple(sorted((listed & set(now.sizes)) - set(files) - set(NOT_OURS)))
    operations: list[Any] = [
        *(CommitOperationDelete(name, is_folder=False) for name in deleted),
        *(CommitOperationAdd(name, content) for name, content in contents.items()),
    ]
    try:
        info = api.create_commit(
            repo_id, operations, commit_message=commit_message, revision=revision, parent_commit=now.commit
        )
    except ValueError as error:  # of the README.md's metadata, or an answer that the library does not understand
        reason = " ".join(str(error).split())
        raise RlzooError(f"the Hub does not take this: {reason}", README_HINT, ExitCode.HUB) from error
    return info.oid, deleted, now.private


def _check_readme(api: HfApi, readme: str) -> None:
    """Ask the Hub whether it will take the metadata at the top."""
    from huggingface_hub import get_session, hf_raise_for_status

    asked = {"content": readme, "repoType": "model"}
    response = get_session().post(f"{api.endpoint}/api/validate-yaml", json=asked)
    if response.status_code == 400:
        said = response.json()
        errors = said.get("errors") if isinstance(said, Mapping) else None
        reason = "; ".join(str(one.get("message")) for one in errors or () if isinstance(one, Mapping))
        raise RlzooError(f"the Hub does not take the README.md: {reason}", README_HINT, ExitCode.HUB)
    hf_raise_for_status(response)


def _read(api: HfApi, repo_id: str, commit: str, name: str) -> str:
    with tempfile.TemporaryDirectory() as cache:
        path = api.hf_hub_download(repo_id, name, revision=commit, cache_dir=cache)
        return _text(Path(path))


def _text(path: Path) -> str:
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        return file.read()


def _listed(text: str) -> frozenset[str]:
    """The files of the package that was published last, as it says itself; nothing where it does not."""
    try:
        names = json.loads(text)["package"]["files"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return frozenset()
    return frozenset(name for name in names if isinstance(name, str)) if isinstance(names, list) else frozenset()


def _readable(size: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
