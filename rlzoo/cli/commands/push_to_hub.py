"""`rlzoo push-to-hub`: evaluate and film an agent, and share it on the Hugging Face Hub."""

from __future__ import annotations

from dataclasses import asdict, replace

from rlzoo.cli.command import Answer, Call, command, is_about_env
from rlzoo.config.schema import PushToHubConfig
from rlzoo.console import print_lines
from rlzoo.evaluation.evaluate import print_results
from rlzoo.hub.agents import open_agent
from rlzoo.hub.push import publish, push_problems, rehearse, require_useful
from rlzoo.runs.run import Run


@command(PushToHubConfig, problems=push_problems, apart=is_about_env)
def main(call: Call[PushToHubConfig]) -> Answer:
    cfg = call.options
    run = None
    if cfg.run is None:
        require_useful(call.settings)
    else:
        run = open_agent(cfg.run, cfg, call.apart, trust=cfg.trust)
    return _rehearse(run, cfg) if cfg.dry_run else _publish(run, cfg)


def _publish(run: Run | None, cfg: PushToHubConfig) -> Answer:
    pushed = publish(run, cfg)
    results = [] if run is None else run.read_results()[-1:]

    def show() -> None:
        if results:
            print_results(results)
        print_lines(*pushed.lines())

    return Answer({**asdict(pushed), **({} if run is None else {"run": str(run.path), "result": results[0]})}, show)


def _rehearse(run: Run | None, cfg: PushToHubConfig) -> Answer:
    repo_id = cfg.repo_id if "/" in (cfg.repo_id or "") else None
    folder, files, lines = rehearse(run, replace(cfg, repo_id=repo_id))
    data = {"dry_run": True, "repo_id": repo_id, "folder": str(folder), "files": files}
    return Answer(data, lambda: print_lines(*lines, f"dry run: nothing was sent{f' to {repo_id}' if repo_id else ''}"))
