"""Every sampler and pruner by its name: made with an option, used for a short study, wrong options reported at once."""

from __future__ import annotations

import sys
import warnings
from typing import Any

import optuna
import pytest
from short_studies import SHORT, Toy, started

from rlzoo.errors import ConfigError
from rlzoo.tuning import samplers, worker
from rlzoo.tuning.request import TuneRequest, plan
from rlzoo.tuning.study import CmaEsOfTrials

pytestmark = pytest.mark.usefixtures("workdir")

CHOICES = ["search_space.gamma=null", "search_space.decay_rate=null"]
CHOICES += ["search_space.learning_rate={type: choice, values: [0.1, 0.5]}"]
CHOICES += ["search_space.min_epsilon={type: choice, values: [0.0, 0.1, 0.2]}"]

SAMPLERS = {
    "tpe": "n_startup_trials: 2",
    "random": "",
    "cmaes": "n_startup_trials: 2, with_margin: true",
    "gp": "n_startup_trials: 2, deterministic_objective: true",
    "nsgaii": "population_size: 2",
    "qmc": "qmc_type: halton",
    "grid": "",
}
PRUNERS = {
    "none": "",
    "median": "n_startup_trials: 1, n_warmup_steps: 0",
    "percentile": "percentile: 50, n_startup_trials: 1, n_warmup_steps: 0",
    "successive_halving": "min_resource: 1",
    "hyperband": "max_resource: 2",
    "wilcoxon": "p_threshold: 0.2",
    "threshold": "upper: 0.9",
}


def of(key: str, name: str, options: str, *words: str) -> TuneRequest:
    try:
        return plan([*SHORT, *words, f"{key}={{{name}: {{{options}}}}}"])
    except ConfigError as error:
        if all(problem.missing for problem in error.problems):
            pytest.skip(error.problems[0].message)
        raise


def test_all_of_them_are_tried_here() -> None:
    assert {*SAMPLERS, "auto"} == samplers.SAMPLERS.keys()
    assert PRUNERS.keys() == samplers.PRUNERS.keys()


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_proposes_the_values_of_a_study(name: str, toy: Toy) -> None:
    words = ["n_trials=5", *(CHOICES if name == "grid" else [])]
    of("sampler", name, SAMPLERS[name], *words)
    study = started(*words, f"sampler={{{name}: {{{SAMPLERS[name]}}}}}", "enqueue=[]")
    worker.run_trials(study, "w", lambda: False)
    finished = study.queue.progress().finished
    assert len(finished) == 5
    assert len({str(trial.params) for trial in finished}) == 5


@pytest.mark.parametrize("name", PRUNERS)
def test_a_pruner_ends_what_it_should(name: str, toy: Toy) -> None:
    of("pruner", name, PRUNERS[name])
    study = started("n_trials=5", "sampler=random", "enqueue=[]", f"pruner={{{name}: {{{PRUNERS[name]}}}}}")
    worker.run_trials(study, "w", lambda: False)
    progress = study.queue.progress()
    assert len(progress.finished) == 5
    if name == "none":
        assert not progress.pruned
    if name == "threshold":  # the toy reports its learning rate and twice that
        assert [trial.params["learning_rate"] * 2 > 0.9 for trial in progress.finished] == [
            trial in progress.pruned for trial in progress.finished
        ]
    if name in ("median", "percentile"):
        assert progress.pruned


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("sampler=tpee", "unknown sampler 'tpee'; did you mean 'tpe'?"),
        ("sampler={tpe: {n_startup: 1}}", "n_startup: unknown keyword; did you mean 'n_startup_trials'?"),
        ("sampler={tpe: {n_startup_trials: few}}", "n_startup_trials: must be a whole number, not 'few'"),
        ("sampler={tpe: {multivariate: 1}}", "multivariate: must be true or false or null, not 1"),
        ("sampler={tpe: {gamma: 3}}", "gamma: unknown keyword"),  # it takes a function
        ("sampler={random: {seed: 3}}", "seed: unknown keyword"),  # the study's
        ("sampler={grid: {search_space: {}}}", "search_space: unknown keyword"),
        ("sampler={nsgaii: {population_size: 1}}", "must be at least 2"),
        ("sampler={tpe: {}, random: {}}", "takes one name with its options, not 2"),
        ("pruner=medain", "unknown pruner 'medain'; did you mean 'median'?"),
        ("pruner={median: {n_startup_trials: true}}", "n_startup_trials: must be a whole number, not true"),
        ("pruner={percentile: {percentile: 200}}", "must be at least 0 and at most 100"),
        ("pruner=threshold", "Either lower or upper must be specified"),
    ],
)
def test_wrong_options_are_reported_before_anything_starts(word: str, message: str) -> None:
    with pytest.raises(ConfigError) as found:
        plan([*SHORT, word])
    assert message in "; ".join(f"{problem.key}: {problem.message}" for problem in found.value.problems)


