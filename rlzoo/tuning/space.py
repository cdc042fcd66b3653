"""A search space: its parameters and constraints, drawn from, laid over a configuration, and read back from one."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from rlzoo.algos.schema.types import SCHEDULES, named_numbers
from rlzoo.config.fields import is_number

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution

Raw = None | bool | int | float | str
"""What Optuna stores of a parameter."""


class Transform(Protocol):
    """A kind of parameter.

    `value` and `raw` are inverses of each other for everything that can be drawn.
    """

    @property
    def raw_name(self) -> str:
        """The parameter's name with `{}` for its own: what the sampler sees is not always the value."""

    def distribution(self) -> BaseDistribution: ...

    def value(self, raw: Any) -> Any: ...

    def raw(self, value: Any) -> Raw:
        """What would have had to be drawn for this value.

        Raises:
            ValueError: if it lies outside of the range.
        """

    def nearest(self, value: Any) -> Any:
        """What can be drawn and is closest to a value.

        Raises:
            ValueError: if nothing is: to no number, nor to a negative one, which in these settings is a sign.
        """


@dataclass(frozen=True)
class Float:
    """A number of a range, on a logarithmic scale or in steps if wanted."""

    low: float
    high: float
    log: bool = False
    step: float | None = None
    raw_name = "{}"

    def distribution(self) -> BaseDistribution:
        from optuna.distributions import FloatDistribution

        return FloatDistribution(self.low, self.high, log=self.log, step=self.step)

    def value(self, raw: float) -> float:
        return float(raw)

    def raw(self, value: Any) -> float:
        number = _number(value)
        if not self.low <= number <= self.high:
            raise ValueError(f"{value} lies outside of {self.low:g} to {self.high:g}")
        if self.step is not None and not math.isclose((number - self.low) / self.step % 1, 0, abs_tol=1e-9):
            raise ValueError(f"{value} is not {self.low:g} and a multiple of {self.step:g}")
        return number

    def nearest(self, value: Any) -> float:
        number = min(max(_positive(value), self.low), self.high)
        if self.step is None:
            return number
        steps = round((number - self.low) / self.step)
        return self.low + self.step * min(steps, math.floor((self.high - self.low) / self.step + 1e-9))


