"""A searched parameter as people read it: values in place of what the sampler draws, on the scale it is searched on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from rlzoo.config.fields import is_number
from rlzoo.errors import clean, shorten
from rlzoo.tuning.space import Choice, OneMinus, PowerOfTwo, look_up, same

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

    from rlzoo.tuning.space import Parameter

LABEL_LENGTH = 24
MAX_TICKS = 6


@dataclass(frozen=True)
class Cell:
    """A value of a parameter in a trial.

    Attributes:
        value: a number, or the name of a choice: what JSON knows.
        text: as it is written.
        position: on its axis.
        setting: what a training gets.
    """

    value: float | int | str | None
    text: str
    position: float
    setting: Any


@dataclass(frozen=True)
class Axis:
    """A parameter's scale.

    Attributes:
        name: in the space.
        key: of the configuration.
        raw_name: what the storage knows it by.
        scale: `one_minus` is the logarithm of the distance from 1, `two` counts doublings.
        low, high: ends of the range, as values; 0 and the last index for choices.
        choices: what can be drawn, by name.
        settings: what a training gets of each.
        parameter: of the study's space, None if that has none of this name.
    """

    name: str
    key: str
    raw_name: str
    scale: Literal["linear", "log", "two", "one_minus", "choice"]
    low: float
    high: float
    choices: tuple[Any, ...] = ()
    settings: tuple[Any, ...] = ()
    parameter: Parameter | None = None

    def cell(self, raw: Any) -> Cell:
        """What was drawn as a value."""
        if self.scale == "choice":
            index = self._index(raw)
            name = raw if raw is None or isinstance(raw, bool | int | float) else label(raw)
            return Cell(name, label(raw), float(index), self.settings[index] if index < len(self.settings) else raw)
        value = {"two": lambda: 2 ** int(raw), "one_minus": lambda: 1.0 - float(raw)}.get(self.scale, lambda: raw)()
        setting = value if self.parameter is None else self.parameter.setting(value)
        return Cell(value, self.text(value), self.position(value), setting)

    def position(self, value: float) -> float:
        """Where a number stands: equal distances are equal changes to the sampler."""
        if self.scale == "log":
            return math.log10(value)
        if self.scale == "two":
            return math.log2(value)
        return -math.log10(1.0 - value) if self.scale == "one_minus" else float(value)

    def text(self, value: float) -> str:
        """A number, as precise as people need it."""
        if isinstance(value, int):
            return str(value)
        if self.scale == "one_minus" and 0 < value < 1:
            return f"{value:.{1 - math.floor(math.log10(1 - value))}f}".rstrip("0")
        return f"{value:.3g}"

    @property
    def ends(self) -> tuple[float, float]:
        """Positions of the ends of the range."""
        return (self.low, self.high) if self.scale == "choice" else (self.position(self.low), self.position(self.high))

    def ticks(self) -> list[tuple[float, str]]:
        """Positions to mark, with what is written there."""
        if self.scale == "choice":
            return [(float(index), shorten(label(each), LABEL_LENGTH)) for index, each in enumerate(self.choices)]
        if self.low == self.high:
            return [(self.position(self.low), self.text(self.low))]
        return [(self.position(value), self.text(value)) for value in self._marked()]

    def _marked(self) -> list[float]:
        if self.scale == "two":
            exponents = range(round(math.log2(self.low)), round(math.log2(self.high)) + 1)
            return [2**k for k in exponents[:: math.ceil(len(exponents) / MAX_TICKS)]]
        if self.scale == "log":
            return [int(x) if x >= 1 else x for x in _of_decades(self.low, self.high)]
        if self.scale == "one_minus":
            return [1.0 - x for x in _of_decades(1.0 - self.high, 1.0 - self.low)]
        return round_numbers(self.low, self.high)

    def _index(self, raw: Any) -> int:
        found = [
            k for k, each in enumerate(self.choices) if each == raw and isinstance(each, bool) == isinstance(raw, bool)
        ]
        return found[0] if found else len(self.choices)


def axis_of(parameter: Parameter) -> Axis:
    """The axis of a parameter of a search space."""
    transform: Any = parameter.transform
    names = (parameter.name, parameter.key, parameter.raw_name)
    if isinstance(transform, Choice):
        return Axis(
            *names, "choice", 0, len(transform.values) - 1, tuple(transform.values),
            tuple(map(parameter.setting, transform.values.values())), parameter,
        )  # fmt: skip
    if isinstance(transform, OneMinus):
        return Axis(*names, "one_minus", 1.0 - transform.high, 1.0 - transform.low, parameter=parameter)
    scale: Any = "two" if isinstance(transform, PowerOfTwo) else "log" if transform.log else "linear"
    return Axis(*names, scale, transform.low, transform.high, parameter=parameter)


def axis_of_distribution(name: str, distribution: BaseDistribution) -> Axis:
    """The axis of something that the study's own space does not have, as trials of other studies can."""
    from optuna.distributions import CategoricalDistribution

    found: Any = distribution
    if isinstance(found, CategoricalDistribution):
        return Axis(name, name, name, "choice", 0, len(found.choices) - 1, tuple(found.choices))
    return Axis(name, name, name, "log" if found.log else "linear", found.low, found.high)


def label(choice: Any) -> str:
    """The name of a choice as YAML writes it."""
    if choice is None or isinstance(choice, bool):
        return "null" if choice is None else str(choice).lower()
    return " ".join(clean(choice).split())


def cells(axes: Sequence[Axis], params: Mapping[str, Any]) -> dict[str, Cell]:
    """The values of a trial by the parameters' names; what was not drawn, or not as the axis has it, is left out."""
    found = {}
    for axis in axes:
        if axis.raw_name in params:
            with suppress(ValueError, TypeError, OverflowError):  # a trial of another study can have other kinds
                found[axis.name] = axis.cell(params[axis.raw_name])
    return found


def exact(axes: Sequence[Axis], found: Mapping[str, Cell], config: Mapping[str, Any]) -> dict[str, Cell]:
    """Cells with what a configuration has, where a trial was not drawn and the sampler took it for what is near."""
    cells = dict(found)
    for axis in axes:
        setting = look_up(config, axis.key)
        if axis.name not in found or axis.parameter is None or setting is None:
            continue
        cell, value = replace(found[axis.name], setting=setting), axis.parameter.value_of(setting)
        differs = axis.scale != "choice" and is_number(value) and not same(value, cell.value)
        cells[axis.name] = replace(cell, value=value, text=axis.text(value)) if differs else cell
    return cells


def _of_decades(low: float, high: float) -> list[float]:
    """Round numbers of a range on a logarithmic scale, about as many as can be marked."""
    slack = 1e-9
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1,), (1, 3), (1, 2, 5), tuple(range(1, 10))):
        found = [
            d * 10.0**k for k in exponents for d in digits if low * (1 - slack) <= d * 10.0**k <= high * (1 + slack)
        ]
        if len(found) >= 3:
            return found[:: math.ceil(len(found) / MAX_TICKS)]
    return found or [low, high]


def round_numbers(low: float, high: float) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten in a range."""
    rough = (high - low) / (MAX_TICKS - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * (1 - 1e-9))
    step = max(1, round(step)) if isinstance(low, int) and isinstance(high, int) else step
    first = math.ceil(low / step - 1e-9)
    count = math.floor(high / step + 1e-9) - first + 1
    found = [round((first + k) * step, 12) for k in range(count)]
    return [int(x) for x in found] if isinstance(step, int) else found