def test_all_that_is_wrong_is_reported_at_once() -> None:
    with pytest.raises(ConfigError) as found:
        plan([*SHORT, "sampler={tpe: {a: 1, n_startup_trials: x}}", "pruner={median: {b: 1}}", "storage=sqlit"])
    assert len(found.value.problems) == 4


def test_those_that_do_not_go_on_exactly_are_named() -> None:
    [notice] = [n for n in plan([*SHORT, "pruner=hyperband"]).notices if "pruner" in n]
    assert notice == "pruner=hyperband: an interrupted study is resumed, but with other values than without"
    assert not [n for n in plan([*SHORT, "pruner=median"]).notices if "interrupted" in n]
    [notice] = samplers.notices("sampler", {"auto": {}})
    assert "its code is fetched from OptunaHub" in notice


@pytest.mark.parametrize(("name", "package"), [("cmaes", "cmaes"), ("gp", "scipy"), ("auto", "optunahub")])
def test_what_is_not_installed_is_said_with_the_line_that_installs_it(
    name: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samplers.util, "find_spec", lambda module: None if module == package else sys)
    [problem] = samplers.problems("sampler", name, samplers.SAMPLERS)
    assert problem.message == f"{name} needs {package}, which is not installed"
    assert problem.hint == ("pip install optunahub" if name == "auto" else 'pip install "hydra-rlzoo[tune]"')
    assert problem.missing


@pytest.mark.parametrize("options", [{}, {"use_separable_cma": True}, {"with_margin": True, "popsize": 5}])
def test_cmaes_proposes_what_optuna_s_does_and_keeps_no_state(options: dict[str, Any]) -> None:
    """Whose state is a pickle in the storage; here it is computed of the trials."""
    pytest.importorskip("cmaes")

    def objective(trial: optuna.Trial) -> float:
        x, y, z = (trial.suggest_float(name, 0.1, 10, log=True) for name in "xyz")
        return (x - 1) ** 2 + (y - 3) ** 2 + z + trial.suggest_int("n", 1, 9)

    def search(kind: type[optuna.samplers.BaseSampler]) -> list[optuna.trial.FrozenTrial]:
        study = optuna.create_study(direction="minimize")
        for number in range(30):  # a sampler of its own for each trial, as a study has
            study.sampler = kind(seed=number, warn_independent_sampling=False, **options)
            study.optimize(objective, n_trials=1)
        return study.trials

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours, theirs = search(CmaEsOfTrials), search(optuna.samplers.CmaEsSampler)
    assert any("optimizer" in key for trial in theirs for key in trial.system_attrs)
    assert not any("optimizer" in key for trial in ours for key in trial.system_attrs)
    assert [trial.params for trial in ours] == [pytest.approx(trial.params, rel=1e-9) for trial in theirs]


@pytest.mark.parametrize(("key", "table"), [("sampler", samplers.SAMPLERS), ("pruner", samplers.PRUNERS)])
def test_every_number_has_a_range(key: str, table: dict[str, samplers.Engine]) -> None:
    for name in table.keys() - {"auto"}:
        fields = samplers._known(name, table[name])
        numbers = [option for option, field in fields.items() if {"int", "float"} & {*field.words}]
        assert [option for option in numbers if option not in samplers.LIMITS] == [], name


@pytest.mark.parametrize(
    ("word", "where", "message"),
    [
        ("sampler={tpe: {n_startup_trials: -3}}", "sampler.tpe.n_startup_trials", "at least 0"),
        ("sampler={tpe: 1}", "sampler.tpe", "takes options by name, not 1"),
        ("sampler={tpe: [1]}", "sampler.tpe", "takes options by name"),
        ("sampler={nsgaii: {mutation_prob: 3}}", "sampler.nsgaii.mutation_prob", "at most 1"),
        ("pruner={median: 1}", "pruner.median", "takes options by name, not 1"),
        ("pruner={hyperband: {reduction_factor: 0}}", "pruner.hyperband.reduction_factor", "at least 2"),
    ],
)
def test_what_optuna_takes_without_a_word_is_refused(word: str, where: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plan([*SHORT, word])
    assert {problem.key: problem.message for problem in caught.value.problems}[where].find(message) >= 0


def test_no_options_can_be_null() -> None:
    assert plan([*SHORT, "sampler={tpe: null}", "pruner={median: null}"]).config.pruner == {"median": {}}
