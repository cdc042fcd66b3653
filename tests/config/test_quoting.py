"""Text of the command line is taken as it was typed, in any language and with any sign."""

import unicodedata

import pytest

from rlzoo.cli.main import main
from rlzoo.config import files, overrides
from rlzoo.config.quoting import literal, readable

TEXTS = [
    "李明",
    "l'été",
    "Grille_e\u0301te\u0301",
    "مرحبا",
    "हिन्दी",
    "🚀 to the moon",
    "a#b",
    "a&b; c!d",
    "/tmp/a=b.csv",
    "http://localhost:8080/x?y=1&z=2#top",
    "Humanoid (v4)",
    "[draft] of 3 June",
    "100 % <of> {it}",
    'say "hi"',
    "'90s",
    'x" y',
    "`ls` $HOME ^~",
    "C:\\Läufe\\neu",
    "back\\",
    "\\é",
]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("key", ["env.kwargs.label", "logger.wandb.notes", "+a.b", "study"])
def test_text_is_what_was_typed(text, key):
    (word,), problems = overrides.parse([f"{key}={text}"])
    assert (problems, word.value, word.key) == ([], text, key.lstrip("+"))


@pytest.mark.parametrize("text", [text for text in TEXTS if not set(text) & set(",[]{}'\"()\\")])
def test_text_is_what_was_typed_inside_of_anything(text):
    (word,), problems = overrides.parse([f"a=[{text}, {{größe: {text}, 'm:C': [{text}]}}, 1]"])
    assert problems == [] and word.value == [text, {"größe": text, "m:C": [text]}, 1]
    jobs, problems = overrides.expand([f"a={text},choice", f"b=choice({text},2)"], lambda group: [])
    assert problems == [] and len(jobs) == 4
    assert [word.value for word in overrides.parse(jobs[0])[0]] == [text, text]


@pytest.mark.parametrize("text", [*TEXTS, "a, b", "x,y", "", "it's \\' this"])
def test_a_name_can_be_written_for_hydra(text):
    (word,), problems = overrides.parse([f"a={literal(text)}"])
    assert problems == [] and word.value == text


def test_keys_are_what_was_typed_too():
    words, problems = overrides.parse(["env.kwargs.größe=3", "~wörter.é", "env.wrappers.my.mod:Wrap={k: 1}"])
    assert problems == []
    assert [word.key for word in words] == ["env.kwargs.größe", "wörter.é", "env.wrappers.my.mod:Wrap"]
    jobs, _ = overrides.expand(["größe=1,2", "a={é: 1},{'b:c': 2}"], lambda group: [])
    assert jobs[0] == ["größe=1", "a={'é':1}"]
    assert [word.value for word in overrides.parse(jobs[1])[0]] == [1, {"b:c": 2}]


@pytest.mark.parametrize("word", ["a=1e-3", "a=[64,64]", "a={linear: 1e-3}", "a=x,y", "a='é, ü'", "~a", "a=${seed}"])
def test_what_hydra_reads_is_left_to_it(word):
    assert overrides.parse([word])[0] == overrides.parse([readable(word)])[0]


@pytest.mark.parametrize("word", ["a={b", "a=[é", "a=[1,[é]", "a=chioce(é,2)", "a={é}"])
def test_what_does_not_close_is_said_with_the_word_as_typed(word):
    _, (problem,) = overrides.parse([word])
    assert problem.message.startswith(f"cannot read {word!r}")


@pytest.fixture
def envs(workdir):
    """Files of the user's own, one of them with a name as macOS writes it."""
    folder = workdir / "conf" / "env"
    folder.mkdir(parents=True)
    for name in ("what? next & more=#1", "a, b", "גן 🎲", unicodedata.normalize("NFD", "Grille_été")):
        (folder / f"{name}.yaml").write_text("defaults: [gym, _self_]\nid: CartPole-v1\nmax_steps: 77\n")


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("name", ["what? next & more=#1", "גן 🎲", "Grille_été", "grille_ÉTÉ", "'a, b'"])
def test_files_are_found_by_their_names(form, name, envs, capsys):
    assert main(["train", "algo=a2c", f"env={unicodedata.normalize(form, name)}", "--cfg", "job"]) == 0
    assert "max_steps: 77" in capsys.readouterr().out


def test_a_sweep_goes_over_such_names(envs, capsys):
    for sweep, n in (("env=glob([Gw]ri*é*)", 2), ("env=Grille_été,what? next & more=#1,'a, b'", 6)):
        assert main(["train", "-m", "algo=a2c,ppo", sweep, "--cfg", "job"]) == 0
        assert capsys.readouterr().out.count("max_steps: 77") == n
    assert "Grille_été" in files.options("env")
