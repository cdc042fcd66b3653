"""Search spaces: the shipped ones compose, transforms go both ways, mistakes are said at once."""

import json

import gymnasium
import optuna
import pytest
from stable_baselines3.common.vec_env import DummyVecEnv

from rlzoo.algos.create import create
from rlzoo.algos.schema.check import find_signature
from rlzoo.algos.specs import ALGOS
from rlzoo.config import paths
from rlzoo.config.compose import Composition, compose, with_values, without
from rlzoo.config.fields import Field
from rlzoo.config.parse import parse
from rlzoo.training.preflight import find_problems
from rlzoo.tuning.queue import defaults, exact_settings
from rlzoo.tuning.request import OWN_KEYS
from rlzoo.tuning.space import Choice, Constraint, Float, Int, OneMinus, PowerOfTwo, Space
from rlzoo.tuning.space_file import around_defaults, read

SPACES = paths.root() / "conf" / "search_space"
SHIPPED = sorted(path.stem for path in SPACES.glob("*.yaml"))
NO_NUMBER = {"monte_carlo": ["algo.learning_rate"]}
"""Defaults that no number stands for: the average of all samples."""
TUNED = sorted(path for path in (paths.root() / "hyperparams").rglob("*.yaml") if path.parent.name in SHIPPED)


def environment(algo: str) -> str:
    spec = ALGOS[algo]
    if spec.family == "tabular":
        return "FrozenLake"
    if spec.masked:
        return "TaxiMasked"
    return "CartPole" if "Discrete" in spec.action_spaces else "Pendulum"


def drawn(space: Space, seed: int) -> tuple[dict[str, object], dict[str, object]]:
    """Values and what the sampler drew for them."""
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed)).ask()
    return space.draw(trial), dict(trial.params)


def composed(*words: str) -> tuple[Composition, Space]:
    """A request to train, and the space that `rlzoo tune` searches for it."""
    composition = compose("tune", words)
    space, problems = read(composition.values["search_space"], composition.values)
    assert not problems
    return without(composition, OWN_KEYS), space


def problems_of(space: object, *words: str) -> dict[str, str]:
    config = compose("train", ["algo=ppo", "env=CartPole", *words]).values
    _, problems = read(space, config)  # type: ignore[arg-type]
    return {problem.key.removeprefix("search_space."): problem.message for problem in problems}


def test_what_cannot_be_tuned_has_no_space() -> None:
    assert [name for name in SHIPPED if not ALGOS[name].tunable] == []
    assert {name for name, spec in ALGOS.items() if not spec.tunable} >= {"value_iteration", "td0"}


@pytest.mark.parametrize("algo", SHIPPED)
def test_a_shipped_space_samples_two_hundred_valid_requests(algo: str) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    words = [f"algo={algo}", f"env={environment(algo)}", "hyperparams=none", "total_timesteps=20_000"]
    base, space = composed(*words)
    n_broken = 0
    for seed in range(200):
        values, params = drawn(space, seed)
        assert space.raw(values) == pytest.approx(params)
        assert all(
            each.transform.value(each.transform.raw(values[each.name])) == values[each.name]
            for each in space.parameters
            if each.name in values
        )
        laid = with_values(base, space.settings(values))
        assert space.values_of(laid.values) == values
        if space.broken(values, laid.values):
            n_broken += 1
            continue
        _, wrong, _ = find_problems(laid, make_env=False)
        assert not wrong, values
    assert n_broken < 150


@pytest.mark.parametrize("algo", [name for name, spec in ALGOS.items() if spec.backend == "rlzoo" and spec.tunable])
def test_around_the_defaults_is_a_space(algo: str) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    words = [f"algo={algo}", f"env={environment(algo)}", "hyperparams=none", "total_timesteps=20_000"]
    base = without(compose("tune", words), OWN_KEYS)
    space, problems = read(around_defaults(find_signature(ALGOS[algo]).keywords), base.values)
    assert not problems
    laid = (with_values(base, space.settings(drawn(space, seed)[0])) for seed in range(10))
    assert sum(not find_problems(each, make_env=False)[1] for each in laid) >= 3  # batches larger than rollouts


def test_how_far_from_the_defaults_is_searched() -> None:
    keywords = {
        "learning_rate": Field("float | schedule", gt=0, default=1e-4),
        "gamma": Field("float", ge=0, le=1, default=0.99),
        "epsilon": Field("float", ge=0, le=1, default=1.0),
        "n_steps": Field("int", ge=4, default=5),
        "loss": Field("str", choices=("l1", "l2"), default="l1"),
        "double": Field("bool", default=False),
        "ent_coef": Field("float", ge=0, default=0.0),
        "net_arch": Field("layers", default=[8]),
    }
    assert around_defaults(keywords) == {
        "learning_rate": {"type": "float", "low": pytest.approx(1e-5), "high": pytest.approx(1e-3), "log": True},
        "gamma": {"type": "one_minus", "low": pytest.approx(0.001), "high": pytest.approx(0.1)},
        "epsilon": {"type": "float", "low": 0.1, "high": 1.0, "log": True},
        "n_steps": {"type": "int", "low": 4, "high": 50, "log": True},
    }


