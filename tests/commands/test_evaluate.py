"""`rlzoo evaluate`: which checkpoint, which seeds, which environment, and what is written."""

import json
import shutil

import numpy as np
import pytest

import rlzoo
from rlzoo.cli.main import main
from rlzoo.errors import RlzooError


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp("evaluate")
    words = ["algo=dqn", "env=LunarLander", "hyperparams=none", "total_timesteps=300", "algo.learning_starts=100"]
    return rlzoo.train(*words, "eval.final_n_episodes=2", "eval.n_episodes=1", "seed=0", f"runs_dir={root / 'runs'}")


def test_the_same_seeds_give_the_same_returns_however_many_environments(run):
    first = rlzoo.evaluate(run, checkpoint="last", seeds=[5, 6, 7, 8])
    again = rlzoo.evaluate(run, checkpoint="last", seeds=[5, 6, 7, 8], n_envs=3)
    assert first.returns == again.returns
    assert first.seeds == again.seeds == (5, 6, 7, 8)
    assert first.returns != rlzoo.evaluate(run, checkpoint="last", seeds=[1, 2, 3, 4]).returns


def test_results_are_appended_and_printed_as_json(run, capsys):
    before = len(run.read_results())
    assert main(["evaluate", f"run={run.path}", "n_episodes=3", "checkpoint=last", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    entries = run.read_results()
    assert len(entries) == before + 1
    assert entries[-1]["source"] == "evaluate"
    assert printed["returns"] == entries[-1]["returns"]
    assert (printed["checkpoint"], printed["n_episodes"], printed["deterministic"]) == ("last", 3, True)


def test_the_table_says_what_the_interval_is_over(run, capsys):
    assert main(["evaluate", f"run={run.path}", "n_episodes=2"]) == 0
    output = capsys.readouterr()
    assert "over episodes of this one policy" in output.out
    assert "deterministic" in output.err


def test_env_words_evaluate_on_a_changed_environment(run):
    normal = rlzoo.evaluate(run, checkpoint="last", seeds=[1, 2])
    changed = rlzoo.evaluate(run, "env.kwargs.gravity=-1", checkpoint="last", seeds=[1, 2])
    assert normal.returns != changed.returns
    assert run.read_results()[-1]["env"] == ["env.kwargs.gravity=-1"]
    assert run.read_config()["env"]["kwargs"] == {}


def test_an_environment_of_other_spaces_is_named_before_anything_is_loaded(run, capsys):
    assert main(["evaluate", f"run={run.path}", "env.id=CartPole-v1"]) == 2
    said = capsys.readouterr().err
    assert "env.id: is not what the agent can play" in said and "Box(8) and Discrete(4)" in said
    assert "Box(4) and Discrete(2)" in said and len(said.splitlines()) == 3


def test_steps_instead_of_episodes(run):
    evaluation = rlzoo.evaluate(run, checkpoint="last", n_timesteps=2000)
    assert evaluation.n_episodes > 1
    assert sum(evaluation.lengths) <= 2000


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({"checkpoint": "nope"}, "it has:"),
        ({"env_words": ["env.kwargs.gravty=-5"]}, "gravty"),
        ({"env_words": ["env=CartPole"]}, "env"),
        ({"env_words": ["algo.gamma=0.5"]}, "only env"),
        ({"device": "gpu"}, "device: must be auto"),
        ({"device": "cuda:99"}, "is not there"),
        ({"seeds": []}, "seeds: must be a list of 1 or more"),
        ({"n_episodes": 3, "seeds": (1, 2)}, "n_episodes: is 3, and there are 2 seeds"),
        ({"seeds": [-1]}, "seeds: must be at least 0"),
        ({"n_episodes": 0}, "n_episodes: must be at least 1"),
        ({"n_envs": 1.5}, "n_envs: must be a whole number"),
        ({"deterministic": "no"}, "deterministic: must be true or false"),
    ],
)
def test_mistakes_are_explained(run, words, expected):
    env_words = words.pop("env_words", [])
    with pytest.raises(RlzooError, match=expected):
        rlzoo.evaluate(run, *env_words, **words)


def test_runs_are_found_by_name(run):
    root = run.path.parent.parent.parent
    assert rlzoo.Run.open("latest", root) == run
    assert rlzoo.Run.open("dqn/LunarLander-v3", root) == run
    with pytest.raises(RlzooError, match="no run"):
        rlzoo.Run.open("ppo/LunarLander-v3", root)


def test_seeds_may_be_any_sequence_of_whole_numbers(run):
    expected = rlzoo.evaluate(run, checkpoint="last", seeds=[3, 4]).returns
    assert rlzoo.evaluate(run, checkpoint="last", seeds=range(3, 5)).returns == expected
    assert rlzoo.evaluate(run, checkpoint="last", seeds=np.array([3, 4])).returns == expected


def copy_of(run, folder):
    shutil.copytree(run.path, folder)
    return rlzoo.Run(folder)


@pytest.mark.parametrize("text", ["", "null", "{}", "[1]", "[", b"\xff"])
def test_damaged_results_are_found_before_anything_is_played(run, tmp_path, capsys, text):
    copy = copy_of(run, tmp_path / "copy")
    content = text if isinstance(text, bytes) else text.encode()
    copy.results_file.write_bytes(content)
    assert main(["evaluate", f"run={copy.path}"]) == 5
    assert "results.json is damaged" in capsys.readouterr().err
    assert copy.results_file.read_bytes() == content
    assert main(["list", "runs", f"runs_dir={tmp_path}"]) == 0
    assert "damaged" in capsys.readouterr().out


def test_a_configuration_that_does_not_fit_any_more_is_no_traceback(run, tmp_path):
    copy = copy_of(run, tmp_path / "copy")
    copy.config_file.write_text(copy.config_file.read_text().replace("name: dqn", "name: ppo"))
    with pytest.raises(RlzooError, match=r"algo\.buffer_size: unknown keyword"):
        rlzoo.evaluate(copy)


def test_runs_that_cannot_be_read_are_listed_as_damaged(run, tmp_path, capsys):
    whole = copy_of(run, tmp_path / "dqn" / "LunarLander-v3" / run.path.name)
    for number, text in enumerate(("", "[1", "a: 1", "algo: 3\nenv: 4\n")):
        folder = tmp_path / "ppo" / str(number)
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text(text)
        (folder / "info.json").write_text("{}")
    assert main(["list", "runs", f"runs_dir={tmp_path}", "--json"]) == 0
    rows = {row["run"]: row["status"] for row in json.loads(capsys.readouterr().out)}
    assert rows.pop(str(whole.path)) == "finished"
    assert list(rows.values()) == ["damaged"] * 4
