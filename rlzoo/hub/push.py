"""A folder becomes one commit of a repository on the Hub, or nothing there changes.

Large files go up first and are named by their content, so a push that broke is resumed where it stopped; only the
commit at the end makes anything visible. What can be done here is done before the repository is created.
"""

from __future__ import annotations

import json
import shlex
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from rlzoo import contained
from rlzoo.config.compose import Composition, read_keywords
from rlzoo.config.paths import at_home
from rlzoo.config.schema import PackageConfig, PushToHubConfig
from rlzoo.console import say, warn
from rlzoo.errors import ConfigError, ExitCode, Problem, RlzooError
from rlzoo.hub import failures
from rlzoo.hub.agents import open_run
from rlzoo.hub.card_merge import merge
from rlzoo.hub.client import Listing, check_repo_id, connect, listing, patiently, writable
from rlzoo.hub.formats.rlzoo import INFO, require_package
from rlzoo.hub.package import Staged, name_of, package_problems, package_run
from rlzoo.hub.privacy import refuse_leaks
from rlzoo.runs.run import Run
from rlzoo.training.callbacks.interrupt import leaving_at_once

if TYPE_CHECKING:
    from huggingface_hub import HfApi

OF_PUSH = ("run", "folder", "repo_id", "runs_dir")
"""Words of a package that mean something where it is there already."""
T = TypeVar("T")

README = "README.md"
README_HINT = "fix the lines between the two --- at the top of README.md, here or on the Hub"
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

    def lines(self) -> list[str]:
        """For people."""
        if not self.changed:
            return [f"{self.url} holds this already: nothing was changed"]
        gone = f", {len(self.deleted)} of an older package deleted" if self.deleted else ""
        return [f"{len(self.files)} files published{gone}", f"{self.url}{' (private)' if self.private else ''}"]


def push_to_hub(  # noqa: PLR0913 - the keys of conf/push-to-hub.yaml
    run: Run | Path | str | None,
    repo_id: str,
    *,
    env: str | None = None,
    algo: str | None = None,
    file: str | None = None,
    checkpoint: str | None = None,
    n_episodes: int | None = None,
    seeds: Sequence[int] | None = None,
    deterministic: bool | Literal["auto"] = "auto",
    video: bool = True,
    private: bool | None = None,
    commit_message: str | None = None,
    license: str = "mit",
    folder: Path | str | None = None,
    device: str = "auto",
    trust: bool = False,
) -> Pushed:
    """Share an agent on the Hub.

    The Hub, the login and the right to write there are looked at first; then the agent is evaluated and filmed, and
    only a package that is complete is uploaded, in one commit.

    Args:
        run: a run, its directory, `"latest"` or `"algo/env"`, or a package's folder or a file of weights, which is
            evaluated again; None uploads the package `folder` as it is.
        repo_id: `owner/name`, or `name` for one's own; the repository is made if it is not there.
        env: the environment of a package or a file that does not say it.
        algo: the algorithm, likewise.
        file: the file with the weights, in a package of several.
        checkpoint: `"best"`, `"last"` or a step; by default the last, or `best` if that was shown to be better.
        n_episodes: episodes of the evaluation; by default as many as the run's final evaluation has.
        seeds: one seed for each episode; by default fresh ones.
        deterministic: greedy or sampled actions; `"auto"` follows the environment.
        video: film one episode.
        private: of a new repository: visible to its owner alone; None takes the owner's own setting.
        commit_message: title of the commit; by default the score.
        license: of the weights, as the Hub writes it.
        folder: where to make the package, which then stays; by default a folder of the run, removed at the end.
        device: where the policy runs.
        trust: use a run that was not made here although it names modules to import.

    Raises:
        RlzooError: with exit code 6 if the Hub cannot be reached or refuses; the package is kept if it was made, and
            the message says how to resume. Otherwise as `rlzoo.hub.package.package`.
    """

    def problems(values: dict[str, Any]) -> list[Problem]:
        return push_problems({**values, "run": run})

    cfg = read_keywords(PushToHubConfig, {**locals(), "dry_run": False}, problems)
    opened = None if run is None else open_run(run, cfg, trust=trust)[0]
    return publish(opened, cfg)


def publish(run: Run | None, cfg: PushToHubConfig) -> Pushed:
    """Share a run, or of None a package that is there already; see `push_to_hub`."""
    repo_id = str(cfg.repo_id)
    with leaving_at_once("nothing was published"):
        if run is None:
            require_package(at_home(str(cfg.folder)))
        else:
            cfg = replace(cfg, checkpoint=run.find_checkpoint(cfg.checkpoint).name)
        api = connect(write=True)
        repo_id = writable(api, repo_id)
    message = cfg.commit_message
    if run is None:
        target = at_home(str(cfg.folder))
    else:
        target = run.path / "hub" / name_of(run) if cfg.folder is None else at_home(cfg.folder)
        staged = package_run(run, replace(cfg, folder=str(target), repo_id=repo_id))
        message = message or _title(staged)
    try:
        with leaving_at_once("nothing was published"):
            pushed = push(target, repo_id, private=cfg.private, commit_message=message or "Upload an agent", api=api)
    except RlzooError as error:
        raise _kept(error, target.absolute(), repo_id, cfg) from error
    if run is not None and cfg.folder is None:
        shutil.rmtree(target)
        with suppress(OSError):  # others lie there
            target.parent.rmdir()
    return pushed


