"""`rlzoo show`: what an algorithm is, what a run has learned, or every value of a request and where it comes from."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from rlzoo.algos.explain import explain, is_known
from rlzoo.cli.command import Answer, Entry
from rlzoo.config.overrides import key_of

if TYPE_CHECKING:
    from rlzoo.cli.main import Arguments


def _show(arguments: Arguments) -> Answer | int:
    if any(key_of(word) == "run" for word in arguments.words):
        from rlzoo.cli.commands.show_run import main as show_run

        return show_run.answer(arguments)
    key, _, value = arguments.words[0].partition("=") if len(arguments.words) == 1 else ("", "", "")
    if key == "algo" and is_known(value):
        about = explain(value)
        return Answer(asdict(about), about.show, allow_nan=True)
    from rlzoo.training.request import origins, show_origins

    composition, rows = origins(arguments.words)
    return Answer(rows, lambda: show_origins(composition, rows), allow_nan=True)


main = Entry(_show)
