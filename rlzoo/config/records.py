"""What the JSON files of a run hold, and the Hub's answers: types and bounds, for everything that reads them.

A field that is not named here is any plain data; a field that is not there is no mistake.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,
    TypedDict,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from rlzoo.config.fields import LARGEST, is_number
from rlzoo.config.yaml_file import MAX_DEPTH
from rlzoo.errors import shorten, show


@dataclass(frozen=True)
class Test:
    """What a value has to be beyond its type: in words, after "must be", and as a function."""

    words: str
    holds: Callable[[Any], bool]


Count = Annotated[
    int, Test("at least 0", lambda value: value >= 0), Test("at most 10^18", lambda value: value <= LARGEST)
]
Number = Annotated[float, Test("a finite number", is_number)]
Words = list[str]
MAX_FILES = 10_000
"""Files that a repository may list."""


class _Git(TypedDict, total=False):
    commit: str
    dirty: bool


class _Resumed(TypedDict, total=False):
    changes: Words


class _Wishes(TypedDict, total=False):
    file: str | None
    algo: str | None


class _Trusted(TypedDict):
    file: str
    size: Count
    sha256: str
    source: str


class _Hub(TypedDict):
    repo_id: str
    commit: str
    revision: str | None
    layout: str
    file: str
    published: str
    assumed: Words
    trusted: list[_Trusted]
    wishes: _Wishes


class _Algo(TypedDict):
    name: str


class _Env(TypedDict):
    id: str
    kwargs: NotRequired[dict[str, Any] | None]


class Config(TypedDict):
    """What is said of a run by those who only look at it: of its config.yaml, whose every setting a request checks."""

    algo: _Algo
    env: _Env
    seed: NotRequired[Count | None]
    init_from: NotRequired[str | None]


class Info(TypedDict, total=False):
    """info.json: the circumstances of a run."""

    status: str
    run: str
    words: Words
    hyperparams: Words
    notices: Words
    started: str
    finished: str
    wall_seconds: Number
    command: str
    versions: dict[str, str]
    python: str
    platform: str
    cpu: str | None
    cpu_count: Count | None
    memory_gib: Number
    variables: dict[str, str]
    git: _Git | None
    gpu: str | None
    torch_threads: Count
    determinism: dict[str, Any]
    owner: dict[str, str | Count]
    resume: str
    resumed: list[_Resumed]
    reproduces: str
    hub: _Hub
    init_from: dict[str, Any]


class Package(TypedDict):
    """What rlzoo/info.json says of the package that it lies in."""

    name: str
    files: Words


class Result(TypedDict, total=False):
    """One entry of results.json: an evaluation; what was not finite, or is not known, is null."""

    date: str
    source: str
    checkpoint: str
    num_timesteps: Count
    trained_timesteps: Count
    ships: bool
    selection: dict[str, Any]
    env: Words
    n_episodes: Count | None
    mean_reward: Number | None
    std_reward: Number | None
    result: Number | None
    median_reward: Number | None
    iqm: Number | None
    iqm_ci: Annotated[list[Number | None], Test("a list of two", lambda pair: len(pair) == 2)]
    min_reward: Number | None
    max_reward: Number | None
    mean_length: Number | None
    deterministic: bool | None
    seeds: list[Count]
    returns: list[Number | None]
    lengths: list[Count]


FileName = Annotated[
    str,
    Test("named as a file in its folder", lambda text: re.fullmatch(r"\w[\w.-]{0,99}", text, re.ASCII) is not None),
]
Sha256 = Annotated[str, Test("64 hexadecimal digits", lambda text: re.fullmatch(r"[0-9a-f]{64}", text) is not None)]


class _File(TypedDict):
    size: Count
    sha256: Sha256


class Moment(TypedDict):
    """What every manifest.json says, whichever rlzoo wrote it."""

    num_timesteps: Count


class _Described(Moment):
    format: Count
    files: dict[FileName, _File]


class Manifest(_Described, total=False):
    """manifest.json: the files of a checkpoint, and the moment it was written at."""

    run: str
    time: str
    at_boundary: bool
    done: bool
    total_timesteps: Count
    n_episodes: Count | None
    training: str
    mean_reward: Number
    selected: bool
    selection: dict[str, Any]
    sha256: str


class _Entity(TypedDict, total=False):
    name: str


class _Scope(TypedDict, total=False):
    entity: _Entity
    permissions: list[Any]


class _FineGrained(TypedDict, total=False):
    scoped: list[_Scope]


class _Token(TypedDict, total=False):
    role: str | None
    fineGrained: _FineGrained | None


class _Auth(TypedDict, total=False):
    accessToken: _Token | None


class _Organisation(TypedDict):
    name: str
    roleInOrg: NotRequired[str | None]


class Who(TypedDict):
    """What the Hub says of the one whose token was sent."""

    name: str
    orgs: NotRequired[list[_Organisation] | None]
    auth: NotRequired[_Auth | None]


class _Sibling(TypedDict):
    rfilename: str
    size: NotRequired[Count | None]


class Repository(TypedDict):
    """What the Hub says of a repository at a revision."""

    sha: str
    private: NotRequired[bool | None]
    siblings: Annotated[list[_Sibling], Test(f"a list of at most {MAX_FILES}", lambda listed: len(listed) <= MAX_FILES)]


def problem(kind: Any, value: Any) -> str:
    """What is wrong with the content of a file, on one line; empty if it is as it should be."""
    return _strange(value) or next(_mistakes(kind, value, ()), "")


def _mistakes(kind: Any, value: Any, path: tuple[int | str, ...]) -> Iterator[str]:
    """What is wrong with a value of a type, and with all that is in it."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is _MISSING:
        yield f"{_key(path)} is missing"
    elif origin in (Union, types.UnionType):
        found = [next(_mistakes(each, value, path), "") for each in arguments]
        yield from [] if "" in found else found[:1]
    elif origin is Annotated:
        wrong = list(_mistakes(arguments[0], value, path))
        failed = [test.words for test in arguments[1:] if not wrong and not test.holds(value)]
        yield from wrong + [_must_be(words, value, path) for words in failed]
    elif origin is Literal:
        yield from [] if value in arguments else [_must_be(" or ".join(arguments), value, path)]
    elif kind is not Any:
        words, allowed = _TYPES[dict if is_typeddict(kind) else origin or kind]
        if not isinstance(value, allowed) or (isinstance(value, bool) and kind is not bool):
            yield _must_be(words, value, path)
        else:
            for key, inner, inside in _inside(kind, value):
                yield from _mistakes(inner, inside, (*path, key))


