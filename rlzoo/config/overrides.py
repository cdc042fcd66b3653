"""The words of the command line: quoting, Hydra's override grammar, and the jobs of a sweep."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from rlzoo.config.quoting import literal, quoted, readable, typed_key, typed_keys, typed_value
from rlzoo.config.yaml_file import KeyPath
from rlzoo.errors import ConfigError, Problem, show
from rlzoo.redaction import shell

TEXT_KEYS = frozenset(
    "run resume init_from keep into folder path study storage repo_id commit_message checkpoint runs_dir studies_dir"
    " hyperparams from_study revision file name env.observation_space env.action_space".split()
)
"""Keys whose values are paths or text: taken literally, so that any path works."""

MAX_JOBS = 10_000
"""Jobs of one sweep at most; each is composed and checked before the first starts."""

_PLAIN_WORD = re.compile(r"(\+\+|\+|~)?([^=\s]+)=(.*)", re.DOTALL)


@dataclass(frozen=True)
class Word:
    """One parsed word: a new value for a key, a group's choice, or a removal; `text` is as Hydra reads it."""

    text: str
    key: str
    value: Any = None
    delete: bool = False

    @property
    def path(self) -> KeyPath:
        return tuple(self.key.split("."))


def key_of(word: str) -> str:
    """The key of a word as typed: `env.kwargs.gravity` of `+env.kwargs.gravity=-5`."""
    return require_text(word).lstrip("+~").partition("=")[0]


def require_text(word: object) -> str:
    """A word, which Python can make of anything.

    Raises:
        ConfigError: if it is no text.
    """
    if not isinstance(word, str):
        raise ConfigError([Problem("", f"settings are text such as 'seed=1', not {show(word)}")])
    return word


OPTIONS_OF_OTHERS = {
    "-n": "total_timesteps", "-f": "runs_dir", "-c": "hyperparams", "-i": "init_from", "-P": "",
    "n_timesteps": "total_timesteps", "log_folder": "runs_dir", "folder": "runs_dir", "conf_file": "hyperparams",
    "trained_agent": "init_from", "eval_freq": "eval.freq", "eval_episodes": "eval.n_episodes", "env_id": "env",
    "tensorboard_log": "", "progress": "", "track": "logger=wandb", "learning_rate": "algo.learning_rate",
}  # fmt: skip
"""Options of rl_zoo3 and of the course's scripts, and the key of each here; empty where nothing has to be said."""


def require_clear(command: str, words: Sequence[str]) -> list[str]:
    """What to say of words that may not mean what they seem to: of a key that is given twice, the last one counts.

    Raises:
        ConfigError: if there are options of another tool among them, with what they are called here, or a path or a
            text is left empty, which a variable of the shell that is not set does.
    """
    foreign = next((word for word in words if word.startswith("-")), None)
    if foreign is not None:
        hint = (
            f"settings are written key=value: rlzoo {command} {' '.join(map(shell, _without_options(command, words)))}"
        )
        raise ConfigError([Problem("", f"unknown option {foreign!r}", hint, "command line")])
    given = [(key_of(word), word.partition("=")[2]) for word in words if "=" in word and not word.startswith("~")]
    empty = [key for key, value in given if key in TEXT_KEYS and value.strip("'\"") == ""]
    if empty:
        raise ConfigError(
            [Problem(key, "is empty", "name one, or leave the word out", "command line") for key in empty]
        )
    times = Counter(key for key, value in given if not value.startswith("{"))  # mappings are laid over each other
    return [f"{key}= is given {n} times: the last one counts" for key, n in times.items() if n > 1]


def _without_options(command: str, words: Sequence[str]) -> list[str]:
    """The words with `key=value` in the place of every option and its value."""
    found: dict[str, str] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            found[word] = word
            continue
        option, _, value = word.partition("=")
        if not value and rest and not rest[0].startswith("-") and "=" not in rest[0]:
            value = rest.pop(0)
        key = option if option in OPTIONS_OF_OTHERS else option.lstrip("-").replace("-", "_")
        key = OPTIONS_OF_OTHERS.get(key, key)
        if key:
            found[key] = key if "=" in key else f"{key}={value or '…'}"
    if command not in ("train", "tune", "show") and {"algo", "env"} <= found.keys():
        algo, env = (found.pop(key).partition("=")[2] for key in ("algo", "env"))
        found = {"run": f"run={algo}/{env}", **found}
    return list(found.values())


def quote_text(word: str, text: Collection[str] = ()) -> str:
    """Quote the value of a path or text key, unless it is a list, a sweep function or already quoted."""
    match = _PLAIN_WORD.fullmatch(require_text(word))
    if match is None or match[2] not in {*TEXT_KEYS, *text} or match[3][:1] in ("'", '"', "["):
        return word
    if match[2] == "keep" and re.fullmatch(r"-?\d+", match[3]):
        return word  # of a search: how many
    if match[3] in ("", "null") or re.match(r"(choice|glob|range|sort|shuffle)\(", match[3]):
        return word
    return f"{match[1] or ''}{match[2]}={quoted(match[3])}"


