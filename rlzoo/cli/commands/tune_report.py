"""`rlzoo tune report`: what a study found, as a page with pictures; the study is not changed."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from rlzoo.cli.command import Answer, Call, command
from rlzoo.config.paths import at_home
from rlzoo.config.tune_schema import TuneReportConfig
from rlzoo.console import print_pairs, print_table, say

if TYPE_CHECKING:
    from rlzoo.tuning.report import Written
    from rlzoo.tuning.report.data import Report


@command(TuneReportConfig)
def main(call: Call[TuneReportConfig]) -> Answer:
    from rlzoo.tuning.report import write
    from rlzoo.tuning.report.data import as_data, collect, importance
    from rlzoo.tuning.storage.read import made_sense_of

    config = call.options
    report = collect(config.study, config.studies_dir, config.storage)
    folder = at_home(config.folder) if config.folder else report.folder / "report"
    with made_sense_of(report.storage) if report.foreign else nullcontext():
        shares = importance(report)
        written = write(report, shares, folder)
    if report.foreign:
        say(f"note: {report.folder} was not begun here: {report.storage} is read, as data, and no other storage")
    data = {**as_data(report, shares.as_data()), **_files(written)}
    return Answer(data, lambda: _print(report, written, config.n))


def _files(written: Written) -> dict[str, object]:
    pictures = {name: str(path) for name, path in written.pictures.items()}
    return {"report": str(written.page), "pictures": pictures, "not_drawn": written.not_drawn}


def _print(report: Report, written: Written, n: int) -> None:
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
