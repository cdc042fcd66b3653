"""Agents on the Hub: their scores are read out of strangers' cards, which may hold anything."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from rlzoo.cli.main import main
from rlzoo.errors import RlzooError
from rlzoo.hub import listing
from rlzoo.hub.listing import find_models, parse_score, read
from tests.hub.server import Blob, Repo

pytestmark = pytest.mark.usefixtures("hub")


def card(env, value, name="PPO", library="stable-baselines3", tags=()):
    metric = {"type": "mean_reward", "value": value, "name": "mean_reward", "verified": False}
    result = {"task": {"type": "reinforcement-learning"}, "dataset": {"name": env, "type": env}, "metrics": [metric]}
    about = {"tags": [env, "reinforcement-learning", *tags], "model-index": [{"name": name, "results": [result]}]}
    return about | ({"library_name": library} if library else {})


def publish(hub, repo_id, metadata, private=False):
    text = f"---\n{yaml.safe_dump(metadata)}---\n# agent\n"
    repo = hub.repos.setdefault(repo_id, Repo(repo_id, private))
    repo.commit({"README.md": Blob(text.encode()), "model.zip": Blob(b"weights", lfs=True)}, "first")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("250.00 +/- 20.50", (250.0, 20.5)),
        ("500.00 +/- 0.00", (500.0, 0.0)),
        ("-3.21+/-1.5", (-3.21, 1.5)),
        (" 7.56 ± 2.71 ", (7.56, 2.71)),
        ("1e2 +/- 1E1", (100.0, 10.0)),
        ("200", (200.0, None)),
        (21.5, (21.5, None)),
        (0, (0.0, None)),
        ("nan +/- nan", (None, None)),
        ("inf +/- 0.0", (None, None)),
        (float("nan"), (None, None)),
        ("1e999 +/- 0", (None, None)),
        ("-1e308 +/- 1e308", (None, None)),  # their difference is not finite
        ("20 +/- -1", (None, None)),
        ("200 +/- 20 +/- 2", (None, None)),
        ("\u0663\u0660 +/- 0", (None, None)),  # digits, but of another script
        ("9" * 5000, (None, None)),
        ("about 200", (None, None)),
        ("", (None, None)),
        (True, (None, None)),
        (None, (None, None)),
        ([1, 2], (None, None)),
        ({"mean": 3}, (None, None)),
        (10**400, (None, None)),
    ],
)
def test_scores_are_numbers_or_nothing(value, expected):
    assert parse_score(value) == expected


def test_the_best_result_comes_first_and_ties_go_by_the_mean(hub):
    publish(hub, "a/ppo-CartPole-v1", card("CartPole-v1", "400.00 +/- 100.00"))  # 300
    publish(hub, "b/ppo-CartPole-v1", card("CartPole-v1", "350.00 +/- 10.00"))  # 340
    publish(hub, "c/dqn-CartPole-v1", card("CartPole-v1", "500.00 +/- 200.00", name="DQN"))  # 300, of the higher mean
    publish(hub, "d/ppo-CartPole-v1", card("CartPole-v1", "no score yet"))
    publish(hub, "e/a2c-Acrobot-v1", card("Acrobot-v1", "-80.00 +/- 10.00", name="A2C"))
    publish(hub, "f/bert", {"tags": ["text"], "library_name": "transformers"})
    found = find_models()
    assert [model.id[0] for model in found] == ["e", "b", "c", "a", "d"]
    assert [model.result for model in found] == [-90.0, 340.0, 300.0, 300.0, None]
    assert [model.algo for model in found] == ["a2c", "ppo", "dqn", "ppo", "ppo"]
    assert hub.repos["a/ppo-CartPole-v1"].commits  # nothing was downloaded: only the list was asked for
    assert {seen.path.partition("?")[0] for seen in hub.seen if seen.method == "GET"} <= {
        "/api/models",
        "/api/agent-harnesses",
    }


def test_environments_are_found_under_their_old_ids(hub):
    publish(hub, "a/ppo-LunarLander-v2", card("LunarLander-v2", "250.00 +/- 20.00"))
    publish(hub, "b/ppo-LunarLander-v3", card("LunarLander-v3", "260.00 +/- 20.00"))
    publish(hub, "c/ppo-CartPole-v1", card("CartPole-v1", "500.00 +/- 0.00"))
    for env in ("LunarLander", "LunarLander-v2", "LunarLander-v3", "lunarlander", "LUNARLANDER-V2"):
        assert [(model.id[0], model.env) for model in find_models(env=env)] == [
            ("b", "LunarLander-v3"),
            ("a", "LunarLander-v3"),
        ]
    assert find_models(env="NoSuchEnv-v7") == []


def test_the_lakes_of_the_course_are_found_under_its_names_for_them(hub):
    publish(hub, "a/q-lake", card("FrozenLake-v1-4x4-no_slippery", "1.00 +/- 0.00"))
    publish(hub, "b/q-lake", card("FrozenLake-v1-8x8", "0.40 +/- 0.50"))
    for env in ("FrozenLake-v1-4x4-no_slippery", "FrozenLakeNoSlippery", "frozenlakenoslippery"):
        assert [model.id for model in find_models(env=env)] == ["a/q-lake"]
    assert [model.id for model in find_models(env="FrozenLake8x8")] == ["b/q-lake"]


def test_users_tags_and_algorithms_choose(hub):
    publish(hub, "ada/q-Taxi-v3", card("Taxi-v3", "7.56 +/- 2.71", "q-Taxi-v3", None, ["q-learning"]))
    publish(hub, "ada/Reinforce-CartPole-v1", card("CartPole-v1", "500.00 +/- 0.00", "Reinforce", None, ["reinforce"]))
    publish(hub, "bob/ppo-CartPole-v1", card("CartPole-v1", "500.00 +/- 0.00", tags=["deep-rl-course"]))
    assert {model.id for model in find_models(user="ada")} == {"ada/q-Taxi-v3", "ada/Reinforce-CartPole-v1"}
    assert [model.id for model in find_models(tag="deep-rl-course")] == ["bob/ppo-CartPole-v1"]
    assert [(model.id, model.env) for model in find_models(algo="q_learning")] == [("ada/q-Taxi-v3", "Taxi-v4")]
    assert [model.id for model in find_models(algo="reinforce")] == ["ada/Reinforce-CartPole-v1"]


def test_rlzoos_own_algorithms_are_told_from_their_namesakes(hub):
    publish(hub, "a/mine", card("LunarLander-v3", "1.00 +/- 0.00", "PPO", "rlzoo", ["ppo_scratch", "ppo"]))
    publish(hub, "b/course", card("LunarLander-v2", "0.00 +/- 0.00", "PPO", None, ["ppo", "custom-implementation"]))
    assert [(model.id, model.algo) for model in find_models()] == [("a/mine", "ppo_scratch"), ("b/course", "ppo")]


def test_pages_are_followed_up_to_the_limit(hub, monkeypatch):
    for number in range(7):
        publish(hub, f"me/ppo-{number}", card("CartPole-v1", f"{number}.00 +/- 0.00"))
    monkeypatch.setattr(listing, "PAGE", 3)
    assert len(find_models()) == 7
    assert len(find_models(limit=5)) == 5


HOSTILE = [
    {"model-index": "evil"},
    {"model-index": [None, 3, "x", {"results": 5}, {"results": [{"dataset": [1], "metrics": {"a": 1}}]}]},
    {"model-index": [{"name": ["x"], "results": [{"task": 1, "dataset": {"name": {"a": 1}}, "source": "x"}]}]},
    {
        "model-index": [
            {"results": [{"source": "evil", "dataset": {}, "metrics": [{"type": "mean_reward", "value": []}]}]}
        ]
    },
    {"ignore_metadata_errors": 1, "self": 2, "tags": "reinforcement-learning"},
    {"library_name": ["a"], "license": {"x": 1}},
    {"tags": [["nested"], {"a": 1}, None, "reinforcement-learning"]},
]


def test_cards_of_any_form_hide_no_other(hub):
    for number, metadata in enumerate(HOSTILE):
        metadata = dict(metadata)
        if isinstance(metadata.get("tags", []), list):
            metadata["tags"] = [*metadata.get("tags", []), "reinforcement-learning"]
        publish(hub, f"evil/{number}", metadata)
    publish(hub, "good/ppo-CartPole-v1", card("CartPole-v1", "500.00 +/- 0.00"))
    found = {model.id: model for model in find_models()}
    assert found["good/ppo-CartPole-v1"].result == 500.0
    assert {model.result for model in found.values()} == {500.0, None}


@pytest.mark.parametrize("about", [None, 3, "text", [], {}, {"id": 5}, {"id": None, "tags": []}])
def test_what_is_no_model_is_left_out(about):
    assert read(about) is None


def test_text_of_strangers_cannot_steer_the_terminal(hub, capsys):
    escape, url = "\x1b[2J\x1b]0;owned\x07", "https://me:hunter2secret@evil.example"
    publish(
        hub, "evil/ppo", card(f"CartPole{escape}\n\nrlzoo: ok", "1.00 +/- 0.00", name=f"PPO{escape}{url}" + "x" * 5000)
    )
    assert main(["list", "hub", "user=evil"]) == 0
    output = capsys.readouterr().out
    assert "\x1b" not in output and "\x07" not in output and "hunter2secret" not in output
    assert max(map(len, output.splitlines())) < 2000
    assert "1 model\n" in output


def test_list_hub_prints_and_answers_as_json(hub, capsys):
    publish(hub, "ada/ppo-CartPole-v1", card("CartPole-v1", "400.00 +/- 50.00"))
    publish(hub, "bob/ppo-CartPole-v1", card("CartPole-v1", "450.00 +/- 50.00"))
    assert main(["list", "hub", "env=CartPole", "n=1", "--json"]) == 0
    output = capsys.readouterr()
    (row,) = json.loads(output.out)
    assert "the best 1 of 2 models; n=2 shows all" in output.err
    assert (row["model"], row["mean - std"], row["algo"]) == ("bob/ppo-CartPole-v1", 400.0, "ppo")
    assert main(["list", "hub"]) == 0
    output = capsys.readouterr().out
    assert "ada/ppo-CartPole-v1" in output and "350.00" in output and "nobody has checked" in output


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["n=0"], "n=0 is not a number"),
        (["n=many"], "n=many is not a number"),
        (["algo=ppoo"], "did you mean 'ppo'"),
        (["runs_dir=x"], "runs_dir: unknown keyword"),
        (["colour=red"], "known: user, tag, env, algo, n"),
    ],
)
def test_mistakes_are_explained(words, expected, capsys):
    assert main(["list", "hub", *words]) == 2
    assert expected in capsys.readouterr().err


def test_a_hub_that_fails_or_is_away_is_exit_6(hub, capsys, monkeypatch):
    hub.fail("any", times=99, status=403, error="no")
    with pytest.raises(RlzooError) as refused:
        find_models()
    assert refused.value.code == 6
    command = [sys.executable, "-m", "rlzoo", "list", "hub"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert result.returncode == 6
    assert "Traceback" not in result.stderr


def test_of_several_environments_the_most_downloaded_are_shown(hub, capsys, monkeypatch):
    for number, (env, downloads) in enumerate([("Acrobot-v1", 5), ("CartPole-v1", 900), ("LunarLander-v3", 70)]):
        publish(hub, f"me/{number}", card(env, "1.00 +/- 0.00"))
        monkeypatch.setitem(DOWNLOADS, f"me/{number}", downloads)
    real = listing.read
    monkeypatch.setattr(
        listing, "read", lambda about, *rest: real({**about, "downloads": DOWNLOADS[about["id"]]}, *rest)
    )
    assert main(["list", "hub", "n=2", "--json"]) == 0
    output = capsys.readouterr()
    assert [row["env"] for row in json.loads(output.out)] == ["CartPole-v1", "LunarLander-v3"]
    assert "the most downloaded 2 of 3 models" in output.err


DOWNLOADS: dict[str, int] = {}
"""The Hub of the tests counts none."""
