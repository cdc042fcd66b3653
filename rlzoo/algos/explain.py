"""What an algorithm is, what its hyperparameters mean and where to read it: `rlzoo show algo=<name>`.

Meanings and defaults are those of `conf/algo/<name>.yaml`. No algorithm is imported: a class is looked for in sources.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rlzoo import registry
from rlzoo.algos import specs
from rlzoo.algos.schema.check import find_signature
from rlzoo.algos.schema.compile import RANGES
from rlzoo.algos.specs import AlgoSpec
from rlzoo.config import files
from rlzoo.config.fields import Field
from rlzoo.config.files import read_choice, read_comments
from rlzoo.config.paths import root
from rlzoo.console import print_lines, print_pairs, print_table
from rlzoo.redaction import redact_values

ENVS = ("CartPole", "FrozenLake", "Pendulum")
"""What examples show, if the algorithm can learn there; one of them fits nearly every one."""
UNSET = "???"
CUSTOM = "algo.name=package.module:Class"


@dataclass(frozen=True)
class Hyperparameter:
    """One key of an algorithm: its default, the range of numbers it takes (empty if there is none), its meaning."""

    name: str
    default: Any
    range: str
    meaning: str


@dataclass(frozen=True)
class Explanation:
    """One algorithm.

    Attributes:
        algo: what `algo=` takes.
        name: the algorithm that this runs; another one in a file of the user's that builds on it.
        summary: one line.
        aliases: other names that `algo=` takes.
        backend: whose class it is: sb3, sb3_contrib, rlzoo or custom.
        entry_point: the class, as `"package.module:Class"`; empty where it is still to be named.
        file: where the class is written; empty if that was not found.
        settings: the YAML file with the keys.
        page: its page in the documentation; empty if there is none.
        paper: where it was published.
        family: on_policy, off_policy, evolution, tabular or custom.
        observation_spaces: kinds of observation space; empty if any.
        action_spaces: kinds of action space; empty if that is not known.
        recurrent: its policy has a memory.
        masked: it takes masks of the valid actions.
        offline: it learns from a dataset.
        hyperparameters: in the order of the YAML.
        tuned_sets: environments, and families of them, that have a tuned set.
        commands: what each does, by the command.
    """

    algo: str
    name: str
    summary: str
    aliases: tuple[str, ...]
    backend: str
    entry_point: str
    file: str
    settings: str
    page: str
    paper: str
    family: str
    observation_spaces: tuple[str, ...]
    action_spaces: tuple[str, ...]
    recurrent: bool
    masked: bool
    offline: bool
    hyperparameters: tuple[Hyperparameter, ...]
    tuned_sets: tuple[str, ...]
    commands: dict[str, str]

    def show(self) -> None:
        """Print it for people."""
        rows = [(row.name, as_yaml(row.default), row.range, row.meaning) for row in self.hyperparameters]
        print_pairs([(self.algo, self.summary)])
        print()
        print_pairs([(name, value) for name, value in self._facts().items() if value])
        print_table(("hyperparameter", "default", "range", "meaning"), rows)
        width = max(map(len, self.commands))
        for command, what in self.commands.items():
            print_lines(f"  {command:{width}}  # {what}")

    def _facts(self) -> dict[str, str]:
        """What is said before the hyperparameters; what is empty does not apply."""
        flags = {
            "its policy has a memory": self.recurrent,
            "takes masks of the valid actions": self.masked,
            "learns from a dataset": self.offline,
        }
        backends = {"sb3": "of Stable-Baselines3", "sb3_contrib": "of sb3-contrib", "rlzoo": "of rlzoo itself"}
        is_custom = self.backend == "custom"
        entry_point = self.entry_point if is_custom else self.entry_point.partition(":")[2]
        tuned = (f"{name} (every game)" if name == "atari" else name for name in self.tuned_sets)
        spaces = "what its class takes" if is_custom else "any that its networks take"
        return {
            "also called": ", ".join(self.aliases),
            "runs": self.name if self.name not in (self.algo, self.entry_point) else "",
            "class": f"{entry_point} {backends.get(self.backend, '')}".strip(),
            "file": self.file,
            "settings": self.settings,
            "page": self.page,
            "paper": self.paper,
            "kind": ", ".join([self.family.replace("_", "-"), *(flag for flag, holds in flags.items() if holds)]),
            "observations": ", ".join(self.observation_spaces) or spaces,
            "actions": ", ".join(self.action_spaces) or spaces,
            "tuned for": ", ".join(tuned) or "no environment yet",
        }


def is_known(algo: str) -> bool:
    """Whether there is something to explain: a choice of `algo=`, or an alias of one."""
    return algo in specs.ALIASES or algo in files.options("algo")


def explain(algo: str) -> Explanation:
    """Explain a choice of `algo=`, rlzoo's own, a plugin's or the user's.

    Raises:
        RlzooError: if its file cannot be read, or names an algorithm that there is not.
    """
    algo = specs.ALIASES.get(algo, algo)
    values = read_choice("algo", algo)
    name = str(values.get("name", algo))
    spec = _UNSET_SPEC if name == UNSET else specs.find_spec(name)
    registry.allow_imports(registry.modules_named({"algo": values}))
    source = find_class(spec.entry_point)
    found = files.find(f"algo/{algo}")
    page = root() / "docs" / "algorithms" / f"{algo}.md"
    tuned = tuple(path.partition("/")[2] for path in files.options("hyperparams") if path.startswith(f"{algo}/"))
    return Explanation(
        algo=algo,
        name=spec.name,
        summary=spec.summary,
        aliases=spec.aliases,
        backend=spec.backend,
        entry_point=spec.entry_point,
        file=_openable(source) if source else "",
        settings=_openable(found.path) if found else "",
        page=_openable(page) if page.is_file() else "",
        paper=spec.paper,
        family=spec.family,
        observation_spaces=spec.observation_spaces,
        action_spaces=spec.action_spaces,
        recurrent=spec.recurrent,
        masked=spec.masked,
        offline=spec.offline,
        hyperparameters=_hyperparameters(algo, values, spec),
        tuned_sets=tuned,
        commands=_commands(algo, spec, tuned),
    )


def _openable(path: Path) -> str:
    """A path that opens where the user is."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


