"""`rlzoo load-from-hub`: somebody's agent as a run of one's own, which evaluate, enjoy, record and package take."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

from rlzoo.config.compose import parse_words
from rlzoo.config.schema import LoadFromHubConfig
from rlzoo.console import print_lines
from rlzoo.errors import ExitCode, Problem
from rlzoo.runs.run import Run

if TYPE_CHECKING:
    from rlzoo.cli.main import Arguments


def main(arguments: Arguments) -> int:
    from rlzoo.hub.pull import load_from_hub

    cfg = parse_words("load-from-hub", arguments.words, LoadFromHubConfig, _problems)
    run = load_from_hub(
        str(cfg.repo_id),
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


def _problems(values: dict[str, Any]) -> list[Problem]:
    hint = "repo_id=sb3/ppo-CartPole-v1; rlzoo list hub shows some"
    return [Problem("repo_id", "is not set", hint)] if values.get("repo_id") is None else []


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
    from rlzoo.hub.formats.read import TITLES

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
