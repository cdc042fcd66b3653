"""Untrusted YAML files as plain data: a run's `config.yaml`, and the `config.yml` and `args.yml` of rl_zoo3.

They never reach Hydra or OmegaConf: nothing in them is interpolated, imported or instantiated. Texts that rl_zoo3
evaluates (`dict(net_arch=[64, 64], activation_fn=nn.ReLU)`, `lin_3e-4`) are parsed.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from rlzoo.algos.schema.types import ACTIVATIONS, OPTIMIZERS
from rlzoo.config import yaml_file
from rlzoo.errors import ExitCode, RlzooError

PYTHON = "tag:yaml.org,2002:python/"
ORDERED_DICT = f"{PYTHON}object/apply:collections.OrderedDict"
NAME = re.compile(re.escape(f"{PYTHON}name:") + r"([\w.]{1,200})")
PLAIN = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float", "str"))
MAX_NODES = 20_000
MAX_LENGTH = 4096
MAX_NESTING = 16

NAMES = {
    **{f"nn.{reference.partition(':')[2]}": word for word, reference in ACTIVATIONS.items()},
    **{f"optim.{reference.partition(':')[2]}": word for word, reference in OPTIMIZERS.items() if "torch." in reference},
    "RMSpropTFLike": "rmsprop_tf_like",
}
"""Names that stand for classes, without `torch.` or `th.` in front, and rlzoo's words for them."""
_INNER = re.compile(r"(nn|optim)\.(?:modules\.activation|[a-z]+)\.")  # where torch itself says that they are
_SCHEDULE = re.compile(r"lin_(\d*\.?\d+(?:[eE][-+]?\d+)?|\d+\.)")


def read_config(path: Path) -> dict[str, Any]:
    """An untrusted run's `config.yaml`; the schema is the next to look at it.

    Raises:
        RlzooError: if it holds anything but plain data, or words that mean something to Hydra or OmegaConf.
    """
    try:
        values = yaml_file.read(path).values
    except RlzooError as error:
        raise RlzooError(error.message, error.hint, ExitCode.UNSAFE) from error
    for key, value in _pairs(values):
        if key in ("hydra", "defaults") or key.startswith("_"):
            raise _refused(path, f"the key {key[:80]!r} is not allowed")
        if isinstance(value, str) and "${" in value:
            raise _refused(path, f"{key[:80]!r} refers to something else, which is not allowed")
    return values


