"""Whether a configuration was written here: every run's config.yaml is signed with a key that never leaves this user.

A run that somebody sent has no such signature, or one that does not fit. Standard library only.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from contextlib import suppress
from pathlib import Path

MARK = "# signed: "
KEY_BYTES = 32


def signed(text: str) -> str:
    """The text below a first line that signs it; as it is where this user can have no key."""
    signature = _signature(text)
    return text if signature is None else f"{MARK}{signature}\n{text}"


def has_key() -> bool:
    """Whether this user can sign anything."""
    return _key() is not None


def is_own(text: str) -> bool:
    """Whether the first line is this user's signature of all that follows."""
    first, _, rest = text.partition("\n")
    signature = _signature(rest)
    return signature is not None and hmac.compare_digest(first.encode(), f"{MARK}{signature}".encode())


def _signature(text: str) -> str | None:
    key = _key()
    return None if key is None else hmac.new(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def _key() -> bytes | None:
    """This user's key, made when it is first needed; None where there is no place for one."""
    try:
        state = Path(os.environ.get("XDG_STATE_HOME", ""))
        if not state.is_absolute():  # below the current folder, where somebody else's key may lie
            state = Path("~/.local/state").expanduser()
        path = state / "rlzoo" / "key"
        if not state.is_absolute():
            return None
        if not path.is_file():
            _make_key(path)
        if not path.is_file():  # something else lies there, which may have no end
            return None
        with path.open("rb") as file:
            key = file.read(KEY_BYTES + 1)
    except (OSError, RuntimeError):
        return None
    return key if len(key) == KEY_BYTES else None


def _make_key(path: Path) -> None:
    """Write a key whole or not at all: of several processes, the first one's stays."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".key.{os.getpid()}.{secrets.token_hex(4)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(handle, secrets.token_bytes(KEY_BYTES))
    finally:
        os.close(handle)
    try:
        with suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        temporary.unlink()
