"""Mutated configurations: shipped files, runs' own and command lines, damaged by bytes, lines, values, keys and words.

Case `number` of a seed is always the same one.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from rlzoo.config import paths, yaml_file
from rlzoo.config.compose import compose
from rlzoo.config.files import read_choice
from rlzoo.errors import RlzooError
from tests.faults.mutation_tables import FUNCTIONS, GRAMMAR, KEYS, VALUES, WORDS


@dataclass(frozen=True)
class Case:
    """Files of a user's folder (path to content) and the words of a command; with `run`, that file is a run's own."""

    name: str
    words: list[str]
    files: dict[str, bytes] = field(default_factory=dict)
    run: str = ""


def seeds() -> list[Case]:
    """What is mutated: every shipped file where a user's would lie, configurations of runs, and command lines."""
    root = paths.root()
    found = [Case("words", words) for words in WORDS]
    for path in sorted(root.glob("conf/algo/*.yaml")):
        name = path.stem
        if name != "custom":  # it asks for a module to be imported
            env = "TaxiMasked" if name == "maskable_ppo" else "CartPole" if name in ("dqn", "qrdqn") else "Pendulum"
            words = [f"algo={name}", f"env={env}"]
            found.append(Case(f"algo/{name}", words, {f"conf/algo/{name}.yaml": path.read_bytes()}))
    for path in sorted(root.glob("conf/env/*.yaml")):
        words = [*_algo_for(path.stem), "env=Mine", "hyperparams=none"]
        found.append(Case(f"env/{path.stem}", words, {"conf/env/Mine.yaml": path.read_bytes()}))
    found += [
        Case(f"logger/{path.stem}", ["logger=mine"], {"conf/logger/mine.yaml": path.read_bytes()})
        for path in sorted(root.glob("conf/logger/*.yaml"))
    ]
    for path in sorted(root.glob("hyperparams/*/*.yaml")):
        env = path.stem if path.stem != "atari" else "Pong"
        place = f"hyperparams/{path.parent.name}/{path.name}"
        words = [f"algo={path.parent.name}", f"env={env}"]
        found.append(Case(place, words, {place: path.read_bytes()}))
    for words in WORDS[:5]:
        text = yaml_file.dump(compose("train", words).values).encode()
        found.append(
            Case(f"run of {words[0]}", ["total_timesteps=7", "eval.freq=5"], {"config.yaml": text}, "config.yaml")
        )
        found.append(Case(f"experiment of {words[0]}", [*words[:2], "experiment=x"], {"conf/experiment/x.yaml": text}))
    return found


def _algo_for(env: str) -> list[str]:
    action = str(read_choice("env", env).get("action_space") or "Discrete")
    return ["algo=sac" if action.startswith("Box") else "algo=ppo"]


def mutate(case: Case, rng: random.Random) -> Case:
    """The case with one to four mutations: of its file if it has one, of its words otherwise and now and then."""
    words, files = list(case.words), dict(case.files)
    gentle = rng.random() < 0.6  # one mutation that leaves a file or a word readable: what is behind the parser sees it
    for _ in range(1 if gentle else rng.randint(1, 4)):
        if files and rng.random() < 0.85:
            place = rng.choice(list(files))
            files[place] = rng.choice(_GENTLE if gentle else _OF_FILES)(files[place], rng)
        elif words:
            words = rng.choice(_OF_WORDS)(words, rng) if not gentle else _word_plain(words, rng)
    return Case(case.name, [word for word in words if not word.startswith("algo=custom")], files, case.run)