@dataclass(frozen=True)
class Int:
    """A whole number of a range, on a logarithmic scale or in steps if wanted."""

    low: int
    high: int
    log: bool = False
    step: int = 1
    raw_name = "{}"

    def distribution(self) -> BaseDistribution:
        from optuna.distributions import IntDistribution

        return IntDistribution(self.low, self.high, log=self.log, step=self.step)

    def value(self, raw: int) -> int:
        return int(raw)

    def raw(self, value: Any) -> int:
        number = _whole(value)
        if not self.low <= number <= self.high or (number - self.low) % self.step:
            steps = f" in steps of {self.step}" if self.step > 1 else ""
            raise ValueError(f"{value} lies outside of {self.low} to {self.high}{steps}")
        return number

    def nearest(self, value: Any) -> int:
        steps = round((min(max(_positive(value), self.low), self.high) - self.low) / self.step)
        return self.low + self.step * min(steps, (self.high - self.low) // self.step)


@dataclass(frozen=True)
class PowerOfTwo:
    """A power of two between two others; the sampler draws the exponent."""

    low: int
    high: int
    raw_name = "log2_{}"

    def distribution(self) -> BaseDistribution:
        from optuna.distributions import IntDistribution

        return IntDistribution(self.low.bit_length() - 1, self.high.bit_length() - 1)

    def value(self, raw: int) -> int:
        return 1 << int(raw)

    def raw(self, value: Any) -> int:
        number = _whole(value)
        if not self.low <= number <= self.high or number & (number - 1):
            raise ValueError(f"{value} is not a power of two from {self.low} to {self.high}")
        return number.bit_length() - 1

    def nearest(self, value: Any) -> int:
        return 2 ** round(math.log2(min(max(_positive(value), self.low), self.high)))


@dataclass(frozen=True)
class OneMinus:
    """A number just below 1, such as a discount; the sampler draws its distance from 1 on a logarithmic scale."""

    low: float
    high: float
    raw_name = "one_minus_{}"

    def distribution(self) -> BaseDistribution:
        from optuna.distributions import FloatDistribution

        return FloatDistribution(self.low, self.high, log=True)

    def value(self, raw: float) -> float:
        return 1.0 - float(raw)

    def raw(self, value: Any) -> float:
        distance = 1.0 - _number(value)  # exact for values from 0.5 to 1 (Sterbenz), so the way back is too
        if not self.low * (1 - 1e-9) <= distance <= self.high * (1 + 1e-9):
            raise ValueError(f"{value} lies outside of {1 - self.high:g} to {1 - self.low:g}")
        return min(max(distance, self.low), self.high)

    def nearest(self, value: Any) -> float:
        return 1.0 - min(max(1.0 - _positive(value), self.low), self.high)


@dataclass(frozen=True)
class Choice:
    """One of some values, which the sampler knows by their names: lists and mappings need one."""

    values: Mapping[Any, Any]
    raw_name = "{}"

    def distribution(self) -> BaseDistribution:
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(list(self.values))

    def value(self, raw: Raw) -> Any:
        return self.values[raw]

    def raw(self, value: Any) -> Raw:
        for name, candidate in self.values.items():
            if candidate == value and isinstance(candidate, bool) == isinstance(value, bool):
                return name
        raise ValueError(f"{value} is none of {', '.join(map(str, self.values))}")

    def nearest(self, value: Any) -> Any:
        return self.values[self.raw(value)]


KINDS: dict[str, type] = {
    "float": Float,
    "int": Int,
    "choice": Choice,
    "power_of_two": PowerOfTwo,
    "one_minus": OneMinus,
}
"""What `type:` of a search space says."""


@dataclass(frozen=True)
class Parameter:
    """A searched hyperparameter.

    Attributes:
        name: in the space.
        key: of the configuration, `algo.learning_rate` or `env.n_envs`.
        transform: what is drawn, and what becomes of it.
        when: values that other parameters have to have (one of them each), or this one is not searched.
        default: the value that the algorithm takes where the setting is not given, None where that cannot be.
        schedule: the setting of the request that is searched, if it is a schedule: what is drawn is where it starts.
    """

    name: str
    key: str
    transform: Transform
    when: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    default: Any = None
    schedule: Mapping[str, Any] | None = None

    @property
    def raw_name(self) -> str:
        """What the sampler knows it by: `gamma` is drawn as `one_minus_gamma`."""
        return self.transform.raw_name.format(self.name)

    def applies(self, values: Mapping[str, Any]) -> bool:
        """Whether it is searched, given the values of the parameters before it."""
        return all(name in values and values[name] in allowed for name, allowed in self.when.items())

    def draw(self, trial: optuna.trial.BaseTrial) -> Any:
        """The value that the sampler proposes."""
        return self.transform.value(_suggest(trial, self.raw_name, self.transform.distribution()))

    def setting(self, value: Any) -> Any:
        """What a configuration gets for a value: the request's schedule from there on, if it has one."""
        return value if self.schedule is None or not is_number(value) else starting_at(self.schedule, value)

    def value_of(self, setting: Any) -> Any:
        """The value that a setting stands for: of a schedule that is not among the choices, its start."""
        choices = self.transform.values.values() if isinstance(self.transform, Choice) else ()
        if not is_schedule(setting) or setting in choices:
            return setting
        names, numbers = _numbers_of(setting)
        return numbers.get(names[0])


def is_schedule(setting: Any) -> bool:
    """Whether a setting is a schedule, `{linear: 0.001}`."""
    return isinstance(setting, Mapping) and len(setting) == 1 and next(iter(setting)) in SCHEDULES


def starting_at(schedule: Mapping[str, Any], start: float) -> dict[str, Any]:
    """The same schedule from another start."""
    names, numbers = _numbers_of(schedule)
    return {next(iter(schedule)): start if len(numbers) == 1 else {**numbers, names[0]: start}}


def _numbers_of(schedule: Mapping[str, Any]) -> tuple[Sequence[str], dict[str, Any]]:
    """The names of a schedule's numbers, where it starts first, and those that it has."""
    ((name, given),) = schedule.items()
    return SCHEDULES[name], named_numbers(given, SCHEDULES[name])


def _suggest(trial: optuna.trial.BaseTrial, name: str, distribution: BaseDistribution) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(distribution, CategoricalDistribution):
        return trial.suggest_categorical(name, distribution.choices)
    if isinstance(distribution, IntDistribution):
        return trial.suggest_int(
            name, distribution.low, distribution.high, step=distribution.step, log=distribution.log
        )
    assert isinstance(distribution, FloatDistribution)
    return trial.suggest_float(name, distribution.low, distribution.high, step=distribution.step, log=distribution.log)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is not a number")
    return float(value)


def _positive(value: Any) -> float:
    number = _number(value)
    if not 0 <= number < math.inf:
        raise ValueError(f"nothing is near to {value}")
    return number


def _whole(value: Any) -> int:
    number = _number(value)
    if not number.is_integer():
        raise ValueError(f"{value!r} is not a whole number")
    return int(number)


MAX_LENGTH = 200

COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}


