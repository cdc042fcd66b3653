"""The environments that rlzoo ships: their ids and the short names that `env=` takes."""

from __future__ import annotations

import re
from functools import lru_cache

from rlzoo.config.paths import root

_ID = re.compile(r"^id: *([^\s#]+)", re.MULTILINE)


@lru_cache(maxsize=1)
def short_names() -> dict[str, str]:
    """Environment id to short name. Only the line of the id is read, so that it costs nothing to ask.

    Of several files with one id, such as FrozenLake and FrozenLakeNoSlippery, the one of the shortest name is the
    environment as it comes: it stands for the id.
    """
    names: dict[str, str] = {}
    for path in sorted((root() / "conf" / "env").glob("*.yaml"), key=lambda path: (len(path.stem), path.stem)):
        found = _ID.search(path.read_text(encoding="utf-8"))
        if found and found[1] != "???":
            names.setdefault(found[1], path.stem)
    return names
