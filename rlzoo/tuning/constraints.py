"""Conditions that searched values have to meet together: `batch_size <= n_steps * n_envs`, read as data."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

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
        raise ValueError(f"is no text of at most {MAX_LENGTH} characters")
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
