"""Texts that rl_zoo3 evaluates (`dict(net_arch=[64, 64], activation_fn=nn.ReLU)`, `lin_3e-4`), read as data."""

from __future__ import annotations

import ast
import re
from typing import Any

from rlzoo.algos.schema.types import ACTIVATIONS, OPTIMIZERS
from rlzoo.errors import ExitCode, RlzooError

MAX_LENGTH = 4096
MAX_DEPTH = 16

NAMES = {
    **{
        f"{prefix}{reference.partition(':')[2]}": word for word, reference in ACTIVATIONS.items() for prefix in ("nn.",)
    },
    **{f"optim.{reference.partition(':')[2]}": word for word, reference in OPTIMIZERS.items() if "torch." in reference},
    "RMSpropTFLike": "rmsprop_tf_like",
}
"""Names that stand for classes, without `torch.` or `th.` in front, and rlzoo's words for them."""
_INNER = re.compile(r"(nn|optim)\.(?:modules\.activation|[a-z]+)\.")  # where torch itself says that they are
_SCHEDULE = re.compile(r"lin_(\d*\.?\d+(?:[eE][-+]?\d+)?|\d+\.)")


def class_word(dotted: str) -> str | None:
    """The word for a class such as `torch.nn.modules.activation.ReLU`, `th.optim.Adam` or `nn.Tanh`, or None."""
    name = dotted.removeprefix("stable_baselines3.common.sb2_compat.rmsprop_tf_like.")
    name = re.sub(r"^(torch|th)\.", "", name)
    return NAMES.get(_INNER.sub(r"\1.", name))


def schedule(value: Any) -> Any:
    """`"lin_3e-4"` as `{linear: 0.0003}`; anything else as it is."""
    match = _SCHEDULE.fullmatch(value) if isinstance(value, str) else None
    return {"linear": float(match[1])} if match else value


def parse(text: str) -> Any:
    """Constants, lists, tuples and mappings of them, `dict(key=value)` and names of known classes.

    Raises:
        RlzooError: if the text holds anything else: a call, an operator, an attribute, an unknown name.
    """
    brackets = text.count("(") + text.count("[") + text.count("{")
    signs = text.count("-") + text.count("+") + text.count("~") + text.count("not")
    if len(text) > MAX_LENGTH or brackets > 100 or signs > 100 or "\0" in text:
        raise _refused(text)
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise _refused(text) from error
    return _value(tree.body, text, 0)


def _value(node: ast.expr, text: str, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise _refused(text)
    if isinstance(node, ast.Constant) and (node.value is None or type(node.value) in (bool, int, float, str)):
        return node.value
    if isinstance(node, ast.List | ast.Tuple):
        return [_value(item, text, depth + 1) for item in node.elts]
    if isinstance(node, ast.Dict):
        keys = [_value(key, text, depth + 1) if key is not None else None for key in node.keys]
        if all(isinstance(key, str) for key in keys):
            return dict(zip(keys, (_value(value, text, depth + 1) for value in node.values), strict=True))
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "dict" and not node.args:
        if any(keyword.arg is None for keyword in node.keywords):
            raise _refused(text)
        return {str(keyword.arg): _value(keyword.value, text, depth + 1) for keyword in node.keywords}
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        number = node.operand.value
        if type(number) in (int, float):
            return -number  # type: ignore[operator]
    if isinstance(node, ast.Attribute | ast.Name):
        word = class_word(ast.unparse(node))
        if word is not None:
            return word
    raise _refused(text)


def _refused(text: str) -> RlzooError:
    return RlzooError(f"{text[:80]!r} is no plain data, and is not evaluated", code=ExitCode.UNSAFE)