@dataclass(frozen=True)
class Constraint:
    """A comparison of sums and products of numbers and named values."""

    text: str
    names: frozenset[str]
    _tree: ast.Compare

    @classmethod
    def parse(cls, text: Any) -> Constraint:
        """Read a constraint.

        Raises:
            ValueError: if it is anything but one comparison of numbers, names, `+ - * / // %` and brackets.
        """
        tree = _parsed(text)
        if not isinstance(tree, ast.Compare) or len(tree.ops) != 1 or type(tree.ops[0]) not in COMPARISONS:
            raise ValueError("is not one comparison, such as batch_size <= n_steps * n_envs")
        names: set[str] = set()
        for side in (tree.left, tree.comparators[0]):
            _check(side, names)
        return cls(text.strip(), frozenset(names), tree)

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether it is met; it is where a value is not there or no number, or something is divided by 0.

        Such a value (a schedule, a parameter that does not apply) is for the checks of the configuration to judge.
        """
        try:
            left, right = (_compute(side, values) for side in (self._tree.left, self._tree.comparators[0]))
        except (KeyError, TypeError, ZeroDivisionError):
            return True
        return COMPARISONS[type(self._tree.ops[0])](left, right)


def _parsed(text: Any) -> ast.expr:
    if not isinstance(text, str) or len(text) > MAX_LENGTH:
        raise ValueError(f"is not text of at most {MAX_LENGTH} characters")
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise ValueError("cannot be read") from None


def _check(node: ast.expr, names: set[str]) -> None:
    if isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
        _check(node.left, names)
        _check(node.right, names)
    elif isinstance(node, ast.Name):
        names.add(node.id)
    elif not (isinstance(node, ast.Constant) and type(node.value) in (int, float)):
        raise ValueError(f"holds {ast.unparse(node)!r}: only names, numbers, + - * / // % and brackets are known")


def _compute(node: ast.expr, values: Mapping[str, Any]) -> Any:
    if isinstance(node, ast.BinOp):
        return ARITHMETIC[type(node.op)](_compute(node.left, values), _compute(node.right, values))
    if isinstance(node, ast.Name):
        value = values[node.id]
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(value)
        return value
    assert isinstance(node, ast.Constant)
    return node.value


@dataclass(frozen=True)
class Space:
    """Parameters in the order in which they are drawn, and what has to hold among their values."""

    parameters: tuple[Parameter, ...]
    constraints: tuple[Constraint, ...] = ()

    def draw(self, trial: optuna.trial.BaseTrial) -> dict[str, Any]:
        """The values that the sampler proposes, by the parameters' names; what does not apply is left out."""
        values: dict[str, Any] = {}
        for parameter in self.parameters:
            if parameter.applies(values):
                values[parameter.name] = parameter.draw(trial)
        return values

    def broken(self, values: Mapping[str, Any], config: Mapping[str, Any]) -> list[str]:
        """The constraints that are not met.

        Args:
            values: of the parameters, by name.
            config: the whole configuration, where names that are not a parameter's are looked up: `n_envs` is
                `env.n_envs`, `n_steps` `algo.n_steps`.
        """
        return [each.text for each in self.constraints if not each.holds({**named(config), **values})]

    def settings(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values as settings of the configuration, by their keys in it: `algo.learning_rate`."""
        by_name = {parameter.name: parameter for parameter in self.parameters}
        return {by_name[name].key: by_name[name].setting(value) for name, value in values.items()}

    def values_of(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """The searched values that a configuration has, by name.

        Raises:
            ValueError: naming every value that lies outside of the space.
        """
        values, wrong = self.within(config)
        if wrong:
            raise ValueError("; ".join(wrong))
        return values

    def within(self, config: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """The searched values that a configuration has and that lie inside of the space, and why others do not."""
        values: dict[str, Any] = {}
        wrong = []
        for parameter in self.parameters:
            if not parameter.applies(values):
                continue
            value = parameter.value_of(look_up(config, parameter.key))
            try:
                parameter.transform.raw(value)
            except ValueError as error:
                wrong.append(f"{parameter.key}: {error}")
            else:
                values[parameter.name] = value
        return values, wrong

    def nearest(self, config: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """As `within`, with the closest value that can be drawn where there is one, and what became of the others."""
        values: dict[str, Any] = {}
        said = []
        for parameter in self.parameters:
            if not parameter.applies(values):
                continue
            value = parameter.value_of(look_up(config, parameter.key))
            value = parameter.default if value is None and parameter.default is not None else value
            try:
                values[parameter.name] = near = parameter.transform.nearest(value)
            except ValueError as error:
                reason = "it is not given, and `default:` in the space does not say what that means"
                said.append(f"{parameter.key} is drawn: {reason if value is None else error}")
            else:
                if not same(near, value):
                    said.append(f"{parameter.key} is {near:g} in place of {value:g}")
        return values, said

    def raw(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """What would have had to be drawn for these values: the parameters of an Optuna trial."""
        by_name = {parameter.name: parameter for parameter in self.parameters}
        return {by_name[name].raw_name: by_name[name].transform.raw(value) for name, value in values.items()}


def same(value: Any, other: Any) -> bool:
    """Whether two values are the same but for rounding."""
    if isinstance(value, float) and isinstance(other, int | float):
        return math.isclose(value, other, rel_tol=1e-9)
    return bool(value == other)


def look_up(config: Mapping[str, Any], key: str) -> Any:
    """The value of a dotted key, None where there is none."""
    return at_path(config, key.split("."))


def at_path(config: Mapping[str, Any], path: Sequence[str]) -> Any:
    """The value of a path, whose keys may have dots in them; None where there is none."""
    found: Any = config
    for part in path:
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def named(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a constraint can call by its last name: the settings of the algorithm, of the environment and of the top."""
    return {**config, **(config.get("env") or {}), **(config.get("algo") or {})}
