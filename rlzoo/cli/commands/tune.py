"""`rlzoo tune`: search hyperparameters in a study that many workers share and that is resumed where it stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlzoo.cli.command import Answer, Entry
from rlzoo.console import say

if TYPE_CHECKING:
    from rlzoo.cli.main import Arguments


def _tune(arguments: Arguments) -> Answer:
    from rlzoo.tuning.request import plan

    request = plan(arguments.words)
    for notice in dict.fromkeys(request.notices):
        say(f"note: {notice}")
    if arguments.dry_run:
        return Answer(request.as_data, request.show)
    from rlzoo.tuning.search import search

    tuned = search(request, arguments.words)
    return Answer(tuned.as_data, tuned.show)


main = Entry(_tune)
