"""From the words of a command line to one plain configuration whose every value knows where it came from.

Hydra decides which files take part (groups, defaults list, override grammar); the merge is ours, because every value
remembers its origin, mappings that are one value are replaced whole, and all mistakes are reported at once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from rlzoo.config import env_names, files, overrides, tuned_set, unasked, yaml_file
from rlzoo.config.assignments import assignments
from rlzoo.config.overrides import Word
from rlzoo.config.parse import check, text_fields
from rlzoo.config.paths import at_home, root, short_path
from rlzoo.config.provenance import COMMAND_LINE, Origin, Tree, is_section
from rlzoo.config.quoting import literal
from rlzoo.config.yaml_file import KeyPath, YamlFile
from rlzoo.errors import ConfigError, Problem, RlzooError, show
from rlzoo.registry import did_you_mean

T = TypeVar("T")

GROUPS = ("algo", "env", "logger", "launcher", "experiment", "search_space", "family@_global_")
ALIASES = {"algo": {"recurrent_ppo": "ppo_lstm"}}
"""Other names of choices; they compose the choice itself, with its tuned sets."""
EMPTY: dict[str, dict[str, str]] = {"logger": {"logger": "logger=csv"}, "experiment": {}}
"""Groups that can be left empty, and what that means: CSV files are always written."""
MAX_REFERENCES = 16
"""References to other settings in one request: each may lead to several more, and a few dozen to no end."""


@dataclass(frozen=True)
class Composition:
    """One composed request: values, where they came from, what was chosen, and what is wrong so far."""

    values: dict[str, Any]
    tree: Tree
    choices: dict[str, Any]
    hyperparams: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = field(default=())
    words: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    """Sections whose own file could not be read: what they lack is not a mistake of its own."""

    def origin(self, key: str) -> Origin | None:
        return self.tree.origin(tuple(key.split(".")))

    def typed(self, key: str) -> bool:
        """Whether the user gave this value: on the command line or in a file of their own."""
        origin = self.origin(key)
        return origin is not None and not origin.shipped

    def locate(self, problem: Problem) -> Problem:
        """The problem, with the file and line its value came from."""
        origin = self.origin(problem.key) if problem.key and not problem.where else None
        if origin is None:
            return problem
        return problem._replace(where=str(origin))

    def settled(self, config: T | None, problems: Sequence[Problem]) -> T:
        """The typed configuration, if there are no problems.

        Raises:
            ConfigError: with the problems, and the file and line of each.
        """
        if problems or config is None:
            raise ConfigError([self.locate(problem) for problem in problems])
        return config


def compose(command: str, words: Sequence[str]) -> Composition:
    """Compose one job of a command that has groups (`train`, `show`, later `tune`).

    Raises:
        ConfigError: if the files that take part cannot be found out; without them there is nothing to check.
    """
    parsed, problems = overrides.parse(words)
    parsed = [_named(word) for word in parsed]
    typed = parsed
    parsed, notices, env_problems = _known_env(parsed)
    problems += env_problems
    groups, values, tuned, group_problems = _sort_words(parsed)
    problems += group_problems
    if command != "tune" and groups.pop("search_space", ""):
        problems.append(Problem("search_space", "is searched by rlzoo tune", "", str(COMMAND_LINE)))
    entries, choices, parents = _defaults(command, groups, problems)
    tuned_name, tuned_problems = _tuned_file(tuned, choices)
    problems += tuned_problems

    tree = Tree()
    applied: list[str] = []
    unread: list[str] = []
    taking_part = _insert_tuned(entries, tuned, tuned_name, choices)
    not_asked = unasked.find([path for path, _ in taking_part], typed, choices.get("env"), parents)
    for config_path, package in taking_part:
        file = files.at(config_path)
        try:
            content = file.read()
        except RlzooError as error:
            problems.append(Problem("", error.message, error.hint))
            unread.append(package)
            continue
        if config_path.startswith("hyperparams/") or config_path == tuned_name:
            content, refused = tuned_set.values_only(content)
            problems += refused
            applied.append(short_path(content.path))
        if file.shadows:
            notices.append(f"{short_path(content.path)} is used instead of the shipped {config_path}")
        if config_path in not_asked and (refused := unasked.problems(content, package, shadows=file.shadows)):
            problems += refused
            unread.append(package)
            continue
        tree.merge_file(content, tuple(package.split(".")) if package else (), file.shipped)
    for word in values:
        problems += _apply(tree, word)
    notices += _tuned_notice(tuned, choices, applied)
    resolved, resolve_problems = resolve(tree.values)
    return Composition(
        values=resolved,
        tree=tree,
        choices={key: value for key, value in choices.items() if not key.startswith("hydra")},
        hyperparams=tuple(dict.fromkeys(applied)),
        notices=tuple(notices),
        problems=tuple(problems + resolve_problems),
        words=tuple(words),
        unread=tuple(unread),
    )


def override(
    file: Path | YamlFile, words: Sequence[str], *, has_groups: bool = True, text: Collection[str] = ()
) -> Composition:
    """Lay words over the configuration of a run, or over a command's own file, without composing any group.

    Where the file is not a run's and has no groups, `env=` and `algo=` are settings like any other. The values of the
    keys in `text` are taken literally, besides those of `overrides.TEXT_KEYS`.
    """
    tree = Tree()
    tree.merge_file(file if isinstance(file, YamlFile) else yaml_file.read(file), (), shipped=True)
    parsed, problems = overrides.parse(words, text)
    for word in parsed:
        if has_groups and word.key in GROUPS and isinstance(word.value, str):
            message = f"{word.key}= cannot change for a run that exists; set single values: {word.key}.…="
            problems.append(Problem(word.key, message, "", str(COMMAND_LINE)))
            continue
        problems += _apply(tree, word)
    resolved, resolve_problems = resolve(tree.values)
    return Composition(resolved, tree, {}, problems=tuple(problems + resolve_problems), words=tuple(words))


Problems = Callable[[dict[str, Any]], Sequence[Problem]]
"""What is wrong with the values of a command beyond their types."""


def read_words(
    command: str, words: Sequence[str], schema: type[T], more: Problems | None = None, *, has_groups: bool = False
) -> tuple[T, Composition]:
    """The settings of a command: those of `conf/<command>.yaml`, with the words over them; and where each is from.

    Args:
        command: the name of its file.
        words: as on the command line.
        schema: what its settings are; those that are text are taken literally.
        more: what else is wrong with the values.
        has_groups: see `override`.

    Raises:
        ConfigError: with everything that is wrong, and where.
    """
    file = root() / "conf" / f"{command}.yaml"
    composition = override(file, words, has_groups=has_groups, text=text_fields(schema))
    options, problems = check(schema, composition.values)
    others = () if more is None else more({**_no_settings(schema), **composition.values})  # `~seeds` takes one out
    return composition.settled(options, [*composition.problems, *problems, *others]), composition


def read_keywords(schema: type[T], given: Mapping[str, Any], more: Problems | None = None) -> T:
    """The settings of a command from the keywords of a Python function: `None` where there is none of a name.

    Paths become text, arrays and sequences lists; keywords that the schema does not have are left out.

    Raises:
        ConfigError: with everything that is wrong.
    """
    values = _no_settings(schema)
    values |= {key: _plain(value) for key, value in given.items() if key in values}
    opened = {"run": "", "runs_dir": "runs"}  # a run may be an object; it is opened apart
    values |= {key: value for key, value in opened.items() if key in values}
    options, problems = check(schema, values)
    problems += () if more is None else more(values)
    if problems or options is None:
        raise ConfigError(problems)
    return options


def _no_settings(schema: type) -> dict[str, Any]:
    return {name: None for name in get_type_hints(schema)}


def _plain(value: Any) -> Any:
    """A path as text; an array, or a sequence with numbers of one, as a list."""
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return value


def without(base: Composition, keys: Sequence[str]) -> Composition:
    """A composed request without some of its top-level keys: those that are a command's own."""
    tree = base.tree.copy()
    for key in keys:
        tree.delete((key,))
    values = {key: value for key, value in base.values.items() if key not in keys}
    return replace(base, values=values, tree=tree)


