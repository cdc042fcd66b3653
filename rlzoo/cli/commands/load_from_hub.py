"""`rlzoo load-from-hub`: somebody's agent as a run of one's own, which evaluate, enjoy, record and package take."""

from __future__ import annotations

from typing import Any

from rlzoo.cli.command import Answer, Call, command
from rlzoo.config.schema import LoadFromHubConfig
from rlzoo.errors import Problem
from rlzoo.hub.pull import describe, load_from_hub, show


def _problems(values: dict[str, Any]) -> list[Problem]:
    hint = "repo_id=sb3/ppo-CartPole-v1; rlzoo list hub shows some"
    return [Problem("repo_id", "is not set", hint)] if values.get("repo_id") is None else []


@command(LoadFromHubConfig, problems=_problems)
def main(call: Call[LoadFromHubConfig]) -> Answer:
    options = {key: value for key, value in vars(call.options).items() if key != "env"}
    found = describe(load_from_hub(**options, env_id=call.options.env.id))
    return Answer(found, lambda: show(found))
