"""Who is logged in to the Hub, found out within seconds. The token itself is never shown."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from rlzoo.errors import RlzooError, clean
from rlzoo.hub.client import PROBE, connect, explained
from rlzoo.hub.failures import status_of

LOGIN = "hf auth login"
WRITE_TOKEN = "hf auth login, with a token of the kind Write"
SECONDS = 2 * PROBE
"""How long the Hub may take: the probe, then the answer who it is."""


@dataclass(frozen=True)
class Login:
    """Whether somebody is logged in, what is known of it, and the line that mends it."""

    state: Literal["ok", "missing", "broken", "offline"]
    detail: str
    fix: str = ""


def look() -> Login:
    """The login there is. A Hub that is away, or HF_HUB_OFFLINE, is a state like any other.

    Raises:
        ImportError: without huggingface_hub.
    """
    from huggingface_hub import get_token

    try:
        token = get_token()
    except OSError as error:
        return Login("broken", f"the token cannot be read: {error.strerror}", LOGIN)
    if not token:
        return Login("missing", "no token: agents can be loaded, none can be pushed", LOGIN)
    answers: list[Login] = []
    thread = threading.Thread(target=lambda: answers.append(_ask()), daemon=True)
    thread.start()
    thread.join(SECONDS)
    if not answers:
        return Login("offline", f"a token is there; the Hub did not answer within {SECONDS:.0f} s")
    return answers[0]


def _ask() -> Login:
    try:
        api = connect()
        with explained():
            who = api.whoami()
    except RlzooError as error:
        status = status_of(error)
        if status in (401, 403):
            return Login("broken", f"the Hub does not take the token ({status})", LOGIN)
        return Login("offline", f"a token is there; {error.message.splitlines()[0]}")
    role = _get(_get(_get(who, "auth"), "accessToken"), "role")
    detail = f"{clean(_get(who, 'name'))}, with a token of the role {clean(role)}"
    return Login("ok", detail, WRITE_TOKEN if role == "read" else "")


def _get(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, Mapping) else None