_UNSET_SPEC = AlgoSpec("", "", "custom", "custom", (), f"a class of your own: {CUSTOM}")


def _hyperparameters(algo: str, values: dict[str, Any], spec: AlgoSpec) -> tuple[Hyperparameter, ...]:
    meanings = read_comments("algo", algo)
    by_name = {key: Field("any", **RANGES.get(("*", key), {})) for key in values}  # what a class of others can be told
    known = by_name if spec.backend == "custom" else {**by_name, **find_signature(spec).keywords}
    return tuple(
        Hyperparameter(
            key, value, "true, false" if isinstance(value, bool) else known[key].short_range, meanings.get(key, "")
        )
        for key, value in redact_values(values).items()
        if key != "name" or value == UNSET
    )


def as_yaml(value: object) -> str:
    """A default as a YAML file or the command line says it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {as_yaml(child)}" for key, child in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(as_yaml, value)) + "]"
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return str(value)


def _commands(algo: str, spec: AlgoSpec, tuned: tuple[str, ...]) -> dict[str, str]:
    env = _example(spec, tuned)
    words = f"algo={algo} {'' if spec.name else CUSTOM + ' '}env={env}"
    return {
        f"rlzoo train {words}": "train it" + (", with the tuned set" if env in tuned else ""),
        f"rlzoo show {words}": "every value, and where it comes from",
    }


def _example(spec: AlgoSpec, tuned: tuple[str, ...]) -> str:
    """An environment that the algorithm can learn in, if possible one with a tuned set."""
    names = files.options("env")
    known = [env for env in (*ENVS, *tuned) if env in names]
    return next((env for env in known if env in tuned), None) or next(env for env in known if _fits(spec, env))


def _fits(spec: AlgoSpec, env: str) -> bool:
    values = read_choice("env", env)
    spaces = ((values["observation_space"], spec.observation_spaces), (values["action_space"], spec.action_spaces))
    return all(not kinds or str(space).partition("(")[0] in kinds for space, kinds in spaces)


def find_class(reference: str) -> Path | None:
    """The file in which the class of `"package.module:Class"` is written, found without importing anything.

    A class that a package passes on (`from package.module import Class`) is followed to where it is written.
    """
    module, _, name = reference.partition(":")
    for _ in range(8):  # more than any package passes a class on
        file = _module_file(module)
        if file is None:
            return None
        tree = ast.parse(file.read_text(encoding="utf-8"))
        if any(isinstance(node, ast.ClassDef) and node.name == name for node in tree.body):
            return file
        imports = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module and not node.level]
        passed = {alias.asname or alias.name: (node, alias) for node in imports for alias in node.names}
        if name not in passed:
            return None
        module, name = str(passed[name][0].module), passed[name][1].name
    return None


def _module_file(module: str) -> Path | None:
    top, *below = module.split(".")
    spec = find_spec(top) if top.isidentifier() else None  # of a package inside another it would import the outer one
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent.joinpath(*below) if below else Path(spec.origin)
    return next((file for file in (path, path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)