def read_zoo(path: Path) -> dict[str, Any]:
    """A `config.yml`, `args.yml` or `env_kwargs.yml` of rl_zoo3.

    Its ordered mappings and tuples become plain mappings and lists, names of known torch classes become rlzoo's words.
    Texts stay texts: `parse_expression` reads those that are expressions.

    Raises:
        RlzooError: if it holds anything else.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(yaml_file.MAX_BYTES + 1)
        if len(raw) > yaml_file.MAX_BYTES:
            raise _refused(path, f"it is larger than {yaml_file.MAX_BYTES} bytes")
        documents = yaml_file.compose(raw.decode("utf-8"))
        if len(documents) > 1:
            raise _refused(path, "it holds more than one document")
        values = _Reader(path).value(documents[0], 0) if documents else {}
    except OSError as error:
        raise RlzooError(f"cannot read {str(path)!r}: {error.strerror}", code=ExitCode.STORAGE) from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise _refused(path, "it is not YAML of plain data") from error
    if not isinstance(values, dict):
        raise _refused(path, "it holds no keys and values")
    return values


class _Reader:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.seen: set[int] = set()
        self.scalars = yaml.constructor.SafeConstructor()

    def value(self, node: yaml.Node, depth: int) -> Any:
        if id(node) in self.seen:
            raise self.error(node, "aliases are not allowed")
        self.seen.add(id(node))
        if depth > yaml_file.MAX_DEPTH or len(self.seen) > MAX_NODES:
            raise self.error(node, "it is nested too deeply, or holds too much")
        if node.tag == ORDERED_DICT:
            return self.ordered(node, depth)
        if match := NAME.fullmatch(node.tag):
            return self.name(node, match[1])
        if isinstance(node, yaml.MappingNode) and node.tag == "tag:yaml.org,2002:map":
            return self.mapping([(key, value) for key, value in node.value], node, depth)
        if isinstance(node, yaml.SequenceNode) and node.tag in ("tag:yaml.org,2002:seq", f"{PYTHON}tuple"):
            return [self.value(item, depth + 1) for item in node.value]
        if isinstance(node, yaml.ScalarNode) and node.tag in PLAIN:
            return self.scalars.construct_object(node)
        raise self.error(node, f"the tag {node.tag[:100]!r} is not allowed")

    def ordered(self, node: yaml.Node, depth: int) -> dict[str, Any]:
        """`OrderedDict([[key, value], ...])`: arguments, the only one of which is a list of pairs."""
        arguments = node.value
        if (
            not isinstance(node, yaml.SequenceNode)
            or len(arguments) > 1
            or not all(isinstance(argument, yaml.SequenceNode) for argument in arguments)
        ):
            raise self.error(node, "an ordered mapping has to be a list of pairs")
        pairs = arguments[0].value if arguments else []
        if not all(isinstance(pair, yaml.SequenceNode) and len(pair.value) == 2 for pair in pairs):
            raise self.error(node, "an ordered mapping has to be a list of pairs")
        return self.mapping([tuple(pair.value) for pair in pairs], node, depth)

    def mapping(self, pairs: list[tuple[yaml.Node, yaml.Node]], node: yaml.Node, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in pairs:
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag not in PLAIN or key_node.value in found:
                raise self.error(node, "keys have to be plain words, each once")
            found[key_node.value] = self.value(value_node, depth + 1)
        return found

    def name(self, node: yaml.Node, dotted: str) -> str:
        word = class_word(dotted)
        if word is None or node.value:
            raise self.error(node, f"the name {dotted[:100]!r} is not known")
        return word

    def error(self, node: yaml.Node, why: str) -> RlzooError:
        return _refused(self.path, f"line {node.start_mark.line + 1}: {why}")


def _pairs(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, child in value.items():
            yield key, child
            yield from _pairs(child)
    elif isinstance(value, list):
        for child in value:
            yield "", child
            yield from _pairs(child)


def _refused(path: Path, why: str) -> RlzooError:
    return RlzooError(f"{path.name!r} is not read: {why}", code=ExitCode.UNSAFE)


def class_word(dotted: str) -> str | None:
    """The word for a class such as `torch.nn.modules.activation.ReLU`, `th.optim.Adam` or `nn.Tanh`, or None."""
    name = dotted.removeprefix("stable_baselines3.common.sb2_compat.rmsprop_tf_like.")
    name = re.sub(r"^(torch|th)\.", "", name)
    return NAMES.get(_INNER.sub(r"\1.", name))


def schedule(value: Any) -> Any:
    """`"lin_3e-4"` as `{linear: 0.0003}`; anything else as it is."""
    match = _SCHEDULE.fullmatch(value) if isinstance(value, str) else None
    return {"linear": float(match[1])} if match else value


def parse_expression(text: str) -> Any:
    """Constants, lists, tuples and mappings of them, `dict(key=value)` and names of known classes.

    Raises:
        RlzooError: if the text holds anything else: a call, an operator, an attribute, an unknown name.
    """
    brackets = text.count("(") + text.count("[") + text.count("{")
    signs = text.count("-") + text.count("+") + text.count("~") + text.count("not")
    if len(text) > MAX_LENGTH or brackets > 100 or signs > 100 or "\0" in text:
        raise _no_data(text)
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise _no_data(text) from error
    return _evaluated(tree.body, text, 0)


def _evaluated(node: ast.expr, text: str, depth: int) -> Any:
    if depth > MAX_NESTING:
        raise _no_data(text)
    if isinstance(node, ast.Constant) and (node.value is None or type(node.value) in (bool, int, float, str)):
        return node.value
    if isinstance(node, ast.List | ast.Tuple):
        return [_evaluated(item, text, depth + 1) for item in node.elts]
    if isinstance(node, ast.Dict):
        keys = [_evaluated(key, text, depth + 1) if key is not None else None for key in node.keys]
        if all(isinstance(key, str) for key in keys):
            return dict(zip(keys, (_evaluated(value, text, depth + 1) for value in node.values), strict=True))
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "dict" and not node.args:
        if any(keyword.arg is None for keyword in node.keywords):
            raise _no_data(text)
        return {str(keyword.arg): _evaluated(keyword.value, text, depth + 1) for keyword in node.keywords}
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        number = node.operand.value
        if type(number) in (int, float):
            return -number  # type: ignore[operator]
    if isinstance(node, ast.Attribute | ast.Name):
        word = class_word(ast.unparse(node))
        if word is not None:
            return word
    raise _no_data(text)


def _no_data(text: str) -> RlzooError:
    return RlzooError(f"{text[:80]!r} is not plain data, and is not evaluated", code=ExitCode.UNSAFE)
