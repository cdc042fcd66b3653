"""Where the hyperparameters of the shipped tuned sets lie, for each kind of algorithm.

The table `tuned_ranges.json` is compiled from them by `rlzoo.algos.schema.compile`, so that no request reads all sets.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from rlzoo.algos.schema.types import SCHEDULES, named_numbers
from rlzoo.algos.specs import AlgoSpec, find_spec

TABLE = Path(__file__).with_name("tuned_ranges.json")

KEYWORDS = (
    "learning_rate",
    "ent_coef",
    "clip_range",
    "vf_coef",
    "max_grad_norm",
    "n_epochs",
    "gae_lambda",
    "tau",
    "batch_size",
)
"""What is compared; `gamma` is not, whose good values lie far apart."""

GRADIENT = "gradient"
"""The kind of all sets of algorithms that learn by gradients, for those that have too few of their own."""


@dataclass(frozen=True)
class TunedRange:
    """The values of a keyword in the tuned sets of a kind.

    Attributes:
        low: the least of them.
        middle: their median, one that occurs.
        high: the largest.
        n: how many sets.
    """

    low: float
    middle: float
    high: float
    n: int


Ranges = Mapping[str, Mapping[str, TunedRange]]
"""By kind and keyword."""


def kind_of(spec: AlgoSpec) -> str | None:
    """Whose tuned sets an algorithm is compared with; None of one that has no such kind."""
    if spec.family == "off_policy":
        return "dqn" if spec.action_spaces == ("Discrete",) else "sac"
    if spec.family == "on_policy":
        return GRADIENT if spec.name in ("reinforce", "actor_critic") else "ppo"
    return "ars" if spec.name in ("ars", "evolution_strategies") else None


def start(value: Any) -> float | None:
    """A number, or what a schedule starts from; None of anything else, `auto` for one."""
    if isinstance(value, Mapping) and len(value) == 1:
        ((name, given),) = value.items()
        value = named_numbers(given, SCHEDULES.get(name, ())).get("value" if name == "constant" else "start")
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


@cache
def ranges() -> Ranges:
    """The compiled table."""
    return {
        kind: {keyword: TunedRange(*row) for keyword, row in rows.items()}
        for kind, rows in json.loads(TABLE.read_text()).items()
    }


def tuned_sets() -> Iterator[tuple[str, str, dict[str, float]]]:
    """Name, kind and numbers of every shipped tuned set, composed with what it builds on."""
    from rlzoo.config import files
    from rlzoo.config.compose import compose

    for name in files.options("hyperparams"):
        algo, _, env = name.partition("/")
        kind = kind_of(find_spec(algo))
        if kind is not None:
            values = compose("train", [f"algo={algo}", f"env={'Breakout' if env == 'atari' else env}"]).values["algo"]
            numbers = {keyword: start(values.get(keyword)) for keyword in KEYWORDS}
            yield name, kind, {keyword: number for keyword, number in numbers.items() if number is not None}


def compile_ranges(sets: list[tuple[str, str, dict[str, float]]]) -> Ranges:
    """The ranges of some sets."""
    found: dict[str, dict[str, list[float]]] = {}
    for _, kind, numbers in sets:
        for keyword, number in numbers.items():
            for each in dict.fromkeys((kind, GRADIENT if kind != "ars" else kind)):
                found.setdefault(each, {}).setdefault(keyword, []).append(number)
    return {
        kind: {keyword: _range(sorted(numbers)) for keyword, numbers in sorted(rows.items())}
        for kind, rows in sorted(found.items())
    }


def _range(numbers: list[float]) -> TunedRange:
    return TunedRange(numbers[0], numbers[(len(numbers) - 1) // 2], numbers[-1], len(numbers))


def as_text(compiled: Ranges) -> str:
    """The table as JSON with a line for each keyword."""
    kinds = []
    for kind, rows in compiled.items():
        lines = (f'  "{keyword}": {json.dumps(astuple(row))}' for keyword, row in rows.items())
        kinds.append(f' "{kind}": {{\n' + ",\n".join(lines) + "\n }")
    return "{\n" + ",\n".join(kinds) + "\n}\n"