def parse(words: Sequence[str], text: Collection[str] = ()) -> tuple[list[Word], list[Problem]]:
    """Parse the words of one job; the values of `TEXT_KEYS` and of the keys in `text` are taken literally.

    Returns:
        The parsed words, and a problem for each that cannot be read or asks for a sweep.
    """
    parsed: list[Word] = []
    problems: list[Problem] = []
    for word in words:
        override, problem = _parse_one(quote_text(word, text))
        if problem is not None:
            problems.append(problem)
        elif override.is_sweep_override():
            hint = f"for a list, write {override.key_or_group}=[…]; only rlzoo train takes several, with -m"
            problems.append(Problem(override.key_or_group, f"{word!r} names several values", hint, "command line"))
        else:
            value = None if override.is_delete() else _with_text_keys(typed_keys(override.value()))
            key = override.key_or_group + (f"@{override.package}" if override.package else "")
            parsed.append(Word(override.input_line, typed_key(key).replace("/", "."), value, override.is_delete()))
    return parsed, problems


def _with_text_keys(value: Any) -> Any:
    """A value; if it is a mapping, its own keys are text, as settings are named: `{1: 2}` is `{"1": 2}`."""
    if not isinstance(value, dict):
        return value
    return {key if isinstance(key, str) else show(key): inside for key, inside in value.items()}


def expand(words: Sequence[str], group_options: Any) -> tuple[list[list[str]], list[Problem]]:
    """The jobs of a sweep: every combination of the words' values, the last word varying fastest.

    Args:
        words: the words after `-m`.
        group_options: a function from a group's name to its choices, for `glob(...)`.
    """
    choices: list[list[str]] = []
    problems: list[Problem] = []
    for word in words:
        override, problem = _parse_one(word if "," in word else quote_text(word))
        if problem is not None:
            problems.append(problem)
        elif not override.is_sweep_override():
            choices.append([word])
        else:
            values, problem = _sweep_values(override, group_options)
            choices.append([f"{typed_key(override.get_key_element())}={typed_value(value)}" for value in values])
            problems += [problem] if problem else []
    keys = [key_of(values[0]) if values else "" for values in choices]
    for key in dict.fromkeys(
        keys[n] for n, values in enumerate(choices) if len(values) > 1 and keys[n] in keys[n + 1 :]
    ):
        hint = "write all of its values in one word"
        problems.append(Problem(key, "is given several values, and given again after them", hint, "command line"))
    n_jobs = prod(len(values) for values in choices)
    if n_jobs > MAX_JOBS:
        problems.append(Problem("", f"more than {MAX_JOBS} jobs are asked for at once", "split the sweep"))
    return ([] if problems else [list(job) for job in itertools.product(*choices)]), problems


def _sweep_values(override: Any, group_options: Any) -> tuple[list[str], Problem | None]:
    key = override.key_or_group
    if override.is_interval_sweep():
        return [], Problem(key, "interval(...) has no list of values", "use range(...) or choice(...)", "command line")
    if type(override.value()).__name__ == "Glob":
        names = override.value().filter(group_options(key))
        problem = None if names else Problem(key, "the pattern matches nothing", "", "command line")
        return list(map(literal, names)), problem
    if override.is_range_sweep():
        steps = override.value()
        if steps.step and abs(steps.stop - steps.start) / abs(steps.step) > MAX_JOBS:
            return [], Problem(key, f"names more than {MAX_JOBS} values", "split the sweep", "command line")
    try:
        values = list(itertools.islice(override.sweep_string_iterator(), MAX_JOBS + 1))
    except ValueError as error:
        return [], Problem(key, f"names no values: {error}", "range(start, stop, step)", "command line")
    if values:
        return values, None
    return [], Problem(key, "names no values", "range(start, stop): stop is left out", "command line")


def _parse_one(word: str) -> tuple[Any, Problem | None]:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    if word.startswith("-"):
        hint = f"settings are written key=value: {' '.join(_without_options('train', [word]))}"
        return None, Problem("", f"unknown option {word!r}", hint, "command line")
    if "=" not in word[1:] and not word.startswith("~"):
        return None, Problem("", f"cannot read {word!r}", "settings are written key=value", "command line")
    try:
        return OverridesParser.create().parse_override(readable(word)), None
    except (HydraException, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        hint = "quote the word for your shell, and text with special characters once more: 'key=\"a, b\"'"
        return None, Problem("", f"cannot read {word!r}: {reason}", hint, "command line")
