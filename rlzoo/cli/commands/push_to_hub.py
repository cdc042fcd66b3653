"""`rlzoo push-to-hub`: evaluate and film an agent, and share it on the Hugging Face Hub."""

from __future__ import annotations

from dataclasses import asdict

from rlzoo.cli.command import Answer, Call, command, is_about_env
from rlzoo.config.schema import PushToHubConfig
from rlzoo.console import print_lines
from rlzoo.evaluation.evaluate import print_results
from rlzoo.hub.agents import open_agent
from rlzoo.hub.push import publish, push_problems, rehearse, require_useful


@command(PushToHubConfig, problems=push_problems, apart=is_about_env)
def main(call: Call[PushToHubConfig]) -> Answer:
    cfg = call.options
    if cfg.run is None:
        require_useful(call.settings)
    run = None if cfg.run is None else open_agent(cfg.run, cfg, call.apart, trust=cfg.trust)
    if cfg.dry_run:
        data, lines = rehearse(run, cfg)
        return Answer(data, lambda: print_lines(*lines))
    pushed = publish(run, cfg)
    if run is None:
        return Answer(asdict(pushed), lambda: print_lines(*pushed.lines()))
    result = run.read_results()[-1]

    def show() -> None:
        print_results([result])
        print_lines(*pushed.lines())

    return Answer({**asdict(pushed), "run": str(run.path), "result": result}, show)
