"""The end of a study: intervals by hand, fresh seeds, and a tuned set that training applies."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from short_studies import SHORT, started

from rlzoo.config import yaml_file
from rlzoo.config.compose import compose
from rlzoo.tuning import worker
from rlzoo.tuning.final import DEFAULTS, Candidate, Final, _order, decide
from rlzoo.tuning.intervals import of_difference, of_mean, t_quantile
from rlzoo.tuning.objective import pareto, score
from rlzoo.tuning.report.data import collect
from rlzoo.tuning.save import save

pytestmark = pytest.mark.usefixtures("workdir")


def test_scores() -> None:
    means = [1.0, 5.0, 2.0, 3.0]
    found = {name: score(name, means, 9.0, n_last=2) for name in ("last", "best", "final", "area")}
    assert found == {"last": 2.5, "best": 5.0, "final": 9.0, "area": 2.75}
    assert score("last", [4.0], 9.0, n_last=3) == 4.0
    with pytest.raises(Exception, match="before its first evaluation"):
        score("last", [], 9.0, n_last=3)
    with pytest.raises(Exception, match="the score is nan"):
        score("area", [1.0, float("nan")], 9.0, n_last=3)


def test_intervals_by_hand() -> None:
    table = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 9: 2.262, 30: 2.042}  # any table of Student's t
    assert {n: round(t_quantile(n), 3) for n in table} == table
    mean, low, high = of_mean([1.0, 2.0, 3.0])  # variance 1, 4.3027 / sqrt(3)
    assert (mean, low, high) == pytest.approx((2.0, 2.0 - 2.48414, 2.0 + 2.48414), abs=1e-4)
    assert of_mean([1.0]) is None
    # variances 1 and 1, three each: Welch's degrees of freedom are 4, the error sqrt(2 / 3)
    difference = of_difference([5.0, 6.0, 7.0], [1.0, 2.0, 3.0])
    assert difference == pytest.approx((4.0, 4.0 - 2.7764 * 0.8165, 4.0 + 2.7764 * 0.8165), abs=1e-3)
    assert of_difference([1.0, 1.0], [0.0, 0.0]) == (1.0, 1.0, 1.0)


def test_the_best_mean_wins_and_of_equals_the_defaults() -> None:
    one, two = Candidate("trial 1", 1, {}, (1.0, 3.0)), Candidate("trial 2", 2, {}, (0.0, 3.0))
    same, unfinished = Candidate(DEFAULTS, None, {}, (2.0, 2.0)), Candidate("trial 3", 3, {}, (), "it failed")
    final = Final(tuple(sorted((unfinished, two, one, same), key=_order)))
    assert [each.label for each in final.candidates] == ["defaults", "trial 1", "trial 2", "trial 3"]
    assert final.gain is None


def test_with_two_objectives_the_front_is_tried_on_fresh_seeds() -> None:
    points = {"a": (3.0, 9.0), "b": (3.0, 5.0), "c": (2.0, 6.0), "d": (1.0, 1.0), "e": (0.0, 1.0)}
    assert pareto(points, points.__getitem__) == ["b", "d"]
    words = ["n_trials=4", "top_k=2", "final_seeds=2", "enqueue=[]", "second_objective=size", "pruner=none"]
    study = started(*words)
    worker.run_trials(study, "w", lambda: False)
    front = study.claims.ledger().front()
    assert {trial.number for trial in front} <= {trial.number for trial in study.claims.best_trials}
    final = decide(study, [*SHORT, *words], [].append)
    assert final is not None
    assert [each.seconds for each in final.candidates] == [(64.0, 64.0)] * len(final.candidates)  # 16 states, 4 actions
    assert final.front == (final.winner,)
    assert final.defaults in final.candidates
    shown = collect("s", "studies", None).comparison
    assert shown is not None and shown.done and shown.gain is None
    assert [(each.label, each.scores, each.seconds) for each in shown.candidates] == [
        (each.label, each.scores, each.seconds) for each in final.candidates
    ]


def test_candidates_and_defaults_are_trained_on_the_same_fresh_seeds_once() -> None:
    words = ["n_trials=2", "top_k=1", "final_seeds=2", "enqueue=[]"]
    study = started(*words)
    worker.run_trials(study, "w", lambda: False)
    said: list[str] = []
    final = decide(study, [*SHORT, *words], said.append)
    assert final is not None
    assert said[0] == "the best 1 and the defaults on 2 fresh seeds: 4 trainings"
    seeds = [json.loads(path.read_text())["of"]["seed"] for path in sorted(Path("studies/s/final").rglob("seed*.json"))]
    assert seeds[:2] == seeds[2:]
    assert not set(seeds) & {seed for t in study.claims.ledger().trials for seed in t.user_attrs["outcome"]["seeds"]}
    said.clear()
    assert decide(study, [*SHORT, *words], said.append) == final  # nothing is trained twice
    assert said == []


def test_a_saved_set_is_what_training_applies(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["env.max_steps=50", "env.kwargs.is_slippery=false", "stop.minutes=9"]
    study = started("n_trials=2", "enqueue=[]", *words, "top_k=1", "save=true")
    worker.run_trials(study, "w", lambda: False)
    trial = study.claims.ledger().trials[1]
    settings = json.loads(Path("studies/s/trials/0001.json").read_text())["settings"]
    winner = Candidate("trial 1", 1, settings, (3.0, 5.0))
    path = save(study, Final((winner, Candidate(DEFAULTS, None, {}, (1.0, 2.0)))))
    assert path == Path("hyperparams/q_learning/FrozenLake.yaml")
    left_out = "left out of the tuned set, which holds values only: stop.minutes, env.kwargs"
    assert left_out in capsys.readouterr().err
    header = path.read_text()
    assert "# source: rlzoo tune, study s, trial 1 of 2 trials" in header
    assert "# score: 4.00 [-8.71, 16.71] over 2 training seeds of 200 steps (mean of the last 3 evaluations)" in header
    assert "# defaults: 1.50 [-4.85, 7.85]" in header
    assert yaml_file.read(path).values["env"] == {"max_steps": 50} and "stop" not in yaml_file.read(path).values
    found = compose("train", ["algo=q_learning", "env=FrozenLake"]).values
    assert found["algo"]["gamma"] == 1 - trial.params["one_minus_gamma"]
    assert found["algo"]["learning_rate"] == trial.params["learning_rate"]
    assert (found["env"]["max_steps"], found["total_timesteps"]) == (50, 200)
    assert subprocess.run([sys.executable, "-m", "rlzoo", "validate", str(path)], check=False).returncode == 0
    assert "may be chance" in header
    before = [path.with_name("FrozenLake.yaml.before"), path.with_name("FrozenLake.yaml.before1")]
    save(study, Final((winner, Candidate(DEFAULTS, None, {}, (1.0, 2.0)))))
    assert not before[0].exists()  # it is the same
    for one in (1.5, 1.75):
        save(study, Final((winner, Candidate(DEFAULTS, None, {}, (one, 2.0)))))
    assert before[0].read_text() == header and before[1].is_file()
    assert save(study, Final((Candidate(DEFAULTS, None, {}, (9.0, 9.0)), winner))) is None
