"""`rlzoo list`: what is in files of the user's is listed, whatever it is; one line an entry, whatever the width."""

from __future__ import annotations

import json
import math
import os
import re
import shutil

import pytest
from rich.cells import cell_len

from rlzoo.cli import columns, listing
from rlzoo.cli.columns import Screen
from rlzoo.cli.main import main
from rlzoo.runs.run import Run
from tests.results import entry, make_run

WIDTHS = (60, 80, 120, 200)


def lines(capsys, *words, code=0):
    assert main(["list", *words]) == code
    captured = capsys.readouterr()
    return (captured.err if code else captured.out).splitlines()


def on_a_pipe(capsys, monkeypatch, *words):
    with monkeypatch.context() as pipe:
        pipe.delenv("COLUMNS", raising=False)
        return [line.split("\t") for line in lines(capsys, *words)]


def test_a_number_that_json_does_not_have_is_listed(workdir, capsys):
    path = workdir / "hyperparams" / "ppo" / "Mine.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("# @package _global_\ntotal_timesteps: .inf\n")
    assert main(["list", "hyperparams", "--json"]) == 0
    rows = {row["set"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["ppo/Mine"]["total_timesteps"] == math.inf and rows["ppo/CartPole"]["total_timesteps"] == 100_000
    assert main(["list", "hyperparams"]) == 0
    assert "ppo/Mine" in capsys.readouterr().out


@pytest.fixture
def runs(workdir):
    """Runs of several kinds below `runs`: finished ones, a failed, a killed, a damaged one, a variant of a lake."""
    made = {
        "best": make_run(workdir / "runs", "ppo", "CartPole-v1", [entry(500.0, 0.25, result=499.75)]),
        "long": make_run(
            workdir / "runs",
            "evolution_strategies",
            "SpaceInvadersNoFrameskip-v4",
            [entry(-1234.5, 1.0, result=-1235.5)],
        ),
        "failed": make_run(workdir / "runs", "ppo", "CartPole-v1", []),
        "killed": make_run(workdir / "runs", "a2c", "Home-v0", []),
        "damaged": make_run(workdir / "runs", "a2c", "CartPole-v1", []),
        "lake": make_run(workdir / "runs", "ppo", "FrozenLake-v1", [], kwargs={"is_slippery": False}),
    }
    made["failed"].update_info(status="failed")
    made["killed"].update_info(status="running")
    made["damaged"].config_file.write_text("[")
    return made


@pytest.mark.parametrize("kind", ["algos", "envs", "hyperparams", "experiments", "runs"])
def test_an_entry_is_a_line_that_fits_with_its_name_and_numbers_whole(kind, runs, capsys, monkeypatch):
    """Of every column that is shown each value is whole, but the text may end with an ellipsis, between two words."""
    assert main(["list", kind, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    screen = listing.SCREENS[kind]
    for width in WIDTHS:
        monkeypatch.setenv("COLUMNS", str(width))
        head, *shown = lines(capsys, kind)
        heads = re.split(r"\s{2,}", head)
        assert set(screen.names) <= set(heads) and shown[len(rows)] == f"{len(rows)} {kind}"
        for line, row in zip(shown, rows, strict=False):
            name = row[screen.names[0]].removeprefix("runs/")
            assert line == name or line.startswith(f"{name} ")
            assert cell_len(line) <= max(width, len(name) + 14)
            for column in heads[1:]:
                value = row[column]
                value = f"{value:.2f}" if isinstance(value, float) else "" if value is None else value
                text = ", ".join(value) if isinstance(value, list) else str(value)
                if column == screen.text and line.endswith("…"):
                    start = line[line.index(text[:10]) : -1]
                    assert len(start) >= 10 and text.startswith(start) and not text[len(start)].isalnum()
                else:
                    assert text in line
    assert kind != "runs" or "status" in heads


def test_nothing_is_cut_or_left_out_where_that_is_asked_for(runs, workdir, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    summaries = [row["summary"] for row in listing.algos()]
    assert not any(summary in line for summary, line in zip(summaries, lines(capsys, "algos")[1:], strict=False))
    shown = lines(capsys, "algos", "wide=true")
    assert all(line.endswith(summary) for summary, line in zip(summaries, shown[1:], strict=False))
    assert "paper" in shown[0] and not any("wide=true" in line for line in shown)
    (row,) = [line for line in lines(capsys, "runs", "wide=true") if "499.75" in line]
    about = "ppo CartPole-v1 0 finished best (1,000 steps) 10 500.00 0.25 499.75"
    assert row.split() == ["runs/" + str(runs["best"].path.relative_to(workdir / "runs")), *about.split()]
    assert "wide=maybe must be true or false" in lines(capsys, "algos", "wide=maybe", code=2)[0]


OTHERWISE = {"changed": {"env": ["env.kwargs.is_slippery=false"]}, "steps": {"mode": "timesteps"}}


@pytest.mark.parametrize("name", OTHERWISE)
def test_what_was_evaluated_otherwise_is_no_score_of_the_run(name, workdir):
    other = entry(9.0, 0.0, checkpoint="last", **OTHERWISE[name])
    make_run(workdir / "runs", "ppo", "CartPole-v1", [entry(1.0, 0.5, 3, checkpoint="last", n_cut=2), other], seed=1)
    make_run(workdir / "runs", "ppo", "CartPole-v1", [other], seed=2)
    rows = {row["seed"]: row for row in listing.runs(str(workdir / "runs"))}
    assert [rows[1][key] for key in ("mean", "episodes", "cut")] == [1.0, 3, 2]
    assert (rows[2]["mean"], rows[2]["checkpoint"]) == (None, "evaluated otherwise only")


def test_a_name_as_it_is_listed_is_a_run(runs, workdir, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    (name,) = [line.split()[0] for line in lines(capsys, "runs") if "499.75" in line]
    assert name == str(runs["best"].path.relative_to(workdir / "runs"))
    assert Run.open(name).path.resolve() == runs["best"].path
    shutil.copytree(runs["failed"].path, workdir / name)  # by that name another one is meant now
    (name,) = [line.split()[0] for line in lines(capsys, "runs") if "499.75" in line]
    assert Run.open(name).path.resolve() == runs["best"].path
    os.chdir(workdir / "runs")
    (name,) = [line.split()[0] for line in lines(capsys, "runs", "runs_dir=.") if "499.75" in line]
    assert Run.open(name, ".").path.resolve() == runs["best"].path


@pytest.mark.parametrize("kind", ["algos", "envs", "hyperparams", "experiments", "runs"])
def test_a_pipe_gets_records_divided_by_tabs_and_nothing_else(kind, runs, capsys, monkeypatch):
    head, *records = on_a_pipe(capsys, monkeypatch, kind)
    rows = listing.KINDS[kind]()
    assert head == list(rows[0]) and len(records) == len(rows)
    assert [record[0] for record in records] == [row[head[0]] for row in rows]
    assert all(len(record) == len(head) for record in records)


def test_no_runs_are_a_heading_on_a_pipe(workdir, capsys, monkeypatch):
    (head,) = on_a_pipe(capsys, monkeypatch, "runs")
    assert {"run", "mean - std", "status"} <= set(head)
    assert lines(capsys, "runs")[-1] == "0 runs"


def test_text_of_strangers_stays_in_its_cell(capsys, monkeypatch):
    """What moves columns, ends lines, hides others' cells or holds a secret; a name that is too long; wide signs."""
    monkeypatch.setenv("SOME_TOKEN", "s3cretvalue1")
    texts = ["a\tb\nc", "-----BEGIN RSA PRIVATE KEY-----", "basic", "abcdefghijklmnopqrst", "x\x1b[2Jy", "s3cretvalue1"]
    texts += ["n" * 300, "日本語の名前", "x\n,\ny", "token=hunter22"]
    rows = [[text, 1.5] for text in texts]
    for width in ("80", None):
        monkeypatch.delenv("COLUMNS", raising=False)
        if width:
            monkeypatch.setenv("COLUMNS", width)
        columns.print_records(["name", "score"], rows, Screen(["name", "score"], []), wide=False)
        shown = capsys.readouterr().out.splitlines()
        assert len(shown) == len(rows) + 1 and all(line.split()[-1] == "1.50" for line in shown[1:])
        names = [line.rpartition("1.50")[0].strip() for line in shown[1:]]
        assert names[0] == "a b c" and names[3] == texts[3] and names[6:8] == texts[6:8] and names[8] == "x , y"
        assert names[4] == "x[2Jy" and names[5] == "***" and names[9] == "token=***"
        if width:
            assert {cell_len(line) for line in shown if "nnn" not in line} == {cell_len(shown[0])}


def test_names_that_are_all_too_long_stay_in_columns_and_a_width_may_be_unknown(capsys, monkeypatch):
    rows = [["n" * size, 1.5] for size in (40, 35, 38)]
    for width, expected in (("30", 49), ("0", 49), ("1", 49)):
        monkeypatch.setenv("COLUMNS", width)
        columns.print_records(["name", "score"], rows, Screen(["name", "score"], []), wide=False)
        assert {len(line) for line in capsys.readouterr().out.splitlines()} == {expected - 2}
    monkeypatch.setenv("COLUMNS", "0")
    assert columns.width() == 80


def test_columns_give_way_by_importance(capsys, monkeypatch):
    screen = Screen(["name"], ["text", "b", "a"], "text", 10)
    row = ["x" * 10, "a" * 10, "some words and some more", "b" * 10]
    for width, shown in ((20, ["name"]), (22, ["name", "text"]), (34, ["name", "b", "text"]), (46, ["name", "a", "b"])):
        monkeypatch.setenv("COLUMNS", str(width))
        left_out = columns.print_records(["name", "a", "text", "b"], [row], screen, wide=False)
        head, line = capsys.readouterr().out.splitlines()
        assert head.split() == [*shown, *(["text"] if width == 46 else [])] and len(line) <= width
        assert sorted([*left_out, *head.split()]) == ["a", "b", "name", "text"]
        assert (line.split("  ")[-1] == "some…") == (width > 20)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["status=failed"], ["failed"]),
        (["status=killed"], ["killed"]),
        (["status=damaged"], ["damaged"]),
        (["algo=ppo"], ["best", "failed", "lake"]),
        (["env=CartPole"], ["best", "failed"]),
        (["env=cartpole"], ["best", "failed"]),
        (["env=Home-v0"], ["killed"]),
        (["env=FrozenLakeNoSlippery"], ["lake"]),
        (["env=FrozenLake-v1"], ["lake"]),
        (["env=FrozenLake"], []),
        (["env=CartPole", "algo=ppo", "status=finished"], ["best"]),
        (["algo=dqn"], []),
    ],
)
def test_runs_can_be_chosen(words, found, runs, capsys):
    assert main(["list", "runs", *words, "--json"]) == 0
    names = {run.path.name: name for name, run in runs.items()}
    assert sorted(names[row["run"].rpartition("/")[2]] for row in json.loads(capsys.readouterr().out)) == sorted(found)


def test_environments_and_sets_can_be_chosen(workdir, capsys):
    atari = listing.envs(family="atari")
    assert {"Pong", "SpaceInvaders"} < {row["env"] for row in atari} and "CartPole" not in {row["env"] for row in atari}
    sac = listing.envs(algo="sac")
    assert "Pendulum" in {row["env"] for row in sac} and all("sac" in row["tuned for"] for row in sac)
    assert listing.envs(algo="sac", family="atari") == [] and len(listing.envs()) > len(sac) + len(atari)
    assert [row["set"] for row in listing.hyperparams(algo="dqn", env="Pong")] == ["dqn/atari"]
    for env in ("CartPole", "CartPole-v1"):
        sets = [row["set"] for row in listing.hyperparams(env=env)]
        assert "ppo/CartPole" in sets and {name.partition("/")[2] for name in sets} == {"CartPole"}
    assert listing.hyperparams(algo="recurrent_ppo") == listing.hyperparams(algo="ppo_lstm") != []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["runs", "status=fnished"], "did you mean 'finished'"),
        (["runs", "algo=pppo"], "did you mean 'ppo'"),
        (["runs", "env=CartPol"], "did you mean 'CartPole'"),
        (["envs", "algo=sca"], "did you mean 'sac'"),
        (["envs", "family=atri"], "did you mean 'atari'"),
        (["hyperparams", "algo=dqnn"], "did you mean 'dqn'"),
        (["hyperparams", "env=Ponk"], "did you mean 'Pong'"),
        (["envs", "colour=red"], "known: algo, family"),
        (["runs", "statu=failed"], "did you mean 'status'"),
        (["algos", "env=CartPole"], "it takes none"),
        (["algoss"], "did you mean 'algos'"),
        (["nope"], "rlzoo list algos | envs"),
        (["algos", "envs"], "say what to list"),
    ],
)
def test_what_there_is_not_is_said(words, expected, workdir, capsys):
    assert expected in "\n".join(lines(capsys, *words, code=2))
