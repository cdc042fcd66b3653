"""What a request's algorithm gets to hear: names, types, ranges, and what does not fit together."""

from __future__ import annotations

import copy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rlzoo.algos.schema import check as algo_check
from rlzoo.algos.schema.compile import ANY, RANGES, as_rows, as_yaml, keywords_of
from rlzoo.algos.specs import ALGOS, find_spec
from rlzoo.config.compose import compose
from rlzoo.errors import ConfigError, Problem
from rlzoo.training.preflight import check as preflight
from tests.algos.conftest import defaults

ACTIONS = {"Discrete": "Discrete(2)", "Box": "Box(2)"}
GOALS = "Dict(achieved_goal: MultiBinary(4), desired_goal: MultiBinary(4), observation: MultiBinary(4))"


def check(
    algo: str,
    *,
    observation: str | None = "",
    action: str | None = None,
    n_envs: int = 1,
    total_timesteps: int = 100_000,
    typed: bool = True,
    **changes: Any,
) -> tuple[list[Problem], list[str]]:
    config = defaults(algo, **changes)
    fitting = next(text for kind, text in ACTIONS.items() if kind in ALGOS[algo].action_spaces)
    if observation == "":
        observation = "Discrete(16)" if ALGOS[algo].observation_spaces else "Box(4)"
    return algo_check.check(
        {"name": config.name, **config.hyperparams},
        observation_space=observation,
        action_space=action or fitting,
        n_envs=n_envs,
        total_timesteps=total_timesteps,
        typed=lambda key: typed,
    )


def problems(algo: str, **kwargs: Any) -> dict[str, str]:
    """Key to message and hint."""
    found, _ = check(algo, **kwargs)
    return {problem.key: f"{problem.message} | {problem.hint}" for problem in found}


def notices(algo: str, **kwargs: Any) -> list[str]:
    found, texts = check(algo, **kwargs)
    assert found == []
    return texts


@pytest.mark.parametrize("algo", ALGOS)
def test_defaults_are_fine(algo: str) -> None:
    assert problems(algo) == {}


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys; from rlzoo.algos.schema import check as algo_check; "
        "algo_check.check({'name': 'dqn', 'gamma': 2}, observation_space='Box(4)', action_space='Discrete(2)', "
        "n_envs=1, total_timesteps=1000, typed=bool); "
        "print(*{'torch', 'numpy', 'gymnasium', 'stable_baselines3', 'pydantic'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""


def numeric_keywords() -> list[tuple[str, str]]:
    return [
        (algo, key)
        for algo, row in algo_check.table()["algorithms"].items()
        for key, entry in row["keywords"].items()
        if {"int", "float"} & set(entry["type"].split(" | "))
    ]


@pytest.mark.parametrize(("algo", "key"), numeric_keywords())
def test_no_number_takes_what_is_none(algo: str, key: str) -> None:
    for value in (True, "5", "1e-4", float("nan"), float("inf"), -float("inf"), 10**400, [], {}, {"x": 1}):
        assert f"algo.{key}" in problems(algo, **{key: value}), value


UNBOUNDED = {key for (_, key), limits in RANGES.items() if limits == ANY}
"""Numbers that may be anything, on purpose."""


@pytest.mark.parametrize(("algo", "key"), numeric_keywords())
def test_every_number_has_a_range_that_its_default_is_in(algo: str, key: str) -> None:
    field = algo_check.find_signature(find_spec(algo)).keywords[key]
    low = field.gt if field.ge is None else field.ge
    assert (low is None) == (key in UNBOUNDED)
    if low is None:
        return
    assert f"algo.{key}" in problems(algo, **{key: low - 1 if field.also != low - 1 else low - 2})
    keywords = algo_check.table()["algorithms"][algo]["keywords"]
    alone = {"normalize_advantage": False} if "normalize_advantage" in keywords else {}
    if (algo, key) != ("evolution_strategies", "population_size"):  # which has to be even
        assert (f"algo.{key}" in problems(algo, **{key: low}, **alone)) == (field.gt is not None)
    high = field.lt if field.le is None else field.le
    if high is not None:
        assert f"algo.{key}" in problems(algo, **{key: high + 1})
    assert not isinstance(field.default, int | float) or field.holds(field.default)


def test_every_nested_number_has_a_range() -> None:
    for part in ("policies", "optimizers", "replay_buffers", "rollout_buffers", "features_extractors", "noises"):
        for keywords in algo_check.part(part).values():
            for key, field in keywords.items():
                if {"int", "float", "pair", "numbers"} & set(field.words) and key not in UNBOUNDED:
                    assert field.range, (part, key)


