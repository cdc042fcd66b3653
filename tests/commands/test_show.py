"""`rlzoo show algo=<name>` explains every algorithm; with any further word `rlzoo show` composes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from rlzoo.algos.explain import as_yaml, explain, find_class
from rlzoo.algos.specs import ALGOS, ALIASES
from rlzoo.cli.main import main
from rlzoo.config import files, yaml_file

HEAVY = {"torch", "stable_baselines3", "gymnasium", "numpy", "hydra", "omegaconf", "pydantic"}


def shown(capsys, *words: str) -> str:
    assert main(["show", *words]) == 0
    return capsys.readouterr().out


def shown_json(capsys, *words: str):
    return json.loads(shown(capsys, *words, "--json"))


@pytest.fixture
def user_folder(tmp_path, monkeypatch):
    (tmp_path / "conf" / "algo").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ALGOS)
def test_every_algorithm_is_explained(name, capsys):
    about = shown_json(capsys, f"algo={name}")
    spec = ALGOS[name]
    assert (about["algo"], about["summary"], about["paper"]) == (name, spec.summary, spec.paper)
    assert f"\nclass {spec.entry_point.rpartition(':')[2]}" in Path(about["file"]).read_text()
    assert Path(about["settings"]).name == f"{name}.yaml"
    keys = yaml_file.read(Path(about["settings"])).values
    assert [row["name"] for row in about["hyperparameters"]] == [key for key in keys if key != "name"]
    assert [row["default"] for row in about["hyperparameters"]] == [keys[key] for key in keys if key != "name"]


@pytest.mark.parametrize("name", files.options("algo"))
def test_every_hyperparameter_has_a_meaning(name):
    without = [row.name for row in explain(name).hyperparameters if not row.meaning]
    assert without == [], f"conf/algo/{name}.yaml: write what they mean in a comment on their lines: {without}"


def test_the_commands_that_go_on_are_requests_that_can_run(capsys):
    for name in ALGOS:
        train, show = explain(name).commands
        words = train.split()[2:]
        assert (train.split()[:2], show.split()[:2]) == (["rlzoo", "train"], ["rlzoo", "show"])
        assert main(["show", *words]) == 0, capsys.readouterr().err
        capsys.readouterr()


def test_what_is_said_of_one_of_rlzoos_own(capsys):
    text = shown(capsys, "algo=q_learning")
    assert "rlzoo/algos/tabular/q_learning.py" in text
    assert "https://doi.org/10.1007/BF00992698" in text
    assert "conf/algo/q_learning.yaml" in text
    row = next(line for line in text.splitlines() if line.startswith("  learning_rate"))
    assert row.split()[:5] == ["learning_rate", "0.7", ">", "0,", "<="]
    assert "how far a value moves" in row


def test_what_is_said_of_one_of_stable_baselines3(capsys):
    text = shown(capsys, "algo=ppo")
    assert "PPO of Stable-Baselines3" in text
    assert "stable_baselines3/ppo/ppo.py" in text.replace("\\", "/")
    assert "atari (every game)" in text
    assert "the plain return" in text


def test_ranges_are_those_that_are_checked():
    ranges = {row.name: row.range for row in explain("dqn").hyperparameters}
    assert ranges["gamma"] == "0 to 1"
    assert ranges["tau"] == "> 0, <= 1"
    assert ranges["gradient_steps"] == "-1 or >= 1"
    assert ranges["learning_starts"] == ">= 0"
    assert ranges["optimize_memory_usage"] == "true, false"
    assert ranges["policy_kwargs"] == ""
    assert {row.name: row.range for row in explain("trpo").hyperparameters}[
        "line_search_shrinking_factor"
    ] == "> 0, < 1"


def test_defaults_are_shown_as_they_can_be_typed():
    values = (None, True, 0.5, "auto", [64, 64], {"linear": 1e-3}, {"a": [None], "b": {}})
    assert [as_yaml(value) for value in values] == [
        *("null", "true", "0.5", "auto", "[64, 64]", "{linear: 0.001}", "{a: [null], b: {}}")
    ]


@pytest.mark.parametrize(("alias", "name"), ALIASES.items())
def test_an_alias_explains_its_algorithm(alias, name, capsys):
    about = shown_json(capsys, f"algo={alias}")
    assert about["algo"] == name
    assert alias in about["aliases"]
    assert "also called" in shown(capsys, f"algo={alias}")


def test_flags(capsys):
    assert "its policy has a memory" in shown(capsys, "algo=ppo_lstm")
    assert "takes masks of the valid actions" in shown(capsys, "algo=maskable_ppo")
    assert explain("maskable_ppo").tuned_sets == ("TaxiMasked",)


def test_an_unknown_name_is_the_usual_mistake(capsys):
    assert main(["show", "algo=q_lerning"]) == 2
    assert "did you mean 'q_learning'?" in capsys.readouterr().err


def test_a_further_word_composes(capsys):
    rows = shown_json(capsys, "algo=q_learning", "env=FrozenLake")
    by_key = {row["key"]: row for row in rows}
    assert by_key["algo.gamma"]["value"] == 0.95
    assert by_key["algo.gamma"]["from"].startswith("conf/algo/q_learning.yaml:")
    assert {"total_timesteps", "env.id"} <= by_key.keys()


def test_a_class_of_ones_own(capsys):
    text = shown(capsys, "algo=custom")
    assert "algo.name=package.module:Class env=CartPole" in text
    assert "???" in text


def test_the_users_own_algorithms_are_explained_without_importing_them(user_folder, capsys):
    (user_folder / "mine.py").write_text("raise RuntimeError('imported')\nclass Mine: pass\n")
    (user_folder / "conf/algo/mine.yaml").write_text(
        "name: mine:Mine\ngamma: 0.5  # my discount,\n            # of mine\n"
    )
    (user_folder / "conf/algo/gone.yaml").write_text("name: nowhere.to_be.found:Gone\n")
    (user_folder / "conf/algo/small.yaml").write_text("defaults: [ppo, _self_]\nn_steps: 64  # fewer\ntoken: abc\n")
    mine = shown_json(capsys, "algo=mine")
    assert mine["file"] == "mine.py"
    gamma = {"name": "gamma", "default": 0.5, "range": "0 to 1", "meaning": "my discount, of mine"}
    assert mine["hyperparameters"] == [gamma]
    assert shown_json(capsys, "algo=gone")["file"] == ""
    small = shown_json(capsys, "algo=small")
    rows = {row["name"]: row for row in small["hyperparameters"]}
    assert (small["algo"], small["name"]) == ("small", "ppo")
    assert (rows["n_steps"]["default"], rows["n_steps"]["meaning"]) == (64, "fewer")
    assert rows["gamma"]["meaning"].startswith("discount of future rewards")  # of the file it builds on
    assert rows["token"]["default"] == "***"
    for name in ("mine", "gone", "small"):
        assert f"algo={name}" in shown(capsys, f"algo={name}")


def test_the_users_own_mistakes_are_told(user_folder, capsys):
    (user_folder / "conf/algo/broken.yaml").write_text("name: a: b\n")
    (user_folder / "conf/algo/wrong.yaml").write_text("name: nothing\n")
    assert main(["show", "algo=broken"]) == 2
    assert "broken.yaml:1" in capsys.readouterr().err
    assert main(["show", "algo=wrong"]) == 2
    assert "unknown algorithm 'nothing'" in capsys.readouterr().err


def test_a_class_is_found_where_it_is_written():
    assert find_class("stable_baselines3:PPO").parts[-3:] == ("stable_baselines3", "ppo", "ppo.py")
    assert find_class("sb3_contrib:QRDQN").parts[-2:] == ("qrdqn", "qrdqn.py")
    assert find_class("stable_baselines3:Nothing") is None
    assert find_class("stable_baselines3.no.such:PPO") is None
    assert find_class("no_such_package:PPO") is None
    assert find_class("") is None


def run(*words: str, **environment: str) -> str:
    command = [sys.executable, "-m", "rlzoo", "show", *words]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=True).stdout


def test_a_table_as_wide_as_it_is_shown():
    for width in (80, 120):
        lines = run("algo=sac", COLUMNS=str(width)).splitlines()
        assert max(len(line) for line in lines if "site-packages" not in line) <= width
        keys = [row.name for row in explain("sac").hyperparameters]
        firsts = [line.split()[0] for line in lines if line.startswith("  ") and not line.startswith("   ")]
        assert [first for first in firsts if first in keys] == keys  # none is broken over two lines
    piped = run("algo=sac")
    assert "\x1b" not in piped
    row = next(line for line in piped.splitlines() if line.startswith("  ent_coef"))
    assert row.rstrip().endswith("or auto_0.1 to learn from there")  # a line for each, for grep


def test_explaining_imports_nothing_heavy():
    code = (
        "import sys; from rlzoo.cli.main import main\n"
        "main(['show', 'algo=q_learning']); main(['show', 'algo=ppo', '--json'])\n"
        f"print('IMPORTED', *({HEAVY!r} & sys.modules.keys()))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.rsplit("IMPORTED", 1)[1].split() == []
