"""`rlzoo show run=…`: the table of values that a run has learned."""

from __future__ import annotations

from rlzoo.cli.command import Answer, Call, command, is_about_env
from rlzoo.config.schema import AgentConfig
from rlzoo.evaluation.learned import read
from rlzoo.hub.agents import open_agent


@command(AgentConfig, apart=is_about_env)
def main(call: Call[AgentConfig]) -> Answer:
    learned = read(open_agent(call.options.run, call.options, call.apart), call.options.checkpoint)
    return Answer(learned.as_data, learned.show)
