"""What a user sees when something is wrong: what, where and what to do, with an exit code.

Standard library only: this module is imported before anything else.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from types import CodeType
from typing import Any, NamedTuple

from rlzoo.redaction import hanging, one_line, printable, redact

MAX_LINE = 1000
"""Characters of one line that is shown: enough for every list of names, while a value can be a whole file."""
_PACKAGES = ("site-packages", "dist-packages")
_LIBRARIES = ("gymnasium", "numpy", "stable_baselines3", "sb3_contrib", "torch")
"""Installed packages that an environment uses, while others may be the environment."""
MAX_PROBLEMS = 50
"""Problems that are shown at once."""


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
    HUNG_UP = 129
    INTERRUPTED = 130
    TERMINATED = 143


BY_SIGNAL = (ExitCode.INTERRUPTED, ExitCode.TERMINATED, ExitCode.HUNG_UP)
"""Exit codes of what a signal has ended."""


def ending_signals() -> tuple[signal.Signals, ...]:
    """Ctrl-C, SIGTERM, CPU time that is up (SIGXCPU), and a terminal that closes (SIGHUP).

    What was inherited as ignored stays so: SIGHUP, by which `nohup` lets a command outlive its terminal, and SIGINT of
    what a script runs in the background, where a Ctrl-C is for what is in the foreground.
    """
    found = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGXCPU", "SIGHUP") if hasattr(signal, name)]
    return tuple(number for number in found if signal.getsignal(number) != signal.SIG_IGN)


def code_of_signal(number: int | None) -> ExitCode:
    """130 for Ctrl-C, 129 for a terminal that has closed, 143 for SIGTERM and all that mean the same."""
    codes = {signal.SIGINT: ExitCode.INTERRUPTED, getattr(signal, "SIGHUP", -1): ExitCode.HUNG_UP}
    return codes.get(-1 if number is None else number, ExitCode.TERMINATED)


class RlzooError(Exception):
    """A failure that is explained to the user without a traceback.

    Args:
        message: what happened, in one sentence.
        hint: what to do about it.
        code: the exit code of the command.
    """

    def __init__(self, message: str, hint: str = "", code: ExitCode = ExitCode.WRONG_REQUEST) -> None:
        self.message = "\n".join(shorten(line, MAX_LINE) for line in hanging(clean(message)).split("\n"))
        self.hint = shorten(hanging(clean(hint)), MAX_LINE)
        super().__init__(self.message)
        self.code = code

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


class Problem(NamedTuple):
    """One mistake in a request.

    `key` is the dotted config key (empty if it concerns the whole request), `message` says what is wrong with its
    value and what is allowed, `hint` what to do, `where` the file and line (or "command line") the value came from.
    `code` is the exit code, if no other problem has another: that of a package or a ROM that has to be installed, say.
    """

    key: str
    message: str
    hint: str = ""
    where: str = ""
    code: ExitCode = ExitCode.WRONG_REQUEST

    @property
    def missing(self) -> bool:
        """Whether something has to be installed, and the request may be right."""
        return self.code is ExitCode.MISSING

    def __str__(self) -> str:
        head = shorten(one_line(f"{self.key}: {self.message}" if self.key else self.message), MAX_LINE - 200)
        where = f" [{one_line(self.where)}]" if self.where else ""
        hint = f"\n    {one_line(self.hint)}" if self.hint else ""
        return f"{head}{where}{hint}"


class ConfigError(RlzooError):
    """Everything that is wrong with a request, found before any work has started."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        lines = "\n".join(f"  {problem}" for problem in problems[:MAX_PROBLEMS])
        more = f"\n  and {len(problems) - MAX_PROBLEMS} more" if len(problems) > MAX_PROBLEMS else ""
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__(f"{count} with this request:\n{lines}{more}", code=code_of(problems))


def code_of(problems: Sequence[Problem]) -> ExitCode:
    """The exit code that all problems have, else that of a wrong request."""
    codes = {problem.code for problem in problems}
    return codes.pop() if len(codes) == 1 else ExitCode.WRONG_REQUEST


class Interrupted(KeyboardInterrupt):
    """Raised by a handler of SIGINT that `tells` it from a KeyboardInterrupt that other code makes up."""


class Left(SystemExit):
    """Raised in place of what would have ended the process at once.

    Args:
        function: what was called: `os._exit`.
        given: what it was called with.
    """

    def __init__(self, function: str, *given: object) -> None:
        super().__init__(*given[:1])
        self.function = function


def is_foreign(error: BaseException) -> bool:
    """Whether the code of others has raised this by itself: anything, `SystemExit` too, but nothing a signal raised."""
    if type(error) is KeyboardInterrupt:
        return bool(getattr(signal.getsignal(signal.SIGINT), "tells", False))
    return isinstance(error, Exception | SystemExit) or not type(error).__module__.startswith("rlzoo.")


