"""`rlzoo doctor`: what is installed and what is missing, each with the line that fixes it."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from rlzoo.cli.command import Answer, Entry
from rlzoo.errors import ExitCode, RlzooError, clean

if TYPE_CHECKING:
    from rlzoo.cli.main import Arguments


def _doctor(arguments: Arguments) -> Answer:
    from rlzoo.doctor import doctor

    settings = dict(word.partition("=")[::2] for word in arguments.words)
    if set(settings) - {"runs_dir"} or not all(settings.values()):
        raise RlzooError(f"rlzoo doctor does not take {' '.join(arguments.words)!r}", "rlzoo doctor [runs_dir=…]")
    if not arguments.json:
        print("loading every package, which takes some seconds", file=sys.stderr, flush=True)
    checks = doctor.examine(settings.get("runs_dir", "runs"))
    is_broken = doctor.is_broken(checks)
    rows = [
        {key: clean(value) if isinstance(value, str) else value for key, value in asdict(c).items()} for c in checks
    ]
    code = ExitCode.MISSING if is_broken else ExitCode.DONE
    return Answer({"ok": not is_broken, "checks": rows}, lambda: doctor.show(checks), code)


main = Entry(_doctor)  # it reads its words itself, as what reads those of others may be what is broken
