"""`rlzoo profile`: where the time of a training goes, and what would make it faster here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlzoo.cli.command import Answer, Entry
from rlzoo.cli.table import COMMANDS
from rlzoo.config.overrides import key_of
from rlzoo.config.quoting import unquoted

if TYPE_CHECKING:
    from rlzoo.cli.main import Arguments


def _profile(arguments: Arguments) -> Answer:
    from rlzoo.training.profile import profile

    is_own = {word: key_of(word) in COMMANDS["profile"].own for word in arguments.words}
    own = {key_of(word): unquoted(word.partition("=")[2]) for word in arguments.words if is_own[word]}
    found = profile([word for word in arguments.words if not is_own[word]], **own)
    return Answer(found.as_data(), found.show)


main = Entry(_profile)
