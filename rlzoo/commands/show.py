"""`rlzoo show`: the composed configuration, with the file and line that every value came from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rlzoo.config.compose import Composition
from rlzoo.config.compose import compose as compose_words
from rlzoo.config.schema import TrainConfig
from rlzoo.errors import ConfigError, ExitCode
from rlzoo.preflight import check, find_problems
from rlzoo.redaction import redact_values

if TYPE_CHECKING:
    from rlzoo.cli import Arguments


def main(arguments: Arguments) -> int:
    composition = compose_words("train", arguments.words)
    if composition.problems:
        raise ConfigError([composition.locate(problem) for problem in composition.problems])
    leaves = composition.tree.leaves()
    rows = [(".".join(path), _shown(path[-1], value), str(origin or "")) for path, value, origin in leaves]
    if arguments.json:
        print(json.dumps([{"key": key, "value": value, "from": origin} for key, value, origin in rows]))
        return ExitCode.DONE
    from rlzoo.console import print_table

    print_table(("key", "value", "from"), [(key, _text(value), origin) for key, value, origin in rows])
    return _print_remarks(composition)


def compose(*words: str) -> TrainConfig:
    """Compose and check a training configuration, as `rlzoo train` would run it.

    Args:
        words: settings as on the command line: `"algo=ppo"`, `"env=LunarLander"`, `"algo.learning_rate=1e-3"`.

    Raises:
        ConfigError: naming everything that is wrong with the request.
    """
    return check(compose_words("train", list(words))).config


def _print_remarks(composition: Composition) -> int:
    """Print notices and problems below the table; the exit code says whether the request could run."""
    from rlzoo.console import say

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
