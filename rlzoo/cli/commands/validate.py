"""`rlzoo validate`: check configuration files and say what is wrong in a table."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rlzoo.cli.command import Answer, Entry
from rlzoo.cli.validate import validate
from rlzoo.console import print_lines, print_table
from rlzoo.errors import ExitCode

if TYPE_CHECKING:
    from rlzoo.cli.main import Arguments


def _validate(arguments: Arguments) -> Answer:
    count, findings = validate([Path(word) for word in arguments.words])
    code = ExitCode.WRONG_REQUEST if findings else ExitCode.DONE
    data = {"files": count, "findings": [asdict(finding) for finding in findings]}

    def show() -> None:
        if findings:
            rows = [(finding.file, finding.key, finding.problem, finding.value) for finding in findings]
            print_table(("file", "key", "problem", "value"), rows)
        print_lines(f"{len(findings)} problems in {count} files" if findings else f"{count} files checked, no problems")

    return Answer(data, show, code)


main = Entry(_validate)