@pytest.mark.parametrize("algo", ALGOS)
def test_a_misspelt_keyword_is_corrected(algo: str) -> None:
    for key in algo_check.table()["algorithms"][algo]["keywords"]:
        wrong = key[:-2] + key[-1] + key[-2] if key[-1] != key[-2] else key + "x"
        assert f"'{key}'" in problems(algo, **{wrong: 1})[f"algo.{wrong}"]


def test_whole_floats_are_whole_numbers() -> None:
    assert problems("dqn", buffer_size=1e6) == {}
    assert "whole number" in problems("dqn", buffer_size=1.5)["algo.buffer_size"]


def test_all_problems_come_at_once() -> None:
    found = problems("dqn", gamma=2, buffer_size=0, learning_rate="1e-4", tau=0, polciy_kwargs={}, seed=3)
    assert set(found) == {
        f"algo.{key}" for key in ("gamma", "buffer_size", "learning_rate", "tau", "polciy_kwargs", "seed")
    }
    assert "without quotes" in found["algo.learning_rate"]
    assert "seed=" in found["algo.seed"]


@pytest.mark.parametrize(
    ("algo", "changes", "key", "part"),
    [
        ("ppo", {"policy_kwargs": {"net_arhc": [4]}}, "algo.policy_kwargs.net_arhc", "'net_arch'"),
        ("ppo", {"policy_kwargs": {"net_arch": [0]}}, "algo.policy_kwargs.net_arch", "at least 1"),
        ("ppo", {"policy_kwargs": {"net_arch": 64}}, "algo.policy_kwargs.net_arch", "not 64"),
        ("ppo", {"policy_kwargs": {"net_arch": {"pi": [4], "qf": [4]}}}, "algo.policy_kwargs.net_arch", "pi and vf"),
        ("sac", {"policy_kwargs": {"net_arch": {"pi": [4]}}}, "algo.policy_kwargs.net_arch", "pi and qf"),
        ("dqn", {"policy_kwargs": {"net_arch": {"pi": [4]}}}, "algo.policy_kwargs.net_arch", "layer sizes"),
        ("ppo", {"policy_kwargs": {"activation_fn": "rleu"}}, "algo.policy_kwargs.activation_fn", "'relu'"),
        ("ppo", {"policy_kwargs": {"activation_fn": None}}, "algo.policy_kwargs.activation_fn", "relu"),
        ("ppo", {"policy_kwargs": {"optimizer_class": "adma"}}, "algo.policy_kwargs.optimizer_class", "'adam'"),
        (
            "ppo",
            {"policy_kwargs": {"optimizer_class": "sgd", "optimizer_kwargs": {"betas": [0.9, 0.9]}}},
            "algo.policy_kwargs.optimizer_kwargs.betas",
            "momentum",
        ),
        (
            "ppo",
            {"policy_kwargs": {"optimizer_kwargs": {"eps": -1}}},
            "algo.policy_kwargs.optimizer_kwargs.eps",
            "at least 0",
        ),
        ("ppo", {"policy_kwargs": {"squash_output": True}}, "algo.policy_kwargs.squash_output", "use_sde"),
        ("a2c", {"policy_kwargs": {"optimizer_kwargs": {"eps": 1}}}, "algo.policy_kwargs.optimizer_kwargs", "ignored"),
        (
            "ppo_lstm",
            {"policy_kwargs": {"shared_lstm": True}},
            "algo.policy_kwargs.shared_lstm",
            "enable_critic_lstm=false",
        ),
        ("ppo_lstm", {"policy_kwargs": {"lstm_kwargs": {"drop": 1}}}, "algo.policy_kwargs.lstm_kwargs.drop", "dropout"),
        ("ppo", {"policy_kwargs": [1]}, "algo.policy_kwargs", "mapping"),
        ("ppo", {"rollout_buffer_kwargs": {"gamma": 1}}, "algo.rollout_buffer_kwargs.gamma", "unknown"),
        ("ppo", {"learning_rate": {"linaer": 1}}, "algo.learning_rate", "'linear'"),
        ("ppo", {"learning_rate": {"linear": 1, "cosine": 1}}, "algo.learning_rate", "one schedule"),
        ("ppo", {"learning_rate": {"linear": "1e-3"}}, "algo.learning_rate", "takes numbers"),
        ("ppo", {"learning_rate": {"linear": True}}, "algo.learning_rate", "takes numbers"),
        ("ppo", {"learning_rate": {"linear": {"end": 0}}}, "algo.learning_rate", "start"),
        ("ppo", {"learning_rate": {"linear": {"start": 1, "ned": 0}}}, "algo.learning_rate", "'end'"),
        ("ppo", {"learning_rate": {"linear": [1, 0, 1, 1]}}, "algo.learning_rate", "takes numbers"),
        (
            "ppo",
            {"learning_rate": {"linear": -1}},
            "algo.learning_rate",
            "start of the schedule linear must be greater",
        ),
        ("ppo", {"learning_rate": {"linear": [1, 0, 0]}}, "algo.learning_rate", "end_fraction"),
        ("ppo", {"learning_rate": {"exponential": [1, 0]}}, "algo.learning_rate", "end of the schedule exponential"),
        ("sac", {"action_noise": {"normla": 1}}, "algo.action_noise", "'normal'"),
        ("sac", {"action_noise": {"normal": {"mean": 0}}}, "algo.action_noise", "standard deviation"),
        ("sac", {"action_noise": {"normal": {"sigma": 1, "theta": 1}}}, "algo.action_noise.normal.theta", "unknown"),
        ("sac", {"action_noise": {"normal": -0.1}}, "algo.action_noise.normal.sigma", "at least 0"),
        ("sac", {"action_noise": 0.1}, "algo.action_noise", "{normal: 0.1}"),
        ("sac", {"ent_coef": "atuo"}, "algo.ent_coef", "auto"),
        ("sac", {"ent_coef": "auto_0"}, "algo.ent_coef", "greater than 0"),
        ("sac", {"ent_coef": "auto_x"}, "algo.ent_coef", "auto_0.1"),
        ("sac", {"ent_coef": "0.1"}, "algo.ent_coef", "without quotes"),
        ("dqn", {"train_freq": [1, "epsiode"]}, "algo.train_freq", "episode"),
        ("dqn", {"train_freq": [1.5, "step"]}, "algo.train_freq", "count"),
        ("dqn", {"train_freq": 0}, "algo.train_freq", "at least 1"),
        ("dqn", {"gradient_steps": 0}, "algo.gradient_steps", "-1 or at least 1"),
        ("dqn", {"replay_buffer_class": "hre"}, "algo.replay_buffer_class", "'her'"),
        ("dqn", {"policy": "MlpPolciy"}, "algo.policy", "'MlpPolicy'"),
        ("dqn", {"policy": ["MlpPolicy"]}, "algo.policy", "must be one of"),
        ("dqn", {"policy": "MlpLstmPolicy"}, "algo.policy", "MlpPolicy"),
        ("dqn", {"optimize_memory_usage": 1}, "algo.optimize_memory_usage", "true or false"),
        ("dqn", {"optimize_memory_usage": True}, "algo.optimize_memory_usage", "handle_timeout_termination=false"),
        ("dqn", {"batch_size": 2000, "buffer_size": 1000}, "algo.batch_size", "more than the 1000"),
        ("dqn", {"n_steps": 3, "replay_buffer_class": "replay"}, "algo.n_steps", "has to be 1"),
        ("dqn", {"n_steps": 3, "optimize_memory_usage": True}, "algo.optimize_memory_usage", "n_steps"),
        ("sac", {"use_sde_at_warmup": True}, "algo.use_sde_at_warmup", "use_sde"),
        ("tqc", {"top_quantiles_to_drop_per_net": 25}, "algo.top_quantiles_to_drop_per_net", "none are left"),
        ("ars", {"n_top": 9}, "algo.n_top", "8 directions"),
        ("evolution_strategies", {"population_size": 5}, "algo.population_size", "even"),
        ("hill_climbing", {"min_delta_std": 3}, "algo.min_delta_std", "more than algo.max_delta_std=2"),
        ("simulated_annealing", {"min_temperature": 200}, "algo.min_temperature", "more than algo.initial_temperature"),
        ("cem", {"squash_output": True}, "algo.squash_output", "continuous actions"),
        ("ppo", {"batch_size": 1}, "algo.batch_size", "2 or more"),
        ("ppo", {"n_steps": 1}, "algo.n_steps", "2 steps or more"),
        ("maskable_ppo", {"n_steps": 65}, "algo.batch_size", "leaves one step"),
        ("ppo", {"use_sde": True}, "algo.use_sde", "continuous actions only"),
    ],
)
def test_a_wrong_value_is_named(algo: str, changes: dict[str, Any], key: str, part: str) -> None:
    found = problems(algo, **changes)
    assert part in found[key]
    assert len(found) == 1


