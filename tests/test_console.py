"""The consoles: text stays text, results and notices go to their own streams, tables keep every character."""

from __future__ import annotations

import logging
import os
import subprocess
import sys

import pytest

from rlzoo import console


def test_results_and_notices_go_to_their_own_streams(capsys):
    console.print_table(["algo", "score"], [["ppo", 500.0]])
    console.say("training on [cpu]")
    console.warn("no [red]package[/red]")
    captured = capsys.readouterr()
    assert "ppo" in captured.out and "500.00" in captured.out
    assert captured.err == "training on [cpu]\nwarning: no [red]package[/red]\n"


def test_what_is_said_is_logged(capsys, caplog):
    with caplog.at_level(logging.INFO, logger="rlzoo"):
        console.say("one")
        console.warn("two")
    assert [(record.levelname, record.message) for record in caplog.records] == [("INFO", "one"), ("WARNING", "two")]
    assert capsys.readouterr().err.count("two") == 1


@pytest.mark.parametrize("said", [console.say, console.warn])
def test_a_line_of_a_million_letters_is_cut_and_the_next_one_is_there(said, capsys, caplog):
    with caplog.at_level(logging.INFO, logger="rlzoo"):
        said(f"{'x' * 10**6}\nnext")
    assert len(capsys.readouterr().err) < 2000
    assert len(caplog.records[0].message) < 2000 and caplog.records[0].message.endswith("next")


def test_control_characters_do_not_reach_the_terminal(capsys):
    console.say("a\x1b]0;title\x07b\x1b[2Jc")
    console.print_table(["name"], [["\x1b[31mred\x1b[0m"]])
    captured = capsys.readouterr()
    assert "\x1b" not in captured.out + captured.err
    assert "a]0;titleb[2Jc" in captured.err


FORGED = "a\n2026-01-01 00:00:00,000 INFO finished\r\nwarning: x\u2028y\x85z\u202e"


def test_no_text_makes_a_line_of_its_own(capsys, tmp_path):
    """On the screen, in a table, among pairs, and in the log with a traceback."""
    handler = console.LogFile(tmp_path / "train.log")
    handler.setFormatter(console.LogFormatter())
    console.log.addHandler(handler)
    try:
        console.say(FORGED)
        console.warn(FORGED)
        try:
            raise ValueError(FORGED)
        except ValueError:
            console.log.exception(FORGED)
    finally:
        console.log.removeHandler(handler)
        handler.close()
    console.print_lines(FORGED, "  indented")
    console.print_pairs([(FORGED, FORGED)])
    console.print_table([FORGED], [[FORGED]], title=FORGED)
    captured, log = capsys.readouterr(), (tmp_path / "train.log").read_text()
    for text in (captured.out, captured.err, log):
        assert all(char == "\n" or char.isprintable() for char in text)
    began = [line for line in (log + captured.err).split("\n") if line[:1].strip()]
    assert len([line for line in began if line.endswith((" a", "a"))]) == len(began) == 5
    assert "ValueError: a\n" in log and "  Traceback" in log
    assert captured.out.split("\n")[:2] == ["a 2026-01-01 00:00:00,000 INFO finished warning: xyz", "  indented"]
    lines = [line for line in captured.out.split("\n") if line.strip(" ─")]
    assert len(lines) == 6  # two lines, a pair, and a title, a heading and a row


def test_a_long_table_is_not_cut_where_there_is_no_terminal(capsys, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    path = "runs/" + "x" * 300
    console.print_table(["run", "score"], [[path, "1"]])
    lines = capsys.readouterr().out.splitlines()
    assert any(path in line and line.rstrip().endswith("1") for line in lines)
    assert max(len(line) for line in lines) < 330


def test_a_terminal_that_does_not_know_its_width(capsys, monkeypatch):
    for width in ("0", "1"):
        monkeypatch.setenv("COLUMNS", width)
        console.stdout.cache_clear()
        console.print_table(["name"], [["pendulum"]])
        assert "pendulum" in capsys.readouterr().out
    console.stdout.cache_clear()


def test_a_wide_table_is_turned_where_the_terminal_is_narrow(capsys, monkeypatch):
    columns, row = ["name", *(f"column {n}" for n in range(9))], ["some agent", *(f"{n}.25 ± 0.50" for n in range(9))]
    monkeypatch.setenv("COLUMNS", "80")
    console.stdout.cache_clear()
    console.print_table(columns, [row], turn=True)
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert [line.split(maxsplit=2)[-1].strip() for line in lines if "± 0.50" in line][8] == "8.25 ± 0.50"
    monkeypatch.setenv("COLUMNS", "200")
    console.stdout.cache_clear()
    console.print_table(columns, [row], turn=True)
    assert any("0.25 ± 0.50" in line and "8.25 ± 0.50" in line for line in capsys.readouterr().out.splitlines())
    console.stdout.cache_clear()


def test_a_narrow_terminal_goes_without_spare_columns(capsys, monkeypatch):
    path = "runs/ppo/LunarLander-v3/20261121-145302_seed1138785017_ea9be0"
    columns, row = ["mean ± std", "seed", "date", "run"], ["-206.40 ± 138.62", 1138785017, "2026-11-21", path]
    for width, shown in (
        (200, columns),
        (80, columns),
        (66, ["mean ± std", "seed", "run"]),
        (50, ["mean ± std", "run"]),
    ):
        monkeypatch.setenv("COLUMNS", str(width))
        console.stdout.cache_clear()
        console.print_table(columns, [row], spare=("date", "seed"))
        lines = capsys.readouterr().out.splitlines()
        assert all(len(line) <= width for line in lines)
        assert [name for name in columns if name in lines[1]] == shown
        assert "-206.40 ± 138.62" in "".join(lines)
        assert "".join(line.split()[-1] for line in lines[3:] if line.strip()) == path
    console.print_table([], [], spare=("date",), turn=True)
    console.stdout.cache_clear()


def test_markup_in_cells_is_shown_as_it_is(capsys):
    console.print_table(["[b]x[/b]"], [["[link=file:///etc]y[/link]"], [None], [":smile:"]], title="[i]t[/i]")
    out = capsys.readouterr().out
    assert "[b]x[/b]" in out and "[link=file:///etc]y[/link]" in out and ":smile:" in out and "[i]t[/i]" in out


def test_a_pipe_and_a_plain_request_are_not_live(monkeypatch):
    assert not console.is_live()
    monkeypatch.setattr(type(console.stderr()), "is_terminal", True)
    monkeypatch.setattr(type(console.stderr()), "is_dumb_terminal", False)
    monkeypatch.delenv(console.PLAIN, raising=False)
    assert console.is_live()
    monkeypatch.setenv(console.PLAIN, "1")
    assert not console.is_live()


def test_rich_is_not_imported_with_the_module():
    code = "import sys, rlzoo.console; assert 'rich' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_reader_that_has_gone_ends_nothing():
    code = "from rlzoo import console; [console.say('x' * 9999) for _ in range(99)]; print('went on')"
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=writing, text=True, check=False)
    os.close(writing)
    assert (result.returncode, result.stdout) == (0, "went on\n")


def test_closed_standard_error_ends_nothing(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    console.say("nobody hears this")
