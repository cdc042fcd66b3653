"""A study begins with the best trials of another: one of ours, or one of rl_zoo3's."""

from __future__ import annotations

import hashlib
import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import optuna
import pytest
from short_studies import SHORT, Toy, started

from rlzoo.cli.main import main
from rlzoo.tuning.import_trials import zoo_settings
from rlzoo.tuning.progress import ENQUEUED
from rlzoo.tuning.worker import run_trials

pytestmark = pytest.mark.usefixtures("workdir")
ZOO = Path(__file__).with_name("rl_zoo3.log")
"""Four trials of a study whose values rl_zoo3 2.9.2 sampled for PPO; the second one is pruned, the scores 0, 20, 30."""
PPO = ("algo=ppo", "env=CartPole", "hyperparams=none", "enqueue=[]", "study=s")


def imported(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert main(["tune", "import", *words, "--json"]) == 0
    out, err = capsys.readouterr()
    return {**json.loads(out), "said": err}


def queue(*words: str) -> dict[str, Any]:
    found = started(*words).queue.user_attrs["queue"]
    return {place: each["params"] for place, each in found.items()}


def ours(name: str, *words: str, n_trials: int = 4) -> Path:
    """A finished study of ours; the toy's scores are learning_rate - min_epsilon."""
    study = started(f"study={name}", f"n_trials={n_trials}", "pruner=none", *words)
    run_trials(study, "worker", lambda: False)
    return study.folder


def test_a_study_of_rl_zoo3_moves_over(capsys: pytest.CaptureFixture[str]) -> None:
    before = hashlib.sha256(ZOO.read_bytes()).hexdigest()
    found = imported(capsys, f"storage={ZOO}", *PPO)
    assert found["from"] == {"study": "zoo-ppo", "of": "rl_zoo3", "complete": 3}
    placed = [(each["trial"], each["score"], each["place"]) for each in found["trials"]]
    assert placed == [(3, 30.0, 0), (2, 20.0, 1), (0, 0.0, 2)]
    assert found["trials"][0]["values"] == {
        "learning_rate": 1.3029999751263683e-05, "n_steps": 256, "batch_size": 16, "n_epochs": 1,
        "gamma": 0.9947505549983081, "gae_lambda": 0.9982520145690088, "clip_range": 0.3,
        "ent_coef": 5.639944644003833e-05, "max_grad_norm": 0.9760506228754071, "net_arch": [64, 64],
        "activation_fn": "tanh",
    }  # fmt: skip  # to the last digit
    assert found["trials"][0]["notes"] == ["algo.batch_size is 16 in place of 4"]
    assert found["trials"][2]["values"]["gae_lambda"] == pytest.approx(0.999)  # 0.99919 lies outside
    assert found["trials"][2]["values"]["net_arch"] == [64]
    assert found["command"] == f"rlzoo tune {' '.join(PPO[:3])} 'enqueue=[]' study=s"
    assert hashlib.sha256(ZOO.read_bytes()).hexdigest() == before
    assert [path.name for path in ZOO.parent.glob("rl_zoo3*")] == ["rl_zoo3.log"]


def test_what_breaks_a_constraint_is_left_out_and_the_next_one_comes(capsys: pytest.CaptureFixture[str]) -> None:
    """rl_zoo3 draws batches of more steps than a rollout has; there are 1024 here."""
    found = imported(capsys, f"storage={ZOO}", *PPO, "n_best=2", "search_space.batch_size.low=2048",
                     "search_space.batch_size.high=4096", "search_space.n_steps.high=2048", "env.n_envs=2")  # fmt: skip
    assert [each["trial"] for each in found["trials"]] == [2, 0]
    assert found["left_out"] == {"3": "batch_size <= n_steps * n_envs"}
    assert "note: trial 3 is left out: batch_size <= n_steps * n_envs" in found["said"]


def test_from_sqlite_one_of_several_and_without_touching_it(capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        journal = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(shutil.copy(ZOO, "z"))))
    for name in ("one", "two"):
        url = "sqlite:///zoo.db"
        optuna.copy_study(from_study_name="zoo-ppo", from_storage=journal, to_storage=url, to_study_name=name)
    before = Path("zoo.db").read_bytes()
    assert main(["tune", "import", "storage=zoo.db", *PPO]) == 2
    assert "2 studies are there: one, two\n  from_study=one names one" in capsys.readouterr().err
    assert main(["tune", "import", "storage=zoo.db", "from_study=tow", *PPO]) == 2
    assert "there is no study 'tow' in zoo.db; did you mean 'two'?" in capsys.readouterr().err
    assert not Path("studies").exists()
    found = imported(capsys, "storage=sqlite:///zoo.db", "from_study=two", "n_best=1", *PPO)
    assert [each["trial"] for each in found["trials"]] == [3]
    assert Path("zoo.db").read_bytes() == before
    assert not list(Path().glob("zoo.db-*"))