def with_values(base: Composition, settings: Mapping[str, Any], *, whole: bool = False) -> Composition:
    """A composed request with other values, by dotted key: what a search proposes.

    With `whole` a mapping replaces the one that is there, also where it would be merged key by key.
    """
    tree = base.tree.copy()
    for key, value in settings.items():
        path = tuple(key.split("."))
        if whole:
            tree.delete(path)
        tree.set(path, value)
    resolved, problems = resolve(tree.values)
    unread = dict.fromkeys((*base.problems, *problems))  # a word that could not be read is none the better for others
    return replace(base, values=resolved, tree=tree, problems=tuple(unread))


def expand_jobs(words: Sequence[str]) -> tuple[list[list[str]], list[Problem]]:
    """The words of every job of a `-m` sweep."""
    return overrides.expand(words, files.options)


def resolve(values: dict[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """Fill in references to other settings (`${total_timesteps}`); resolvers (`${oc.env:…}`) are refused."""
    strings = [(path, value) for path, value in _strings(values, ()) if "${" in value]
    problems = [
        Problem(
            ".".join(path), f"{value!r} is not allowed", "only other settings can be referred to: ${total_timesteps}"
        )
        for path, value in strings
        if files.RESOLVER.search(value)
    ]
    if not problems and sum(value.count("${") for _, value in strings) > MAX_REFERENCES:
        message = f"refers to other settings, as do others, more than {MAX_REFERENCES} times in all"
        problems.append(Problem(".".join(strings[0][0]), message, "write the values themselves"))
    if problems or not strings:
        return values, problems
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        resolved = OmegaConf.to_container(OmegaConf.create(values), resolve=True)
    except OmegaConfBaseException as error:
        key = str(getattr(error, "full_key", "") or "")
        return values, [Problem(key, str(error).splitlines()[0])]
    assert isinstance(resolved, dict)
    return {str(key): value for key, value in resolved.items()}, []


def _named(word: Word) -> Word:
    """The word; that of a choice spelled as names of files are, whatever keyboard it comes from."""
    if word.key not in (*GROUPS, "hyperparams") or word.text.isascii():
        return word
    value = files.composed(word.value) if isinstance(word.value, str) else word.value
    return replace(word, text=files.composed(word.text), value=value)


def _known_env(parsed: Sequence[Word]) -> tuple[list[Word], list[str], list[Problem]]:
    """The words with the name that `env=` means in place of an id, with what is to be said about it."""
    kwargs: dict[str, Any] = {}
    for word in parsed:
        if word.key == "env.kwargs" and isinstance(word.value, dict):
            kwargs |= word.value
        elif word.key.startswith("env.kwargs."):
            kwargs[word.key.removeprefix("env.kwargs.")] = word.value
    imports = any(word.key == "env.imports" for word in parsed)
    named: list[Word] = []
    below: list[Word] = []
    notices: list[str] = []
    problems: list[Problem] = []
    for word in parsed:
        found = None
        if word.key == "env" and isinstance(word.value, str):
            found = env_names.resolve(word.value, kwargs, imports=imports)
        if isinstance(found, env_names.Choice):
            below = [Word(f"{key}={value}", key, value) for key, value in found.settings.items()]
            notices += [found.notice] if found.notice else []
            word = Word(f"env={literal(found.name)}", "env", found.name)
        elif found is not None:
            problems.append(found._replace(where=str(COMMAND_LINE)))
            continue
        named.append(word)
    return [*below, *named], notices, problems


def _sort_words(parsed: Sequence[Word]) -> tuple[dict[str, str], list[Word], str, list[Problem]]:
    """Split words into group choices, values, and the choice of a tuned set."""
    groups: dict[str, str] = {}
    values: list[Word] = []
    tuned = "auto"
    problems: list[Problem] = []
    for word in parsed:
        if word.key in GROUPS and (word.delete or word.value in (None, [])):
            if word.key in EMPTY:
                groups.pop(word.key, None)
                groups |= EMPTY[word.key]
            else:
                problems.append(Problem(word.key, "has to be chosen", f"{word.key}=<name>", str(COMMAND_LINE)))
        elif word.key == "hyperparams" and not word.delete:
            tuned = "none" if word.value is None else str(word.value)
        elif word.key in GROUPS and not isinstance(word.value, dict):
            alias = ALIASES.get(word.key, {}).get(str(word.value))
            word = Word(f"{word.key}={alias}", word.key, alias) if alias else word
            problems += _check_choice(word)
            groups[word.key] = word.text.lstrip("+")
        else:
            values.append(word)
    return groups, values, tuned, problems


def _check_choice(word: Word) -> list[Problem]:
    group = word.key.split("@")[0]
    names = files.options(group)
    problems = []
    if isinstance(word.value, list) and group not in ("logger", "experiment"):
        return [Problem(word.key, f"takes one choice, not {word.value}", "", str(COMMAND_LINE))]
    choices = word.value if isinstance(word.value, list) else [word.value]
    again = [choice for index, choice in enumerate(choices) if choice in choices[:index]]
    problems += [Problem(word.key, f"names {show(choice)} more than once", "", str(COMMAND_LINE)) for choice in again]
    for choice in choices:
        if choice in names:
            continue
        hint = f"rlzoo list {group}s shows all" if group in ("algo", "env") else f"one of: {', '.join(names)}"
        if group == "env":
            unit = next((each.unit for each in assignments() if each.env is None and choice in each.env_ids), None)
            if unit is not None:
                message = f"{choice}, of unit {unit} of the course, is nothing that rlzoo plays yet"
                problems.append(Problem(word.key, message, "", str(COMMAND_LINE)))
                continue
            hint = f"any registered environment by its id, a package's own too: env=package:Id-v0; {hint}"
        if group == "algo":
            hint = f"your own class: algo=custom algo.name=package.module:Class; {hint}"
        message = f"unknown {group} {choice!r}{did_you_mean(str(choice), names)}"
        problems.append(Problem(word.key, message, hint, str(COMMAND_LINE)))
    return problems


def _defaults(
    command: str, groups: dict[str, str], problems: list[Problem]
) -> tuple[list[tuple[str, str]], dict[str, Any], dict[str, str | None]]:
    """The files of the defaults list as (config path, package). A choice with a problem is left at its default."""
    from rlzoo.config.hydra_config import defaults_list

    bad = {problem.key for problem in problems}
    words = [text for key, text in groups.items() if key not in bad]
    try:
        return defaults_list(command, words)
    except RlzooError as error:
        raise ConfigError([*problems, Problem("", error.message, error.hint)]) from error


def _tuned_file(tuned: str, choices: dict[str, Any]) -> tuple[str, list[Problem]]:
    """The tuned set that `hyperparams=` names, as a config path or a file's path; empty if it names none."""
    algo, env = choices.get("algo"), choices.get("env")
    names = files.options("hyperparams")
    if tuned in ("auto", "none"):
        return "", []
    if tuned == "required":
        if f"{algo}/{env}" in names or f"{algo}/{choices.get('family@_global_')}" in names:
            return "", []
        message = f"there is no tuned set for {algo}/{env}{did_you_mean(f'{algo}/{env}', names)}"
        return "", [Problem("hyperparams", message, "rlzoo list hyperparams shows all", str(COMMAND_LINE))]
    named = tuned.partition("/")
    for name in (tuned, f"{named[0]}/{env_names.name_of(named[2])}"):
        if name in names:
            return f"hyperparams/{name}", []
    if tuned.endswith((".yaml", ".yml")) and at_home(tuned).is_file():
        return tuned, []
    message = f"there is no tuned set {tuned!r}{did_you_mean(tuned, names)}"
    hint = "auto, required, none, <algo>/<name> or the path of a YAML file; rlzoo list hyperparams shows all"
    return "", [Problem("hyperparams", message, hint, str(COMMAND_LINE))]


def _insert_tuned(
    entries: list[tuple[str, str]], tuned: str, tuned_name: str, choices: dict[str, Any]
) -> list[tuple[str, str]]:
    """The entries with the tuned sets asked for: none at all, or a named one in the place of the environment's own."""
    entries = list(dict.fromkeys(entries))
    if tuned == "none":
        return [entry for entry in entries if not entry[0].startswith("hyperparams/")]
    if not tuned_name:
        return entries
    own = f"hyperparams/{choices.get('algo')}/{choices.get('env')}"
    kept = [entry for entry in entries if entry[0] != own]
    after = max(i for i, (path, _) in enumerate(kept) if not path.startswith("experiment/"))
    return [*kept[: after + 1], (tuned_name, ""), *kept[after + 1 :]]


def _tuned_notice(tuned: str, choices: dict[str, Any], applied: list[str]) -> list[str]:
    if applied or tuned == "none":
        return []
    return [f"no tuned hyperparameters for {choices.get('algo')}/{choices.get('env')}: algorithm defaults"]


def _apply(tree: Tree, word: Word) -> list[Problem]:
    """Lay one word over the tree."""
    if word.delete:
        if tree.delete(word.path):
            return []
        return [Problem(word.key, "is not there to remove", "", str(COMMAND_LINE))]
    parent: Any = tree.values
    for index, key in enumerate(word.path[:-1]):
        parent = parent.get(key) if isinstance(parent, dict) else None
        if parent is not None and not isinstance(parent, dict):
            if is_section(word.path[: index + 1]):
                break  # a keyword mapping that is null so far
            above = ".".join(word.path[: index + 1])
            message = f"{above} is a single value, {parent!r}; it has no {word.path[index + 1]!r}"
            return [Problem(word.key, message, f"replace it whole: {above}=…", str(COMMAND_LINE))]
    there = parent.get(word.path[-1]) if isinstance(parent, dict) else None
    if word.value == {} and isinstance(there, dict) and there and is_section(word.path):
        message = f"{{}} changes nothing: it is laid over what is there, {', '.join(there)}"
        return [Problem(word.key, message, f"to take one out: ~{word.key}.{next(iter(there))}", str(COMMAND_LINE))]
    tree.set(word.path, word.value)
    return []


def _strings(value: Any, path: KeyPath) -> list[tuple[KeyPath, str]]:
    if isinstance(value, str):
        return [(path, value)]
    if isinstance(value, dict):
        return [found for key, child in value.items() for found in _strings(child, (*path, str(key)))]
    if isinstance(value, list):
        return [found for index, child in enumerate(value) for found in _strings(child, (*path, str(index)))]
    return []