@pytest.mark.parametrize(
    ("algo", "changes"),
    [
        ("ppo", {"learning_rate": {"linear": 0.001}, "clip_range": {"cosine": [0.2, 0.1]}, "clip_range_vf": None}),
        ("ppo", {"learning_rate": {"linear": {"start": 0.001, "end": 0.0001, "end_fraction": 0.5}}, "target_kl": 0.1}),
        ("ppo", {"policy_kwargs": {"net_arch": {"pi": [64], "vf": []}, "activation_fn": "elu", "ortho_init": False}}),
        (
            "sac",
            {
                "action_noise": {"normal": {"mean": -0.1, "sigma": 0.1}},
                "ent_coef": "auto_0.1",
                "train_freq": [1, "episode"],
            },
        ),
        ("td3", {"action_noise": {"ornstein_uhlenbeck": {"sigma": [0.1, 0.2], "theta": 0.1, "dt": 0.01}}}),
        ("sac", {"policy_kwargs": {"net_arch": {"pi": [4], "qf": [4, 4]}, "optimizer_kwargs": {"betas": [0.5, 0.9]}}}),
        ("dqn", {"optimize_memory_usage": True, "replay_buffer_kwargs": {"handle_timeout_termination": False}}),
        ("dqn", {"policy_kwargs": None, "gradient_steps": -1, "learning_starts": 0}),
        ("a2c", {"policy_kwargs": {"optimizer_class": "rmsprop_tf_like", "optimizer_kwargs": {"eps": 1e-5}}}),
        ("ars", {"policy": "LinearPolicy", "policy_kwargs": {"with_bias": True}, "alive_bonus_offset": -1}),
        ("ppo_lstm", {"policy_kwargs": {"shared_lstm": True, "enable_critic_lstm": False}}),
    ],
)
def test_right_values_pass(algo: str, changes: dict[str, Any]) -> None:
    assert problems(algo, **changes) == {}


