"""What every algorithm's constructor takes, and whether a configuration fits it; known without importing torch.

The table `signatures.json` is compiled from the installed packages by `rlzoo.algos.compile_signatures`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from rlzoo.algos.specs import AlgoSpec
from rlzoo.errors import RlzooError

TABLE = Path(__file__).with_name("signatures.json")

Keywords = dict[str, dict[str, Any]]
"""Keyword to its type, as text (`"float | schedule"`), and its default if it has one."""

LSTM: Keywords = {"bias": {"type": "bool"}, "dropout": {"type": "float"}}
"""What `lstm_kwargs` can say; the sizes of an LSTM have keywords of their own."""


@dataclass(frozen=True)
class Signature:
    """The keywords of an algorithm's constructor, and of everything that it builds.

    Attributes:
        keywords: the constructor's own.
        policies: those of each policy, by the policy's name; empty if they are not known.
    """

    keywords: Keywords
    policies: Mapping[str, Keywords]

    def nested(self, key: str, values: Mapping[str, Any], keywords: Keywords, policy: str) -> Keywords | None:
        """The keywords allowed inside the mapping `key`, or None if it is not a mapping of known keywords.

        Args:
            key: for example `policy_kwargs`, or `optimizer_kwargs` inside of it.
            values: the mapping that holds `key`; it names the class that the keywords are for.
            keywords: what `values` can hold.
            policy: the name of the policy.
        """
        if key == "policy_kwargs":
            return self.policies.get(policy)
        if key == "lstm_kwargs":
            return LSTM
        for class_key, kwargs_key, tables in (
            ("replay_buffer_class", "replay_buffer_kwargs", "replay_buffers"),
            ("rollout_buffer_class", "rollout_buffer_kwargs", "rollout_buffers"),
            ("optimizer_class", "optimizer_kwargs", "optimizers"),
            ("features_extractor_class", "features_extractor_kwargs", "features_extractors"),
        ):
            if key == kwargs_key and class_key in keywords:
                fallback = {"replay_buffers": "replay", "rollout_buffers": "rollout"}.get(tables)
                chosen = values.get(class_key) or keywords[class_key].get("default") or fallback
                found: Keywords | None = table()[tables].get(chosen)
                return found
        return None


@cache
def table() -> dict[str, Any]:
    """The compiled table."""
    found: dict[str, Any] = json.loads(TABLE.read_text())
    return found


@cache
def find_signature(spec: AlgoSpec) -> Signature:
    """The signature of an algorithm: from the table, or read from a user's or a plugin's class (importing it)."""
    if spec.backend == "custom":
        from rlzoo.algos.custom import read_signature

        return read_signature(spec)
    row = table()["algorithms"][spec.name]
    policies = {name: table()["policies"][reference] for name, reference in row["policies"].items()}
    return Signature(row["keywords"], policies)


@cache
def verify_versions() -> None:
    """Compare the table with the installed packages, if they are not the versions it was made from.

    Raises:
        RlzooError: with the differences, if a constructor takes other keywords, types or defaults.
    """
    from importlib.metadata import version

    made_from = table()["versions"]
    installed = {package: version(package) for package in made_from}
    if installed == made_from:
        return
    from rlzoo.algos.compile_signatures import compile_table

    found = differences(table(), compile_table())
    if found:
        names = ", ".join(f"{package} {number}" for package, number in installed.items())
        expected = ", ".join(f"{package} {number}" for package, number in made_from.items())
        raise RlzooError(
            f"the installed {names} differ from what rlzoo knows: " + "; ".join(found), f"install {expected}"
        )


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What differs between two tables in the keywords of algorithms, policies and replay buffers."""
    return [
        line
        for part in ("algorithms", "policies", "replay_buffers")
        for line in _differences(old.get(part, {}), new.get(part, {}), "")
    ]


def _differences(old: Any, new: Any, where: str) -> list[str]:
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return [] if old == new else [f"{where} was {old!r}, is {new!r}"]
    lines = [f"{where}{' ' if where else ''}{key} is gone" for key in old if key not in new]
    lines += [f"{where}{' ' if where else ''}{key} is new" for key in new if key not in old]
    for key in old:
        if key in new:
            lines += _differences(old[key], new[key], f"{where}.{key}" if where else key)
    return lines
