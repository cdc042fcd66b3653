"""The words of the command line: any path is taken literally, sweeps expand in order, mistakes are all named."""

import pytest

from rlzoo.config import overrides
from rlzoo.errors import ConfigError

PATHS = [
    "/data/é/x y",
    "a=b",
    "it's",
    "x,y",
    "1e5",
    "~/x",
    r"C:\runs\new",
    "a\\",
    "null2",
    "runs/[1]",
    'say "hi"',
    "a'b\\'c",
]


@pytest.mark.parametrize("key", ["run", "runs_dir", "studies_dir"])
@pytest.mark.parametrize("path", PATHS)
def test_text_values_are_literal(key, path):
    words, problems = overrides.parse([f"{key}={path}"])
    assert problems == []
    assert words[0].value == path


def test_quoted_and_listed_text_is_left_to_the_grammar():
    words, _ = overrides.parse(["run='already quoted'", "checkpoint=null"])
    assert [word.value for word in words] == ["already quoted", None]


def test_values_have_their_types():
    texts = ["a.b=1", "a.c=2.5", "a.d=true", "a.e=null", "a.f={linear: 1e-3}", "a.g=[64,64]", "a.h=text", "~a.i"]
    words, problems = overrides.parse(texts)
    assert problems == []
    assert [word.value for word in words] == [1, 2.5, True, None, {"linear": 1e-3}, [64, 64], "text", None]
    assert words[-1].delete
    assert words[0].path == ("a", "b")


def test_every_word_that_cannot_be_read_is_named():
    words, problems = overrides.parse(["--algo", "dqn", "seed=1", "a={b", "lr=1,2", "env.kwargs.x=[1"])
    assert [word.key for word in words] == ["seed"]
    assert len(problems) == 5
    assert "algo=" in problems[0].hint
    assert "-m" in problems[3].hint


def test_expansion_is_every_combination_the_last_word_fastest():
    options = {"algo": ["a2c", "ddpg", "dqn", "ppo"]}
    jobs, problems = overrides.expand(["algo=ppo,a2c", "x=5", "seed=range(0,2)"], options.__getitem__)
    assert problems == []
    assert jobs == [
        ["algo=ppo", "x=5", "seed=0"],
        ["algo=ppo", "x=5", "seed=1"],
        ["algo=a2c", "x=5", "seed=0"],
        ["algo=a2c", "x=5", "seed=1"],
    ]
    jobs, _ = overrides.expand(["algo=glob(d*)"], options.__getitem__)
    assert jobs == [["algo=ddpg"], ["algo=dqn"]]


def test_expansion_of_lists_mappings_and_tuned_sets():
    jobs, _ = overrides.expand(["algo.net=[64,64],[32]", "hyperparams=auto,none"], lambda group: [])
    assert jobs == [
        ["algo.net=[64,64]", "hyperparams=auto"],
        ["algo.net=[64,64]", "hyperparams=none"],
        ["algo.net=[32]", "hyperparams=auto"],
        ["algo.net=[32]", "hyperparams=none"],
    ]


def test_several_values_come_after_one():
    jobs, problems = overrides.expand(["seed=3", "seed=0,1"], lambda group: [])
    assert jobs == [["seed=3", "seed=0"], ["seed=3", "seed=1"]] and problems == []


@pytest.mark.parametrize("word", [5, None, b"seed=1", ["seed=1"]])
def test_a_word_that_is_no_text_is_told(word):
    for read in (overrides.key_of, lambda word: overrides.parse([word])):
        with pytest.raises(ConfigError, match="settings are text such as 'seed=1', not"):
            read(word)


def test_several_values_are_for_train_alone():
    _, problems = overrides.parse(["n_episodes=1,2"])
    assert problems[0].hint == "for a list, write n_episodes=[…]; only rlzoo train takes several, with -m"


def test_expansion_names_what_has_no_values():
    _, problems = overrides.expand(["lr=interval(0,1)", "algo=glob(zz*)"], lambda group: ["ppo"])
    assert [problem.key for problem in problems] == ["lr", "algo"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["seed=range(5,1)"], "names no values"),
        (["seed=0,1", "seed=2,3"], "several values, and given again"),
        (["seed=0,1", "seed=3"], "several values, and given again"),
        (["seed=range(0,1000000000)"], "more than"),
        (["a=range(0,200)", "b=range(0,200)"], "more than"),
    ],
)
def test_a_sweep_of_no_sense_is_refused_before_it_is_expanded(words, expected):
    jobs, problems = overrides.expand(words, lambda group: [])
    assert jobs == []
    assert [expected in problem.message for problem in problems] == [True]


@pytest.mark.parametrize("word", ["=", "=5", "+", " "])
def test_a_word_without_a_key_is_named(word):
    _, problems = overrides.parse([word])
    assert f"cannot read {word!r}" in problems[0].message


def test_names_of_settings_are_text_and_what_is_in_a_value_stays_as_it_is():
    (word,), problems = overrides.parse(["env.kwargs={1: {true: 2}, null: [{0.5: a}], b: 3}"])
    assert problems == [] and word.value == {"1": {True: 2}, "null": [{0.5: "a"}], "b": 3}