_MISSING = object()


def _inside(kind: Any, value: Any) -> Iterator[tuple[int | str, Any, Any]]:
    """Where each part of a list or a mapping is, what it has to be, and what it is."""
    arguments = get_args(kind)
    if is_typeddict(kind):
        for name, (inner, required) in _entries(kind).items():
            if name in value or required:
                yield name, inner if name in value else _MISSING, value.get(name)
    elif isinstance(value, dict) and arguments:
        for key, inside in value.items():
            yield key, arguments[0], key
            yield key, arguments[1], inside
    elif isinstance(value, list):
        for index, inside in enumerate(value):
            yield index, arguments[0], inside


_TYPES: dict[Any, tuple[str, type | tuple[type, ...]]] = {
    str: ("text", str),
    bool: ("true or false", bool),
    int: ("a whole number", int),
    float: ("a number", (int, float)),
    dict: ("a mapping", dict),
    list: ("a list", list),
    type(None): ("null", type(None)),
}


@cache
def _entries(kind: Any) -> dict[str, tuple[Any, bool]]:
    """The types of a mapping's entries, and whether each has to be there."""
    hints = get_type_hints(kind, include_extras=True)
    free = {name for name, hint in hints.items() if get_origin(hint) is NotRequired}
    return {
        name: (get_args(hint)[0] if name in free else hint, name in kind.__required_keys__ and name not in free)
        for name, hint in hints.items()
    }


def _must_be(words: str, value: Any, path: tuple[int | str, ...]) -> str:
    key = _key(path)
    return f"{f'{key} ' if key else 'it '}must be {words}, not {show(value)}"


def _key(path: tuple[int | str, ...]) -> str:
    """Where an error is: `hub.trusted.0`, of a list of entries `entry 2: iqm`."""
    entry = ""
    if path and isinstance(path[0], int):
        entry, path = f"entry {path[0] + 1}: ", path[1:]
    return entry + shorten(".".join(map(str, path)), 80)


def _strange(value: Any) -> str:
    """What no file of rlzoo's holds anywhere: depth, numbers of many digits, text that cannot be written."""
    level, depth = [value], 0
    while level:
        if depth > MAX_DEPTH:
            return f"it is nested more than {MAX_DEPTH} deep"
        below: list[Any] = []
        for one in level:
            if isinstance(one, int) and abs(one) > LARGEST:
                return "it holds a number beyond 10^18"
            if isinstance(one, str) and not _is_text(one):
                return f"it holds {show(one)}, which is no text"
            if isinstance(one, Mapping):
                below += [*one.keys(), *one.values()]
            elif isinstance(one, Sequence) and not isinstance(one, str):
                below += one
        level, depth = below, depth + 1
    return ""


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