@pytest.mark.parametrize(
    ("algo", "action", "fits"),
    [
        ("dqn", "Box(2)", False),
        ("sac", "Discrete(2)", False),
        ("ppo", "MultiDiscrete(3, 3)", True),
        ("maskable_ppo", "Box(2)", False),
        ("ars", "MultiBinary(3)", False),
        ("ppo", "Dict(a: Box(2))", False),
    ],
)
def test_action_spaces(algo: str, action: str, fits: bool) -> None:
    found = problems(algo, action=action)
    assert ("algo.name" not in found) == fits
    if not fits:
        assert action in found["algo.name"]


@pytest.mark.parametrize("algo", ["ppo_scratch", "reinforce", "actor_critic", "dqn_scratch"])
def test_networks_of_rlzoos_own_take_no_tuple(algo: str) -> None:
    assert "flatten" in problems(algo, observation="Tuple(Discrete(3), Discrete(2))")["env.wrappers"]
    assert problems(algo, observation="Dict(a: Box(2), b: Discrete(2))") == {}


def test_returns_that_are_all_the_same_are_not_standardised() -> None:
    assert "algo.normalize_returns" in problems("reinforce", reward_to_go=False)
    assert "algo.normalize_returns" in problems("reinforce", reward_to_go=False, normalize_returns="batch")
    assert problems("reinforce", reward_to_go=False, normalize_returns="batch", n_envs=2) == {}
    assert problems("reinforce", reward_to_go=False, normalize_returns=None) == {}


def test_an_algorithm_that_fits_is_offered() -> None:
    assert "ppo" in problems("dqn", action="Box(2)")["algo.name"]


