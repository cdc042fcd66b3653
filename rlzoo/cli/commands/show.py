"""`rlzoo show`: what an algorithm is, what a run has learned, or every value of a request and where it comes from."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rlzoo.algos.explain import Explanation, as_yaml, explain, is_known
from rlzoo.cli.command import Answer, Entry
from rlzoo.config.overrides import key_of
from rlzoo.console import print_lines, print_pairs, print_table, say
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
        return Answer(asdict(about), lambda: _print_algorithm(about), allow_nan=True)
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


def _print_algorithm(about: Explanation) -> None:
    rows = [(row.name, as_yaml(row.default), row.range, row.meaning) for row in about.hyperparameters]
    print_pairs([(about.algo, about.summary)])
    print()
    print_pairs([(name, value) for name, value in _facts(about).items() if value])
    print_table(("hyperparameter", "default", "range", "meaning"), rows)
    width = max(map(len, about.commands))
    for command, what in about.commands.items():
        print_lines(f"  {command:{width}}  # {what}")


def _facts(about: Explanation) -> dict[str, str]:
    """What is said before the hyperparameters; what is empty does not apply."""
    flags = {
        "its policy has a memory": about.recurrent,
        "takes masks of the valid actions": about.masked,
        "learns from a dataset": about.offline,
    }
    backends = {"sb3": "of Stable-Baselines3", "sb3_contrib": "of sb3-contrib", "rlzoo": "of rlzoo itself"}
    is_custom = about.backend == "custom"
    entry_point = about.entry_point if is_custom else about.entry_point.partition(":")[2]
    spaces = "what its class takes" if is_custom else "any that its networks take"
    return {
        "also called": ", ".join(about.aliases),
        "runs": about.name if about.name not in (about.algo, about.entry_point) else "",
        "class": f"{entry_point} {backends.get(about.backend, '')}".strip(),
        "file": about.file,
        "settings": about.settings,
        "page": about.page,
        "paper": about.paper,
        "kind": ", ".join([about.family.replace("_", "-"), *(flag for flag, holds in flags.items() if holds)]),
        "observations": ", ".join(about.observation_spaces) or spaces,
        "actions": ", ".join(about.action_spaces) or spaces,
        "tuned for": ", ".join(_tuned(name) for name in about.tuned_sets) or "no environment yet",
    }


def _tuned(name: str) -> str:
    return f"{name} (every game)" if name == "atari" else name


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
