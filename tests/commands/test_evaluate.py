"""`rlzoo evaluate`: which checkpoint, which seeds, which environment, and what is written."""

import json

import pytest

import rlzoo
from rlzoo.cli import main
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
