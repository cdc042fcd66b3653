"""YAML is read with lines and comments, as plain data only, and mistakes name file, line and column."""

from pathlib import Path

import pytest

from rlzoo.config.yaml_file import dump, parse_text, read
from rlzoo.errors import RlzooError

TEXT = """\
# @package _global_
# source: somewhere
top: 1e-4  # the first key
section:
  # a comment above
  a: [1, 2.5, 1_000]   # a list
  b: {linear: 3e-4}
  c: "1e-4"
  d: off
  e: null
  f: 010
"""


def parse(text: str):
    return parse_text(text, Path("x.yaml"))


def test_values_lines_and_comments():
    file = parse(TEXT)
    assert file.values == {
        "top": 1e-4,
        "section": {"a": [1, 2.5, 1000], "b": {"linear": 3e-4}, "c": "1e-4", "d": False, "e": None, "f": 10},
    }
    assert file.lines[("top",)] == 3
    assert file.lines[("section", "a")] == 6
    assert file.line(("section", "b", "linear")) == 7
    assert file.line(("section", "b", "nope")) == 7
    assert file.comments[("top",)] == "the first key"
    assert file.comments[("section", "a")] == "a list"
    assert ("section", "b") not in file.comments


def test_comment_above_a_key():
    file = parse("a:\n  # what b is\n  b: 1\n")
    assert file.comments[("a", "b")] == "what b is"


def test_a_comment_of_several_lines_is_of_the_key_that_it_began_at():
    file = parse("a: 1  # what a is,\n      # and more\nb: 2\n# what c is,\n# and more\nc: 3\n  # of nobody\nd: 4\n")
    expected = {("a",): "what a is, and more", ("c",): "what c is, and more"}
    assert file.comments == expected


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("a: 1\n\tb: 2\n", "x.yaml:2:"),
        ("a: [1, 2\nb: 3\n", "x.yaml:2:"),
        ("a: 'unclosed\n", "x.yaml:"),
        ("a: b: c\n", "x.yaml:1:"),
        ("a: 1\na: 2\n", "x.yaml:2:1"),
        ("a: &x 1\nb: *x\n", "x.yaml:1:"),
        ("a: !!python/name:os.system x\n", "x.yaml:1:"),
        ("a: !!python/object/apply:os.system [x]\n", "x.yaml:1:"),
        ("a: !number 1\n", "x.yaml:1:"),
        ("!!python/name:os.system '': 1\n", "x.yaml:1:"),
        ("<<: {a: 1}\n", "x.yaml:1:"),
        ("? [a, b]\n: 1\n", "x.yaml:1:"),
        ("a: 1\n---\nb: 1\n", "x.yaml"),
        ("- 1\n- 2\n", "x.yaml"),
        ("a: " + "[" * 40 + "]" * 40, "x.yaml:1:"),
        ("a: \x00\n", "x.yaml"),
    ],
)
def test_what_is_not_plain_yaml_is_refused_with_its_place(text, where):
    with pytest.raises(RlzooError) as error:
        parse(text)
    assert where in error.value.message


def test_an_alias_bomb_is_refused_at_once():
    bomb = "a: &a [x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 8)}]\n" for i in range(9)
    )
    with pytest.raises(RlzooError, match="alias"):
        parse(bomb)


def test_empty_binary_large_and_absent_files(tmp_path):
    empty = tmp_path / "empty.yaml"
    empty.write_text("# nothing\n")
    assert read(empty).values == {}
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"a: \xff\xfe\n")
    with pytest.raises(RlzooError, match="UTF-8"):
        read(binary)
    large = tmp_path / "large.yaml"
    large.write_text("a: 1\n" * 100_000)
    with pytest.raises(RlzooError, match="too large"):
        read(large)
    with pytest.raises(RlzooError, match="cannot read"):
        read(tmp_path / "absent.yaml")


def test_a_changed_file_is_read_again(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("a: 1\n")
    assert read(path).values == {"a": 1}
    path.write_text("a: 2345\n")
    assert read(path).values == {"a": 2345}


@pytest.mark.parametrize("text", ["a: " + "[" * 100_000, "{a: " * 60_000, "- " * 100_000, "? " * 100_000])
def test_nesting_that_would_overflow_the_stack_is_an_error(text):
    with pytest.raises(RlzooError, match=r"nested too deeply|not valid YAML"):
        parse(text)


def test_what_is_dumped_is_read_back_as_it_was():
    values = {
        "a": "1e5",
        "b": 1e-5,
        "c": "007",
        "d": 1e20,
        "e": ["1_000", "x: y", ""],
        "f": {"g": None, "h": True, "i": "no"},
    }
    assert parse(dump(values)).values == values