def rehearse(run: Run | None, cfg: PushToHubConfig) -> tuple[dict[str, Any], list[str]]:
    """Make the folder that would be published, or look at the one that is there: for programs, and lines for people."""
    repo_id = cfg.repo_id if "/" in (cfg.repo_id or "") else None
    if run is None:
        folder = at_home(str(cfg.folder))
        require_package(folder)
        files = files_of(folder)
        lines = [f"{folder}/", *(f"  {name}" for name in files)]
    else:
        staged = package_run(run, replace(cfg, repo_id=repo_id))
        folder, files, lines = staged.folder, staged.files, staged.lines()
    data = {"dry_run": True, "repo_id": repo_id, "folder": str(folder), "files": files}
    return data, [*lines, f"dry run: nothing was sent{f' to {repo_id}' if repo_id else ''}"]


def push_problems(values: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with a request beyond its types."""
    problems = package_problems({**values, "repo_id": None})
    repo_id = values["repo_id"]
    if isinstance(repo_id, str):
        wrong = check_repo_id(repo_id)
        problems += [] if wrong is None else [wrong]
    elif repo_id is None and not values["dry_run"]:
        problems.append(Problem("repo_id", "needs a value", "repo_id=user/name: the repository to publish to"))
    if values["run"] is None and values["folder"] is None:
        problems.append(Problem("folder", "needs a value where run is null", "folder=… that `rlzoo package` has made"))
    return problems


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

    def attempt() -> tuple[str, tuple[str, ...], bool, list[str]]:
        return _commit(api, folder, files, readme, repo_id, revision, commit_message)

    try:
        commit, deleted, is_private, ignored = _repeating_lost_races(attempt, repo_id)
    except RlzooError as error:
        if before is not None:
            raise
        message = f"{error.message}\nthe repository {repo_id} was created and is still empty"
        raise RlzooError(message, error.hint, error.code) from error
    if ignored:
        what = f"{len(ignored)} of {len(files)} files, which the .gitignore of {repo_id} names"
        message = f"the Hub has left out {what}: {', '.join(ignored[:5])}"
        raise RlzooError(message, "change or remove that .gitignore on the Hub", ExitCode.HUB)
    changed = before is None or commit != before.commit
    return Pushed(repo_id, f"{api.endpoint}/{repo_id}", commit, changed, before is None, is_private, files, deleted)


def _repeating_lost_races(attempt: Callable[[], T], repo_id: str) -> T:
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
) -> tuple[str, tuple[str, ...], bool, list[str]]:
    """Bring the repository from what it holds now to what the folder holds, in one commit; safe to repeat.

    Returns:
        The commit that the branch is at, the files that were deleted, whether the repository is private, and the files
        that the Hub has left out, as it does with what a .gitignore there names.
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
    except ValueError as error:
        reason = " ".join(str(error).split())
        if README not in reason:  # an answer that the library does not understand
            raise
        raise RlzooError(f"the Hub does not take this: {reason}", README_HINT, ExitCode.HUB) from error
    ignored = [each.path_in_repo for each in operations if getattr(each, "_should_ignore", False)]
    return info.oid, deleted, now.private, ignored


def _check_readme(api: HfApi, readme: str) -> None:
    """Ask the Hub whether it will take the metadata at the top."""
    from huggingface_hub import get_session, hf_raise_for_status

    asked = {"content": readme, "repoType": "model"}
    response = get_session().post(f"{api.endpoint}/api/validate-yaml", json=asked)
    if response.status_code == 400:
        said = response.json()
        errors = said.get("errors") if isinstance(said, Mapping) else None
        errors = errors if isinstance(errors, list) else []
        reason = "; ".join(str(one.get("message")) for one in errors if isinstance(one, Mapping))
        message = f"the Hub does not take the README.md: {reason or 'it does not say why'}"
        raise RlzooError(message, README_HINT, ExitCode.HUB)
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


def require_useful(settings: Composition) -> None:
    """Refuse what was typed about an agent, or about how it is packaged, where a folder is published as it is."""
    about_package = [field.name for field in fields(PackageConfig) if field.name not in OF_PUSH]
    useless = [key for key in about_package if settings.typed(key)]
    settings.settled(
        (), [Problem(key, "has no meaning where run is null: folder= is uploaded as it is") for key in useless]
    )


def _title(staged: Staged) -> str:
    evaluation = staged.evaluation
    score = f"{evaluation.mean_reward:.2f} +/- {evaluation.std_reward:.2f}"
    return f"{staged.name}: {score} over {evaluation.n_episodes} episodes"


def _kept(error: RlzooError, folder: Path, repo_id: str, cfg: PushToHubConfig) -> RlzooError:
    """The failure of an upload, with the command that resumes it."""
    words = ["rlzoo", "push-to-hub", "run=null", f"folder={folder}", f"repo_id={repo_id}"]
    words += [] if cfg.private is None else [f"private={str(cfg.private).lower()}"]
    words += [] if cfg.commit_message is None else [f"commit_message={cfg.commit_message}"]
    message = f"{error.message}\nnothing is lost, the package is in {folder}; to try again:\n{shlex.join(words)}"
    return RlzooError(message, error.hint, error.code)
