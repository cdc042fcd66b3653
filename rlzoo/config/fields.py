"""The one language of options: what a keyword takes, and every mistake in a mapping of them at once.

Requests, algorithms, wrappers, launchers, loggers, samplers and search spaces describe their keywords as `Field`s. A
field's type is words joined by ` | `: `int`, `float | null`. `rlzoo.algos.schema.types` adds those that only algorithms
need.
"""

from __future__ import annotations

import inspect
import math
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from annotated_types import GroupedMetadata

from rlzoo.errors import Problem, show
from rlzoo.registry import did_you_mean

LARGEST = 10**18
"""Whole numbers beyond it are not a count of anything, and fit into no machine word."""


@dataclass(frozen=True)
class Field:
    """What one keyword takes.

    Attributes:
        type: words of `KINDS`, joined by ` | `.
        ge: the least number, if it is allowed itself; the names are those of `annotated_types`.
        gt: the least number, if it is not.
        le: the largest number, if it is allowed itself.
        lt: the largest number, if it is not.
        also: a number outside of the range with a meaning of its own.
        choices: the texts that are allowed; empty if any is.
        required: whether it has no default.
        default: where it is not required.
        meaning: one line for people.
    """

    type: str
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    also: int | None = None
    choices: tuple[str, ...] = ()
    required: bool = False
    default: Any = None
    meaning: str = ""

    @property
    def words(self) -> list[str]:
        """The words of its type."""
        return self.type.split(" | ")

    @property
    def range(self) -> str:
        """The numbers it takes, in words: `at least 0 and at most 1`; empty if any."""
        said = {"at least": self.ge, "greater than": self.gt, "at most": self.le, "less than": self.lt}
        also = "" if self.also is None else f"{self.also} or "
        return also + " and ".join(f"{words} {_figure(limit)}" for words, limit in said.items() if limit is not None)

    @property
    def short_range(self) -> str:
        """The numbers it takes, in few characters: `0 to 1`, `> 0, <= 1`."""
        if (self.ge, self.gt, self.le, self.lt) == (0, None, 1, None):
            return "0 to 1"
        said = {">=": self.ge, ">": self.gt, "<=": self.le, "<": self.lt}
        also = "" if self.also is None else f"{self.also} or "
        return also + ", ".join(f"{sign} {_figure(limit)}" for sign, limit in said.items() if limit is not None)

    def holds(self, number: float) -> bool:
        """Whether a number lies in the range."""
        return (self.also is not None and number == self.also) or (
            (self.ge is None or number >= self.ge)
            and (self.gt is None or number > self.gt)
            and (self.le is None or number <= self.le)
            and (self.lt is None or number < self.lt)
        )

    def problems(self, key: str, value: Any) -> list[Problem]:
        """What is wrong with a value; `key` is its whole dotted key."""
        words = self.words
        if "any" in words:
            return []
        quoted = isinstance(value, str) and _is_number_text(value) and not {"int", "float"}.isdisjoint(words)
        for word in words:
            if KINDS[word].fits(value) and not quoted and (word != "str" or not self.choices or value in self.choices):
                return KINDS[word].details(key, value, self)
        near = did_you_mean(value, self.choices) if isinstance(value, str) else ""
        if "texts" in words and value in self.choices:
            return [Problem(key, f"must be {self}, not {show(value)}", f"write [{value}]")]
        hint = "write the number without quotes" if quoted else f"allowed: {self.range}" if self.range else ""
        large = (type(value) is int or is_number(value)) and abs(value) > LARGEST
        most = " up to 10^18" if large and "int" in words else ""
        return [Problem(key, f"must be {self}{most}, not {show(value)}{near}", hint)]

    def out_of_range(self, key: str, numbers: Sequence[Any]) -> list[Problem]:
        """The first number that is outside of the range."""
        wrong = [number for number in numbers if not self.holds(number)]
        return [Problem(key, f"must be {self.range}, not {show(wrong[0])}")] if wrong else []

    def plain(self, value: Any) -> Any:
        """A value that has no problems, as Python code wants it: `1e3` is a whole number where one is asked for."""
        words = self.words
        if type(value) in (int, float) and not {"int", "float"}.isdisjoint(words):
            return float(value) if "float" in words else int(value)
        if is_list(value):
            return tuple(int(part) for part in value) if "ints" in words else tuple(value)
        if value is None and "options" in words:
            return {}
        if isinstance(value, Mapping) and "mappings" in words:
            return {name: {} if options is None else options for name, options in value.items()}
        return value

    def __str__(self) -> str:
        texts = [[KINDS[word].words] if word != "str" or not self.choices else self.choices for word in self.words]
        return _either([text for each in texts for text in each])