@pytest.mark.parametrize(
    ("algo", "policy", "observation", "key"),
    [
        ("ppo", "MlpPolicy", "Box(4, 84, 84) uint8", "algo.policy"),
        ("ppo", "MlpPolicy", "Box(96, 96, 3) uint8", "algo.policy"),
        ("ppo", "CnnPolicy", "Box(8)", "algo.policy"),
        ("ppo", "CnnPolicy", "Discrete(16)", "algo.policy"),
        ("ppo", "MultiInputPolicy", "Box(8)", "algo.policy"),
        ("ppo", "MlpPolicy", GOALS, "algo.policy"),
        ("ppo", "auto", "Tuple(Discrete(32), Discrete(11), Discrete(2))", "env.wrappers"),
        ("ppo", "auto", "Box(20, 20, 3) uint8", "algo.policy"),
        ("crossq", "auto", "Box(4, 84, 84) uint8", "algo.policy"),
        ("ars", "auto", GOALS, "algo.policy"),
        ("ppo", "auto", "Box(4, 84, 84) uint8", None),
        ("ppo", "CnnPolicy", "Box(3, 96, 96) uint8", None),
        ("ppo", "auto", GOALS, None),
        ("ppo", "MlpPolicy", "Discrete(16)", None),
        ("ppo", "MlpPolicy", "Box(20) uint8", None),
        ("ars", "LinearPolicy", "Box(8)", None),
        ("ppo_lstm", "auto", "Box(4, 84, 84) uint8", None),
    ],
)
def test_policies_fit_observations(algo: str, policy: str, observation: str, key: str | None) -> None:
    assert list(problems(algo, observation=observation, policy=policy)) == ([] if key is None else [key])


def test_an_image_network_of_ones_own_makes_the_plain_policy_fit() -> None:
    image = "Box(4, 84, 84) uint8"
    assert (
        problems("ppo", observation=image, policy="MlpPolicy", policy_kwargs={"features_extractor_class": "nature_cnn"})
        == {}
    )
    floats = problems(
        "ppo", observation="Box(3, 84, 84)", policy="CnnPolicy", policy_kwargs={"normalize_images": False}
    )
    assert floats == {}


def test_unknown_spaces_are_not_guessed_about() -> None:
    config = defaults("dqn", replay_buffer_class="her")
    found, _ = algo_check.check(
        {"name": "dqn", **config.hyperparams},
        observation_space=None,
        action_space=None,
        n_envs=1,
        total_timesteps=1000,
        typed=bool,
    )
    assert found == []


def test_learning_has_to_start() -> None:
    found = problems("dqn", learning_starts=100_000, total_timesteps=20_000)
    assert found == {
        "algo.learning_starts": "is 100000 of total_timesteps=20000: it would never learn | "
        "algo.learning_starts=1000, or a longer training"
    }


def test_episodes_need_a_single_environment() -> None:
    assert "env.n_envs=1" in problems("sac", train_freq=[1, "episode"], n_envs=2)["algo.train_freq"]
    assert problems("sac", train_freq=[8, "step"], n_envs=2) == {}


def test_buffers_hold_each_environment() -> None:
    assert "algo.buffer_size" in problems("dqn", buffer_size=40, n_envs=64)


def test_her_needs_goals() -> None:
    assert "env=BitFlipping" in problems("dqn", replay_buffer_class="her")["algo.replay_buffer_class"]
    assert "algo.replay_buffer_class" in problems("dqn", replay_buffer_class="her", observation="Dict(a: Box(2))")
    assert problems("dqn", replay_buffer_class="her", observation=GOALS) == {}
    kwargs = {"n_sampled_goal": 4, "goal_selection_strategy": "future"}
    assert problems("dqn", replay_buffer_class="her", observation=GOALS, replay_buffer_kwargs=kwargs) == {}
    wrong = {"n_sampled_goal": 0, "goal_selection_strategy": "past", "n_sampled": 1}
    found = problems("dqn", replay_buffer_class="her", observation=GOALS, replay_buffer_kwargs=wrong)
    assert set(found) == {f"algo.replay_buffer_kwargs.{key}" for key in wrong}
    assert "algo.replay_buffer_kwargs.n_sampled_goal" in problems("dqn", replay_buffer_kwargs={"n_sampled_goal": 4})


def test_returns_over_steps_are_not_stored_in_dicts() -> None:
    assert "Dict observations" in problems("dqn", n_steps=3, observation=GOALS)["algo.n_steps"]
    assert "algo.optimize_memory_usage" in problems("dqn", optimize_memory_usage=True, observation=GOALS)


def test_a_batch_larger_than_the_rollout() -> None:
    changes = {"n_steps": 8, "batch_size": 256}
    assert "more than a rollout of 16 steps" in problems("ppo", n_envs=2, **changes)["algo.batch_size"]
    assert "more than a rollout of 16 steps" in notices("ppo", n_envs=2, typed=False, **changes)[0]


