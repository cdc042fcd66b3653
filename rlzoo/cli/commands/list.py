"""`rlzoo list`: the algorithms, environments, tuned sets, experiments and runs there are, and agents on the Hub."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from rlzoo.cli import listing
from rlzoo.cli.command import Answer, Entry
from rlzoo.cli.listing import Rows
from rlzoo.config.overrides import key_of
from rlzoo.console import print_lines, print_table
from rlzoo.errors import RlzooError
from rlzoo.registry import lookup

if TYPE_CHECKING:
    from rlzoo.cli.main import Arguments

KINDS = ("algos", "envs", "hyperparams", "experiments", "runs", "hub")
SETTINGS = {"runs": ("runs_dir",), "hub": ("user", "tag", "env", "algo", "n")}
"""What can be set behind each word; nothing behind the others."""
SPARE = ("likes", "downloads", "date", "std", "mean")
"""Columns of models that a narrow terminal goes without."""


def _list(arguments: Arguments) -> Answer:
    kinds: dict[str, Callable[..., Rows]] = {kind: getattr(listing, kind) for kind in KINDS}
    words = [word for word in arguments.words if "=" not in word]
    settings = {key_of(w): w.partition("=")[2] for w in arguments.words if "=" in w}
    if len(words) != 1 or (words[0] in kinds and not set(settings) <= set(SETTINGS.get(words[0], ()))):
        words_of = (f"{kind} [{'=… '.join(SETTINGS[kind])}=…]" if kind in SETTINGS else kind for kind in kinds)
        raise RlzooError("say what to list", f"rlzoo list {' | '.join(words_of)}")
    rows = lookup(kinds, words[0], "list")(**settings)
    return Answer(rows, lambda: _print(words[0], rows), allow_nan=True)


main = Entry(_list)


def _print(kind: str, rows: Rows) -> None:
    columns = list(rows[0]) if rows else []
    spare = {"hub": SPARE, "runs": ("random play",)}.get(kind, ())
    print_table(columns, [[_cell(row[column]) for column in columns] for row in rows], spare=spare)
    print_lines(f"{len(rows)} {'models' if kind == 'hub' else kind}")
    if kind == "runs" and rows:
        print("The newest evaluation of each last checkpoint; std is over the episodes of that one policy.")
    if kind == "hub":
        print("The scores are what the authors state; nobody has checked them. rlzoo load-from-hub repo_id=… gets one.")


def _cell(value: Any) -> Any:
    return ", ".join(map(str, value)) if isinstance(value, Sequence) and not isinstance(value, str) else value
