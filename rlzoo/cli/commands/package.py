"""`rlzoo package`: the folder that `push-to-hub` would upload, without uploading it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rlzoo.cli.commands.playing import OF_AGENT, explained, open_agent, open_run, split
from rlzoo.config.compose import parse_words
from rlzoo.config.paths import at_home
from rlzoo.config.schema import PackageConfig
from rlzoo.console import print_lines
from rlzoo.errors import ExitCode, RlzooError
from rlzoo.hub.formats.read import local_source
from rlzoo.hub.package import Staged, name_of, problems_of, stage
from rlzoo.runs.run import Run

if TYPE_CHECKING:
    from rlzoo.cli.main import Arguments


def main(arguments: Arguments) -> int:
    from rlzoo.cli.commands.results import print_results

    env_words, others = split(arguments.words)
    cfg = parse_words("package", others, PackageConfig, problems_of)
    run = open_agent(cfg, env_words)
    staged = package(run, **{key: value for key, value in asdict(cfg).items() if key not in OF_AGENT})
    entry = run.read_results()[-1]
    if arguments.json:
        found = {"run": str(run.path), "folder": str(staged.folder), "name": staged.name, "repo_id": staged.repo_id}
        print(json.dumps({**found, "files": staged.files, "result": entry}, allow_nan=False))
        return ExitCode.DONE
    print_results([entry])
    print_lines(*tree(staged))
    return ExitCode.DONE


def package(  # noqa: PLR0913 - the keys of conf/package.yaml
    run: Run | Path | str,
    *,
    env: str | None = None,
    algo: str | None = None,
    file: str | None = None,
    folder: Path | str | None = None,
    repo_id: str | None = None,
    checkpoint: str | None = None,
    n_episodes: int | None = None,
    seeds: Sequence[int] | None = None,
    deterministic: bool | Literal["auto"] = "auto",
    video: bool = True,
    license: str = "mit",
    device: str = "auto",
    trust: bool = False,
) -> Staged:
    """Evaluate and film an agent, and put everything to share it with into a folder; see `rlzoo.hub.package.stage`.

    `run` may be a package's folder or a file of weights too; `env`, `algo` and `file` are what that does not say.
    `folder` is `packages/<algo>-<environment>` unless another is given.
    """
    from rlzoo.training.callbacks.interrupt import leaving_at_once

    run, _ = open_run(run, env=env, algo=algo, file=file, trust=trust)
    target = Path("packages") / name_of(run) if folder is None else Path(folder)
    if local_source(run) == at_home(target).resolve():
        hint = "choose another place with folder="
        raise RlzooError(f"{target} is the package that is read", hint, ExitCode.STORAGE)
    with leaving_at_once("nothing was packaged"), explained("packaging"):
        return stage(
            run,
            target,
            repo_id=repo_id,
            checkpoint=checkpoint,
            n_episodes=n_episodes,
            seeds=seeds,
            deterministic=deterministic,
            video=video,
            license=license,
            device=device,
            trust=trust,
        )


def tree(staged: Staged) -> list[str]:
    """The files of a package with their sizes, line by line."""
    width = max(map(len, staged.files))
    lines = [f"  {name:{width}}  {_size(size):>9}" for name, size in _sorted(staged.files)]
    total = f"{len(staged.files)} files, {_size(sum(staged.files.values()))}"
    return [f"{staged.folder}/", *lines, f"{staged.name}: {total}"]


def _sorted(files: Mapping[str, int]) -> list[tuple[str, int]]:
    """The files of the folder itself, then those of the folders in it."""
    return sorted(files.items(), key=lambda item: ("/" in item[0], item[0].lower()))


def _size(n_bytes: int) -> str:
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if n_bytes >= size:
            return f"{n_bytes / size:.1f} {unit}"
    return f"{n_bytes} B"
