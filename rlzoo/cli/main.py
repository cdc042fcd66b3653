"""The `rlzoo` command: finds the subcommand, turns failures into messages and exit codes. Standard library only."""

from __future__ import annotations

import errno
import faulthandler
import gc
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NamedTuple

from rlzoo import __version__
from rlzoo.algos import lazy_dynamo
from rlzoo.cli.table import COMMANDS, FLAGS
from rlzoo.errors import ExitCode, Interrupted, RlzooError, clean, own_process, said
from rlzoo.processes import leaving
from rlzoo.redaction import coloured, hanging, redact
from rlzoo.registry import did_you_mean, leave_the_folder

HELP = """\
rlzoo {version}: train, evaluate and compare reinforcement-learning agents

usage: rlzoo <command> [words] [key=value ...] [options]

commands:
{commands}

options:
  --help           help on rlzoo, or on a command: rlzoo train --help
  --version        the version of rlzoo
  --json           output for programs (all but train and enjoy)
  -m, --multirun   run every combination of values: rlzoo train -m algo=ppo,a2c seed=range(0,5)
  --cfg job        print the composed configuration and stop (train)
  --dry-run        check everything, print what would run, and stop (train, tune)

first steps:
  rlzoo train algo=ppo env=CartPole
  rlzoo evaluate run=latest
  rlzoo record run=latest
  rlzoo train resume=latest    # resume after an interruption
"""


class Arguments(NamedTuple):
    """A command line, split: flags that rlzoo knows, and the words left for the command."""

    words: list[str]
    help: bool = False
    json: bool = False
    multirun: bool = False
    dry_run: bool = False
    config: bool = False


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. The one of this very process's command line ends the process."""
    if argv is not None:
        return _run(list(argv))
    gc.set_threshold(10_000)  # modules are not garbage: looking for some in them takes a tenth of a short training
    _own_process()
    try:
        code = _run(sys.argv[1:])
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = int(ExitCode.BUG)
    if leaving.has_last_word:
        leaving.leave(code)
    return code


def _run(arguments: list[str]) -> int:
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # a code page without "±" loses the sign, not the result
    try:
        _require_text(arguments)
        code = _dispatch(arguments)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except RlzooError as error:
        if os.environ.get("RLZOO_DEBUG"):
            raise
        _complain(f"rlzoo: {error}")
        return int(error.code)
    except KeyboardInterrupt:
        _complain("rlzoo: interrupted")
        return int(ExitCode.INTERRUPTED)
    except SystemExit as error:  # rlzoo has none
        _complain(f"rlzoo: {said(error)}")
        return int(ExitCode.TRAINING_FAILED)
    except BrokenPipeError:
        sys.stdout = None  # the reader (head, less) has gone; nothing is left to flush
        return 0
    except OSError as error:
        if os.environ.get("RLZOO_DEBUG"):
            raise
        closed = (
            "\n  code of others has closed a file of rlzoo's: look for os.close and os.closerange in the environment"
        )
        _complain(f"rlzoo: {error}{closed if error.errno == errno.EBADF else ''}")
        try:
            sys.stdout.flush()
        except OSError:
            sys.stdout = None  # it was the output that could not be written
        return int(ExitCode.STORAGE)


def _own_process() -> None:
    """What a command does with its process that a program which calls `main` does not want."""
    own_process()
    leaving.has_last_word = not (sys.gettrace() or sys.getprofile())  # who measures it says at the end what was found
    lazy_dynamo.install()
    leaving.refuse()
    with suppress(AttributeError, OSError, RuntimeError, ValueError):
        faulthandler.enable()  # where a library of an environment's crashes, the last words are the author's line
    for number in leaving.TIMERS.values():
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, _ring)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is ignored, as in the background
        signal.signal(signal.SIGINT, _interrupt)
    sys.excepthook, sys.unraisablehook = _complain_of_bug, leaving.say_unraisable
    warnings.formatwarning = _warning
    leave_the_folder()
    _keep_output_apart()
    for stream in filter(None, (sys.stdout, sys.stderr)):
        with suppress(AttributeError, OSError):
            stream.close = lambda: None  # nobody else's code closes it
            leaving.hold(stream.fileno())
    leaving.hold(1)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Interrupted


_interrupt.tells = True  # type: ignore[attr-defined]


def _ring(number: int, frame: FrameType | None) -> None:
    name = signal.Signals(number).name
    for timer, sends in leaving.TIMERS.items():
        if sends == number:
            signal.setitimer(timer, 0)
    while frame is not None and not frame.f_globals.get("__name__", "").startswith("rlzoo."):
        frame = frame.f_back
    if frame is None or not frame.f_globals["__name__"].startswith("rlzoo.envs."):
        return  # it interrupts nothing of whoever set the timer
    raise RuntimeError(f"{name} has come, which nothing handles: set its handler in the call that sets the timer")


