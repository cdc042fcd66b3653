"""`rlzoo validate`: check configuration files, or an environment, and say what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rlzoo.cli.command import Answer, Entry
from rlzoo.cli.validate import validate, validate_environment

if TYPE_CHECKING:
    from rlzoo.cli.main import Arguments


def _validate(arguments: Arguments) -> Answer:
    words = arguments.words
    is_env = any(word.startswith(("env=", "env.")) and "=" in word for word in words)
    report = validate_environment(words) if is_env else validate([Path(word) for word in words])
    return Answer(report.as_data(), report.show, report.code)


main = Entry(_validate)
