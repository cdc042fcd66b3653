"""`rlzoo tune` as its users see it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from short_studies import SHORT

import rlzoo
from rlzoo.cli.main import main

pytestmark = pytest.mark.usefixtures("workdir")
WORDS = [word for word in SHORT if not word.startswith("top_k")]


def test_from_the_words_to_the_winner(capsys: pytest.CaptureFixture[str]) -> None:
    words = [*WORDS, "n_trials=3", "top_k=1", "final_seeds=2", "save=true", "enqueue=[]", "total_timesteps=2000"]
    assert main(["tune", *words]) == 0
    out, said = capsys.readouterr()
    assert "study studies/s will have 3 trials; seed 1" in said
    assert "| 3/3 trials" in said
    assert ", defaults are compared on 2 fresh seeds: 4 trainings" in said
    assert "final 4/4: defaults, seed " in said
    assert "steps/s" not in said  # the trainings themselves are silent
    for text in ("best trials", "on fresh seeds", "defaults", "trials: ", "search cost: ", "study: studies/s"):
        assert text in out
    saved = Path("hyperparams/q_learning/FrozenLake.yaml")
    assert saved.is_file() == (f"saved: {saved}" in out)
    stays = (" did not beat the defaults: nothing was saved", "): they stay: nothing was saved")
    assert saved.is_file() or any(text in said for text in stays)

    tuned = rlzoo.tune(*words)  # the same study: nothing is left to do
    assert "has 3 of 3 trials" in capsys.readouterr().err
    assert tuned.folder == Path("studies/s")
    assert [trial["number"] for trial in tuned.trials] == [0, 1, 2]
    assert tuned.cost["steps"] == sum(trial["steps"] for trial in tuned.trials) > 2000
    assert tuned.final is not None
    assert {each.label for each in tuned.final.candidates} == {"defaults", f"trial {tuned.best[0]['number']}"}
    assert tuned.best[0]["score"] == max(trial["score"] for trial in tuned.trials)

    assert main(["tune", *words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["folder"] == "studies/s"
    assert [each["label"] for each in found["final"]["candidates"]] == [e.label for e in tuned.final.candidates]


def test_a_dry_run_shows_the_space_and_makes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune", *SHORT, "n_trials=7", "top_k=2", "final_seeds=3", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "0.9 to 0.999 (log of the distance from 1)" in out
    assert "algo.learning_rate" in out
    assert "1,400" in out  # 7 trials of 200 steps at most
    assert "1,600" in out  # in the end the best 2 once each, and the better one and the defaults 3 times each
    assert main(["tune", *SHORT, "n_trials=7", "--dry-run", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["steps at most"] == 1400
    assert {"name": "learning_rate", "key": "algo.learning_rate"}.items() <= found["parameters"][0].items()
    assert list(Path().iterdir()) == []


def test_another_request_under_the_name_is_refused_by_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune", *SHORT, "n_trials=1"]) == 0
    assert main(["tune", *SHORT, "n_trials=1", "total_timesteps=300"]) == 2
    assert "total_timesteps was 200, is 300" in capsys.readouterr().err


def test_help_has_the_keys_and_the_space(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune", "--help", "algo=q_learning"]) == 0
    out = capsys.readouterr().out
    assert "n_trials=40" in out
    assert "search_space.learning_rate.high=1.0" in out
