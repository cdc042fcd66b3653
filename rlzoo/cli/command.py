"""What every command does alike: it reads its words, closed to all that it does not know, and prints what it found."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import nullcontext, redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from rlzoo.cli import commands
from rlzoo.config.overrides import key_of
from rlzoo.errors import ExitCode

if TYPE_CHECKING:
    from rlzoo.cli.main import Arguments
    from rlzoo.config.compose import Composition, Problems

T = TypeVar("T")


@dataclass(frozen=True)
class Answer:
    """What a command found.

    Attributes:
        data: for programs, as `--json` prints it, or what makes it: a learned table can have millions of numbers.
        show: prints it for people; it may return the exit code.
        code: the exit code otherwise.
        allow_nan: it holds what somebody has configured, in which there may be numbers that JSON does not have.
    """

    data: Any
    show: Callable[[], ExitCode | None]
    code: ExitCode = ExitCode.DONE
    allow_nan: bool = False


@dataclass(frozen=True)
class Call(Generic[T]):
    """How a command was called.

    Attributes:
        options: its settings.
        apart: words that are not settings: changes to an environment, paths of runs.
        settings: their values, and where each comes from.
    """

    options: T
    apart: list[str]
    settings: Composition

    def typed(self, key: str) -> Any:
        """The value of a setting if it was typed; None of a default."""
        return getattr(self.options, key) if self.settings.typed(key) else None


@dataclass(frozen=True)
class Entry:
    """A command: called with its arguments it prints what it found and returns the exit code.

    Attributes:
        answer: what it does.
        schema: what its settings are; None of a command that is open: it reads its words itself.
        file: the name of the YAML file with their defaults and meanings.
    """

    answer: Callable[[Arguments], Answer | int]
    schema: type[Any] | None = None
    file: str = ""

    def __call__(self, arguments: Arguments) -> int:
        stdout = sys.stdout
        with redirect_stdout(sys.stderr) if arguments.json else nullcontext():  # where environments print
            found = self.answer(arguments)
            if not isinstance(found, Answer):
                return found
            if arguments.json:
                data = found.data() if callable(found.data) else found.data
                print(json.dumps(data, allow_nan=found.allow_nan), file=stdout)
                return found.code
        return found.show() or found.code


def command(
    schema: type[T],
    *,
    problems: Problems | None = None,
    apart: Callable[[str], bool] | None = None,
    has_groups: bool = False,
    file: str = "",
) -> Callable[[Callable[[Call[T]], Answer | int]], Entry]:
    """Make a command of a function: its words are settings that `schema` has, and nothing else.

    Args:
        schema: a frozen dataclass without defaults: the keys of the YAML file, and what each takes.
        problems: what else is wrong with the values.
        apart: which words are not settings.
        has_groups: see `config.compose.override`.
        file: the name of the YAML file; by default that of the module.
    """

    def make(function: Callable[[Call[T]], Answer | int]) -> Entry:
        name = file or function.__module__.rpartition(".")[2].replace("_", "-")

        def answer(arguments: Arguments) -> Answer | int:
            from rlzoo.config.compose import read_words

            others = [word for word in arguments.words if apart is not None and apart(word)]
            words = [word for word in arguments.words if word not in others]
            options, settings = read_words(name, words, schema, problems, has_groups=has_groups)
            return function(Call(options, others, settings))

        return Entry(answer, schema, name)

    return make


def is_about_env(word: str) -> bool:
    """Whether a word changes the environment that is played in: `env.kwargs.gravity=-5`."""
    return key_of(word).startswith("env.")


def find_command(name: str) -> Entry:
    """A command by its name."""
    entry = import_module(f"{commands.__name__}.{name.replace('-', '_').replace(' ', '_')}").main
    assert isinstance(entry, Entry), f"main of rlzoo {name} is to be made by `command`, or is an `Entry` that is open"
    return entry


def schemas() -> dict[str, type[Any]]:
    """What the settings are of every command whose words are all in its own file, by the name of that."""
    mains = (import_module(f"{commands.__name__}.{found.name}").main for found in iter_modules(commands.__path__))
    return {main.file: main.schema for main in mains if main.schema is not None}
