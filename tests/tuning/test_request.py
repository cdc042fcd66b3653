"""A request to tune is checked as a whole before anything starts."""

from pathlib import Path

import pytest

from rlzoo.config.compose import compose, without
from rlzoo.errors import ConfigError
from rlzoo.tuning import samplers
from rlzoo.tuning.request import find, plan
from rlzoo.tuning.space import Space

REQUEST = ["algo=ppo", "env=CartPole"]


def problems(*words: str) -> dict[str, str]:
    with pytest.raises(ConfigError) as found:
        plan([*REQUEST, *words])
    return {problem.key: problem.message for problem in found.value.problems}


def test_a_request_to_tune_is_one_to_train_with_a_space() -> None:
    request = plan([*REQUEST, "n_trials=7", "total_timesteps=20_000", "algo.n_epochs=3"])
    assert request.study == "ppo-CartPole"
    assert request.config.n_trials == 7
    assert request.train.total_timesteps == 20_000
    assert request.train.algo.hyperparams["n_epochs"] == 3
    assert "n_trials" not in request.base.values
    assert [parameter.name for parameter in request.space.parameters][:2] == ["learning_rate", "n_steps"]


def test_everything_wrong_is_said_at_once() -> None:
    found = problems(
        "sampler=tpee",
        "pruner={median: {n_warm: 1}}",
        "n_trials=0",
        "storage=foo",
        "study=a/b",
        "objective=mean",
        "env.n_envs=0",
        "search_space.gamma.high=2",
    )
    wrong = "sampler pruner.median.n_warm n_trials storage study objective env.n_envs search_space.gamma.high"
    assert set(found) == set(wrong.split())
    assert found["sampler"] == "unknown sampler 'tpee'; did you mean 'tpe'?"
    assert found["pruner.median.n_warm"] == "unknown keyword; did you mean 'n_warmup_steps'?"


def test_a_word_that_cannot_be_read_starts_no_search() -> None:
    assert set(problems('search_space.odd={type: choice, values: {"<b>": 50}}', "n_trials=0")) >= {"n_trials"}
    with pytest.raises(ConfigError, match=r"search_space\.odd"):
        plan([*REQUEST, 'search_space.odd={type: choice, values: {"<b>": 50}}'])


def test_a_word_that_cannot_be_read_is_said_once() -> None:
    with pytest.raises(ConfigError) as found:
        plan([*REQUEST, "search_space.constraints=[a <= b"])
    assert len([each for each in found.value.problems if "cannot read" in each.message]) == 1


def test_no_study_is_called_as_the_newest_one_is() -> None:
    assert "newest" in problems("study=latest")["study"]


def test_seeds_of_a_training_are_none_of_a_search() -> None:
    with pytest.raises(ConfigError, match="seeds_per_trial=3"):
        plan([*REQUEST, "n_seeds=3"])


@pytest.mark.parametrize(
    ("words", "constraint"),
    [
        (["algo=dqn", "total_timesteps=50"], "none of 200 draws may be tried"),
        (["search_space.constraints=[learning_rate < 0]"], "learning_rate < 0"),
        (["sampler=random", "search_space.constraints=[learning_rate > gamma]"], "learning_rate > gamma"),
    ],
    ids=["too short", "impossible", "another sampler"],
)
def test_a_space_of_which_nothing_may_be_tried_makes_no_study(words, constraint, workdir, capsys) -> None:
    assert constraint in problems(*words)["search_space"]
    assert list(workdir.iterdir()) == [] and "study" not in capsys.readouterr().err


def test_what_the_algorithm_refuses_is_refused_in_its_space() -> None:
    found = problems(
        "+search_space.ent_coef={type: float, low: -1, high: 1}", "search_space.activation_fn.values=[tanh,rlu]"
    )
    assert found["search_space.ent_coef"].startswith("can become -1.0: algo.ent_coef must be at least 0")
    assert found["search_space.activation_fn"].startswith("can become rlu: algo.policy_kwargs.activation_fn unknown")


@pytest.mark.parametrize(
    ("key", "values", "message"),
    [
        ("env.wrappers.atari.frame_skp", "[2, 4]", "can become 2: env.wrappers.atari.frame_skp"),
        ("env.wrappers.atari.frame_skip", "[4, 0]", "can become 0: env.wrappers.atari.frame_skip"),
        ("env.wrappers.atri.frame_skip", "[2, 4]", "can become 2: env.wrappers.atri"),
        ("env.kwargs.mod", "[1, 2]", "can become 1: env.kwargs"),
        ("env.n_envs", "[1, 0]", "can become 0: env.n_envs"),
    ],
)
def test_what_the_environment_refuses_is_refused_in_its_space(key: str, values: str, message: str) -> None:
    word = f"search_space.skip={{type: choice, key: {key}, values: {values}}}"
    with pytest.raises(ConfigError) as found:
        plan(["algo=dqn", "env=SpaceInvaders", "algo.buffer_size=1000", word])
    [problem] = [each for each in found.value.problems if each.key == "search_space.skip"]
    assert problem.message.startswith(message)