def test_what_is_drawn_and_what_comes_of_it() -> None:
    assert PowerOfTwo(16, 1024).value(5) == 32
    assert PowerOfTwo(16, 1024).raw(32) == 5
    assert OneMinus(1e-4, 0.1).value(0.01) == 0.99
    assert OneMinus(1e-4, 0.1).raw(0.75 + 0.2) == pytest.approx(0.05)
    assert OneMinus(1e-4, 0.1).value(OneMinus(1e-4, 0.1).raw(0.9999)) == 0.9999  # 1 - 0.9999 is a little below 1e-4
    assert Choice({"tiny": [64], "none": None}).value("tiny") == [64]
    assert Choice({"tiny": [64], "none": None}).raw(None) == "none"
    assert Int(2, 10, step=2).raw(8.0) == 8
    assert Float(0, 1, step=0.25).raw(0.75) == 0.75


@pytest.mark.parametrize(
    ("transform", "value", "message"),
    [
        (Float(0, 1), 2, "outside of 0 to 1"),
        (Float(0, 1), {"linear": 1}, "is not a number"),
        (Float(0, 1, step=0.25), 0.3, "multiple of 0.25"),
        (Int(2, 10, step=2), 3, "in steps of 2"),
        (Int(2, 10), 2.5, "is not a whole number"),
        (Int(2, 10), True, "is not a number"),
        (PowerOfTwo(16, 64), 48, "is not a power of two from 16 to 64"),
        (PowerOfTwo(16, 64), 128, "is not a power of two from 16 to 64"),
        (OneMinus(1e-3, 0.1), 0.99999, "outside of 0.9 to 0.999"),
        (Choice({"a": 1, "b": 2}), 3, "none of a, b"),
        (Choice({1: 1}), True, "none of 1"),
    ],
)
def test_what_cannot_have_been_drawn(transform: object, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        transform.raw(value)  # type: ignore[attr-defined]


def test_a_condition_leaves_a_parameter_out() -> None:
    config = compose("train", ["algo=reinforce", "env=CartPole"]).values
    space, problems = read(
        {
            "baseline": {"type": "choice", "values": [False, True]},
            "value_learning_rate": {"type": "float", "low": 0.1, "high": 0.2, "when": {"baseline": True}},
        },
        config,
    )
    assert not problems
    found = {bool(values["baseline"]): values for values, _ in (drawn(space, seed) for seed in range(20))}
    assert found[False] == {"baseline": False}
    assert 0.1 <= found[True]["value_learning_rate"] <= 0.2  # type: ignore[operator]
    assert space.settings({"baseline": False}) == {"algo.baseline": False}


def test_two_parameters_can_share_a_setting_if_they_never_meet() -> None:
    one = {"type": "float", "low": 0.1, "high": 0.2, "key": "algo.ent_coef", "when": {"kind": "small"}}
    other = {"type": "float", "low": 0.5, "high": 0.6, "key": "algo.ent_coef", "when": {"kind": "large"}}
    kind = {"type": "choice", "values": ["small", "large"], "key": "algo.policy_kwargs.kind"}
    assert problems_of({"kind": kind, "one": one, "other": other}) == {}
    assert problems_of({"kind": kind, "one": one, "other": {**other, "when": None}}) == {
        "other": "searches algo.ent_coef, and so does one"
    }


def test_every_mistake_of_a_space_is_said_at_once() -> None:
    assert problems_of(
        {
            "learning_rat": {"type": "float", "low": 0, "high": 1},
            "gamma": {"type": "flaot", "low": 0, "high": 1},
            "gae_lambda": {"low": 0, "high": 1},
            "learning_rate": {"type": "float", "low": 1e-2, "high": 1e-5, "log": True},
            "ent_coef": {"type": "float", "low": 0, "high": 0.1, "log": True},
            "n_steps": {"type": "power_of_two", "low": 30, "high": 64},
            "n_epochs": {"type": "int", "low": 1.5, "high": "many"},
            "batch_size": {"type": "int", "low": 1, "high": 10, "stepp": 2},
            "clip_range": {"type": "choice"},
            "net_arch": {"type": "choice", "key": "algo.policy_kwargs.net_arch", "values": [[64], [64, 64]]},
            "vf_coef": {"type": "float", "low": 0, "high": 1, "when": {"normalise": True}},
            "max_grad_norm": 3,
            "speed": {"type": "float", "low": 0, "high": 1, "key": "total_timesteps"},
            "target_kl": {"type": "one_minus", "low": 0.1, "high": 0.9},
            "constraints": ["n_steps", "n_steps < n_step", "__import__('os') == 1", "1 <"],
        }
    ) == {
        "learning_rat": "ppo has no 'learning_rat'; did you mean 'learning_rate'?",
        "gamma.type": "unknown type 'flaot'; did you mean 'float'?",
        "gae_lambda.type": "has no type",
        "learning_rate.low": "is 0.01, which is more than high, 1e-05",
        "ent_coef.low": "must be more than 0 on a logarithmic scale, not 0",
        "n_steps.low": "must be a power of two, not 30",
        "n_epochs.low": "must be a whole number, not 1.5",
        "n_epochs.high": "must be a whole number, not 'many'",
        "batch_size.stepp": "unknown keyword; did you mean 'step'?",
        "clip_range.values": "has to be given",
        "net_arch.values": "[64] needs a name",
        "vf_coef.when": "'normalise' is not a parameter that is drawn before",
        "max_grad_norm": "must say what is searched, not 3",
        "speed.key": "must name a setting of algo or env, not 'total_timesteps'",
        "target_kl.high": "must lie above 0 and up to 0.5: it is the distance from 1",
        "constraints": "'1 <' cannot be read",
    }


def test_constraints_compare_and_nothing_else() -> None:
    constraint = Constraint.parse("batch_size <= n_steps * n_envs")
    assert constraint.names == {"batch_size", "n_steps", "n_envs"}
    assert constraint.holds({"batch_size": 64, "n_steps": 16, "n_envs": 4})
    assert not constraint.holds({"batch_size": 65, "n_steps": 16, "n_envs": 4})
    assert Constraint.parse("n_steps * 2 % batch_size == 0").holds({"n_steps": 32, "batch_size": 64})
    assert constraint.holds({"batch_size": None, "n_steps": 16, "n_envs": 4})  # not for this to judge
    for text in ("f(x) < 1", "x.y < 1", "x < 1 < 2", "x if y else z", "[1] < 2", "x ** 9 < 1", "a and b", "x" * 300, 3):
        with pytest.raises(ValueError, match=r"is not one|holds|cannot be read|is not text"):
            Constraint.parse(text)


def test_a_space_can_be_changed_on_the_command_line() -> None:
    _, space = composed("algo=ppo", "env=CartPole", "search_space.gamma=null", "search_space.learning_rate.high=1e-2")
    by_name = {parameter.name: parameter for parameter in space.parameters}
    assert "gamma" not in by_name
    assert by_name["learning_rate"].transform == Float(1e-5, 1e-2, log=True)


def test_the_environment_can_be_searched_too() -> None:
    n_envs = "{type: power_of_two, key: env.n_envs, low: 1, high: 8}"
    base, space = composed("algo=ppo", "env=CartPole", f"search_space.n_envs={n_envs}")
    assert space.settings({"n_envs": 4}) == {"env.n_envs": 4}
    values = {"batch_size": 64, "n_steps": 32}
    assert space.broken({**values, "n_envs": 1}, base.values) == ["batch_size <= n_steps * n_envs"]
    assert not space.broken({**values, "n_envs": 2}, base.values)


@pytest.mark.parametrize("algo", SHIPPED)
def test_the_defaults_lie_in_a_shipped_space_or_close_to_it(algo: str) -> None:
    base, space = composed(f"algo={algo}", f"env={environment(algo)}", "hyperparams=none")
    values, said = space.nearest(base.values)
    drawn_freely = [each.partition(" is drawn")[0] for each in said if " is drawn" in each]
    assert drawn_freely == NO_NUMBER.get(algo, [])
    missing = {each.key for each in space.parameters if each.applies(values) and each.name not in values}
    assert missing == set(drawn_freely)


@pytest.mark.parametrize("algo", [name for name in SHIPPED if "policy_kwargs" in (SPACES / f"{name}.yaml").read_text()])
def test_what_stands_for_a_default_is_what_the_library_takes(algo: str) -> None:
    base, space = composed(f"algo={algo}", f"env={environment(algo)}", "hyperparams=none")
    stand_ins = {each.key: each.default for each in space.parameters if each.default is not None}
    assert stand_ins
    networks = []
    for composition in (base, with_values(base, stand_ins)):
        cfg = parse(composition.values)
        env = DummyVecEnv([lambda env_id=cfg.env.id: gymnasium.make(env_id)])
        networks.append(str(create(cfg.algo, env, seed=0, device="cpu", inference=True).model.policy))
    assert networks[0] == networks[1]


def test_a_default_outside_of_a_changed_range_is_no_mistake() -> None:
    words = ["search_space.activation_fn.values=[relu,elu]", "search_space.n_quantiles.high=100"]
    base, space = composed("algo=ppo", "env=CartPole", "hyperparams=none", words[0])
    assert "algo.policy_kwargs.activation_fn is drawn: it is not given" in "; ".join(space.nearest(base.values)[1])
    base, space = composed("algo=qrdqn", "env=CartPole", "hyperparams=none", words[1])
    assert space.nearest(base.values)[0]["n_quantiles"] == 100


def test_the_trials_called_tuned_and_defaults_are_the_tuned_set_and_the_defaults() -> None:
    """Every shipped set: schedules, values outside of the space, networks and wrappers that only one of them has."""
    seen: set[str] = set()
    for path in TUNED:
        algo, env = path.parent.name, "Pong" if path.stem == "atari" else path.stem
        base, space = composed(f"algo={algo}", f"env={env}")
        assert base.hyperparams
        for source in (base,) if algo in seen and env != "Pong" else (base, defaults(base)):  # composing takes time
            kept = json.loads(json.dumps(exact_settings(space, base, source)))
            assert with_values(base, kept, whole=True).values == source.values, path
        seen.add(algo)


@pytest.mark.parametrize(
    "words", [("algo=ppo", "env=CartPole"), ("algo=dqn", "env=Pong"), ("algo=ars", "env=Pendulum")]
)
def test_their_base_is_what_training_composes(words: tuple[str, ...]) -> None:
    base, _ = composed(*words)
    alike = [*words, "eval.selection_n_episodes=0"]  # trials are compared by their last checkpoints
    tuned, plain = compose("train", alike).values, compose("train", [*alike, "hyperparams=none"]).values
    for key in ("algo", "env", "stop", "eval", "total_timesteps"):
        assert base.values[key] == tuned[key]
    assert defaults(base).values["algo"] == plain["algo"]


@pytest.mark.parametrize(
    ("given", "drawn_as"),
    [
        ({"linear": 1e-3}, {"linear": 5e-4}),
        ({"linear": [1e-3, 1e-5]}, {"linear": {"start": 5e-4, "end": 1e-5}}),
        ({"cosine": {"start": 1e-3, "end_fraction": 0.5}}, {"cosine": {"start": 5e-4, "end_fraction": 0.5}}),
        ({"constant": 1e-3}, {"constant": 5e-4}),
        (1e-3, 5e-4),
    ],
)
def test_what_is_searched_of_a_schedule_is_its_start(given: object, drawn_as: object) -> None:
    config = compose("train", ["algo=ppo", "env=CartPole", "hyperparams=none"]).values
    config = {**config, "algo": {**config["algo"], "learning_rate": given}}
    section = {"learning_rate": {"type": "float", "low": 1e-5, "high": 1e-2, "log": True}}
    space, problems = read(section, config)
    assert not problems
    assert space.nearest(config) == ({"learning_rate": 1e-3}, [])
    settings = space.settings({"learning_rate": 5e-4})
    assert settings == {"algo.learning_rate": drawn_as}
    assert space.values_of({"algo": {"learning_rate": settings["algo.learning_rate"]}}) == {"learning_rate": 5e-4}


def test_a_schedule_that_is_a_choice_is_one_whole_value() -> None:
    config = compose("train", ["algo=ppo", "env=CartPole"]).values
    assert config["algo"]["clip_range"] == {"linear": 0.2}
    values = {"falling": {"linear": 0.2}, "fixed": 0.1, "wide": {"linear": 0.4}}
    space, _ = read({"clip_range": {"type": "choice", "values": values}}, config)
    assert space.nearest(config)[0] == {"clip_range": {"linear": 0.2}}
    assert space.settings({"clip_range": {"linear": 0.4}}) == {"algo.clip_range": {"linear": 0.4}}


def test_the_nearest_that_can_be_drawn() -> None:
    assert Float(0.1, 1.0).nearest(0) == 0.1
    assert Float(0.0, 1.0, step=0.3).nearest(5) == pytest.approx(0.9)
    assert Int(1, 10, step=4).nearest(8) == 9
    assert Int(1, 10, step=4).nearest(100) == 9
    assert PowerOfTwo(16, 1024).nearest(100) == 128
    assert PowerOfTwo(16, 1024).nearest(0) == 16
    assert OneMinus(0.001, 0.1).nearest(1.0) == 0.999
    assert OneMinus(0.001, 0.1).nearest(0.5) == 0.9
    for sign in (-1, {"linear": 0.1}, float("nan"), None, True):
        with pytest.raises(ValueError, match=r"is not a number|nothing is near"):
            PowerOfTwo(1, 64).nearest(sign)
