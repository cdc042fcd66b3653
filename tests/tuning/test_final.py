"""The end of a study: intervals by hand, fresh seeds, and a tuned set that training applies."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from short_studies import SHORT, started

from rlzoo.config import yaml_file
from rlzoo.config.compose import compose
from rlzoo.tuning import worker
from rlzoo.tuning.final import DEFAULTS, Candidate, Final, _job, _order, data_of, decide, save, table_of
from rlzoo.tuning.progress import pareto, score
from rlzoo.tuning.race import cost, of_difference, of_mean, p_value, race, rounds, t_quantile
from rlzoo.tuning.report.data import collect

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
    # five values of variance 2.5: 2.7764 * sqrt(2.5 / 5)
    assert of_mean([1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx((3.0, 3.0 - 1.9632, 3.0 + 1.9632), abs=1e-4)
    # variances 2.5 and 2.5, five each: Welch's degrees of freedom are 8, the error 1, and t 2.306
    difference = of_difference([5.0, 6.0, 7.0, 8.0, 9.0], [1.0, 2.0, 3.0, 4.0, 5.0])
    assert difference == pytest.approx((4.0, 4.0 - 2.306, 4.0 + 2.306), abs=1e-3)
    assert of_difference([1.0] * 5, [0.0] * 5) == (1.0, 1.0, 1.0)
    # Student's t of 8 degrees of freedom is above 1.397 in one of ten cases
    assert p_value([value + 1.397 for value in range(5)], range(5)) == pytest.approx(0.1, abs=1e-3)
    assert p_value(range(5), [value + 1.397 for value in range(5)]) == pytest.approx(0.9, abs=1e-3)
    assert p_value([1.0, 1.0], [0.0, 0.0]) == 0.0 and p_value([1.0, 1.0], [1.0, 1.0]) == 1.0
    assert of_mean([1.0] * 4) is None and of_difference([1.0] * 5, [0.0] * 4) is None


def test_fewer_than_five_seeds_show_their_scores_and_no_interval() -> None:
    few = Final((Candidate("trial 2", 2, {}, (423.0, 425.5)), Candidate(DEFAULTS, None, {}, (-1.0, 2.0))))
    assert few.winner.spread == "423.00, 425.50"
    assert few.verdict == "trial 2 beats the defaults by 423.75, of fewer than 5 seeds: it may be chance"
    assert data_of(few)["candidates"][0]["ci"] is None and data_of(few)["gain"] is None
    assert data_of(few)["candidates"][0]["range"] == [423.0, 425.5]
    _, rows = table_of(few.candidates, None)
    assert rows[0] == ["trial 2", 424.25, "423.00, 425.50", 2]
    five = Final((Candidate("trial 2", 2, {}, (5.0, 6.0, 7.0, 8.0, 9.0)), Candidate(DEFAULTS, None, {}, (1.0,) * 5)))
    assert five.verdict == "trial 2 beats the defaults by 6.00 [4.04, 7.96]"
    assert table_of(five.candidates, None)[1][0] == ["trial 2", 7.0, "[5.04, 8.96]", 5]


def test_the_defaults_stay_unless_a_trial_is_ahead_by_more_than_chance_often_gives() -> None:
    """Of five and five scores of variance 2.5, t is the difference of the means: 0.889 for p = 0.2."""
    defaults = Candidate(DEFAULTS, None, {}, (1.0, 2.0, 3.0, 4.0, 5.0))
    found = {}
    for by in (0.88, 0.9):
        final = Final((Candidate("trial 2", 2, {}, tuple(score + by for score in defaults.scores)), defaults))
        found[final.winner.label] = final.verdict, round(final.chance or 0, 2), data_of(final)["winner"]
    assert found == {
        "defaults": (
            "trial 2 is ahead of the defaults by 0.88 [-1.43, 3.19], too little (p = 0.20): they stay", 0.2, "defaults"
        ),
        "trial 2": ("trial 2 beats the defaults by 0.90 [-1.41, 3.21]: it may be chance", 0.2, "trial 2"),
    }  # fmt: skip
    single = Final((Candidate("trial 2", 2, {}, (2.0,)), Candidate(DEFAULTS, None, {}, (1.0,))))
    assert single.winner.trial == 2 and single.chance is None  # one seed can test nothing


def test_a_race_costs_what_so_many_seeds_for_all_would() -> None:
    assert rounds(3, 10) == [(3, 2), (2, 2)]
    assert rounds(6, 25) == [(6, 1), (3, 3), (2, 5)]
    assert rounds(1, 0) == []
    for n in range(1, 20):
        assert [size for size, _ in rounds(n, 0)] == [size for size, _ in rounds(n, 100)]
        for n_seeds in range(3, 12):
            assert cost(n, n_seeds) <= (n + 1) * n_seeds
    assert cost(3, 5) == 20 and cost(0, 5) == 0


def test_the_better_half_of_a_race_goes_on() -> None:
    true = {"a": 1.0, "b": 3.0, "c": 2.0, "d": 0.0, "e": 3.0}
    asked: list[tuple[list[str], range]] = []

    def play(names: Sequence[str], seeds: range) -> dict[str, list[float]]:
        asked.append((list(names), seeds))
        return {name: [true[name]] * len(seeds) for name in names if name != "d"}  # whose trainings fail

    found = race(list(true), 20, play)
    assert asked == [(list("abcde"), range(1)), (list("bec"), range(1, 3)), (list("be"), range(3, 7))]
    assert list(found) == ["b", "e", "c", "a", "d"]
    assert [len(scores) for scores in found.values()] == [7, 7, 3, 1, 0]
    assert race(["a"], 0, play) == {"a": []}


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
    front = study.queue.progress().front()
    assert {trial.number for trial in front} <= {trial.number for trial in study.queue.best_trials}
    final = decide(study, [*SHORT, *words], [].append)
    assert final is not None
    assert [each.seconds for each in final.candidates] == [(64.0, 64.0)] * len(final.candidates)  # 16 states, 4 actions
    assert final.front == (final.winner,)
    assert final.defaults in final.candidates
    assert final.raced == ()
    shown = collect("s", "studies", None).comparison
    assert shown is not None and shown.done and shown.verdict == ""
    assert [(each.label, each.scores, each.seconds) for each in shown.final.candidates] == [
        (each.label, each.scores, each.seconds) for each in final.candidates
    ]


def test_the_best_race_and_the_first_and_the_defaults_are_compared_on_other_seeds() -> None:
    words = ["n_trials=4", "top_k=3", "final_seeds=3", "sampler=random"]
    study = started(*words)
    worker.run_trials(study, "w", lambda: False)
    said: list[str] = []
    final = decide(study, [*SHORT, *words], said.append)
    assert final is not None
    names = [each.label for each in final.raced]
    assert sorted(names) == ["trial 1", "trial 2", "trial 3"]  # trial 0 is the defaults themselves
    assert [len(each.scores) for each in final.raced] == [2, 2, 1]
    assert {each.label for each in final.candidates} == {names[0], "defaults"}
    assert [len(each.scores) for each in final.candidates] == [3, 3]
    began = [text for text in said if not text.startswith("final ")]
    assert [text.partition(" race on ")[2] for text in began[:2]] == [
        "1 fresh seed: 3 trainings",
        "1 fresh seed: 2 trainings",
    ]
    assert began[2:] == [f"{names[0]}, defaults are compared on 3 fresh seeds: 6 trainings"]
    seeds = {stage: seeds_of(stage) for stage in ("race", "seed")}
    assert len(seeds["race"]) == 2 and len(seeds["seed"]) == 3
    searched = {seed for t in study.queue.progress().trials for seed in t.user_attrs["outcome"]["seeds"]}
    assert not (seeds["race"] & seeds["seed"]) and not ((seeds["race"] | seeds["seed"]) & searched)
    shown = collect("s", "studies", None).comparison
    assert shown is not None and shown.done
    for there, here in ((shown.final.raced, final.raced), (shown.final.candidates, final.candidates)):
        assert [(each.label, each.scores) for each in there] == [(each.label, each.scores) for each in here]
    said.clear()
    assert decide(study, [*SHORT, *words], said.append) == final  # nothing is trained twice
    assert said == []


def test_no_secret_of_the_settings_is_kept_with_a_score(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY_TOKEN", "canary-token-7391")
    study = started("n_trials=1", "env.summary=at canary-token-7391")
    job = _job(study, [], Candidate("defaults", None, {}, exact=False), "seed", 0)
    assert job["of"]["env"]["summary"] == "at ***"


def seeds_of(stage: str) -> set[int]:
    return {json.loads(path.read_text())["of"]["seed"] for path in Path("studies/s/final").glob(f"*/{stage}*.json")}


def test_the_tuned_set_that_wins_is_saved_whole() -> None:
    """With the settings that the space does not have, and instead of the values that the sampler takes it for."""
    Path("hyperparams/q_learning").mkdir(parents=True)
    tuned = Path("hyperparams/q_learning/FrozenLake.yaml")
    tuned.write_text("# @package _global_\n\nalgo:\n  max_epsilon: 0.9\n  gamma: 0.99\n")
    words = ["hyperparams=auto", "n_trials=1", "top_k=1", "save=true", "search_space.gamma.low=0.05"]
    study = started(*words)
    worker.run_trials(study, "w", lambda: False)
    final = decide(study, [*SHORT, *words], [].append)
    assert final is not None
    found = next(each for each in final.candidates if each.trial == 0)
    judged = json.loads(Path("studies/s/final/trial_0/seed0.json").read_text())["of"]
    assert judged["algo"]["gamma"] == 0.99
    winner = replace(found, scores=(2.0,) * 5)
    path = save(study, Final((winner, replace(final.defaults, scores=(1.0,) * 5))))
    assert path == tuned
    algo = yaml_file.read(tuned).values["algo"]
    assert algo == {"max_epsilon": 0.9, "gamma": 0.99}


def test_a_saved_set_is_what_training_applies(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["env.max_steps=50", "env.kwargs.is_slippery=false", "stop.minutes=9"]
    study = started("n_trials=2", "enqueue=[]", *words, "top_k=1", "save=true")
    worker.run_trials(study, "w", lambda: False)
    trial = study.queue.progress().trials[1]
    settings = json.loads(Path("studies/s/trials/0001.json").read_text())["settings"]
    winner = Candidate("trial 1", 1, settings, (3.0, 5.0))
    path = save(study, Final((winner, Candidate(DEFAULTS, None, {}, (1.0, 2.0)))))
    assert path == Path("hyperparams/q_learning/FrozenLake.yaml")
    left_out = "left out of the tuned set, which holds values only: stop.minutes, env.kwargs"
    assert left_out in capsys.readouterr().err
    header = path.read_text()
    assert "# source: rlzoo tune, study s, trial 1 of 2 trials" in header
    assert "# score: 4.00 (3.00, 5.00) over 2 training seeds of 200 steps (mean of the last 3 evaluations)" in header
    assert "# defaults: 1.50 (1.00, 2.00) over the same seeds" in header
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
