"""What a user sees when something is wrong: what, where and what to do, with an exit code.

Standard library only: this module is imported before anything else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of the `rlzoo` command."""

    DONE = 0
    BUG = 1
    WRONG_REQUEST = 2
    MISSING = 3
    TRAINING_FAILED = 4
    STORAGE = 5
    HUB = 6
    UNSAFE = 7
    INTERRUPTED = 130
    TERMINATED = 143


class RlzooError(Exception):
    """A failure that is explained to the user without a traceback.

    Args:
        message: what happened, in one sentence.
        hint: what to do about it.
        code: the exit code of the command.
    """

    def __init__(self, message: str, hint: str = "", code: ExitCode = ExitCode.WRONG_REQUEST) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


@dataclass(frozen=True)
class Problem:
    """One mistake in a request.

    `key` is the dotted config key (empty if it concerns the whole request), `message` says what is wrong with its
    value and what is allowed, `hint` what to do, `where` the file and line (or "command line") the value came from.
    `missing` marks a package or a ROM that has to be installed, which ends with exit code 3 instead of 2.
    """

    key: str
    message: str
    hint: str = ""
    where: str = ""
    missing: bool = False

    def __str__(self) -> str:
        head = f"{self.key}: {self.message}" if self.key else self.message
        where = f" [{self.where}]" if self.where else ""
        hint = f"\n    {self.hint}" if self.hint else ""
        return f"{head}{where}{hint}"


class ConfigError(RlzooError):
    """Everything that is wrong with a request, found before any work has started."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        code = ExitCode.MISSING if all(problem.missing for problem in problems) else ExitCode.WRONG_REQUEST
        lines = "\n".join(f"  {problem}" for problem in problems)
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__(f"{count} with this request:\n{lines}", code=code)
