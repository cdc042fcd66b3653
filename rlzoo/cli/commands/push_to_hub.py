"""`rlzoo push-to-hub`: evaluate and film an agent, and share it on the Hugging Face Hub."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rlzoo.cli.commands.package import package, tree
from rlzoo.cli.commands.playing import OF_AGENT, open_agent, open_run, split
from rlzoo.config import overrides
from rlzoo.config.compose import parse_words
from rlzoo.config.parse import check
from rlzoo.config.paths import at_home
from rlzoo.config.schema import PushToHubConfig
from rlzoo.console import print_lines
from rlzoo.errors import ConfigError, ExitCode, Problem, RlzooError
from rlzoo.hub.client import check_repo_id
from rlzoo.hub.formats.read import NAMED
from rlzoo.hub.formats.rlzoo import require_package
from rlzoo.hub.package import Staged, name_of, problems_of
from rlzoo.runs.run import Run

if TYPE_CHECKING:
    from rlzoo.cli.main import Arguments
    from rlzoo.hub.push import Pushed

STAGING = ("checkpoint", "n_episodes", "seeds", "deterministic", "video", "license", "device", "trust")
"""Words about how a package is made."""


def main(arguments: Arguments) -> int:
    env_words, others = split(arguments.words)
    typed = [overrides.key_of(word) for word in arguments.words]
    cfg = parse_words("push-to-hub", others, PushToHubConfig, lambda values: _problems(values, typed))
    run = None if cfg.run is None else open_agent(cfg, env_words)
    options = {key: value for key, value in asdict(cfg).items() if key not in (*OF_AGENT, "dry_run")}
    if cfg.dry_run:
        return _dry_run(run, options, as_json=arguments.json)
    pushed = push_to_hub(run, **options)
    if arguments.json:
        result = {} if run is None else {"run": str(run.path), "result": run.read_results()[-1]}
        print(json.dumps({**asdict(pushed), **result}, allow_nan=False))
        return ExitCode.DONE
    if run is not None:
        from rlzoo.cli.commands.results import print_results

        print_results([run.read_results()[-1]])
    print_lines(*_summary(pushed))
    return ExitCode.DONE


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
            evaluated anew; None uploads the package `folder` as it is.
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
            the message says how to go on. Otherwise as `rlzoo.hub.package.stage`.
    """
    import numpy as np

    from rlzoo.hub.client import connect, writable
    from rlzoo.hub.push import push
    from rlzoo.training.callbacks.interrupt import leaving_at_once

    if run is not None:
        run, _ = open_run(run, env=env, algo=algo, file=file, trust=trust)
    seeds = None if seeds is None else np.asarray(seeds).tolist()
    making: dict[str, Any] = {"checkpoint": checkpoint, "n_episodes": n_episodes, "seeds": seeds, "video": video}
    making |= {"deterministic": deterministic, "license": license, "device": device, "trust": trust}
    sharing = {"repo_id": repo_id, "private": private, "commit_message": commit_message, "dry_run": False}
    values: dict[str, Any] = {**dict.fromkeys(NAMED), **making, **sharing, "runs_dir": ""}
    values["folder"] = None if folder is None else str(folder)
    values["run"] = None if run is None else str(run.path)
    _, problems = check(PushToHubConfig, values)
    problems += _problems(values, [])
    if problems:
        raise ConfigError(problems)
    with leaving_at_once("nothing was published"):
        if run is None:
            require_package(at_home(str(folder)))
        else:
            making["checkpoint"] = run.find_checkpoint(checkpoint).name
        api = connect(write=True)
        repo_id = writable(api, repo_id)
    message = commit_message
    if run is None:
        target = at_home(str(folder))
    else:
        target = run.path / "hub" / name_of(run) if folder is None else at_home(folder)
        staged = package(run, folder=target, repo_id=repo_id, **making)
        message = commit_message or _title(staged)
    try:
        with leaving_at_once("nothing was published"):
            pushed = push(target, repo_id, private=private, commit_message=message or "Upload an agent", api=api)
    except RlzooError as error:
        raise _kept(error, target.absolute(), repo_id, private, commit_message) from error
    if run is not None and folder is None:
        shutil.rmtree(target)
        with suppress(OSError):  # others lie there
            target.parent.rmdir()
    return pushed


def _problems(values: dict[str, Any], keys: Sequence[str]) -> list[Problem]:
    """What is wrong with a request beyond its types; `keys` are those that were typed."""
    problems = problems_of({**values, "repo_id": None})
    repo_id, folder = values["repo_id"], values["folder"]
    if isinstance(repo_id, str):
        wrong = check_repo_id(repo_id)
        problems += [] if wrong is None else [wrong]
    elif repo_id is None and not values["dry_run"]:
        problems.append(Problem("repo_id", "needs a value", "repo_id=user/name: the repository to publish to"))
    if values["run"] is None and folder is None:
        problems.append(Problem("folder", "needs a value where run is null", "folder=… that `rlzoo package` has made"))
    if values["run"] is None:
        useless = [key for key in keys if key in (*NAMED, *STAGING)]
        problems += [Problem(key, "has no meaning where run is null: folder= is uploaded as it is") for key in useless]
    return problems


def _dry_run(run: Run | None, options: dict[str, Any], *, as_json: bool) -> int:
    """Make the folder and show what is in it."""
    from rlzoo.hub.push import files_of

    repo_id = options["repo_id"] if "/" in (options["repo_id"] or "") else None
    if run is None:
        folder = at_home(options["folder"])
        require_package(folder)
        files, lines = files_of(folder), []
    else:
        staging = {key: options[key] for key in (*STAGING, "folder")}
        staged = package(run, **staging, repo_id=repo_id)
        folder, files, lines = staged.folder, staged.files, tree(staged)
    if as_json:
        print(json.dumps({"dry_run": True, "repo_id": repo_id, "folder": str(folder), "files": files}))
        return ExitCode.DONE
    print_lines(*(lines or [f"{folder}/", *(f"  {name}" for name in files)]))
    print_lines(f"dry run: nothing was sent{f' to {repo_id}' if repo_id else ''}")
    return ExitCode.DONE


def _title(staged: Staged) -> str:
    evaluation = staged.evaluation
    score = f"{evaluation.mean_reward:.2f} +/- {evaluation.std_reward:.2f}"
    return f"{staged.name}: {score} over {evaluation.n_episodes} episodes"


def _kept(
    error: RlzooError, folder: Path, repo_id: str, private: bool | None, commit_message: str | None
) -> RlzooError:
    """The failure of an upload, with the command that goes on."""
    words = ["rlzoo", "push-to-hub", "run=null", f"folder={folder}", f"repo_id={repo_id}"]
    words += [] if private is None else [f"private={str(private).lower()}"]
    words += [] if commit_message is None else [f"commit_message={commit_message}"]
    message = f"{error.message}\nnothing is lost, the package is in {folder}; to go on:\n{shlex.join(words)}"
    return RlzooError(message, error.hint, error.code)


def _summary(pushed: Pushed) -> list[str]:
    if not pushed.changed:
        return [f"{pushed.url} holds this already: nothing was changed"]
    gone = f", {len(pushed.deleted)} of an older package deleted" if pushed.deleted else ""
    seen = " (private)" if pushed.private else ""
    return [f"{len(pushed.files)} files published{gone}", f"{pushed.url}{seen}"]
