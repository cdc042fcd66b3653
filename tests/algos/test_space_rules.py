"""Which spaces an algorithm takes: the rules of the preflight, and what the algorithms themselves do with each kind.

`space_verdicts.json` says what is refused. The default suite compares the rules with it; `make test-slow` asks
Stable-Baselines3, sb3-contrib and our own algorithms, by training a little on every kind, and compares that with it.
After a change of the kinds or of the libraries: `python -m tests.algos.test_space_rules` writes it anew. Names behind
it, of a new algorithm say, ask only these.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from rlzoo.algos.specs import ALGOS
from tests.algos.short_trainings import failure, refusal
from tests.algos.space_kinds import ACTIONS, GOALS, OBSERVATIONS

VERDICTS = Path(__file__).with_name("space_verdicts.json")
HER = [f"{name}-her" for name in ("dqn", "qrdqn", "sac", "td3", "ddpg", "tqc", "crossq")]
"""Algorithms with hindsight replay."""
ASKED = [*(name for name, spec in ALGOS.items() if spec.family != "planning"), *HER]
"""All but those that plan, which need an environment's dynamics."""


def questions(algo: str) -> Iterator[tuple[str, tuple[str, str, str, Mapping[str, Any], Mapping[str, Any]]]]:
    """A name, and what is asked: each kind of observation with the plainest actions, then the other way round."""
    name = algo.removesuffix("-her")
    spec = ALGOS[name]
    action = "discrete-2" if "Discrete" in spec.action_spaces else "box"
    if algo in HER:
        for kind in GOALS:
            yield f"goals {kind}", (name, f"goals-{kind}", action, {}, {"replay_buffer_class": "her"})
        return
    for kind in OBSERVATIONS:
        yield f"observation {kind}", (name, kind, action, {}, {})
    for kind in ACTIONS:
        yield f"action {kind}", (name, "discrete" if spec.observation_spaces == ("Discrete",) else "box", kind, {}, {})


@cache
def refused(algo: str) -> list[str]:
    """By name what the table says that an algorithm does not take; of a new one, what others of its base do not take.

    `make test-slow` asks the new one itself.
    """
    table = known()
    alike = {tuple(table[other]) for other in (algo, *table) if other in table and kind(other) == kind(algo)}
    assert algo in table or len(alike) == 1, f"run `python -m tests.algos.test_space_rules {algo}`"
    return table.get(algo) or list(*alike)


def kind(algo: str) -> tuple[object, ...]:
    """What algorithms have in common that take the same spaces."""
    spec = ALGOS[algo.removesuffix("-her")]
    is_ours = spec.backend == "rlzoo"
    return is_ours or algo, spec.family, spec.observation_spaces, spec.action_spaces, spec.masked, spec.recurrent


def known() -> dict[str, list[str]]:
    """The table by algorithm."""
    return {algo: kinds for algos, kinds in json.loads(VERDICTS.read_text()).items() for algo in algos.split()}


@pytest.mark.parametrize("algo", ASKED)
def test_the_rules_refuse_what_the_table_says(algo: str) -> None:
    assert [name for name, asked in questions(algo) if refusal(*asked)] == refused(algo)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("algo", ASKED)
def test_the_table_says_what_fails(algo: str) -> None:
    assert [name for name, asked in questions(algo) if failure(*asked)] == refused(algo)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_flattening_is_a_way_out() -> None:
    told = [name for name in OBSERVATIONS if "{flatten: {}}" in refusal("ppo", name, "box")]
    assert len(told) > len(OBSERVATIONS) // 4
    failed = {name: failure("ppo", name, "box", {"wrappers": {"flatten": {}}}) for name in told}
    assert {name: text for name, text in failed.items() if text} == {}


def write(*names: str) -> None:
    """Ask these or all of them, and write the table: algorithms that fail on the same kinds, and these."""
    groups: dict[tuple[str, ...], list[str]] = {}
    before = known() if names else {}
    for algo in ASKED:
        is_asked = algo in names or algo not in before
        fails = [name for name, asked in questions(algo) if failure(*asked)] if is_asked else before[algo]
        groups.setdefault(tuple(fails), []).append(algo)
    rows = [f"{json.dumps(' '.join(algos))}: {json.dumps(fails)}" for fails, algos in groups.items()]
    VERDICTS.write_text("{\n" + ",\n".join(rows) + "\n}\n")


if __name__ == "__main__":
    write(*sys.argv[1:])