def _flip(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content or b"a")
    for _ in range(rng.choice((1, 1, 5, 50))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _splice(content: bytes, rng: random.Random) -> bytes:
    first, last = sorted(rng.randrange(len(content) + 1) for _ in range(2))
    part = rng.choice(
        (b"", content[first:last] * 2, rng.randbytes(rng.randint(1, 30)), b"\t", b"\0", b"\xef\xbb\xbf", b"\r")
    )
    return content[:first] + part + content[last if part else rng.randint(first, last) :]


def _lines(content: bytes, rng: random.Random) -> bytes:
    lines = content.split(b"\n")
    at, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    line = lines[at]
    changed = rng.choice(
        (
            [],
            [line, line],
            [b" " * rng.randint(1, 4) + line],
            [line.lstrip()],
            [b"\t" + line],
            [line, b"---"],
            [line + lines[other]],
            [lines[other], line],
            [b"- " + line],
            [line] * 3000,
        )
    )
    return b"\n".join(lines[:at] + changed + lines[at + 1 :])


def _value(content: bytes, rng: random.Random) -> bytes:
    return _in_line(content, rng, lambda key, value: f"{key}: {rng.choice(VALUES)}")


def _plain(content: bytes, rng: random.Random) -> bytes:
    return _in_line(content, rng, lambda key, value: f"{key}: {rng.choice(_plain_values())}")


def _number(content: bytes, rng: random.Random) -> bytes:
    numbers = list(re.finditer(rb"\b\d+\b", content))
    if not numbers:
        return content
    found = rng.choice(numbers)
    number = (
        rng.choice((b"-%s", b"%s0", b"%s.5", b"%s000000000", b"1e%s", b"'%s'", b"[%s]", b"{x: %s}", b"x%s")) % found[0]
    )
    return content[: found.start()] + number + content[found.end() :]


def _exchange(content: bytes, rng: random.Random) -> bytes:
    values = re.findall(r":[ \t]+([^#\n]+)", content.decode("utf-8", "replace")) or ["1"]
    return _in_line(content, rng, lambda key, value: f"{key}: {rng.choice(values)}")


def _leave_out(content: bytes, rng: random.Random) -> bytes:
    lines = content.split(b"\n")
    del lines[rng.randrange(len(lines))]
    return b"\n".join(lines)


def _key(content: bytes, rng: random.Random) -> bytes:
    def changed(key: str, value: str) -> str:
        indent = key[: len(key) - len(key.lstrip())]
        return f"{indent}{rng.choice((*KEYS, key.strip() + 'x', key.strip()[1:], key.upper().strip()))}:{value}"

    return _in_line(content, rng, changed)


def _nest(content: bytes, rng: random.Random) -> bytes:
    depth = rng.choice((1, 2, 40, 500))
    return _in_line(content, rng, lambda key, value: f"{key}: {'{x: ' * depth}{value.strip() or 1}{'}' * depth}")


def _many(content: bytes, rng: random.Random) -> bytes:
    count = rng.choice((3, 300, 10_000))
    kind = rng.choice(("{" + ", ".join(f"k{i}: {i}" for i in range(count)) + "}", str(list(range(count)))))
    return _in_line(content, rng, lambda key, value: f"{key}: {kind}")


def _alias(content: bytes, rng: random.Random) -> bytes:
    return (
        b"bomb: [&a [x, x], &b [*a, *a], &c [*b, *b], *c]\n" + content
        if rng.random() < 0.5
        else b"<<: {a: 1}\n" + content
    )


def _in_line(content: bytes, rng: random.Random, change: Callable[[str, str], str]) -> bytes:
    lines = content.decode("utf-8", "replace").split("\n")
    places = [at for at, line in enumerate(lines) if re.match(r"\s*[^#\s][^:]*:", line)]
    if places:
        at = rng.choice(places)
        key, _, value = lines[at].partition(":")
        lines[at] = change(key, value)
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def _word_characters(words: list[str], rng: random.Random) -> list[str]:
    at = rng.randrange(len(words))
    word = words[at]
    for _ in range(rng.choice((1, 1, 3, 20))):
        place = rng.randrange(len(word) + 1)
        word = word[:place] + rng.choice((*GRAMMAR, "")) + word[place + rng.randint(0, 1) :]
    return [*words[:at], word, *words[at + 1 :]]


def _word_value(words: list[str], rng: random.Random) -> list[str]:
    at = rng.randrange(len(words))
    key = words[at].partition("=")[0]
    return [*words[:at], f"{key}={rng.choice((*VALUES, *FUNCTIONS, *FUNCTIONS))}", *words[at + 1 :]]


def _word_plain(words: list[str], rng: random.Random) -> list[str]:
    extra = [f"{rng.choice(_known_keys())}={rng.choice(_plain_values())}" for _ in range(rng.randint(1, 2))]
    return [*words, *(word for word in extra if not re.match(r"algo(\.name)?=custom|\S* ", word))]


@cache
def _plain_values() -> list[str]:
    """The values that are YAML of plain data."""
    found = []
    for value in VALUES:
        with suppress(RlzooError):
            yaml_file.parse_text(f"a: {value}", Path("a.yaml"))
            found.append(value)
    return found


@cache
def _known_keys() -> list[str]:
    """Every setting there is, and some inside of open mappings."""
    keys = {"env.kwargs.x", "env.wrappers.resize", "env.normalize.gamma", "algo.policy_kwargs.optimizer_kwargs.eps"}
    for words in WORDS:
        for section, content in compose("train", words).values.items():
            keys.update([f"{section}.{key}" for key in content] if isinstance(content, dict) else [section])
    return sorted(keys)


def _word_key(words: list[str], rng: random.Random) -> list[str]:
    at = rng.randrange(len(words))
    key, sign, value = words[at].partition("=")
    below = [
        f"{key}.{rng.choice(KEYS)}",
        f"{key}[0]",
        f"{key}@{rng.choice(KEYS)}",
        f"{key}/{rng.choice(KEYS)}",
        key + "x",
    ]
    before = [f"{prefix}{key}" for prefix in ("+", "++", "~", "+++", "-", "--", ".", "@")]
    return [*words[:at], f"{rng.choice((*below, *before, *KEYS))}{sign}{value}", *words[at + 1 :]]


def _word_list(words: list[str], rng: random.Random) -> list[str]:
    at = rng.randrange(len(words))
    extra = (
        [words[at]] * 2,
        [],
        ["=".join(words)],
        [rng.choice(VALUES)],
        ["~" + words[at].partition("=")[0]],
        [""],
        ["="],
    )
    return [*words[:at], *rng.choice(extra), *words[at + 1 :]] or ["="]


_GENTLE = (_plain, _plain, _number, _exchange, _leave_out)
_OF_FILES = (*_GENTLE, _flip, _splice, _lines, _lines, _value, _value, _value, _key, _key, _nest, _many, _alias)
_OF_WORDS = (_word_characters, _word_characters, _word_value, _word_value, _word_key, _word_list)