def test_a_batch_that_does_not_divide_the_rollout() -> None:
    assert notices("ppo", n_steps=100) == [
        "algo.batch_size 64 does not divide a rollout of 100 steps (n_steps x n_envs): the last minibatch has 36"
    ]
    assert notices("ppo", n_steps=128) == []


def test_what_may_surprise() -> None:
    assert "without noise" in notices("td3")[0]
    assert notices("td3", action_noise={"normal": 0.1}) == []
    assert "whole training" in notices("ppo", total_timesteps=1000)[0]
    assert "every 8 steps" in notices("dqn", n_envs=8, target_update_interval=4)[0]
    assert "become more" in notices("dqn", exploration_initial_eps=0.01)[0]


def test_an_unknown_algorithm() -> None:
    found, _ = algo_check.check(
        {"name": "dnq"}, observation_space=None, action_space=None, n_envs=1, total_timesteps=1, typed=bool
    )
    assert [problem.key for problem in found] == ["algo.name"]
    assert "'dqn'" in found[0].message


@pytest.mark.parametrize("algo", ["q_learning", "reinforce", "ppo_scratch", "ppo", "td0"])
def test_numbers_are_counted_from_0(algo: str) -> None:
    ((problem,), _) = check(algo, observation="Discrete(5, start=1)")
    assert "another number than 0, and this environment has Discrete(5, start=1)" in problem.message
    assert check("cem", observation="Discrete(5, start=1)", action="Discrete(2, start=3)") == ([], [])
    (problems, _) = check(algo, observation="Discrete(5)", action="Discrete(2, start=-1)")
    assert any("actions counted from another number than 0" in problem.message for problem in problems)


@pytest.mark.parametrize("algo", ["reinforce", "actor_critic", "ppo_scratch", "dqn_scratch"])
def test_what_their_networks_do_not_take(algo: str) -> None:
    ((small,), _) = check(algo, observation="Box(3, 20, 20) uint8")
    assert "at least 36 x 36" in small.message
    ((scalar,), _) = check(algo, observation="Box()")
    assert "no scalars" in scalar.message
    assert not check(algo, observation="Box(3, 84, 84) uint8")[0]


def test_sizes_that_no_memory_holds_are_refused() -> None:
    assert "transitions of algo.buffer_size" in problems("dqn_scratch", n_steps=2e6)["algo.n_steps"]
    assert "at most" in problems("cem", population_size=1e12)["algo.population_size"]
    assert "greater than 0" in problems("policy_iteration", theta=0)["algo.theta"]


TOY = """
from typing import Annotated
from annotated_types import Gt


class RandomSearch:
    def __init__(self, env, *, weight_std: Annotated[float, Gt(0)] = 1.0, n_tries: int):
        pass

    learn = predict = state = restore = None
"""


def test_a_new_algorithm_says_its_ranges_in_its_constructor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "toy_search.py").write_text(TOY)
    monkeypatch.syspath_prepend(str(tmp_path))

    def said(**values: Any) -> dict[str, str]:
        found = algo_check.check_values({"name": "toy_search:RandomSearch", **values})
        return {problem.key: problem.message for problem in found}

    assert said(weight_std=-3) == {
        "algo.weight_std": "must be greater than 0, not -3",
        "algo.n_tries": "has to be given",
    }
    assert said(weight_std="much", n_tries=2) == {"algo.weight_std": "must be a number, not 'much'"}
    assert said(weight_std=0.1, n_tries=2) == {}


@pytest.mark.usefixtures("workdir")
def test_a_new_algorithm_of_the_registry_is_checked_by_train(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "toy_search.py").write_text(TOY.replace("n_tries: int", "n_tries: int = 1"))
    monkeypatch.syspath_prepend(str(tmp_path))
    spec = replace(ALGOS["cem"], name="random_search", entry_point="toy_search:RandomSearch")
    rows = as_rows(keywords_of(spec))
    table = copy.deepcopy(algo_check.table())
    table["algorithms"]["random_search"] = {"keywords": rows, "policies": {}}
    monkeypatch.setitem(ALGOS, "random_search", spec)
    monkeypatch.setattr(algo_check, "table", lambda: table)
    place = Path("conf/algo/random_search.yaml")
    place.parent.mkdir(parents=True)
    place.write_text(as_yaml(spec))
    composition = compose("train", ["algo=random_search", "env=CartPole", "algo.weight_std=-3"])
    with pytest.raises(ConfigError, match=r"algo\.weight_std: must be greater than 0, not -3"):
        preflight(composition, make_env=False)
