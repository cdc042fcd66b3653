"""Help on a command, made from the YAML files: the groups with their choices, and every key with its comment."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from rlzoo.config import env_names, files, paths, yaml_file
from rlzoo.config.yaml_file import YamlFile
from rlzoo.console import print_lines

USAGE = {
    "train": "rlzoo train [group=choice ...] [key=value ...] [-m] [--dry-run] [--cfg job]",
    "tune": "rlzoo tune [group=choice ...] [key=value ...] [search_space.key=value ...] [--dry-run] [--json]",
    "tune import": "rlzoo tune import storage=... [from_study=...] [words of rlzoo tune ...] [--dry-run] [--json]",
    "tune report": "rlzoo tune report [study=...] [key=value ...] [--json]",
    "evaluate": "rlzoo evaluate [run=...] [key=value ...] [env.key=value ...] [--json]",
    "enjoy": "rlzoo enjoy [run=...] [key=value ...] [env.key=value ...]",
    "record": "rlzoo record [run=...] [key=value ...] [env.key=value ...] [--json]",
    "package": "rlzoo package [run=...] [folder=...] [key=value ...] [--json]",
    "push-to-hub": "rlzoo push-to-hub repo_id=user/name [run=...] [key=value ...] [--json]",
    "load-from-hub": "rlzoo load-from-hub repo_id=user/name [key=value ...] [--json]",
    "leaderboard": "rlzoo leaderboard [env=...] [key=value ...] [--json]",
    "certify": "rlzoo certify [run ...] [key=value ...] [--json]",
    "doctor": "rlzoo doctor [runs_dir=...] [--json]",
    "reproduce": "rlzoo reproduce [run=...] [key=value ...] [--json]",
    "verify-resume": "rlzoo verify-resume [run=...] [key=value ...] [--json]",
    "list": "rlzoo list algos | envs | hyperparams | experiments | runs | hub [key=value ...] [--json]",
    "show": "rlzoo show algo=name | run=... [checkpoint=...] | [group=choice ...] [key=value ...] [--json]",
    "validate": "rlzoo validate [path ...] [--json]",
}
ABOUT = {
    "show": """\
algo=name alone explains an algorithm: what it is, its paper, the file to read, every hyperparameter with its default,
its range and its meaning, the environments with a tuned set. run= shows the table of values that a run has learned, and
as a map where states are its cells; it takes checkpoint= and runs_dir= besides. Any other words are put together as
`rlzoo train` would, and every value of the result is shown with the file and line it came from.""",
    "list": """\
runs takes runs_dir=…; hub takes user=, tag=, env=, algo= and n= (models to show, 20), and shows the scores that the
models' cards state, the best of each environment first.""",
    "tune import": """\
The words of rlzoo tune say which study is to begin with them; it is made, or gets them behind what it begins with. They
are run again and count like every trial: scores of another task, budget or seed are not believed. Studies of rl_zoo3
are taken too; a value outside of the search space becomes the closest one inside.""",
    "doctor": """\
Packages are loaded to see whether they work, which takes some seconds. The exit code is 3 if something is broken or
missing that every command needs; runs_dir= says where runs are to be written.""",
    "certify": """\
Words without `=` are runs, or folders with runs in them. A run counts with its newest evaluation of enough episodes
(`rlzoo evaluate run=… n_episodes=100`), a model of the Hub with what its card states.""",
    "leaderboard": """\
The number that counts is mean - std. A run stands with its newest evaluation of at least n_episodes episodes on its own
environment: the one at the end of its training, or a later one by evaluate, package or push-to-hub.""",
}
"""What the usage of a command does not say."""
GROUP_HELP = {
    "algo": "the algorithm; its settings are algo.*",
    "env": "the environment, by name or id; its settings are env.*",
    "hyperparams": "the tuned set: auto, required, none, <algo>/<name>, or a YAML file",
    "logger": "where metrics go besides metrics.csv; several: logger=[tensorboard,wandb]",
    "launcher": "where the jobs of a sweep run",
    "experiment": "a whole named experiment",
}
OWN_WORDS = {
    "train": {
        "resume": "a run to go on with; auto goes on with the newest unfinished run of this request, or starts one",
        "trust": "true opens what init_from names, or goes on with a run of others, which may run their code",
    }
}
"""Words that belong to one call of a command, never to the configuration that a run keeps."""
WITH_GROUPS = {"train": "train", "show": "train", "tune": "tune"}


def print_help(command: str, summary: str, words: Sequence[str]) -> None:
    """Print the help of a command; `algo=` and `env=` among the words add their own keys."""
    print_lines(summary, "", f"usage: {USAGE[command]}", "")
    if command in ABOUT:
        print_lines(*ABOUT[command].split("\n"), "")
    source = WITH_GROUPS.get(command, command.replace(" ", "-"))
    path = paths.root() / "conf" / f"{source}.yaml"
    if not path.is_file():
        return
    file = yaml_file.read(path)
    chosen = dict(word.split("=", 1) for word in words if "=" in word)
    if command in WITH_GROUPS:
        _print_groups()
    if command in OWN_WORDS:
        print("words of this call alone:")
        for key, meaning in OWN_WORDS[command].items():
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
    if command in WITH_GROUPS:
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
