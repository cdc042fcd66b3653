"""`rlzoo show`: what an algorithm is, what a run has learned, or every value of a request and where it comes from."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rlzoo.algos.explain import explain, is_known
from rlzoo.cli.command import Answer, Entry
from rlzoo.config.overrides import key_of
from rlzoo.console import print_table, say
from rlzoo.errors import ConfigError, ExitCode
from rlzoo.redaction import redact_values

if TYPE_CHECKING:
    from rlzoo.cli.main import Arguments
    from rlzoo.config.compose import Composition


def _show(arguments: Arguments) -> Answer | int:
    if any(key_of(word) == "run" for word in arguments.words):
        from rlzoo.cli.commands.show_run import main as show_run

        return show_run.answer(arguments)
    key, _, value = arguments.words[0].partition("=") if len(arguments.words) == 1 else ("", "", "")
    if key == "algo" and is_known(value):
        about = explain(value)
        return Answer(asdict(about), about.show, allow_nan=True)
    return _show_configuration(arguments.words)


main = Entry(_show)


def _show_configuration(words: list[str]) -> Answer:
    from rlzoo.config.compose import compose

    composition = compose("train", words)
    if composition.problems:
        raise ConfigError([composition.locate(problem) for problem in composition.problems])
    leaves = composition.tree.leaves()
    rows = [(".".join(path), _shown(path[-1], value), str(origin or "")) for path, value, origin in leaves]

    def show() -> ExitCode:
        print_table(("key", "value", "from"), [(key, _text(value), origin) for key, value, origin in rows])
        return _print_remarks(composition)

    data = [{"key": key, "value": value, "from": origin} for key, value, origin in rows]
    return Answer(data, show, allow_nan=True)


def _print_remarks(composition: Composition) -> ExitCode:
    """Print notices and problems below the table; the exit code says whether the request could run."""
    from rlzoo.training.preflight import find_problems

    _, problems, notices = find_problems(composition, make_env=False)
    for notice in (*composition.notices, *notices):
        say(f"note: {notice}")
    for problem in problems:
        say(f"problem: {composition.locate(problem)}", style="red")
    return ExitCode.WRONG_REQUEST if problems else ExitCode.DONE


def _text(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value) if isinstance(value, dict | list) else str(value)


def _shown(name: str, value: object) -> Any:
    return redact_values({name: value})[name]