@contextmanager
def before_work(what: str) -> Iterator[None]:
    """What fails within it is a wrong request, whoever's fault that is, as no work has begun."""
    try:
        yield
    except BaseException as error:
        if not is_foreign(error) or (isinstance(error, RlzooError) and error.code is not ExitCode.TRAINING_FAILED):
            raise
        told = error if isinstance(error, RlzooError) else RlzooError(f"{what} failed: {said(error)}")
        raise RlzooError(told.message, told.hint) from error


def said(error: BaseException) -> str:
    """An error of the code of others in one line: its class, its words, and its author's line."""
    line = author_line(error)
    name = f"{exit_function(error)} was called" if isinstance(error, SystemExit) else type(error).__name__
    words = words_of(error)
    return f"{name}{f': {words}' if words else ''}{f' ({line})' if line else ''}"


def exit_function(error: BaseException) -> str:
    """What was called that raised it."""
    return error.function if isinstance(error, Left) else "sys.exit"


def words_of(error: BaseException) -> str:
    """What an error of the code of others says, in one line."""
    try:
        return " ".join(str(error).split())
    except (Exception, SystemExit) as another:
        return f"its __str__ raises {type(another).__name__}"


def author_line(error: BaseException) -> str | None:
    """`file:line` where the code of a user's own raised an error, or called what raised it; None without any frame.

    That is its innermost frame outside of rlzoo, installed packages and Python's own library. Where there is none, as
    for an environment that was installed, it is the innermost one of that package. An error that was raised again in
    another's name counts with the one before.
    """
    frames: list[tuple[str, int]] = []
    for each in _chain(error):
        trace = each.__traceback__
        while trace is not None:
            frames.append((trace.tb_frame.f_code.co_filename, trace.tb_lineno))
            trace = trace.tb_next
        if isinstance(each, SyntaxError) and each.filename and each.lineno:
            frames.append((each.filename, each.lineno))
        if any(distance(file) == 0 for file, _ in frames):
            break
    return author_frame(frames)


def author_frame(frames: Iterable[tuple[str, int]]) -> str | None:
    """`file:line` of the frame nearest to being the user's own; the innermost comes last."""
    found = {distance(file): line_in(file, line) for file, line in frames if not file.startswith("<frozen")}
    return found[min(found)] if found else None


def line_in(file: str, line: int) -> str:
    """`file:line`, the file as a person would write it."""
    return f"{relative(file)}:{line}"


_owned = False


def own_process() -> None:
    """Say that this process is a command's or a job's own, which may be ended where nothing else helps."""
    global _owned
    _owned = True


def owns_process() -> bool:
    """Whether that was said."""
    return _owned


def line_of(function: object) -> str | None:
    """`file:line` where a function or a method begins; None if it is none that is written in Python."""
    code = getattr(function, "__code__", None)
    return line_in(code.co_filename, code.co_firstlineno) if isinstance(code, CodeType) else None


def distance(file: str) -> int:
    """How far the code of a file is from being the user's own: 0 if it is, 3 if it is rlzoo's."""
    import sysconfig

    if file.startswith(os.path.abspath(__file__).removesuffix("errors.py")):  # noqa: PTH100
        return 3
    if file.startswith(("<frozen", "<string")):
        return 2
    parts = file.replace("\\", "/").split("/")
    above = next((index for index, part in enumerate(parts) if part in _PACKAGES), None)
    if above is not None:
        return 2 if parts[above + 1] in _LIBRARIES else 1
    return 2 if file.startswith((sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"))) else 0


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and not any(following is each for each in seen):
        seen.append(following)
        yield following
        following = following.__cause__ or following.__context__


def relative(file: str) -> str:
    """A path as a person would write it: relative to the current folder where it lies in it."""
    try:
        here = os.path.join(os.getcwd(), "")  # noqa: PTH109, PTH118
    except OSError:
        return file
    return file.removeprefix(here)


def clean(text: object) -> str:
    """Text without control characters, which could steer the terminal, and without secrets."""
    return redact(printable(str(text)))


def show(value: Any) -> str:
    """A value as it is written in YAML, shortened: `true`, `null`, `'text'`."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    try:
        return shorten(redact(repr(value)), 60)
    except ValueError:  # Python writes no whole number of more than 4300 digits
        return f"a number of {value.bit_length()} bits" if isinstance(value, int) else f"a {type(value).__name__}"


def shorten(text: str, limit: int) -> str:
    """Text of at most `limit` characters; where it is longer, its end is left out."""
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