def test_another_space_can_be_named_also_one_of_your_own(workdir: Path) -> None:
    Path("conf/search_space").mkdir(parents=True)
    Path("conf/search_space/mine.yaml").write_text("learning_rate: {type: float, low: 1.0e-4, high: 1.0e-3}\n")
    assert [each.name for each in plan([*REQUEST, "search_space=mine"]).space.parameters] == ["learning_rate"]
    found = problems("search_space=min")
    assert found == {"search_space": "unknown search_space 'min'; did you mean 'mine'?"}
    composition = compose("train", [*REQUEST, "search_space=mine"])
    assert [each.key for each in composition.problems] == ["search_space"]


def test_two_objectives_are_not_pruned() -> None:
    assert set(problems("second_objective=wall_time")) == {"pruner"}
    assert set(problems("second_objective=wall_time", "pruner=none", "sampler=cmaes")) >= {"sampler"}
    assert plan([*REQUEST, "second_objective=wall_time", "pruner=none"]).config.second_objective == "wall_time"


def test_a_grid_needs_an_end() -> None:
    assert "learning_rate" in problems("sampler=grid")["sampler"]
    names = "learning_rate gamma gae_lambda ent_coef max_grad_norm".split()
    request = plan([*REQUEST, "sampler=grid", *(f"search_space.{name}=null" for name in names)])
    found = samplers.grid(request.space)
    assert found["log2_batch_size"] == [4, 5, 6, 7, 8, 9, 10]
    assert found["activation_fn"] == ["tanh", "relu"]


def test_an_algorithm_that_no_setting_makes_better_is_not_tuned() -> None:
    with pytest.raises(ConfigError, match="there is none for td0"):
        plan(["algo=td0", "env=FrozenLake"])


def test_an_algorithm_without_a_space_is_searched_around_its_defaults() -> None:
    composition = without(compose("tune", ["algo=cem", "env=CartPole"]), ["search_space"])
    _, _, space, problems, notices = find(composition)
    assert not problems
    assert {each.name: each.key for each in space.parameters}["delta_std"] == "algo.delta_std"
    assert "cem is searched around its defaults: there is no conf/search_space/cem.yaml" in notices


@pytest.mark.parametrize("name", [name for name, engine in samplers.SAMPLERS.items() if not engine.package])
def test_a_sampler_proposes_the_same_for_the_same_seed_and_number(name: str) -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    names = "learning_rate gamma gae_lambda ent_coef max_grad_norm".split() if name == "grid" else []
    space: Space = plan([*REQUEST, f"sampler={name}", *(f"search_space.{each}=null" for each in names)]).space

    def params(number: int) -> dict[str, object]:
        study = optuna.create_study(sampler=samplers.make_sampler(name, space, seed=3, number=number))
        trial = study.ask()
        space.draw(trial)
        return dict(trial.params)

    assert params(4) == params(4)
    if name not in ("grid", "qmc"):  # they take their place from the study, where this is the first trial
        assert params(4) != params(5)


@pytest.mark.parametrize("name", [name for name in samplers.PRUNERS if name != "threshold"])
def test_pruners_are_made(name: str) -> None:
    if not samplers.problems("pruner", name, samplers.PRUNERS):
        assert samplers.make_pruner(name) is not None
    assert samplers.make_pruner({"threshold": {"lower": 10.0}}) is not None


def test_what_is_searched_need_not_fit_before() -> None:
    """The tuned set's batch of 256 is more than the 32 steps that one environment gives; every trial has its own."""
    request = plan([*REQUEST, "env.n_envs=1"])
    assert request.base.values["algo"]["batch_size"] == 256
    assert request.train.env.n_envs == 1
    found = problems("env.n_envs=1", "algo.batch_size=128")  # said by the user, it is worth a word
    assert set(found) == {"algo.batch_size"}
    [notice] = [each for each in plan([*REQUEST, "algo.gamma=0.9"]).notices if "gamma" in each]
    assert notice.startswith(
        "algo.gamma is searched: the value given is only where a trial begins; search_space.gamma=null"
    )


def test_words_that_cannot_be_read_are_no_request() -> None:
    with pytest.raises(ConfigError, match="cannot read 'report'"):
        plan([*REQUEST, "report"])
    with pytest.raises(ConfigError, match="unknown env 'CartPol'; did you mean 'CartPole'"):
        plan(["algo=ppo", "env=CartPol"])
