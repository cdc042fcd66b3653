"""`rlzoo tune report`: what a study found, as a page with pictures; the study is not changed."""

from __future__ import annotations

from contextlib import nullcontext

from rlzoo.cli.command import Answer, Call, command
from rlzoo.config.paths import at_home
from rlzoo.config.tune_schema import TuneReportConfig
from rlzoo.console import say


@command(TuneReportConfig)
def main(call: Call[TuneReportConfig]) -> Answer:
    from rlzoo.tuning.report import show, write
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
    data = {**as_data(report, shares.as_data()), **written.as_data()}
    return Answer(data, lambda: show(report, written, config.n))
