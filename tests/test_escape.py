"""Text of others at every sink: shown as it is written, and never read as anything else."""

from __future__ import annotations

import csv
import io
import re

import pytest

from rlzoo import redaction as escape
from rlzoo.errors import Problem, RlzooError

NASTY = [
    *("# a", "**a**", "_a_", "a_", "`a", "``` a", "<b>", "&lt;", "[a](b)", "![a](b)", "[a]", "a | b", "a\\", "\\|"),
    *(
        "a\\\\|b",
        "~~a~~",
        "~~~",
        "$a$",
        "a.b",
        "www.a.b",
        "http://a",
        "a@b",
        "mailto:a",
        ":a:",
        "{a}",
        "^a",
        "==a==",
        '"a"',
    ),
    *(
        "a\n# b",
        "a\n===",
        "a\n\n    b",
        "a\r\n# b",
        "a\u2028# b",
        "\u202ea",
        "\x1b[31ma",
        "\ta",
        "*" * 99,
        "`" * 99 + " a",
    ),
]


def nodes(text: str) -> list[str]:
    """What a reader of Markdown finds apart from paragraphs, words and inline code."""
    from markdown_it import MarkdownIt

    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    found = [each for token in tokens for each in (token, *(token.children or ()))]
    return [each.type for each in found if each.type not in ("inline", "text", "text_special", "code_inline")]


@pytest.mark.parametrize("text", NASTY)
def test_markdown_reads_nothing_into_a_value(text):
    assert nodes(f"so {escape.markdown(text)} it is") == ["paragraph_open", "paragraph_close"]
    assert nodes(f"# {escape.markdown(text)}") == ["heading_open", "heading_close"]
    row = nodes(f"| | |\n|---|---|\n| {escape.cell(text)} | {escape.cell(text)} |\n| a | b |")
    assert row == nodes("| | |\n|---|---|\n| a | a |\n| a | b |")
    assert nodes(f"{escape.fenced(text, 'bash')}\n\nend") == ["fence", "paragraph_open", "paragraph_close"]


@pytest.mark.parametrize("text", NASTY)
def test_what_is_shown_as_code_is_the_text(text):
    import html

    import markdown

    shown = " ".join("".join(char for char in text if char in "\n\t" or char.isprintable()).split())
    page = markdown.markdown(f"so {escape.code(text)} it is")
    (inside,) = re.findall(r"<code>(.*?)</code>", page, re.DOTALL)
    assert html.unescape(inside).split() == shown.split()


@pytest.mark.parametrize("text", ["Intel(R) Xeon(R) CPU, x86_64", "2.13.0+cpu", "Linux-6.1-x86_64-with-glibc2.36", "3"])
def test_a_harmless_value_stays_as_it_is(text):
    assert escape.markdown(text) == escape.cell(text) == text


FORMULAS = [
    "=1+1",
    "+1+1",
    "-1+1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "\uff1d1",
    " =1",
    "'=1",
    "'a",
    "=cmd|' /C x'!A0",
]


@pytest.mark.parametrize(
    "text", [*FORMULAS, *(f"a;{text};b" for text in FORMULAS), *(f"a\t{text}" for text in FORMULAS)]
)
def test_a_spreadsheet_computes_nothing(text):
    cell = escape.csv_cell(text)
    assert not re.search(r"(?:^|[;\t\r\n])[ \t\r\n]*[=+@\uff1d-]", cell) and escape.from_csv_cell(cell) == text
    line = io.StringIO()
    csv.writer(line).writerow([cell])
    assert escape.from_csv_cell(next(csv.reader(io.StringIO(line.getvalue(), newline="")))[0]) == text


@pytest.mark.parametrize("text", ["-1", "+2.5", "-1e-05", "nan", "-inf", "", "a=1", "rollout/ep_rew_mean", "1-2"])
def test_numbers_and_other_text_stay(text):
    assert escape.csv_cell(text) == text and escape.from_csv_cell(text) == text


@pytest.mark.parametrize("text", ["a b", "x; rm -rf ~", "$(id)", "`id`", "a'b", "a\nb", "--help", "x\x1b]0;y\x07"])
def test_a_line_to_copy_names_one_word(text):
    import shlex

    (_, word) = shlex.split(f"rlzoo {escape.shell(f'run={text}')}")
    assert word == f"run={escape.one_line(text)}" and "\n" not in escape.shell(text)
    assert escape.shell("run=runs/ppo/LunarLander-v3/20261120-101530_seed0_a") == (
        "run=runs/ppo/LunarLander-v3/20261120-101530_seed0_a"
    )


def test_a_drawing_keeps_its_colours_and_nothing_else():
    frame = "\x1b[41mS\x1b[0mF\x1b]0;title\x07\x1b[2J\x1b[10;10H\x1b[6n\x9b31m\x1bP\x1b\\\u202e\r\x08F\n  (Left)\t."
    assert escape.coloured(frame) == "\x1b[41mS\x1b[0mF]0;title[2J[10;10H[6n31mP\\F\n  (Left)\t."
    assert escape.coloured("\x1b[" + "1;" * 99 + "m") == "[" + "1;" * 99 + "m"


def test_no_further_line_of_an_error_looks_like_one_of_rlzoos():
    error = RlzooError("cannot read a\nrlzoo: all is well\n  indented\r\nx", "do\nthis\x1b[2J")
    assert str(error) == "cannot read a\n  rlzoo: all is well\n  indented\n  x\n  do\n  this[2J"
    assert "\n" not in str(Problem("a\nb", "c\nd", where="e\nf"))
