"""`rlzoo show`: what an algorithm is, what a run has learned, or every value of a request and where it comes from."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rlzoo.cli.commands.explain import Explanation, as_yaml, explain, is_known
from rlzoo.console import print_lines
from rlzoo.errors import ConfigError, ExitCode
from rlzoo.redaction import redact_values

if TYPE_CHECKING:
    from rlzoo.cli.main import Arguments
    from rlzoo.config.compose import Composition
    from rlzoo.config.schema import TrainConfig


def main(arguments: Arguments) -> int:
    if any(word.partition("=")[0] == "run" for word in arguments.words):
        from rlzoo.cli.commands.learned import show_run

        return show_run(arguments.words, as_json=arguments.json)
    key, _, value = arguments.words[0].partition("=") if len(arguments.words) == 1 else ("", "", "")
    if key == "algo" and is_known(value):
        return _show_algorithm(explain(value), as_json=arguments.json)
    return _show_configuration(arguments)


def _show_configuration(arguments: Arguments) -> int:
    from rlzoo.config.compose import compose

    composition = compose("train", arguments.words)
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


def _show_algorithm(about: Explanation, as_json: bool) -> int:
    if as_json:
        print(json.dumps(asdict(about)))
        return ExitCode.DONE
    from rlzoo.console import print_pairs, print_table

    rows = [(row.name, as_yaml(row.default), row.range, row.meaning) for row in about.hyperparameters]
    print_pairs([(about.algo, about.summary)])
    print()
    print_pairs([(name, value) for name, value in _facts(about).items() if value])
    print_table(("hyperparameter", "default", "range", "meaning"), rows)
    width = max(map(len, about.commands))
    for command, what in about.commands.items():
        print_lines(f"  {command:{width}}  # {what}")
    return ExitCode.DONE


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


def compose(*words: str) -> TrainConfig:
    """Compose and check a training configuration, as `rlzoo train` would run it.

    Args:
        words: settings as on the command line: `"algo=ppo"`, `"env=LunarLander"`, `"algo.learning_rate=1e-3"`.

    Raises:
        ConfigError: naming everything that is wrong with the request.
    """
    from rlzoo.config.compose import compose as compose_words
    from rlzoo.training.preflight import check

    return check(compose_words("train", list(words))).config


def _print_remarks(composition: Composition) -> int:
    """Print notices and problems below the table; the exit code says whether the request could run."""
    from rlzoo.console import say
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
