"""Sixty bad requests get one problem with key, file and line each, and one-edit typos the name that was meant."""

import random
import re
import statistics
from dataclasses import fields

import pytest

from rlzoo.algos.schema.check import table
from rlzoo.config import files
from rlzoo.config.compose import compose
from rlzoo.config.schema import TrainConfig
from rlzoo.errors import ConfigError
from rlzoo.training.preflight import check
from tests.faults.bad_configs import KINDS, Said, ask, judge

NEIGHBOURS = dict(
    zip(
        "abcdefghijklmnopqrstuvwxyz_0123456789",
        "svxsrfghujklnbipwatrydqcyzx-12345678o"[:37],
        strict=True,
    )
)
"""A key beside each on the keyboard."""


@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_request_is_one_problem(kind, tmp_path, full, record_property):
    assert len(KINDS[kind]) == 12
    said: list[Said] = []
    wrong: list[str] = []
    for number, case in enumerate(KINDS[kind]):
        folder = tmp_path / str(number)
        folder.mkdir()
        said.append(ask(case, folder))
        wrong += judge(case, said[-1])
    cpu = [one.cpu for one in said]
    record_property("median_cpu_seconds", round(statistics.median(cpu), 3))
    record_property("most_cpu_seconds", round(max(cpu), 3))
    assert not wrong, "\n".join(wrong)
    if full:  # elsewhere others share the machine
        assert statistics.median(cpu) < 0.6
        assert max(cpu) < 1.5


def typo(name: str, rng: random.Random) -> str:
    """The name with one edit: a letter left out, exchanged with the next, doubled, or the key beside it."""
    at = rng.randrange(len(name))
    letter = name[at]
    edits = [
        name[:at] + name[at + 1 :],
        name[:at] + name[at + 1 : at + 2] + letter + name[at + 2 :],
        name[:at] + letter + name[at:],
        name[:at] + NEIGHBOURS.get(letter.lower(), "x") + name[at + 1 :],
    ]
    return rng.choice(edits)


def known_names() -> list[tuple[str, str, str]]:
    """Every name that a word can misspell: what stands before it in the word, the name, and what follows."""
    values = compose("train", []).values
    names = [("", field.name, "=1") for field in fields(TrainConfig) if field.name not in ("algo", "env")]
    for section in ("env", "eval", "checkpoint", "stop"):
        names += [(f"{section}.", key, "=1") for key in values[section]]
    for algo, row in table()["algorithms"].items():
        keys = [key for key in row["keywords"] if key in compose("train", [f"algo={algo}"]).values["algo"]]
        names += [(f"algo={algo} algo.", key, "=1") for key in keys]
    names += [("env=", name, "") for name in files.options("env")]
    names += [("algo=", name, "") for name in files.options("algo")]
    names += [("hyperparams=", name, "") for name in files.options("hyperparams")]
    return names


def test_a_typo_gets_the_name_that_was_meant(workdir, count, record_property):
    rng = random.Random(5)
    names = known_names()
    right, missed = 0, []
    tries = count(100, 3000)
    while right + len(missed) < tries:
        before, name, after = rng.choice(names)
        wrong = typo(name, rng)
        if wrong == name or not wrong or any((before, wrong) == known[:2] for known in names) or "=" in wrong:
            continue
        words = f"{before}{wrong}{after}".split()
        try:
            check(compose("train", words), make_env=False)
        except ConfigError as error:
            said = "\n".join(str(problem) for problem in error.problems)
        else:
            said = ""
        if re.search(rf"'([\w.]+\.)?{re.escape(name)}'", said):
            right += 1
        else:
            missed.append((words, said[:200]))
    record_property("typos", tries)
    record_property("right_suggestion_percent", round(100 * right / tries, 2))
    assert right / tries >= 0.95, missed
