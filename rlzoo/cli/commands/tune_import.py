"""`rlzoo tune import`: a study begins with the best trials of another one, which is not changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from rlzoo.cli.command import Answer, Entry
from rlzoo.config import paths
from rlzoo.config.compose import override
from rlzoo.config.overrides import key_of
from rlzoo.config.parse import check
from rlzoo.config.tune_schema import TuneImportConfig
from rlzoo.console import print_lines, print_table, say
from rlzoo.errors import ConfigError, Problem

if TYPE_CHECKING:
    from rlzoo.cli.main import Arguments
    from rlzoo.tuning.import_trials import Chosen, Source, Taken
    from rlzoo.tuning.request import TuneRequest

OWN_WORDS = tuple(field.name for field in fields(TuneImportConfig))


def _import(arguments: Arguments) -> Answer:
    from rlzoo.tuning.import_trials import append, choose, open_source
    from rlzoo.tuning.search import command

    config, request, words = _request(arguments.words)
    assert config.storage is not None
    source = open_source(config.storage, config.from_study)
    chosen = choose(source, request, config.n_best)
    taken: Sequence[Taken] = chosen.taken
    folder, notes = None, list(request.notices)
    if not arguments.dry_run:
        folder, taken, said = append(request, source, chosen)
        notes += said
    notes += _notes(source, chosen, taken, request)
    for note in dict.fromkeys(notes):
        say(f"note: {note}")

    def show() -> None:
        _print(source, taken, dry_run=folder is None)
        print_lines(f"to run {'it' if folder is None else folder}: {command(words).strip()}")

    return Answer(_as_data(source, chosen, taken, folder, command(words)), show)


main = Entry(_import, TuneImportConfig, "tune-import")


def _request(given: Sequence[str]) -> tuple[TuneImportConfig, TuneRequest, list[str]]:
    """What is to be imported, the request of the study that gets it, and the words of that.

    Raises:
        ConfigError: with everything that is wrong with the words.
    """
    from rlzoo.tuning.import_trials import WHERE
    from rlzoo.tuning.request import plan
    from rlzoo.tuning.samplers import name_of

    own = [word for word in given if key_of(word) in OWN_WORDS]
    asked = override(paths.root() / "conf" / "tune-import.yaml", own, has_groups=False)
    config, problems = check(TuneImportConfig, asked.values)
    problems = [asked.locate(problem) for problem in (*asked.problems, *problems)]
    if asked.values.get("storage") is None:
        problems.append(Problem("storage", "says where the other study is, and is missing", f"storage= takes {WHERE}"))
    words = [word for word in given if word not in own]
    if config is not None and config.into != "sqlite":
        words.append(f"storage={config.into}")
    try:
        request = plan(words)
    except ConfigError as error:
        raise ConfigError([*problems, *error.problems]) from None
    if name_of(request.config.sampler) == "grid":
        problems.append(Problem("sampler", "grid tries every point of the space: there is nothing to begin with"))
    if problems or config is None:
        raise ConfigError(problems)
    return config, request, words


def _notes(source: Source, chosen: Chosen, taken: Sequence[Taken], request: TuneRequest) -> list[str]:
    """What was not taken as it is."""
    notes = [f"trial {one.found.number}: {'; '.join(one.notes)}" for one in taken if one.notes]
    notes += [f"trial {number} is left out: {why}" for number, why in chosen.left_out.items()]
    if source.unknown:
        notes.append(f"nothing here is meant by: {', '.join(source.unknown)}")
    if chosen.not_searched:
        notes.append(f"this study does not search, and holds fixed: {', '.join(chosen.not_searched)}")
    if chosen.not_given:
        notes.append(f"{source.name} does not say, and the sampler draws: {', '.join(chosen.not_given)}")
    last = max((one.slot for one in taken if one.slot is not None), default=-1)
    if last >= request.config.n_trials:
        notes.append(f"the last of them is tried with n_trials={last + 1} or more")
    return notes


def _as_data(source: Source, chosen: Chosen, taken: Sequence[Taken], folder: Any, command: str) -> dict[str, Any]:
    return {
        "from": {"study": source.name, "of": source.of, "complete": len(source.trials)},
        "folder": None if folder is None else str(folder),
        "trials": [
            {
                "trial": one.found.number,
                "score": one.found.score,
                "place": one.slot,
                "values": dict(one.values),
                "notes": list(one.notes),
            }
            for one in taken
        ],
        "left_out": {str(number): why for number, why in chosen.left_out.items()},
        "unknown": list(source.unknown),
        "not_searched": list(chosen.not_searched),
        "not_given": list(chosen.not_given),
        "command": command,
    }


def _print(source: Source, taken: Sequence[Taken], *, dry_run: bool) -> None:
    def place(one: Taken) -> Any:
        return "" if dry_run else "there already" if one.slot is None else one.slot

    rows = [
        (
            one.found.number,
            one.found.score,
            place(one),
            " ".join(f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in one.values.items()),
        )
        for one in taken
    ]
    title = f"the best of {source.name} ({source.of}, {len(source.trials)} complete trials)"
    print_table(("trial", "score there", "place here", "values"), rows, title=title)
