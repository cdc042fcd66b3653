"""What leaves the program, for a file, a log, the screen or the Hub: without secrets, and unable to change its sink.

A secret belongs into the environment or the Hub's token store. What reaches a sink all the same is replaced by `***`:
settings named like secrets, passwords in URLs, known kinds of tokens, and the values of the secrets that this process
could know.

Whatever came from a file, from the Hub or out of an environment passes through the escaper of its sink. Terminal and
log: `printable`, `one_line`, `hanging` and `coloured`. A line to copy into a shell: `shell`. Markdown: `markdown`,
`cell`, `code` and `fenced`. Tables for spreadsheets: `csv_cell`. HTML is made as a tree (`tuning.report.page`) and
needs none. Standard library only: the command line itself uses it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, lru_cache
from pathlib import Path
from shlex import quote
from typing import Any

HIDDEN = "***"
SHORTEST = 8
"""Characters of the shortest value of the environment that is looked for: shorter ones are part of other words."""

_SECRET_WORDS = frozenset(
    "token secret password passwd passphrase apikey credential credentials creds pw pat pem dsn jwt auth authorization "
    "cookie cookies webhook".split()
)
"""Words that a name of a secret ends with, be it of a setting or of an environment variable."""
_SECRET_ENDS = frozenset("pass private signature sas otp".split())
"""Words that the name of a variable ends with if it holds a secret; a setting of such a name may be anything."""
_ANYWHERE = frozenset("pw pat pem dsn jwt cookie cookies creds webhook".split())
"""Words that make a secret of a variable wherever they stand in its name, unless that ends like one of `_ABOUT`."""
_ABOUT = frozenset(
    "dir domain enabled expires expiry file folder format host method mode name path port sock timeout ttl type user "
    "username version".split()
)
"""What is said about a secret, and is none: `SSH_AUTH_SOCK`, `COOKIE_DOMAIN`, `PEM_FILE`."""
_KEY_WORDS = frozenset(
    "api access account auth deploy encryption host license master private secret service signing ssh storage".split()
)
# Patterns are text: `re` compiles each when it is first used, which most processes never do.
_WORD = r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+"
_VARIABLE = (
    r"(?i)TOKEN(?!IZ|S)|SECRET|PASSW(OR)?D|PASSPHRASE|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|CREDENTIAL|CONNECTION_?STRING"
    r"|(?<!ASK)(?<!BY)(?<!COM)PASS$"
)
"""Words that are long enough to be found inside of others: `PGPASSWORD`, `HFTOKEN`, `SSHPASS`."""
_KEY = r"(?!/)(?=.*\d)(?=.*[A-Za-z])[\w.~+/=]{20,}"
"""What a variable of any name that ends with `KEY` holds, such as `KAGGLE_KEY`, if that is a secret."""

_SETTING = r"""(?mx)(?<![\w.-])(?P<key>[\w.-]{1,200}+)(?P<between>["']?[ \t]*
    (?:=[ \t]*(?!\{)|:[ \t]*(?=["']|[^\s"',}\]]{1,1000}+[ \t]*(?:[,}\]]|$))))
    (?P<value>"[^"\n]*"|'[^'\n]*'|[^\s,;&"']+)"""
_TOKEN = (
    r"\b(?:hf_[A-Za-z0-9]{16,}|gh[opsur]_[A-Za-z0-9]{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}|sk-[\w-]{16,}"
    r"|xox[abprs]-[\w-]{10,}|(?:AKIA|ASIA)[A-Z0-9]{16})"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
)
_URL = r"(://[^/\s:@]*:)[^\s/]+(?=@)"
_URL_PASSWORD = r"://[^/\s:@]*:([^\s/]+)@"
_URL_KEY = r"://([^/\s:@]{16,})@"
"""A key in the place of the user, as in `SENTRY_DSN`; shorter ones are names."""
_HEADER = r"(?i)\b(bearer|basic)(\s+)[\w.~+/=-]{16,}"


def redact(text: str) -> str:
    """Text without secrets."""
    return _redact(text, _known_values(_environment()))


def _redact(text: str, known: re.Pattern[str] | None) -> str:
    if "://" in text:
        text = re.sub(_URL, rf"\1{HIDDEN}", text)
    text = re.sub(_SETTING, _hide_value, re.sub(_TOKEN, HIDDEN, re.sub(_HEADER, rf"\1\2{HIDDEN}", text)))
    return known.sub(HIDDEN, text) if known is not None else text


def redact_command(words: Iterable[str]) -> str:
    """A command line without secrets, each word quoted for a shell; a secret with quotes in it is found before."""
    shown = ((word, redact(word)) for word in words)
    return redact(" ".join(quote(word) if word == hidden else hidden for word, hidden in shown))


def redact_values(values: Any) -> Any:
    """Plain data without secrets, of the same structure: a mapping stays one, with the same settings."""
    return _redact_values(values, _known_values(_environment()))


def _redact_values(values: Any, known: re.Pattern[str] | None) -> Any:
    if isinstance(values, str):
        return _redact(values, known)
    if isinstance(values, Mapping):
        return {
            _redact(key, known) if isinstance(key, str) else key: _hidden(value)
            if is_secret(str(key), value)
            else _redact_values(value, known)
            for key, value in values.items()
        }
    if isinstance(values, list | tuple):
        return [_redact_values(value, known) for value in values]
    return values


def known_secrets() -> frozenset[str]:
    """The values of all secrets that this process could know; a path to a secret is none."""
    return _secrets(_environment())


def _secrets(environment: frozenset[str]) -> frozenset[str]:
    values = {value for value in environment if not (os.path.isabs(value) and os.path.lexists(value))}  # noqa: PTH117
    values |= {value for value in _stored() if len(value) >= SHORTEST}
    return frozenset(spelling for value in values for spelling in _spellings(value))


def _spellings(value: str) -> set[str]:
    """A text, and how it is written in Python, JSON, a URL and HTML."""
    from html import escape
    from json import dumps
    from urllib.parse import quote, quote_plus

    python = (repr(value)[1:-1], repr(f'"{value}')[2:-1])  # in a text with the other kind of quote as well
    json = (dumps(value)[1:-1], dumps(value, ensure_ascii=False)[1:-1])
    url = (quote(data := os.fsencode(value)), quote(data, ""), quote_plus(data))  # variables need not be UTF-8
    return {value, *python, *json, *url, escape(value)}


def is_secret(key: str, value: object) -> bool:
    """Whether a setting of that name holds a secret: its name ends like one, and its value is text or a long number.

    `hf_token`, `apiKey`, `gh_pat` and `aws_secret_access_key` are such names; `tokenizer`, `n_tokens`, `keys_mode`,
    `pattern` and `token_dim` are none.
    """
    if isinstance(value, Mapping | list | tuple):
        return any(is_secret(key, child) for child in (value.values() if isinstance(value, Mapping) else value))
    long_number = type(value) in (int, float) and len(str(value)) >= SHORTEST
    return (long_number or (isinstance(value, str) and value != "")) and _is_secret_name(key)


def secret_keys(values: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """The dotted keys of plain data that hold secrets by their name."""
    for name, value in values.items():
        key = f"{above}{name}"
        if is_secret(str(name), value):
            yield key
        elif isinstance(value, Mapping):
            yield from secret_keys(value, f"{key}.")


@lru_cache(maxsize=4096)
def _is_secret_name(key: str) -> bool:
    return _ends_like_a_secret(_words(key.rpartition(".")[2]))


def _ends_like_a_secret(words: list[str]) -> bool:
    last, before = words[-1:], words[-2:-1]
    if last == ["key"]:
        return bool(_KEY_WORDS.intersection(before))
    return bool(_SECRET_WORDS.intersection(last)) or (last == ["pwd"] and bool(before))  # PWD alone is a folder


def _words(name: str) -> list[str]:
    """`awsSecretKey` and `AWS_SECRET_KEY_2` as aws, secret, key: a number at the end only counts."""
    words = [word.lower() for word in re.findall(_WORD, name)]
    while words and words[-1].isdigit():
        words.pop()
    return words


def _hidden(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _hidden(child) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return [_hidden(child) for child in value]
    return HIDDEN


def _hide_value(match: re.Match[str]) -> str:
    key, between, value = match.group("key", "between", "value")
    if not _is_secret_name(key.rstrip("-.")) or value.lower() in ("null", "none", "true", "false", "''", '""'):
        return match[0]
    quote = value[0] if value[0] in "\"'" else ""
    return f"{key}{between}{quote}{HIDDEN}{quote}"


def _environment() -> frozenset[str]:
    """The values of variables that hold a secret, line by line too, and the passwords in URLs of any variable."""
    raw: Mapping[Any, Any] = getattr(os.environ, "_data", os.environ)  # decoding all of it takes much longer
    return _values_in(frozenset(raw.items()))


@lru_cache(maxsize=4)
def _values_in(raw: frozenset[tuple[Any, Any]]) -> frozenset[str]:
    variables = [(os.fsdecode(name), os.fsdecode(value)) for name, value in raw]
    found = {
        value
        for name, value in variables
        if _is_variable(name) or (_words(name)[-1:] == ["key"] and re.fullmatch(_KEY, value))
    }
    for value in list(found):
        found.update(map(str.strip, value.splitlines()), re.findall(_URL_KEY, value))
    found.update(*(_passwords(value) for _, value in variables if "://" in value))
    return frozenset(value for value in found if len(value) >= SHORTEST)


def _is_variable(name: str) -> bool:
    words = _words(name)
    if re.search(_VARIABLE, name) is not None or _ends_like_a_secret(words) or _SECRET_ENDS.intersection(words[-1:]):
        return True
    return bool(_ANYWHERE.intersection(words)) and not _ABOUT.intersection(words[-1:])


def _passwords(text: str) -> frozenset[str]:
    """Passwords in the URLs of a text, as they are written there and as they are meant."""
    from urllib.parse import unquote

    found = re.findall(_URL_PASSWORD, text)
    return frozenset([*found, *map(unquote, found)])


@lru_cache(maxsize=4)
def _known_values(environment: frozenset[str]) -> re.Pattern[str] | None:
    """What matches any secret that can be known here."""
    values = _secrets(environment)
    longest_first = sorted(values, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first))) if values else None


@cache
def _stored() -> frozenset[str]:
    """The Hub's token and the passwords of ~/.netrc, where W&B keeps its key; nothing where they cannot be read."""
    from netrc import NetrcParseError, netrc

    found = set()
    try:
        cache_home = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
        home = os.environ.get("HF_HOME") or Path(cache_home) / "huggingface"
        found.add(Path(os.environ.get("HF_TOKEN_PATH") or Path(home) / "token").read_text(encoding="utf-8").strip())
    except (OSError, ValueError, RuntimeError):
        pass
    try:
        file = Path(os.environ.get("NETRC") or Path("~/.netrc").expanduser())
        found |= {password for _, _, password in netrc(file).hosts.values() if password}
    except (OSError, ValueError, RuntimeError, NetrcParseError):
        pass
    return frozenset(found)


_COLOUR = r"(\x1b\[[0-9;:]{0,40}m)"
_PROSE = r"(?:[^\W_]|(?<=[^\W_])_(?=[^\W_])|[ ,;()'%/+=±°-]|:(?= |$)|\.(?![^\W\d]))*"
"""What no dialect of Markdown reads anything into: `a.b` may be a link and `:a:` a picture, `a_b` is not emphasis."""
_BREAK = r"[\t\n]+"
_FORMULA = r"(^|[;\t\r\n])(?= *[=+\-@\t\r\n'\uff1d\uff0b\uff0d\uff20])"
"""Where a formula begins: at the start, and where spreadsheets of other languages divide cells."""


def printable(text: str) -> str:
    """Text without what steers a terminal or hides what is written: escapes, control characters, changes of direction.

    Line feeds and tabs stay.
    """
    return "".join(char for char in text if char in "\n\t" or char.isprintable() or char == "\u00a0")


def one_line(text: str) -> str:
    """Printable text on one line."""
    return re.sub(_BREAK, " ", printable(text))


def hanging(text: str) -> str:
    """Text whose further lines are indented: none of them looks like a line of its own."""
    return re.sub(r"\n(?=[^\s])", "\n  ", text)


def coloured(text: str) -> str:
    """Printable text that keeps its colours, as environments draw in a terminal."""
    return "".join(part if index % 2 else printable(part) for index, part in enumerate(re.split(_COLOUR, text)))


def shell(word: object) -> str:
    """A word of a command line that is shown to be copied into a shell."""
    return quote(one_line(str(word)))


def markdown(text: object) -> str:
    """A value within a line of Markdown: as it is where nothing in it can be read as Markdown, else as code."""
    line = one_line(str(text)).strip()
    return line if re.fullmatch(_PROSE, line) else code(line)


def code(text: object) -> str:
    """A value as inline code, in which no dialect of Markdown reads anything."""
    line = one_line(str(text)).strip()
    fence = "`" * (_longest_run(line) + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{pad}{line}{pad}{fence}" if line else ""


def cell(text: object) -> str:
    """A value as a cell of a Markdown table."""
    shown = re.sub(r"\\(?=\|)", r"\\ ", markdown(text))  # readers differ in what \\| means
    return shown.replace("|", r"\|")


def fenced(text: str, language: str) -> str:
    """Lines as a block of code that nothing in it can close."""
    lines = printable(text).rstrip("\n")
    fence = "`" * max(3, _longest_run(lines) + 1)
    return f"{fence}{language}\n{lines}\n{fence}"


def csv_cell(text: str) -> str:
    """Text as a spreadsheet shows it and never computes it: what begins like a formula gets a `'`. Numbers stay."""
    return text if _is_number(text) else re.sub(_FORMULA, r"\1'", text)


def from_csv_cell(cell: str) -> str:
    """The text that `csv_cell` made a cell of."""
    return re.sub(r"(^|[;\t\r\n])'", r"\1", cell) if "'" in cell else cell


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text == text.strip()
