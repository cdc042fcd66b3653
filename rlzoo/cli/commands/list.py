"""`rlzoo list`: the algorithms, environments, tuned sets, experiments and runs there are, and agents on the Hub."""

from __future__ import annotations

from inspect import signature
from typing import TYPE_CHECKING

from rlzoo.cli import listing
from rlzoo.cli.command import Answer, Entry
from rlzoo.config.fields import Field, unknown
from rlzoo.config.overrides import key_of
from rlzoo.errors import ConfigError, RlzooError
from rlzoo.registry import did_you_mean

if TYPE_CHECKING:
    from rlzoo.cli.main import Arguments


def _list(arguments: Arguments) -> Answer:
    taken = {kind: list(signature(rows_of).parameters) for kind, rows_of in listing.KINDS.items()}
    words = [word for word in arguments.words if "=" not in word]
    settings = {key_of(w): w.partition("=")[2] for w in arguments.words if "=" in w}
    wide = settings.pop("wide", "false").lower()
    if wide not in ("true", "false"):
        raise RlzooError(f"wide={wide} must be true or false", "wide=true shows every column in full width")
    words_of = [f"{kind} [{'=… '.join(keys)}=…]" if keys else kind for kind, keys in taken.items()]
    hint = f"rlzoo list {' | '.join(words_of)}"
    if len(words) != 1:
        raise RlzooError("say what to list", hint)
    if words[0] not in taken:
        raise RlzooError(f"unknown list {words[0]!r}{did_you_mean(words[0], taken)}", hint)
    fields = dict.fromkeys(taken[words[0]], Field("str"))
    if problems := [unknown(key, key, fields) for key in settings if key not in fields]:
        raise ConfigError(problems)
    rows = listing.KINDS[words[0]](**settings)
    root = settings.get("runs_dir", "runs")
    return Answer(rows, lambda: listing.show(words[0], rows, runs_dir=root, wide=wide == "true"), allow_nan=True)


main = Entry(_list)
