"""`rlzoo validate`: check configuration files and say what is wrong in a table."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rlzoo.cli.validate import validate
from rlzoo.console import print_lines
from rlzoo.errors import ExitCode

if TYPE_CHECKING:
    from rlzoo.cli.main import Arguments


def main(arguments: Arguments) -> int:
    count, findings = validate([Path(word) for word in arguments.words])
    if arguments.json:
        print(json.dumps({"files": count, "findings": [asdict(finding) for finding in findings]}))
    elif findings:
        from rlzoo.console import print_table

        rows = [(finding.file, finding.key, finding.problem, finding.value) for finding in findings]
        print_table(("file", "key", "problem", "value"), rows)
        print_lines(f"{len(findings)} problems in {count} files")
    else:
        print_lines(f"{count} files checked, no problems")
    return ExitCode.WRONG_REQUEST if findings else ExitCode.DONE
