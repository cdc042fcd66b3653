"""The environments that rlzoo ships: their ids and the short names that `env=` takes."""

from __future__ import annotations

import re
from functools import lru_cache

from rlzoo.config.paths import root

_ID = re.compile(r"^id: *([^\s#]+)", re.MULTILINE)


@lru_cache(maxsize=1)
def short_names() -> dict[str, str]:
    """Environment id to short name. Only the line of the id is read, so that it costs nothing to ask."""
    names = {}
    for path in sorted((root() / "conf" / "env").glob("*.yaml")):
        found = _ID.search(path.read_text(encoding="utf-8"))
        if found and found[1] != "???":
            names[found[1]] = path.stem
    return names
