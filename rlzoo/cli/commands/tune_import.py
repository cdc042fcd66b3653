"""`rlzoo tune import`: a study begins with the best trials of another one, which is not changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlzoo.cli.command import Answer, Entry
from rlzoo.config.tune_schema import TuneImportConfig
from rlzoo.console import say

if TYPE_CHECKING:
    from rlzoo.cli.main import Arguments


def _import(arguments: Arguments) -> Answer:
    from rlzoo.tuning.import_trials import import_trials

    imported = import_trials(arguments.words, dry_run=arguments.dry_run)
    for note in dict.fromkeys(imported.notes):
        say(f"note: {note}")
    return Answer(imported.as_data, imported.show)


main = Entry(_import, TuneImportConfig, "tune-import")