def test_ours_are_run_again_first_and_are_put_there_once(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    folder = ours("a", "seed=7")
    best = sorted((t for t in started("study=a", "seed=7", "pruner=none").queue.trials), key=lambda t: -t.values[0])
    words = [f"storage={folder}", *SHORT, "enqueue=[]", "n_trials=3", "pruner=none"]
    found = imported(capsys, *words, "n_best=2")
    assert found["from"] == {"study": "a", "of": "rlzoo tune algo=q_learning", "complete": 4}
    assert [(each["trial"], each["place"]) for each in found["trials"]] == [(best[0].number, 0), (best[1].number, 1)]
    given = queue("enqueue=[]", "pruner=none")
    assert [given["0"], given["1"]] == [pytest.approx(trial.params, rel=1e-12) for trial in best[:2]]
    again = imported(capsys, *words, "n_best=3")
    assert [each["place"] for each in again["trials"]] == [None, None, 2]
    study = started("enqueue=[]", "n_trials=3", "pruner=none")
    run_trials(study, "worker", lambda: False)
    draw = study.request.space.draw
    values = [
        [draw(optuna.trial.FixedTrial(trial.params)) for trial in each] for each in (study.queue.trials, best[:3])
    ]
    assert values[0] == values[1]  # exactly
    assert [trial.values for trial in study.queue.trials] == [trial.values for trial in best[:3]]
    assert study.queue.trials[0].user_attrs[ENQUEUED] == f"a trial {best[0].number}"


def test_places_that_are_taken_are_not_changed(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    folder = ours("a", "seed=7", "enqueue=[]", n_trials=2)
    words = ["pruner=none", "n_trials=2"]
    study = started(*words)
    run_trials(study, "worker", lambda: False)
    before = [trial.params for trial in study.queue.trials]
    kept = queue(*words)
    found = imported(capsys, f"storage={folder}", *SHORT, *words)
    assert [each["place"] for each in found["trials"]] == [2, 3]
    assert "the last of them is tried with n_trials=4 or more" in found["said"]
    assert {place: params for place, params in queue(*words).items() if int(place) < 2} == kept
    # a worker that was there before takes them too
    study.queue.n_trials = 4
    run_trials(study, "worker", lambda: False)
    trials = study.queue.trials
    assert [trial.params for trial in trials[:2]] == before
    assert [trial.params for trial in trials[2:]] == [queue(*words)["2"], queue(*words)["3"]]


def test_of_another_algorithm_what_both_have(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    folder = ours("a", "enqueue=[]", n_trials=1)
    fixed = [f"search_space.{name}=null" for name in ("gamma", "min_epsilon", "decay_rate")]
    space = "search_space.most={type: float, low: 0, high: 1, key: algo.max_epsilon}"
    other = [*SHORT, "enqueue=[]", "study=b", *fixed, space]
    found = imported(capsys, f"storage={folder}", *other)
    assert set(found["trials"][0]["values"]) == {"learning_rate"}
    assert found["not_given"] == ["algo.max_epsilon"]
    assert found["not_searched"] == ["algo.decay_rate", "algo.gamma", "algo.min_epsilon"]
    assert "the sampler draws: algo.max_epsilon" in found["said"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["storage=away.db"], "storage: away.db is not there\n  storage= takes a study's folder, an SQLite file"),
        (["storage=sqlite:///away.db"], "storage: away.db is not there"),
        (["storage=."], "storage: . is not a study's folder"),
        (["storage=text"], "text is neither an SQLite file nor a journal of Optuna's"),
        (["storage=empty.db"], "there is no study in that storage"),
        (["n_best=0"], "storage: says where the other study is, and is missing"),
        (["storage=text", "sampler=grid"], "grid tries every point of the space"),
        (["storage=text", "n_best=0", "n_trials=0"], "2 problems with this request"),
        (["storage=postgresql://me:secret@host/x"], "holds a password"),
    ],
)
def test_what_is_no_source_makes_nothing(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("text").write_text("hello")
    optuna.storages.RDBStorage("sqlite:///empty.db").engine.dispose()
    before = sorted(Path().iterdir())
    fixed = "learning_rate gamma min_epsilon decay_rate".split() if "sampler=grid" in words else []
    words = [*words, *(f"search_space.{name}={{type: choice, values: [0.1, 0.2]}}" for name in fixed)]
    assert main(["tune", "import", *SHORT, *words]) == 2
    assert said in (err := capsys.readouterr().err)
    assert "secret" not in err
    assert sorted(Path().iterdir()) == before


def test_nothing_in_common_and_nothing_complete_make_nothing(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune", "import", f"storage={ZOO}", *SHORT, "search_space.learning_rate=null",
                 "search_space.gamma=null"]) == 2  # fmt: skip
    assert "no trial of zoo-ppo can be tried in this space\n  it searched algo.batch_size" in capsys.readouterr().err
    optuna.create_study(storage="sqlite:///new.db", study_name="new")
    assert main(["tune", "import", "storage=new.db", *SHORT]) == 2
    assert "none of the 0 trials of new is complete" in capsys.readouterr().err
    assert not Path("studies").exists()


def test_a_dry_run_shows_them_and_makes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune", "import", f"storage={ZOO}", *PPO, "--dry-run"]) == 0
    out, err = capsys.readouterr()
    assert "the best of zoo-ppo (rl_zoo3, 3 complete trials)" in out
    assert "to run it: rlzoo tune algo=ppo env=CartPole" in out
    assert "note: trial 3: algo.batch_size is 16 in place of 4" in err
    assert not list(Path().iterdir())


SAMPLED = [
    (  # what rl_zoo3 2.9.2 sampled for dqn, and what it made of it
        {"one_minus_gamma": 0.001078981681647174, "batch_size_pow": 9, "learning_rate": 1e-5, "train_freq": 9,
         "subsample_steps": 2, "exploration_final_eps": 0.02, "exploration_fraction": 0.1,
         "target_update_interval": 19, "net_arch": "medium"},
        {"algo.gamma": 0.9989210183183528, "algo.batch_size": 512, "algo.learning_rate": 1e-5, "algo.train_freq": 9,
         "algo.gradient_steps": 4, "algo.exploration_final_eps": 0.02, "algo.exploration_fraction": 0.1,
         "algo.target_update_interval": 19, "algo.policy_kwargs.net_arch": [256, 256]},
        [],
    ),
    (
        {"train_freq": 7, "tau": 0.006, "noise_type": "ornstein-uhlenbeck", "noise_std": 0.4, "net_arch": "big"},
        {"algo.train_freq": 7, "algo.gradient_steps": 7, "algo.tau": 0.006,
         "algo.action_noise": {"ornstein_uhlenbeck": 0.4}, "algo.policy_kwargs.net_arch": [400, 300]},
        [],
    ),
    ({"noise_type": None, "noise_std": 0.2}, {"algo.action_noise": None}, []),
    (
        {"n_delta_pow": 4, "delta_std": 0.01, "top_frac_size": 0.33721594400024774},
        {"algo.n_delta": 16, "algo.delta_std": 0.01, "algo.n_top": 5},
        [],
    ),
    (
        {"n_quantiles": 25, "n_sampled_goal": 4, "lr_schedule": "linear", "net_arch": "huge"},
        {"algo.policy_kwargs.n_quantiles": 25},
        ["lr_schedule", "n_sampled_goal", "net_arch"],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("params", "settings", "unknown"), SAMPLED)
def test_names_of_rl_zoo3(params: dict[str, Any], settings: dict[str, Any], unknown: list[str]) -> None:
    assert zoo_settings(params) == (settings, unknown)
