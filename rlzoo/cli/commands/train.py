"""`rlzoo train`: check every job, then train one here or hand many to a launcher; or resume one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rlzoo.cli.command import Entry
from rlzoo.config.compose import Composition
from rlzoo.console import print_lines, say
from rlzoo.errors import ConfigError, ExitCode, RlzooError
from rlzoo.evaluation.evaluate import print_results
from rlzoo.training import resume
from rlzoo.training.preflight import Request
from rlzoo.training.request import AUTO, as_yaml, check_all, job_of, plan, run_job, show_plan, split

if TYPE_CHECKING:
    from rlzoo.cli.main import Arguments


def _train(arguments: Arguments) -> int:
    own, words = split(arguments.words)
    if own.get("resume") not in (None, AUTO):
        if arguments.multirun or arguments.dry_run or arguments.config:
            raise RlzooError("resume= takes one run as it is", "leave out -m, --dry-run and --cfg")
        return _resume(arguments.words)
    compositions = plan(words, multirun=arguments.multirun, resumes="resume" in own)
    if arguments.config:
        return _print_config(compositions)
    requests = check_all(compositions)
    for notice in dict.fromkeys(notice for request in requests for notice in request.notices):
        say(f"note: {notice}")
    if arguments.dry_run:
        show_plan(requests, trust=own.get("trust") == "true")
        return ExitCode.DONE
    if len(requests) == 1 and requests[0].config.launcher["name"] == "local":
        return _train_one(requests[0], own)
    from rlzoo.training.sweep import train_many

    return train_many(requests, own)


main = Entry(_train)


def _train_one(request: Request, own: Mapping[str, str]) -> int:
    for file in request.composition.hyperparams:
        say(f"tuned hyperparameters: {file}")
    result = run_job(job_of(request, own))
    print_results(result["result"]["evaluations"])
    print_lines(f"run: {result['run']}")
    return ExitCode.DONE


def _resume(words: Sequence[str]) -> int:
    """Resume the run that `resume=` names; the other words change its settings."""
    run, cfg, changes = resume.request(words)
    before = len(run.read_results())
    if resume.resume_run(run, cfg, changes):
        print_results(run.read_results()[before:])
        print_lines(f"run: {run.path}")
    return ExitCode.DONE


def _print_config(compositions: Sequence[Composition]) -> int:
    problems = {str(p): p for c in compositions for p in map(c.locate, c.problems)}
    if problems:
        raise ConfigError(list(problems.values()))
    print_lines(*"---\n".join(as_yaml(c.values) for c in compositions).removesuffix("\n").split("\n"))
    return ExitCode.DONE
