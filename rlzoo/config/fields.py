"""The one language of options: what a keyword takes, and every mistake in a mapping of them at once.

Algorithms, wrappers, launchers, loggers, samplers and search spaces describe their keywords as `Field`s. A field's type
is words joined by ` | `: `int`, `float | null`. `rlzoo.algos.schema.types` adds those that only algorithms need.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rlzoo.errors import Problem, show
from rlzoo.registry import did_you_mean


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
        return also + " and ".join(f"{words} {limit:g}" for words, limit in said.items() if limit is not None)

    @property
    def short_range(self) -> str:
        """The numbers it takes, in few characters: `0 to 1`, `> 0, <= 1`."""
        if (self.ge, self.gt, self.le, self.lt) == (0, None, 1, None):
            return "0 to 1"
        said = {">=": self.ge, ">": self.gt, "<=": self.le, "<": self.lt}
        also = "" if self.also is None else f"{self.also} or "
        return also + ", ".join(f"{sign} {limit:g}" for sign, limit in said.items() if limit is not None)

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
            if KINDS[word].fits(value) and not quoted:
                return KINDS[word].details(key, value, self)
        hint = "write the number without quotes" if quoted else f"allowed: {self.range}" if self.range else ""
        return [Problem(key, f"must be {self}, not {show(value)}", hint)]

    def out_of_range(self, key: str, numbers: Sequence[Any]) -> list[Problem]:
        """The first number that is outside of the range."""
        wrong = [number for number in numbers if not self.holds(number)]
        return [Problem(key, f"must be {self.range}, not {show(wrong[0])}")] if wrong else []

    def plain(self, value: Any) -> Any:
        """A value that has no problems, as Python code wants it: `1e3` is a whole number where one is asked for."""
        if isinstance(value, list | tuple):
            return tuple(int(part) for part in value) if self.type == "ints" else tuple(value)
        return int(value) if isinstance(value, float) and "int" in self.words and "float" not in self.words else value

    def __str__(self) -> str:
        of_field = {"str": _either(self.choices)} if self.choices else {}
        return _either([of_field.get(word, KINDS[word].words) for word in self.words])


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


def read(function: Callable[..., Any], *, without: Sequence[str] = ()) -> dict[str, Field]:
    """The keywords of a function that plain data can be given for, by its annotations; others are left out."""
    found = {}
    for name, parameter in inspect.signature(function).parameters.items():
        annotation = parameter.annotation
        text = annotation.__name__ if isinstance(annotation, type) else str(annotation)
        words = [_ANNOTATIONS.get(part.strip()) for part in text.split("|")]
        if name not in without and None not in words:
            required = parameter.default is parameter.empty
            found[name] = Field(" | ".join(map(str, words)), required=required)
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
    """Whether a value is a whole number that fits into a machine word; `1e6` is one."""
    return is_number(value) and float(value).is_integer() and abs(value) < 2**63


def is_list(value: Any) -> bool:
    """Whether a value is a list; text is none."""
    return isinstance(value, Sequence) and not isinstance(value, str)


def _is_number_text(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


def _either(texts: Sequence[str]) -> str:
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} or {texts[-1]}"


def _nothing(_key: str, _value: Any, _field: Field) -> list[Problem]:
    return []


def _number(key: str, value: Any, field: Field) -> list[Problem]:
    return field.out_of_range(key, [value])


def _numbers(key: str, value: Any, field: Field) -> list[Problem]:
    return field.out_of_range(key, value if is_list(value) else [value])


def _text(key: str, value: str, field: Field) -> list[Problem]:
    if not field.choices or value in field.choices:
        return []
    near = did_you_mean(value, field.choices)
    return [Problem(key, f"must be {_either(field.choices)}, not {show(value)}{near}")]


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
    "str": Kind("text", lambda value: isinstance(value, str), _text),
    "null": Kind("null", lambda value: value is None),
    "mapping": Kind("a mapping", lambda value: isinstance(value, Mapping)),
    "ints": Kind("a list of whole numbers", _list_of(is_whole), _numbers),
    "texts": Kind("a list of texts", _list_of(lambda part: isinstance(part, str))),
    "pair": Kind("a list of two numbers", _list_of(is_number, 2), _numbers),
    "numbers": Kind(
        "a number or a list of numbers",
        lambda value: is_number(value) or _list_of(is_number)(value),
        _numbers,
    ),
}
"""The words of types."""
