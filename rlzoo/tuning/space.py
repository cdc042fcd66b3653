"""A search space: drawn from, laid over a configuration, and read back from one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rlzoo.tuning.constraints import Constraint
from rlzoo.tuning.parameters import Parameter

if TYPE_CHECKING:
    import optuna


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
            config: the whole configuration, where names that are no parameter's are looked up: `n_envs` is
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
