"""The compiled table of what constructors take: `signatures.json`, made by `rlzoo.algos.schema.compile`."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("signatures.json")


@cache
def table() -> dict[str, Any]:
    """The compiled table."""
    found: dict[str, Any] = json.loads(TABLE.read_text())
    return found