Fields = Mapping[str, Field]
"""Keywords to what they take."""


def problems(fields: Fields, values: Mapping[str, Any], where: str) -> list[Problem]:
    """Everything that is wrong with a mapping of keywords: absent, unknown, of the wrong type, out of range.

    Args:
        fields: all keywords there are.
        values: those that are given.
        where: the dotted key of the mapping.
    """
    found = [
        Problem(f"{where}.{name}", "has to be given", f"{where}.{name}=…")
        for name, field in fields.items()
        if field.required and name not in values
    ]
    for name, value in values.items():
        key = f"{where}.{name}"
        found += fields[name].problems(key, value) if name in fields else [unknown(key, str(name), fields)]
    return found


def unknown(key: str, name: str, fields: Fields) -> Problem:
    """A keyword that there is not, with the nearest names or all."""
    near = did_you_mean(name, fields)
    known = f"known: {', '.join(fields)}" if fields else "it takes none"
    return Problem(key, f"unknown keyword{near}", "" if near else known)


def field_of(annotation: Any, word: Callable[[Any], str] | None = None) -> Field:
    """What an annotation allows: `Annotated[float, Gt(0)]`, `int | None`, `Literal["auto"]`.

    Text beside a type, `Annotated[str, "extra"]`, that is a word of `KINDS` stands for it.

    Args:
        annotation: resolved, not a text.
        word: the word for a part of the annotation that is none of the plain ones; `"any"` if there is none.
    """
    found: list[str] = []
    options: dict[str, Any] = {"choices": ()}

    def add(part: Any) -> None:
        origin, arguments = typing.get_origin(part), typing.get_args(part)
        if origin in (typing.Union, types.UnionType):
            for each in arguments:
                add(each)
        elif origin is typing.Annotated:
            named = [each for each in arguments[1:] if isinstance(each, str) and each in KINDS]
            found.extend(named) if named else add(arguments[0])
            options.update(_limits(arguments[1:]))
        elif origin is typing.Literal and all(isinstance(each, str) for each in arguments):
            found.append("str")
            options["choices"] += arguments
        elif origin is typing.Literal and len(arguments) == 1 and type(arguments[0]) is int:
            options["also"] = arguments[0]
        elif origin is typing.Literal:
            found.append("any")
        elif origin is tuple and arguments[1:] == (...,):
            inner = field_of(arguments[0])
            found.append({"int": "ints", "str": "texts"}.get(inner.type, "any"))
            options.update({name: getattr(inner, name) for name in (*LIMITS, "choices")})
        elif origin is dict and arguments[0] is str and field_of(arguments[1]).type == "options":
            found.append("mappings")
        else:
            found.append(_PLAIN.get(part) or (word(part) if word else "any"))

    add(annotation)
    # A number of Literal is one beside a range; any other stands alone, as do texts of Literal beside any text.
    if not found or "any" in found or ("also" in options and {"int", "float"}.isdisjoint(found)):
        return Field("any")
    return Field(" | ".join(dict.fromkeys(found)), **options)


_PLAIN: dict[Any, str] = {int: "int", float: "float", bool: "bool", str: "str", type(None): "null", None: "null"}
LIMITS = ("ge", "gt", "le", "lt")


def _limits(metadata: Sequence[Any]) -> dict[str, Any]:
    parts = [part for each in metadata for part in (each if isinstance(each, GroupedMetadata) else (each,))]
    limits = {name: getattr(part, name) for part in parts for name in LIMITS if hasattr(part, name)}
    return {name: limit for name, limit in limits.items() if math.isfinite(limit)}


