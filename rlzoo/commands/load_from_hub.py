"""`rlzoo load-from-hub`: somebody's agent as a run of one's own, which evaluate, enjoy, record and package take."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

from rlzoo.config import paths
from rlzoo.config.compose import override
from rlzoo.config.parse import check
from rlzoo.config.schema import LoadFromHubConfig
from rlzoo.console import print_lines
from rlzoo.errors import ConfigError, ExitCode, Problem
from rlzoo.runs import Run

if TYPE_CHECKING:
    from rlzoo.cli import Arguments


def main(arguments: Arguments) -> int:
    from rlzoo.hub.download import load_from_hub

    request = override(paths.root() / "conf" / "load-from-hub.yaml", arguments.words, has_groups=False)
    cfg, problems = check(LoadFromHubConfig, request.values)
    if request.values.get("repo_id") is None:
        problems.append(Problem("repo_id", "is not set", "repo_id=sb3/ppo-CartPole-v1; rlzoo list hub shows some"))
    if request.problems or problems or cfg is None or cfg.repo_id is None:
        raise ConfigError([request.locate(problem) for problem in (*request.problems, *problems)])
    run = load_from_hub(
        cfg.repo_id,
        revision=cfg.revision,
        folder=cfg.folder,
        file=cfg.file,
        algo=cfg.algo,
        env_id=cfg.env.id,
        trust=cfg.trust,
        force=cfg.force,
    )
    found = describe(run)
    if arguments.json:
        print(json.dumps(found, allow_nan=False))
    else:
        _print(found)
    return ExitCode.DONE


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


def _print(found: dict[str, Any]) -> None:
    from rlzoo.console import print_pairs, warn
    from rlzoo.hub.layouts import TITLES

    steps = found["num_timesteps"]
    print_pairs(
        [
            ("run", found["run"]),
            ("agent", f"{found['algo']} on {found['env']}{f', {steps:,} steps' if steps else ''}"),
            ("from", f"{found['repo_id']} at commit {found['commit'][:8]}, {found['file']}"),
            ("layout", TITLES.get(found["layout"], found["layout"])),
            ("published", found["published"] or "no score"),
        ]
    )
    for text in found["assumed"]:
        print_lines(f"assumed: {text}")
    for record in found["trusted"]:
        warn(f"unpickled on trust: {record['file']}, SHA-256 {record['sha256'][:16]}…")
    for command in ("evaluate", "enjoy", "record"):
        print_lines("  " + shlex.join(("rlzoo", command, f"run={found['run']}")))
