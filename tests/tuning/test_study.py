"""A study is resumed under its name, with the same request; another one is refused with what differs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from short_studies import started

from rlzoo.algos import memory
from rlzoo.config import yaml_file
from rlzoo.errors import ConfigError, RlzooError
from rlzoo.tuning import worker
from rlzoo.tuning.queue import defaults
from rlzoo.tuning.request import plan

pytestmark = pytest.mark.usefixtures("workdir")


def test_its_folder_says_what_it_is() -> None:
    study = started("n_trials=7")
    kept = yaml_file.read(Path("studies/s/study.yaml")).values
    assert kept["study"] == "s"
    assert kept["seed"] == study.seed == 1
    assert kept["search"]["n_trials"] == 7
    assert kept["train"]["total_timesteps"] == 200
    assert kept["search_space"]["gamma"]["type"] == "one_minus"


def test_what_changes_no_score_may_change() -> None:
    started("n_trials=7")
    notes = started(
        "n_trials=9",
        "workers=3",
        "save=true",
        "top_k=2",
        "keep=1",
        "sampler=random",
        "device=cpu",
        "eval.final_n_episodes=3",
    ).notes
    assert notes == ("sampler was 'tpe', is 'random' from here on",)
    assert yaml_file.read(Path("studies/s/study.yaml")).values["search"]["n_trials"] == 9


def test_a_drawn_seed_stays() -> None:
    seed = started("seed=null").seed
    assert started("seed=null").seed == seed
    assert started(f"seed={seed}").seed == seed
    with pytest.raises(RlzooError, match=f"seed was {seed}, is {seed + 1}"):
        started(f"seed={seed + 1}")


def test_another_request_under_its_name_is_refused_with_all_that_differs() -> None:
    started()
    words = ["search_space.gamma.high=0.2", "objective=best", "total_timesteps=300", "env.kwargs.is_slippery=false"]
    with pytest.raises(RlzooError) as found:
        started(*words)
    said = found.value.message
    assert "search_space.gamma.high was 0.1, is 0.2" in said
    assert "objective was 'last', is 'best'" in said
    assert "total_timesteps was 200, is 300" in said
    assert "env.kwargs.is_slippery was null, is false" in said
    assert "study=…" in found.value.hint
    assert found.value.code == 2


def test_trials_of_another_study_are_not_replaced() -> None:
    run = started().trial_dir(0)
    run.mkdir(parents=True)
    with pytest.raises(RlzooError, match="trials of the study s, which is kept in sqlite, are in studies/s already"):
        started("storage=journal")
    Path("studies/s").rename("studies/renamed")
    with pytest.raises(RlzooError, match="trials of the study s, which is kept in sqlite, are in studies/renamed"):
        started("study=renamed")
    kept = ("study.yaml", "study.db", "journal.log")
    for name in kept:
        Path(f"studies/renamed/{name}").rename(name)
    with pytest.raises(RlzooError, match="trials of a study are in studies/renamed already"):
        started("study=renamed")
    for name in kept:
        Path(name).rename(f"studies/renamed/{name}")
    assert Path("studies/renamed/trials/0000").is_dir()
    Path("studies/renamed").rename("studies/s")
    assert started("n_trials=9").queue.progress().trials == []


def test_a_searched_setting_of_the_base_may_differ() -> None:
    """A tuned set that was saved changes what is searched anyway."""
    started()
    started("algo.learning_rate=0.3")
    with pytest.raises(RlzooError, match=r"algo.max_epsilon was 1.0, is 0.9"):
        started("algo.max_epsilon=0.9")


def test_it_begins_with_the_tuned_set_and_the_defaults_as_they_are() -> None:
    words = ["algo=ppo", "env=CartPole", "hyperparams=auto", "study=p", "total_timesteps=6000"]
    study = started(*words, "search_space.batch_size.low=128", "search_space.max_grad_norm.low=1")
    tuned, defaults = study.queue.enqueued["0"], study.queue.enqueued["1"]
    assert (tuned["from"], defaults["from"]) == ("tuned", "defaults")
    assert tuned["exact"]["algo.learning_rate"] == {"linear": 0.001}
    assert tuned["params"]["learning_rate"] == 0.001  # where the schedule starts
    assert (tuned["params"]["log2_n_steps"], tuned["params"]["clip_range"]) == (5, 0.2)
    assert defaults["exact"]["algo.batch_size"] == 64 and defaults["exact"]["env.n_envs"] == 1
    assert defaults["params"]["learning_rate"] == 3e-4
    assert defaults["params"]["log2_batch_size"] == 7  # what the sampler takes it for
    assert defaults["params"]["net_arch"] == "small"  # which is what nothing given means
    about_tuned, about_defaults, unmet = study.notes
    assert about_tuned.startswith("the values of the tuned set are tried as they are; to the sampler algo.ent_coef is")
    assert "to the sampler algo.batch_size is 128 in place of 64" in about_defaults
    assert unmet == "the defaults are tried though they do not meet n_steps * n_envs * 4 <= total_timesteps"


def test_sets_that_are_the_same_are_tried_once() -> None:
    study = started("algo=q_learning", "env=Taxi", "hyperparams=none", "study=p")
    assert [each["from"] for each in study.queue.enqueued.values()] == ["defaults"]
    Path("hyperparams/q_learning").mkdir(parents=True)
    Path("hyperparams/q_learning/Taxi.yaml").write_text("# @package _global_\n\nalgo:\n  learning_rate: 0.7\n")
    study = started("algo=q_learning", "env=Taxi", "hyperparams=auto", "study=q")
    assert [each["from"] for each in study.queue.enqueued.values()] == ["tuned"]  # 0.7 is the default


@pytest.mark.parametrize(
    ("key", "value"),
    [("env.id", "evil:Env-v0"), ("env.wrappers", {"evil.module:Wrapper": {}}), ("env.kwargs", {"path": "/etc/passwd"})],
)
def test_what_a_trial_is_to_be_names_nothing_that_the_request_does_not(key: str, value: object) -> None:
    """A storage that others write to holds the exact settings of trials."""
    study = started("n_trials=1")
    queue = study.queue.enqueued
    queue["0"]["exact"][key] = value  # type: ignore[index]
    study.queue.set_user_attr("queue", queue)
    with pytest.raises(RlzooError, match=f"trial 0 sets {key}") as found:
        worker.run_trials(study, "w", lambda: False)
    assert found.value.code == 7
    assert not list(Path("studies/s/trials").glob("*/config.yaml"))


def test_a_schedule_of_another_form_is_another_request() -> None:
    words = ["algo=ppo", "env=CartPole", "hyperparams=none", "study=p"]
    started(*words, "algo.learning_rate={linear: 1e-3}")
    started(*words, "algo.learning_rate={linear: 5e-4}")  # its start is searched
    with pytest.raises(RlzooError, match=r"algo.learning_rate was .*, is 0.001"):
        started(*words, "algo.learning_rate=1e-3")
    with pytest.raises(RlzooError, match=r"algo.learning_rate was .*, is .*cosine"):
        started(*words, "algo.learning_rate={cosine: 1e-3}")


@pytest.mark.parametrize(
    ("word", "key", "message"),
    [
        ("study=../x", "study", "cannot be the name of a folder"),
        ("eval.freq=0", "objective", "is made of evaluations on the way"),
        ("workers=100000", "workers", "must be at most"),
        ("save=true", "save", "takes the winner of the comparison at the end"),
        ("search_space.gama.low=1", "search_space.gama", "has no type"),
    ],
)
def test_bad_requests_start_nothing(word: str, key: str, message: str) -> None:
    with pytest.raises(ConfigError) as found:
        started(word)
    assert any(problem.key.startswith(key) and message in problem.message for problem in found.value.problems)
    assert not Path("studies").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["algo=q_learning", "env=gym", "env.id=FrozenLake-v1"],
        ["algo=q_learning", "env=CliffWalkingSlippery-v1"],
        ["algo=dqn", "env=BoxingNoFrameskip-v4"],
    ],
)
def test_the_set_of_any_environment_is_not_saved(words: list[str]) -> None:
    with pytest.raises(ConfigError, match="save: needs an environment with a name"):
        plan([*words, "save=true", "hyperparams=none"])


def test_the_defaults_have_the_same_task_and_budget() -> None:
    request = plan(["algo=q_learning", "env=FrozenLakeNoSlippery", "total_timesteps=5000"])
    found = defaults(request.base)
    assert request.base.hyperparams
    assert found.values["stop"] == request.base.values["stop"]
    assert found.values["stop"]["episodes"] == 10_000  # a budget that the tuned set gives
    assert found.values["env"]["max_steps"] == request.base.values["env"]["max_steps"] == 99
    assert found.values["total_timesteps"] == 5000
    ppo = plan(["algo=ppo", "env=CartPole"])
    assert (defaults(ppo.base).values["env"]["n_envs"], ppo.base.values["env"]["n_envs"]) == (1, 8)
    assert defaults(ppo.base).values["algo"]["n_steps"] == 2048


def test_the_workers_share_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available", lambda: SimpleNamespace(free=8 * 2**30, allocatable=8 * 2**30))
    words = [
        "algo=dqn",
        "env=CartPole",
        "hyperparams=none",
        "total_timesteps=1e9",
        "workers=8",
        "algo.buffer_size=50_000_000",
    ]
    with pytest.raises(ConfigError, match=r"in 8 jobs at the same time, 8.0 GiB are free") as found:
        plan(words)
    assert [problem.key for problem in found.value.problems] == ["algo.buffer_size"]
    assert plan([*words, "workers=1"]).config.workers == 1
