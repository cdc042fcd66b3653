"""Exactly as many trials as asked for, whatever happens in between; the values as if nothing had happened."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import pytest
from short_studies import OPEN, SHORT, Toy, started

from rlzoo.errors import RlzooError
from rlzoo.tuning import samplers, worker
from rlzoo.tuning.display import summary
from rlzoo.tuning.progress import StudyProgress, state
from rlzoo.tuning.queue import NoFreeSlot
from rlzoo.tuning.request import plan
from rlzoo.tuning.study import Study, join

EXACT = {
    "tpe": "n_startup_trials: 3",
    "random": "",
    "cmaes": "n_startup_trials: 1, popsize: 4",
    "gp": "n_startup_trials: 3",
    "nsgaii": "population_size: 3",
    "qmc": "",
    "grid": "",  # has a test of its own
}
"""Options with which nine trials are more than a start."""

pytestmark = pytest.mark.usefixtures("workdir")


def go(*words: str) -> StudyProgress:
    """Run a study to its end, or to where a signal stops it."""
    study = started(*words)
    try:
        worker.run_trials(study, "w", lambda: False)
    except RlzooError as error:
        if error.code != 130:
            raise
    return study.queue.progress()


def finished(progress: StudyProgress) -> list[tuple[dict, list[float] | None, str]]:
    return [(trial.params, trial.values, state(trial)) for trial in progress.finished]


def test_a_study_gets_its_trials_and_no_more(toy: Toy) -> None:
    assert finished(go("n_trials=4")) != []
    assert toy.done == [0, 1, 2, 3]
    assert len(go("n_trials=4").trials) == 4
    assert len(go("n_trials=6").finished) == 6  # the total: two more
    assert len(go("n_trials=3").trials) == 6
    with pytest.raises(NoFreeSlot):
        started("n_trials=6").queue.ask()


@pytest.mark.parametrize("sampler", [name for name in EXACT if name != "grid"])
def test_interrupted_five_times_is_as_uninterrupted(sampler: str, toy: Toy) -> None:
    missing = [p.message for p in samplers.problems("sampler", sampler, samplers.SAMPLERS)]
    if missing:
        pytest.skip(missing[0])
    assert {name for name, engine in samplers.SAMPLERS.items() if engine.exact} == EXACT.keys()
    words = (
        f"sampler={{{sampler}: {{{EXACT[sampler]}}}}}",
        "n_trials=9",
        "pruner={median: {n_startup_trials: 2, n_warmup_steps: 0}}",
    )
    whole = finished(go(*words, "study=whole"))
    assert len(whole) == 9
    toy._calls, toy.stop_at = 0, {1, 3, 4, 7, 11}
    for _ in range(5):
        assert not go(*words, "study=cut").done
    progress = go(*words, "study=cut")
    assert finished(progress) == whole
    assert len(progress.lost) == 5
    assert {state for *_, state in whole} == {"complete", "pruned"}


def test_a_lost_trial_is_run_again_with_its_values_before_anything_new(toy: Toy) -> None:
    toy.stop_at = {3}
    progress = go("n_trials=4")
    [lost] = progress.lost
    assert [state(trial) for trial in progress.trials] == ["complete", "complete", "lost", "waiting"]
    progress = go("n_trials=4")
    again = progress.trials[3]
    assert again.params == lost.params
    assert again.user_attrs["place"] == lost.user_attrs["place"] == 2
    assert len(progress.finished) == 4


def test_a_failed_trial_is_drawn_again_and_not_counted(toy: Toy) -> None:
    toy.fail = lambda values: len(toy.done) == 2 and not toy.fail_once.append(1) and len(toy.fail_once) == 1
    toy.fail_once = []
    progress = go("n_trials=5")
    assert len(progress.finished) == 5
    [failed] = progress.failed
    assert failed.user_attrs["error"] == "it cannot be"
    assert failed.params != progress.trials[failed.number + 1].params
    assert json.loads(Path(f"studies/s/trials/{failed.number:04}.json").read_text())["error"] == "it cannot be"


def test_too_many_failures_in_a_row_end_it_with_the_first(toy: Toy) -> None:
    toy.fail = lambda values: True
    with pytest.raises(RlzooError, match="3 trials in a row failed; the first, trial 0: it cannot be") as found:
        go("n_trials=9", "max_failures=2")
    assert found.value.code == 4
    since = len(started("n_trials=9").queue.progress().trials)
    toy.fail = lambda values: False
    study = join(plan([*SHORT, "n_trials=9", "max_failures=2"]), since=since)  # the next command starts counting again
    OPEN.append(study)
    worker.run_trials(study, "w", lambda: False)
    assert len(study.queue.progress().finished) == 9


def test_what_breaks_a_constraint_is_not_tried_and_not_counted() -> None:
    progress = go("n_trials=3", "+search_space.constraints=['learning_rate < 0.05']", "enqueue=[]", "sampler=random")
    assert len(progress.finished) == 3
    assert progress.infeasible
    assert progress.infeasible[0].user_attrs["infeasible"] == ["learning_rate < 0.05"]
    assert f"3/3 trials ({len(progress.infeasible)} infeasible)" in summary(progress)
    assert all(trial.params["learning_rate"] < 0.05 for trial in progress.finished)


def test_an_impossible_space_is_an_error_and_leaves_no_study() -> None:
    with pytest.raises(RlzooError, match=r"none of 200 draws .* learning_rate < 0") as found:
        go("n_trials=3", "+search_space.constraints=['learning_rate < 0']", "sampler=random")
    assert found.value.code == 2 and not Path("studies").exists()


def test_a_grid_is_every_point_once(toy: Toy) -> None:
    words = ["sampler=grid", "search_space.gamma=null", "search_space.decay_rate=null", "n_trials=40"]
    words += ["search_space.learning_rate={type: choice, values: [0.1, 0.5, 0.9]}"]
    words += ["search_space.min_epsilon={type: choice, values: [0.0, 0.1]}"]
    toy.stop_at = {2, 4}
    go(*words)
    go(*words)
    progress = go(*words)
    points = [(trial.params["learning_rate"], trial.params["min_epsilon"]) for trial in progress.finished]
    assert points == [(rate, epsilon) for rate in (0.1, 0.5, 0.9) for epsilon in (0.0, 0.1)]
    assert progress.done


def _hold(words: list[str], taken: object, end: object) -> None:
    def run_trial(study, trial, name):
        taken.put(trial.number)
        end.wait()

    worker.run_trial = run_trial
    worker.run_one(join(plan(words)), "w")


@pytest.mark.parametrize("storage", ["sqlite", "journal"])
def test_the_trial_of_a_killed_process_is_found_at_once(storage: str, toy: Toy) -> None:
    words = [*SHORT, "n_trials=2", f"storage={storage}"]
    study = started(*words[len(SHORT) :])
    context = multiprocessing.get_context("fork")
    taken, end = context.Queue(), context.Event()
    process = context.Process(target=_hold, args=(words, taken, end))
    process.start()
    number = taken.get(timeout=60)
    assert study.queue.sweep() == []  # it lives
    process.kill()
    process.join()
    assert study.queue.sweep() == [number]
    progress = study.queue.progress()
    assert [state(trial) for trial in progress.trials] == ["lost", "waiting"]
    assert progress.trials[1].user_attrs["place"] == 0
    worker.run_trials(study, "w", lambda: False)
    assert [trial.number for trial in study.queue.progress().finished] == [1, 2]


def test_a_trial_that_others_took_for_lost_does_not_end_its_worker(monkeypatch: pytest.MonkeyPatch, toy: Toy) -> None:
    study = started("n_trials=3")

    def taken_away(study: Study, trial, name):
        if trial.number == 1:
            from optuna.trial import TrialState

            trial.storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
        return toy(study, trial, name)

    monkeypatch.setattr(worker, "run_trial", taken_away)
    worker.run_trials(study, "w", lambda: False)
    progress = study.queue.progress()
    assert len(progress.finished) == 3
    assert [trial.number for trial in progress.lost] == [1]


def _many(words: list[str]) -> None:
    from short_studies import Toy

    worker.run_trial = Toy()
    study = started(*words)
    worker.run_trials(study, "w", lambda: False)


@pytest.mark.parametrize("storage", ["sqlite", pytest.param("journal", marks=pytest.mark.slow)])
def test_twenty_that_start_at_once_share_a_study(storage: str) -> None:
    words = [f"storage={storage}", "n_trials=24", "sampler=random"]
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_many, args=(words,)) for _ in range(20)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 20
    progress = started(*words).queue.progress()
    assert len(progress.finished) == len(progress.trials) == 24
    assert sorted(trial.user_attrs["place"] for trial in progress.finished) == list(range(24))