def _keep_output_apart() -> None:
    """Give standard output to this process alone; what others, and libraries in C, write there goes to standard error.

    What the command prints stays whole, and whoever reads it up to its end waits for nobody else.
    """
    old: Any = sys.stdout
    try:
        own = os.dup(old.fileno())  # no program that is started from here inherits it
        os.dup2(sys.stderr.fileno(), old.fileno())
    except (AttributeError, OSError):
        return  # one of them is closed
    new = open(own, "w", encoding=old.encoding, errors=old.errors)  # noqa: PTH123, SIM115 - open to the end
    new.reconfigure(line_buffering=old.line_buffering, write_through=old.write_through)
    sys.stdout = new


def parse(argv: Sequence[str]) -> Arguments:
    """Split a command's arguments into known flags and words."""
    words: list[str] = []
    given: dict[str, bool] = {}
    flags = {"--help": "help", "-h": "help", "--json": "json", "-m": "multirun", "--multirun": "multirun"}
    flags |= {"--dry-run": "dry_run", "--cfg=job": "config"}
    rest = iter(argv)
    for argument in rest:
        if argument in flags:
            given[flags[argument]] = True
        elif argument in ("--cfg", "-c"):
            what = next(rest, None)
            if what == "job":
                given["config"] = True
            elif argument == "-c":  # other tools' option for a file
                words += [argument] if what is None else [argument, what]
            else:
                raise RlzooError(f"--cfg prints the configuration of a job, not {what!r}", "rlzoo train … --cfg job")
        else:
            key, equals, value = argument.partition("=")
            words.append(f"{key}{equals}{os.path.expanduser(value)}")  # noqa: PTH111 - shells expand no key=~/runs
    return Arguments(words, **given)


def _dispatch(argv: list[str]) -> int:
    if not argv or argv[0] in ("--help", "-h", "help"):
        from rlzoo.cli.columns import folded

        commands = "\n".join(f"  {name:14} {row.summary}" for name, row in COMMANDS.items())
        print(folded(HELP.format(version=__version__, commands=commands)), end="")
        return 0
    if argv[0] in ("--version", "-V"):
        print(f"rlzoo {__version__}")
        return 0
    name, rest = _command(argv)
    arguments = parse(rest)
    _require_current_folder()
    if arguments.help:
        from rlzoo.cli.help import print_help

        print_help(name, arguments.words)
        return 0
    for flag, attribute in FLAGS.items():
        if getattr(arguments, attribute) and flag not in COMMANDS[name].options:
            takers = sorted(
                (other for other, row in COMMANDS.items() if flag in row.options), key=lambda one: " " in one
            )
            raise RlzooError(f"rlzoo {name} has no option {flag}", f"it belongs to rlzoo {' | '.join(takers)}")
    from rlzoo.cli.command import find_command
    from rlzoo.config.overrides import require_clear
    from rlzoo.console import clean_library_logs

    for note in require_clear(name, arguments.words):
        _complain(f"note: {note}")
    clean_library_logs()
    return int(find_command(name)(arguments))


def _require_current_folder() -> None:
    try:
        Path.cwd()
    except FileNotFoundError as error:
        raise RlzooError("the current folder does not exist any more", "cd to one", ExitCode.STORAGE) from error


def _require_text(arguments: Sequence[str]) -> None:
    """Refuse names that are not in UTF-8: a file that holds one is no text, and cannot be read again."""
    for word in arguments:
        if any("\ud800" <= letter <= "\udfff" for letter in word):
            raise RlzooError(f"{word!a} holds bytes that are not UTF-8", "rename the file or folder")


def _command(argv: list[str]) -> tuple[str, list[str]]:
    """The name of the command, `tune report` if a word makes another of it, and what follows."""
    name, rest = argv[0], argv[1:]
    words = {other.partition(" ")[2]: other for other in COMMANDS if other.startswith(f"{name} ")}
    if name not in COMMANDS:
        names = [other for other in COMMANDS if " " not in other]
        raise RlzooError(f"unknown command {name!r}{did_you_mean(name, names)}", "rlzoo --help lists the commands")
    if not words or not rest or "=" in rest[0] or rest[0].startswith(("-", "~")):
        return name, rest
    if rest[0] not in words:
        hint = f"rlzoo {' | '.join([f'{name} key=value …', *words.values()])}"
        raise RlzooError(f"unknown word {rest[0]!r}{did_you_mean(rest[0], words)}", hint)
    return words[rest[0]], rest[1:]


def _complain(text: str) -> None:
    """Print to standard error, if anybody still reads it."""
    if sys.stderr is None:
        return
    try:
        print(clean(text), file=sys.stderr, flush=True)
    except OSError:
        sys.stderr = None  # else Python tries again at its very end, and ends with 120


def _warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """What a library warns of, which may be what a file or an environment says."""
    text = f"{filename}:{lineno}: {category.__name__}: {message}"
    return f"{hanging(redact(coloured(text)))}\n"


def _complain_of_bug(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What Python prints of an error that nothing expected, without secrets."""
    import traceback

    _complain("".join(traceback.format_exception(kind, error, trace)))
