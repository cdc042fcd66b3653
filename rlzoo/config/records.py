"""What the JSON files of a run hold, and the Hub's answers: types and bounds, for everything that reads them.

A field that is not named here is any plain data; a field that is not there is no mistake.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Annotated, Any, NotRequired

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from rlzoo.config.fields import LARGEST
from rlzoo.config.yaml_file import MAX_DEPTH
from rlzoo.errors import shorten, show

KINDS = {
    "string_type": "text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "none_required": "null",
    "dict_type": "a mapping",
    "dataclass_type": "a mapping",
    "tuple_type": "a list",
    "list_type": "a list",
    "too_short": "a list of {min_length} or more",
    "too_long": "a list of at most {max_length}",
    "greater_than_equal": "at least {ge}",
    "less_than_equal": "at most {le}",
    "greater_than": "greater than {gt}",
    "less_than": "less than {lt}",
}
"""What is allowed where pydantic finds something else, as the end of "must be ..."."""

Count = Annotated[int, Field(ge=0, le=LARGEST)]
Number = Annotated[float, Field(allow_inf_nan=False)]
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
    loaded: str
    init_from: dict[str, Any]
    observation_space: str
    action_space: str


class Package(TypedDict):
    """What rlzoo/info.json says of the package that it lies in."""

    name: str
    files: Words


class RandomPlay(TypedDict, total=False):
    """What random play scores in the same environment."""

    n_episodes: Count
    mean_reward: Number | None
    std_reward: Annotated[Number, Field(ge=0)] | None
    result: Number | None
    median_reward: Number | None
    iqm: Number | None
    iqm_ci: Annotated[list[Number | None], Field(min_length=2, max_length=2)]
    min_reward: Number | None
    max_reward: Number | None
    mean_length: Number | None


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
    iqm_ci: Annotated[list[Number | None], Field(min_length=2, max_length=2)]
    min_reward: Number | None
    max_reward: Number | None
    mean_length: Number | None
    deterministic: bool | None
    seeds: list[Count]
    returns: list[Number | None]
    lengths: list[Count]
    n_cut: Count
    max_steps: Count
    random: RandomPlay


def _file_name(text: Any) -> Any:
    if not isinstance(text, str) or re.fullmatch(r"\w[\w.-]{0,99}", text, re.ASCII) is None:
        raise ValueError("must be named as a file in its folder")
    return text


def _sha256(text: Any) -> Any:
    if not isinstance(text, str) or re.fullmatch(r"[0-9a-f]{64}", text) is None:
        raise ValueError("must be 64 hexadecimal digits")
    return text


class _File(TypedDict):
    size: Count
    sha256: Annotated[str, BeforeValidator(_sha256)]


class Moment(TypedDict):
    """What every manifest.json says, whichever rlzoo wrote it."""

    num_timesteps: Count


class _Described(Moment):
    format: Count
    files: dict[Annotated[str, BeforeValidator(_file_name)], _File]


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
    siblings: Annotated[list[_Sibling], Field(max_length=MAX_FILES)]


def problem(kind: Any, value: Any) -> str:
    """What is wrong with the content of a file, on one line; empty if it is as it should be."""
    if wrong := _strange(value):
        return wrong
    try:
        _adapter(kind).validate_python(value, strict=True)
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        key = _key(detail["loc"])
        if detail["type"] == "missing":
            return f"{key} is missing"
        return f"{f'{key} ' if key else 'it '}must be {allowed(detail)}, not {show(detail['input'])}"
    return ""


def allowed(detail: Any) -> str:
    """What an error says is allowed, as the end of "must be ..."."""
    if detail["type"] in KINDS:
        return KINDS[detail["type"]].format(**detail.get("ctx", {}))
    text = detail["msg"].removeprefix("Value error, ").removeprefix("must be ").removeprefix("Input should be ")
    return str(text)


def _key(location: tuple[int | str, ...]) -> str:
    """Where an error is: `hub.trusted.0`, of a list of entries `entry 2: iqm`."""
    path = [part for part in location if part != "[key]"]
    entry = ""
    if path and isinstance(path[0], int):
        entry, path = f"entry {path[0] + 1}: ", path[1:]
    return entry + shorten(".".join(map(str, path)), 80)


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _strange(value: Any) -> str:
    """What no file of rlzoo's holds anywhere: depth, numbers of many digits, text that cannot be written."""
    level, depth = [value], 0
    while level:
        if depth > MAX_DEPTH:
            return f"it is nested more than {MAX_DEPTH} deep"
        below: list[Any] = []
        for one in level:
            if isinstance(one, str):
                if not _is_text(one):
                    return f"it holds {show(one)}, which is not text"
            elif isinstance(one, int | float | None):
                if isinstance(one, int) and abs(one) > LARGEST:
                    return "it holds a number beyond 10^18"
            elif isinstance(one, Mapping):
                below += [*one.keys(), *one.values()]
            elif isinstance(one, Sequence):
                below += one
        level, depth = below, depth + 1
    return ""


def _is_text(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
