"""`rlzoo package`: the folder that `push-to-hub` would upload, without uploading it."""

from __future__ import annotations

from rlzoo.cli.command import Answer, Call, command, is_about_env
from rlzoo.config.schema import PackageConfig
from rlzoo.console import print_lines
from rlzoo.evaluation.evaluate import print_results
from rlzoo.hub.agents import open_agent
from rlzoo.hub.package import package_problems, package_run


@command(PackageConfig, problems=package_problems, apart=is_about_env)
def main(call: Call[PackageConfig]) -> Answer:
    run = open_agent(call.options.run, call.options, call.apart, trust=call.options.trust)
    staged = package_run(run, call.options)
    result = run.read_results()[-1]
    data = {"run": str(run.path), "folder": str(staged.folder), "name": staged.name, "repo_id": staged.repo_id}

    def show() -> None:
        print_results([result])
        print_lines(*staged.lines())

    return Answer({**data, "files": staged.files, "result": result}, show)
