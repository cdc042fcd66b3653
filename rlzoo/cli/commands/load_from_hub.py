"""`rlzoo load-from-hub`: somebody's agent as a run of one's own, which evaluate, enjoy, record and package take."""

from __future__ import annotations

import shlex
from typing import Any

from rlzoo.cli.command import Answer, Call, command
from rlzoo.config.schema import LoadFromHubConfig
from rlzoo.console import print_lines, print_pairs, warn
from rlzoo.errors import Problem
from rlzoo.hub.formats.read import FORMATS
from rlzoo.hub.pull import describe, load_from_hub


def _problems(values: dict[str, Any]) -> list[Problem]:
    hint = "repo_id=sb3/ppo-CartPole-v1; rlzoo list hub shows some"
    return [Problem("repo_id", "is not set", hint)] if values.get("repo_id") is None else []


@command(LoadFromHubConfig, problems=_problems)
def main(call: Call[LoadFromHubConfig]) -> Answer:
    options = {key: value for key, value in vars(call.options).items() if key != "env"}
    found = describe(load_from_hub(**options, env_id=call.options.env.id))
    return Answer(found, lambda: _show(found))


def _show(found: dict[str, Any]) -> None:
    steps, commit = found["num_timesteps"], found["commit"][:8]
    print_pairs(
        [
            ("run", found["run"]),
            ("agent", f"{found['algo']} on {found['env']}{f', {steps:,} steps' if steps else ''}"),
            ("from", f"{found['repo_id']} at commit {commit}, {found['file']}"),
            ("layout", FORMATS[found["layout"]].title),
            ("published", found["published"] or "no score"),
        ]
    )
    for text in found["assumed"]:
        print_lines(f"assumed: {text}")
    for record in found["trusted"]:
        warn(f"unpickled on trust: {record['file']}, SHA-256 {record['sha256'][:16]}…")
    for command_name in ("evaluate", "enjoy", "record"):
        print_lines("  " + shlex.join(("rlzoo", command_name, f"run={found['run']}")))
