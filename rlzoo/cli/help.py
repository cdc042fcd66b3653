"""Help on a command, made from the YAML files: the groups with their choices, and every key with its comment."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from rlzoo.cli.columns import folded, width
from rlzoo.cli.table import COMMANDS
from rlzoo.config import files, paths, yaml_file
from rlzoo.config.yaml_file import YamlFile
from rlzoo.errors import clean
from rlzoo.redaction import one_line

GROUP_HELP = {
    "algo": "the algorithm; its settings are algo.*",
    "env": "the environment, by name or id; its settings are env.*",
    "hyperparams": "the tuned set: auto, required, none, <algo>/<name>, or a YAML file",
    "logger": "where metrics go besides metrics.csv; several: logger=[tensorboard,wandb]",
    "launcher": "where the jobs of a sweep run",
    "experiment": "a whole named experiment",
}


def print_help(command: str, words: Sequence[str]) -> None:
    """Print the help of a command; `algo=` and `env=` among the words add their own keys."""
    print(clean(folded("\n".join(map(one_line, _help(command, words))))))


def _help(command: str, words: Sequence[str]) -> Iterator[str]:
    row = COMMANDS[command]
    options = [f"[{'--cfg job' if option == '--cfg' else option}]" for option in row.options]
    yield from (row.summary, "", f"usage: {' '.join(('rlzoo', command, row.usage, *options))}", "")
    if row.about:
        yield from (*textwrap.wrap(row.about, width() or 120), "")
    path = paths.root() / "conf" / f"{row.composes or command.replace(' ', '-')}.yaml"
    if not path.is_file():
        return
    chosen = dict(word.split("=", 1) for word in words if "=" in word)
    if row.composes:
        yield from _groups()
    if row.own:
        yield "words of this call alone:"
        yield from (f"  {key + '=':14} {meaning}" for key, meaning in row.own.items())
        yield ""
    yield "keys (and their defaults):"
    yield from _keys(yaml_file.read(path))
    if command == "tune":
        yield from ("", "and every key of rlzoo train: rlzoo train --help")
        algo = chosen.get("algo")
        if algo:
            yield from _choice("search_space", algo, "null leaves one out, search_space.gamma.high= changes one")
    elif row.composes:
        env = chosen.get("env", "gym")
        if files.find(f"env/{env}") is None:  # an id: what knows them costs more than all the rest of this page
            from rlzoo.config.env_names import name_of

            env = name_of(env)
        yield from _choice("env", env, "every environment has these; its own file changes some")
        if "algo" in chosen:
            yield from _choice("algo", chosen["algo"])
        else:
            yield from ("", "algo.* (the keywords of the algorithm): rlzoo train algo=ppo --help")


def _groups() -> Iterator[str]:
    yield "groups:"
    for group, meaning in GROUP_HELP.items():
        yield f"  {group + '=':14} {meaning}"
        if group != "hyperparams":
            indent = " " * 17
            yield from textwrap.wrap(
                " ".join(files.options(group)), width() or 110, initial_indent=indent, subsequent_indent=indent
            )
    yield ""


def _choice(group: str, name: str, note: str = "") -> Iterator[str]:
    found = files.find(f"{group}/{name}")
    if found is not None:
        yield from ("", f"{group}.* of {group}={name}{': ' + note if note else ''}")
        yield from _keys(found.read(), prefix=f"{group}.")


def _keys(file: YamlFile, prefix: str = "") -> Iterator[str]:
    for path, value in _leaves(file.values, ()):
        if path[0] != "defaults":
            setting = f"{prefix}{'.'.join(path)}={_text(value)}"
            yield f"  {setting:40} {file.comments.get(path, '')}".rstrip()


def _leaves(values: dict[str, Any], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in values.items():
        if isinstance(value, dict) and value and not key.endswith("kwargs") and path == ():
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key), value


def _text(value: Any) -> str:
    if value is None:
        return "null"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= 24 else f"{text[:20]}..."
