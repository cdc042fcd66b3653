"""The report of a study: one page with everything in it, and its pictures as files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rlzoo import contained
from rlzoo.console import print_pairs, print_table, say
from rlzoo.errors import ExitCode, RlzooError

if TYPE_CHECKING:
    from rlzoo.tuning.report.data import Importance, Report
    from rlzoo.tuning.report.pictures import Picture

PAGE = "report.html"
INSTALL = 'pip install "hydra-rlzoo[plot]"'


class Written(NamedTuple):
    """What was written.

    Attributes:
        page: the HTML.
        pictures: the PNGs by name.
        not_drawn: why there is no picture, by name.
        missing: what is said where pictures cannot be drawn at all.
    """

    page: Path
    pictures: dict[str, Path]
    not_drawn: dict[str, str]
    missing: str = ""

    def as_data(self) -> dict[str, object]:
        """For programs."""
        pictures = {name: str(path) for name, path in self.pictures.items()}
        return {"report": str(self.page), "pictures": pictures, "not_drawn": self.not_drawn}


def write(report: Report, importance: Importance, folder: Path) -> Written:
    """Draw a report and write it into a folder; what an earlier one left there is replaced.

    Without matplotlib it has no pictures, and says so.

    Raises:
        RlzooError: if it cannot be written, with exit code 7 if a link would lead out of a study's folder.
    """
    from rlzoo.tuning.report.page import page
    from rlzoo.tuning.report.pictures import NAMES, draw

    contained.require_way(folder / PAGE)
    missing = "" if find_spec("matplotlib") else f"Pictures need matplotlib: {INSTALL}"
    pictures: Sequence[Picture] = [] if missing else draw(report, importance)
    text = page(report, pictures, missing)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        found = {}
        for name in NAMES:
            path = folder / f"{name}.png"
            png = next((each.png for each in pictures if each.name == name), None)
            if png is None:
                path.unlink(missing_ok=True)  # of an earlier report
            else:
                _replace(path, png)
                found[name] = path
        _replace(folder / PAGE, text.encode())
    except OSError as error:
        hint = "is there room, and may you write there? folder= names another place"
        raise RlzooError(f"cannot write the report to {folder}: {error.strerror}", hint, ExitCode.STORAGE) from error
    reasons = {each.name: each.reason for each in pictures if each.png is None}
    return Written(folder / PAGE, found, reasons, missing)


def show(report: Report, written: Written, n: int) -> None:
    """Print the `n` best trials of a report, what went wrong, and where the page is."""
    from rlzoo.tuning.final import print_final, spent

    second = [report.second] if report.second else []
    columns = ("trial", "score", *second, "values")
    rows = [
        (
            each.number,
            each.score,
            *([each.second] if second else []),
            " ".join(f"{name}={cell.text}" for name, cell in each.values.items()),
        )
        for each in report.best[:n]
    ]
    if rows:
        print_table(columns, rows, title="Pareto front" if second else "best trials")
    if report.comparison is not None:
        print_final(report.comparison.final, report.second, report.comparison.verdict)
    if report.failed:
        print_table(("trial", "error"), [(each.number, each.note) for each in report.failed[:n]], title="failures")
    for name, reason in written.not_drawn.items():
        say(f"not drawn: {name}: {reason}")
    if written.missing:
        say(f"note: {written.missing}")
    print_pairs(
        [
            ("trials", ", ".join(f"{count} {name}" for name, count in report.counts.items()) or "none yet"),
            ("finished", f"{report.n_finished} of {report.n_trials}"),
            ("search cost", spent(report.cost)),
            ("report", written.page),
        ]
    )


def _replace(path: Path, data: bytes) -> None:
    """Whoever looks sees the old file or the new one, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with contained.opened(temporary, "wb") as file:
            file.write(data)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
