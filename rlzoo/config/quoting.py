"""Words of the command line as Hydra's grammar can read them, which knows ASCII letters and a dozen signs.

Text that it cannot read is quoted, and keys, which it never reads in quotes, get a stand-in of ASCII letters.
"""

from __future__ import annotations

import re
from typing import Any

FUNCTIONS = frozenset("int str bool float choice range interval tag sort shuffle glob".split())
"""Hydra's own, which are not text."""

_WORD = re.compile(r"(\+\+|\+|~)?([^=]*)(?:=(.*))?", re.DOTALL)
_EASY = re.compile(r"[+~]{0,2}[\w.$/@-]*(=[\w/\-\\+.$%*@?|: ,]*)?", re.ASCII)
_KEY = re.compile(r"[\w$-]+", re.ASCII)
_DICT_KEY = re.compile(r"[\w/\-+.$%*@?| ]+", re.ASCII)
_TEXT = re.compile(r"(?:[\w/\-\\+.$%*@?|: \t]|\$\{[^{}]*\}|\\[()\[\]{}=,])*", re.ASCII)
_QUOTED = re.compile(r"""(?s)(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")""")
_PIECE = re.compile(r"(?s)\$\{[^}]*\}|\\.")
_CALL = re.compile(r"(\w+)\s*\(\s*", re.ASCII)
_CALL_OF_SEVERAL = re.compile(r"\w+\s*\([^()]*,", re.ASCII)
_NAMED = re.compile(r"\w+\s*=\s*", re.ASCII)
_ESCAPED = re.compile(r"\\([\\()\[\]{}:=, \t])")
_STAND_IN = re.compile(r"_text_((?:[0-9a-f]{2})+)_")
_CLOSING = {"[": "]", "{": "}"}


def quoted(text: str) -> str:
    """Text in single quotes, which Hydra reads as it stands."""
    escaped = re.sub(r"(\\*)'", r"\1\1\\'", text)  # Hydra reads backslashes literally, except before a quote
    return "'" + re.sub(r"(\\+)$", r"\1\1", escaped) + "'"


def literal(text: str) -> str:
    """Text as Hydra reads it: in quotes only where it needs them."""
    return text if _TEXT.fullmatch(text) else quoted(text)


def unquoted(text: str) -> str:
    """Text without the quotes around it, if there are any."""
    match = _QUOTED.fullmatch(text)
    return text if match is None else match[1] or match[2] or ""


def readable(word: str) -> str:
    """A word that Hydra can read; as it is where it can already, or where its lists and mappings do not close."""
    if _EASY.fullmatch(word):
        return word
    match = _WORD.fullmatch(word)
    assert match is not None
    key = re.sub(r"[^.@/]+", lambda part: part[0] if _KEY.fullmatch(part[0]) else _stand_in(part[0]), match[2])
    start = f"{match[1] or ''}{key if key.strip() else match[2]}"
    if match[3] is None:
        return start
    try:
        return f"{start}={_elements(match[3], 0, '')[0]}"
    except _OpenError:
        return f"{start}={match[3]}"


def typed_key(key: str) -> str:
    """A key as it was typed."""
    return _STAND_IN.sub(lambda match: _typed(match[1]), key)


def typed_keys(value: Any) -> Any:
    """A value that was read, with the keys of its mappings as they were typed."""
    if isinstance(value, dict):
        return {typed_key(key) if isinstance(key, str) else key: typed_keys(one) for key, one in value.items()}
    return [typed_keys(one) for one in value] if isinstance(value, list) else value


def typed_value(text: str) -> str:
    """A value that Hydra has written, with the keys of its mappings as they were typed, in quotes."""
    return _STAND_IN.sub(lambda match: quoted(_typed(match[1])), text)


class _OpenError(Exception):
    """A list, mapping or call that does not close, or a mapping without colons: Hydra says so best."""


def _elements(text: str, at: int, closing: str) -> tuple[str, int]:
    """The elements up to the sign that closes them, or to the end of the text; and the place behind."""
    found = ""
    while True:
        at = _skip(text, at)
        if closing and text[at : at + 1] == closing:
            return found + closing, at + 1
        if closing == "}":
            key, at = _key(text, at)
            at = _skip(text, at)
            found += f"{key}: "
        elif closing == ")" and (name := _NAMED.match(text, at)):
            found, at = found + name[0], name.end()
        element, at = _element(text, at, closing)
        found += element
        if at == len(text):
            if closing:
                raise _OpenError
            return found, at
        if text[at] == ",":
            found, at = f"{found},", at + 1


def _element(text: str, at: int, closing: str) -> tuple[str, int]:
    """One element, which ends before a comma, the closing sign or the end of the text; and the place where."""
    start = at
    call = _CALL.match(text, at)
    if quote := _QUOTED.match(text, at):
        found, at = quote[0], quote.end()
    elif text[at : at + 1] in _CLOSING:
        inside, at = _elements(text, at + 1, _CLOSING[text[at]])
        found = text[start] + inside
    elif call and call[1] in FUNCTIONS:
        inside, at = _elements(text, call.end(), ")")
        found = call[0] + inside
    else:
        found = ""
    at = _skip(text, at)
    if found and (at == len(text) or text[at] in {",", closing}):
        return found, at
    at = start
    while at < len(text) and text[at] not in {",", closing}:
        piece = _PIECE.match(text, at)
        at = piece.end() if piece else at + 1
    leaf = text[start:at].strip(" \t")
    if _CALL_OF_SEVERAL.match(text, start):
        raise _OpenError  # of a function that there is not
    return leaf if _TEXT.fullmatch(leaf) else quoted(_ESCAPED.sub(r"\1", leaf)), at


def _key(text: str, at: int) -> tuple[str, int]:
    """A key of a mapping; and the place behind its colon."""
    match = _QUOTED.match(text, at)
    end = text.find(":", match.end() if match else at)
    if end < 0:
        raise _OpenError
    key = text[at:end].strip()
    if match is None and _DICT_KEY.fullmatch(key):
        return key, end + 1
    return _stand_in(unquoted(key)), end + 1


def _skip(text: str, at: int) -> int:
    while text[at : at + 1] in (" ", "\t"):
        at += 1
    return at


def _stand_in(text: str) -> str:
    return f"_text_{text.encode(errors='surrogatepass').hex()}_"


def _typed(stand_in: str) -> str:
    return bytes.fromhex(stand_in).decode(errors="surrogatepass")
