"""`rlzoo train`: check every job, then train one here or hand many to a launcher; or resume one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlzoo.cli.command import Answer, Entry
from rlzoo.console import say
from rlzoo.errors import RlzooError
from rlzoo.training import request

if TYPE_CHECKING:
    from rlzoo.cli.main import Arguments


def _train(arguments: Arguments) -> Answer | int:
    own, words = request.split(arguments.words)
    if own.get("resume") not in (None, request.AUTO):
        if arguments.multirun or arguments.dry_run or arguments.config:
            raise RlzooError("resume= takes one run as it is", "leave out -m, --dry-run and --cfg")
        return Answer(None, request.resume_named(arguments.words).show)
    compositions = request.plan(words, multirun=arguments.multirun, resumes="resume" in own)
    if arguments.config:
        return Answer(None, lambda: request.show_config(compositions))
    requests = request.check_all(compositions)
    for notice in dict.fromkeys(notice for one in requests for notice in one.notices):
        say(f"note: {notice}")
    if arguments.dry_run:
        return Answer(None, lambda: request.show_plan(requests, trust=own.get("trust") == "true"))
    if len(requests) > 1 or requests[0].config.launcher["name"] != "local":
        from rlzoo.training.sweep import train_many

        return train_many(requests, own)
    for file in requests[0].composition.hyperparams:
        say(f"tuned hyperparameters: {file}")
    return Answer(None, request.train_one(requests[0], own).show)


main = Entry(_train)