def read(function: Callable[..., Any], *, without: Sequence[str] = ()) -> dict[str, Field]:
    """The keywords of a function that plain data can be given for, by its annotations; others are left out."""
    found = {}
    annotations: dict[str, Any] = {}
    with suppress(Exception):  # names that only a type checker knows
        annotations = typing.get_type_hints(function, include_extras=True)
    for name, parameter in inspect.signature(function).parameters.items():
        annotation = parameter.annotation
        text = annotation.__name__ if isinstance(annotation, type) else str(annotation)
        words = [_ANNOTATIONS.get(part.strip()) for part in text.split("|")]
        field = field_of(annotations.get(name)) if None in words else Field(" | ".join(map(str, words)))
        if name not in without and field.type not in ("any", "null"):
            found[name] = replace(field, required=parameter.default is parameter.empty)
    return found


_ANNOTATIONS = {
    **{name: name for name in ("int", "float", "bool", "str")},
    "None": "null",
    "Sequence[str]": "texts",
    "Mapping[str, str]": "mapping",
}


def is_number(value: Any) -> bool:
    """Whether a value is a finite number; booleans are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number of more than 308 digits
        return False


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number, of a size that counts something; `1e6` is one."""
    return is_number(value) and float(value).is_integer() and abs(value) <= LARGEST


def is_list(value: Any) -> bool:
    """Whether a value is a list; text is none."""
    return isinstance(value, Sequence) and not isinstance(value, str)


def _figure(number: float) -> str:
    return str(int(number)) if number == int(number) else f"{number:g}"


def _is_number_text(value: str) -> bool:
    try:
        return math.isfinite(float(value))
    except ValueError:
        return False


def _either(texts: Sequence[str]) -> str:
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} or {texts[-1]}"


def _nothing(_key: str, _value: Any, _field: Field) -> list[Problem]:
    return []


def _number(key: str, value: Any, field: Field) -> list[Problem]:
    return field.out_of_range(key, [value])


def _numbers(key: str, value: Any, field: Field) -> list[Problem]:
    return field.out_of_range(key, value if is_list(value) else [value])


def _choices(key: str, value: Sequence[str], field: Field) -> list[Problem]:
    one = replace(field, type="str")
    return [problem for part in value for problem in one.problems(key, part)]


def _mappings(key: str, value: Mapping[str, Any], _field: Field) -> list[Problem]:
    options = Field("options")
    return [problem for name, given in value.items() for problem in options.problems(f"{key}.{name}", given)]


@dataclass(frozen=True)
class Kind:
    """A word of a type.

    Attributes:
        words: for people, after "must be".
        fits: whether a value has the outer form, so that this word is the one that is meant.
        details: what is wrong with a value of this form.
    """

    words: str
    fits: Callable[[Any], bool]
    details: Callable[[str, Any, Field], list[Problem]] = _nothing


def _list_of(fits: Callable[[Any], bool], length: int | None = None) -> Callable[[Any], bool]:
    return lambda value: is_list(value) and all(map(fits, value)) and length in (None, len(value))


KINDS: dict[str, Kind] = {
    "int": Kind("a whole number", is_whole, _number),
    "float": Kind("a number", is_number, _number),
    "bool": Kind("true or false", lambda value: isinstance(value, bool)),
    "str": Kind("text", lambda value: isinstance(value, str)),
    "null": Kind("null", lambda value: value is None),
    "mapping": Kind("a mapping", lambda value: isinstance(value, Mapping)),
    "options": Kind("a mapping", lambda value: value is None or isinstance(value, Mapping)),
    "mappings": Kind("a mapping", lambda value: isinstance(value, Mapping), _mappings),
    "extra": Kind(
        "the name of an extra: letters, digits, '.', '_' and '-'",
        lambda value: isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", value) is not None,
    ),
    "ints": Kind(
        "a list of 1 or more whole numbers", lambda value: _list_of(is_whole)(value) and len(value) > 0, _numbers
    ),
    "texts": Kind("a list of texts", _list_of(lambda part: isinstance(part, str)), _choices),
    "pair": Kind("a list of two numbers", _list_of(is_number, 2), _numbers),
    "numbers": Kind(
        "a number or a list of numbers",
        lambda value: is_number(value) or _list_of(is_number)(value),
        _numbers,
    ),
}
"""The words of types."""
