"""Help on a command, made from the YAML files: the groups with their choices, and every key with its comment."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from rlzoo.cli.table import COMMANDS
from rlzoo.config import env_names, files, paths, yaml_file
from rlzoo.config.yaml_file import YamlFile
from rlzoo.console import print_lines

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
    row = COMMANDS[command]
    options = [f"[{'--cfg job' if option == '--cfg' else option}]" for option in row.options]
    print_lines(row.summary, "", f"usage: {' '.join(('rlzoo', command, row.usage, *options))}", "")
    if row.about:
        print_lines(*row.about.split("\n"), "")
    path = paths.root() / "conf" / f"{row.composes or command.replace(' ', '-')}.yaml"
    if not path.is_file():
        return
    file = yaml_file.read(path)
    chosen = dict(word.split("=", 1) for word in words if "=" in word)
    if row.composes:
        _print_groups()
    if row.own:
        print("words of this call alone:")
        for key, meaning in row.own.items():
            print_lines(f"  {key + '=':14} {meaning}")
        print()
    print("keys (and their defaults):")
    _print_keys(file)
    if command == "tune":
        print("\nand every key of rlzoo train: rlzoo train --help")
        algo = chosen.get("algo")
        if algo and files.find(f"search_space/{algo}"):
            _print_choice("search_space", algo, "null leaves one out, search_space.gamma.high= changes one")
        return
    if row.composes:
        env = env_names.name_of(chosen.get("env", "gym"))
        _print_choice("env", env, "every environment has these; its own file changes some")
        if "algo" in chosen:
            _print_choice("algo", chosen["algo"], "")
        else:
            print("\nalgo.* (the keywords of the algorithm): rlzoo train algo=ppo --help")


def _print_groups() -> None:
    print("groups:")
    for group, meaning in GROUP_HELP.items():
        print_lines(f"  {group + '=':14} {meaning}")
        names = files.options(group)
        if group != "hyperparams" and names:
            indent = " " * 17
            print_lines(*textwrap.wrap(" ".join(names), 110, initial_indent=indent, subsequent_indent=indent))
    print()


def _print_choice(group: str, name: str, note: str) -> None:
    found = files.find(f"{group}/{name}")
    if found is None:
        return
    print_lines("", f"{group}.* of {group}={name}{': ' + note if note else ''}")
    _print_keys(found.read(), prefix=f"{group}.")


def _print_keys(file: YamlFile, prefix: str = "") -> None:
    for path, value in _leaves(file.values, ()):
        if path[0] == "defaults":
            continue
        setting = f"{prefix}{'.'.join(path)}={_text(value)}"
        comment = file.comments.get(path, "")
        print_lines(f"  {setting:40} {comment}".rstrip())


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
