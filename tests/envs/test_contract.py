"""What an environment hands over is nobody's but the training's, and plain, or is refused in the contract's words."""

from __future__ import annotations

import os
import re
import threading
from copy import deepcopy
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

import rlzoo
from rlzoo import console
from rlzoo.config import env_names
from rlzoo.envs import contract, make
from rlzoo.envs.contract import Contract, ContractError
from rlzoo.envs.make import make_raw
from rlzoo.envs.monitor import EpisodeMonitor
from rlzoo.envs.snapshot import proven
from rlzoo.runs import checkpoints
from tests.small import SMALL

TESTS = Path(__file__).parents[1]


class Odd(gymnasium.Env):
    """Returns from `step` what it was made with."""

    observation_space: Any = spaces.Box(-1, 1, (2,), np.float32)
    action_space: Any = spaces.Discrete(2)

    def __init__(self, **answers: Any) -> None:
        self.answers = answers

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> Any:
        return self.answers.get("reset", (np.zeros(2, np.float32), {}))

    def step(self, action: Any) -> Any:
        given = {"observation": np.zeros(2, np.float32), "reward": 0.0, "terminated": False, "truncated": False}
        return self.answers.get("step", tuple({**given, "info": {}, **self.answers}.values()))


def line_of(method: str) -> str:
    return f"{os.path.relpath(__file__)}:{getattr(Odd, method).__code__.co_firstlineno}"


FIVE = "step() must return five values, (observation, reward, terminated, truncated, info), not"
GARBAGE = [
    ({"step": None}, f"{FIVE} nothing"),
    ({"step": (0, 1.0, False)}, f"{FIVE} 3 values"),
    ({"step": 5}, f"{FIVE} 5"),
    ({"observation": None}, "step(): observation is None, and observation_space is a Box of shape (2,) and float32"),
    ({"observation": np.zeros(3)}, "step(): observation has shape (3,), and observation_space declares (2,)"),
    ({"observation": np.zeros((1, 2))}, "step(): observation has shape (1, 2), and"),
    ({"observation": [0, "a"]}, "step(): observation is a list of 2, and"),
    ({"observation": [[0, 1], [2]]}, "step(): observation is a list of 2, and"),
    ({"observation": {"a": 1}}, "step(): observation is a dict, and"),
    ({"reward": None}, "step() must return one number as the reward, not None"),
    ({"reward": np.zeros(2)}, "one number as the reward, not an array of shape (2,)"),
    ({"reward": "1.5"}, "one number as the reward, not the text '1.5'"),
    ({"reward": [1.0, 2.0]}, "one number as the reward, not a list of 2"),
    ({"reward": 10**400}, f"one number as the reward, not 1{'0' * 56}... ("),
    ({"reward": -(10**5000)}, "one number as the reward, not a number of 16610 bits"),
    ({"reward": [10**400]}, "one number as the reward, not a list of 1"),
    ({"reward": Fraction(10**400)}, "one number as the reward, not a fractions.Fraction"),
    ({"reward": Decimal("sNaN")}, "one number as the reward, not a decimal.Decimal"),
    ({"observation": (10**400, 0)}, "step(): observation is a tuple of 2, and"),
    ({"reward": 1j}, "one number as the reward, not a complex"),
    ({"terminated": None}, "step() must return True or False as terminated, not None"),
    ({"truncated": "no"}, "True or False as truncated, not the text 'no'"),
    ({"truncated": np.array([True, False])}, "True or False as truncated, not a numpy.ndarray"),
    ({"terminated": {}}, "True or False as terminated, not a dict"),
    ({"info": None}, "where info is a dict, not None"),
    ({"info": [("a", 1)]}, "where info is a dict, not a list of 1"),
    ({"reset": np.zeros(3)}, "reset() must return two values, (observation, info), not a numpy.ndarray alone"),
    ({"reset": (np.zeros(2), None)}, "where info is a dict, not None"),
    ({"reset": (np.zeros(5), {})}, "reset(): observation has shape (5,), and observation_space declares (2,)"),
    ({"reset": None}, "reset() must return two values, (observation, info), not nothing"),
]


@pytest.mark.parametrize(("answers", "words"), GARBAGE)
def test_garbage_is_refused_in_the_words_of_the_contract(answers, words):
    env = Contract(Odd(**answers))
    with pytest.raises(ContractError) as caught:
        env.reset()
        env.step(0)
    assert words in caught.value.message
    assert caught.value.message.endswith(f"({line_of('reset' if 'reset' in answers else 'step')})")


@pytest.mark.parametrize(
    ("answers", "reward", "ends"),
    [
        ({"reward": np.array([2.5])}, 2.5, (False, False)),
        ({"reward": [2.5]}, 2.5, (False, False)),
        ({"reward": np.array(2.5)}, 2.5, (False, False)),
        ({"reward": np.float32(0.5), "terminated": np.bool_(True)}, 0.5, (True, False)),
        ({"reward": True, "truncated": 1}, 1.0, (False, True)),
        ({"reward": 3, "terminated": np.array([0]), "truncated": np.array(True)}, 3.0, (False, True)),
        ({"observation": [1, 2]}, 0.0, (False, False)),
        ({"observation": (np.float64(1), 2)}, 0.0, (False, False)),
    ],
)
def test_what_only_resembles_a_number_becomes_one(answers, reward, ends):
    env = Contract(Odd(**answers))
    env.reset()
    observation, *rest, info = env.step(0)
    assert rest == [reward, *ends] and [type(part) for part in rest] == [float, bool, bool] and type(info) is dict
    assert isinstance(observation, np.ndarray) and observation.shape == (2,)


BOX = spaces.Box(0, 9, (2,), np.int16)
TAKEN = [
    (spaces.Discrete(3), 2, 2),
    (spaces.Discrete(3, start=-1), np.int8(-1), -1),
    (spaces.Discrete(3), np.array([1]), 1),
    (spaces.Discrete(3), 2.0, 2),
    (spaces.Box(0, 1, (1,)), 0.5, np.array([0.5])),
    (spaces.Box(0, 1, ()), np.array([0.5]), np.array(0.5)),
    (spaces.MultiDiscrete([2, 3]), [1, 2], np.array([1, 2])),
    (spaces.MultiBinary(2), (True, False), np.array([True, False])),
    (spaces.Dict(a=BOX, b=spaces.Discrete(2)), {"b": 1, "a": [1, 2], "c": "more"}, {"a": np.array([1, 2]), "b": 1}),
    (spaces.Tuple([BOX, spaces.Tuple([BOX])]), [[1, 2], ([3, 4],)], (np.array([1, 2]), (np.array([3, 4]),))),
    (spaces.Text(5), "abc", "abc"),
]


@pytest.mark.parametrize(("space", "value", "taken"), TAKEN)
def test_observations_of_every_kind_of_space_are_taken(space, value, taken):
    np.testing.assert_equal(contract.taker(space)(value), taken)


@pytest.mark.parametrize(
    ("space", "value", "words"),
    [
        (spaces.Discrete(3), 3, "observation is 3, and observation_space declares 0 to 2"),
        (
            spaces.Discrete(3),
            1.5,
            "observation is float64, and observation_space declares int64: it loses its fractions",
        ),
        (spaces.Discrete(3), "1", "observation is the text '1', and"),
        (spaces.Dict(a=BOX), {"b": 1}, "observation lacks 'a', which observation_space has"),
        (spaces.Dict(a=spaces.Dict(b=BOX)), {"a": {"b": 5}}, "observation['a']['b'] has shape (), and"),
        (spaces.Dict(a=BOX), [1, 2], "observation is a list of 2, and observation_space is a Dict of 'a'"),
        (spaces.Tuple([BOX]), ([1, 2], 3), "observation has 2, and observation_space is a Tuple of 1 parts"),
        (spaces.MultiBinary(2), np.array(["a", "b"]), "observation is an array of <U1, and"),
    ],
)
def test_observations_of_another_form_are_named(space, value, words):
    env = Odd(observation=value)
    env.observation_space = space
    with pytest.raises(ContractError, match=re.escape(words)):
        Contract(env).step(0)


def test_a_space_that_is_missing_is_named():
    class Nowhere(Odd):
        observation_space = None

    with pytest.raises(ContractError, match=r"observation_space must be a space .*test_contract\.py:\d+\)"):
        Contract(Nowhere())


@pytest.mark.parametrize("masks", ["yes", None, [True], np.ones(3, bool), ["a", "b"]])
def test_masks_that_are_none_are_named(masks):
    env = Odd()
    env.action_masks = lambda: masks
    with pytest.raises(ContractError, match=r"action_masks\(\) must return 2 times True or False"):
        Contract(env).get_wrapper_attr("action_masks")()


@pytest.mark.parametrize(
    ("rewards", "taken"), [(np.ones((2, 1)), [1, 1]), ([1, 2], [1, 2]), (3, None), ("no", None), (np.ones(3), None)]
)
def test_rewards_of_goals_are_one_for_each(rewards, taken):
    env = Odd()
    env.observation_space = spaces.Dict(achieved_goal=BOX)
    env.compute_reward = lambda *_: rewards
    compute_reward = Contract(env).get_wrapper_attr("compute_reward")
    if taken is not None:
        assert compute_reward(np.zeros((2, 2)), np.zeros((2, 2)), [{}, {}]).tolist() == taken
        return
    with pytest.raises(
        ContractError, match=r"compute_reward\(\) must return an array of 2 rewards for 2 goals at once"
    ):
        compute_reward(np.zeros((2, 2)), np.zeros((2, 2)), [{}, {}])


def test_goals_that_compute_reward_writes_into_are_its_own():
    def compute_reward(achieved: Any, desired: Any, info: Any) -> np.ndarray:
        achieved[:], desired[:] = 5, 6
        return np.zeros(2)

    env, goals = Odd(), np.zeros((2, 2))
    env.observation_space = spaces.Dict(achieved_goal=BOX)
    env.compute_reward = compute_reward
    Contract(env).get_wrapper_attr("compute_reward")(goals, goals, [{}, {}])
    assert not goals.any()


def test_masks_that_allow_nothing_are_said_once(capsys, monkeypatch):
    monkeypatch.setattr(console, "_warned", set())
    env = Odd()
    env.action_masks = lambda: np.zeros(2, bool)
    for _ in range(2):
        assert not Contract(env).get_wrapper_attr("action_masks")().any()
    assert capsys.readouterr().err.count("allows no action at all") == 1


class Shared(Odd):
    """Hands out the same things again and again."""

    def __init__(self) -> None:
        super().__init__()
        self.t, self.array, self.info = 0, np.zeros(2, np.float32), {"deep": {"array": np.zeros(1)}, "list": [0]}

    def step(self, action: Any) -> Any:
        self.t += 1
        self.array += 1
        action *= 0
        self.info["deep"]["array"] += 1
        self.info["list"][0] += 1
        return self.array, 0.0, self.t % 3 == 0, False, self.info


def test_nothing_that_came_out_is_changed_later_nor_what_went_in():
    env = EpisodeMonitor(Contract(Shared()))
    action, seen = np.array([3, 4]), []
    for _ in range(3):
        env.reset()
        seen += [env.step(action) for _ in range(3)]
    assert [observation.tolist() for observation, *_ in seen] == [[t, t] for t in range(1, 10)]
    assert [(info["deep"]["array"][0], info["list"][0]) for *_, info in seen] == [(t, t) for t in range(1, 10)]
    assert ["episode" in info for *_, info in seen] == [False, False, True] * 3
    assert action.tolist() == [3, 4] and "episode" not in env.unwrapped.info


def test_names_of_rlzoos_own_are_moved_aside():
    info = {"episode": 7, "terminal_observation": "x", "TimeLimit.truncated": [1], "is_success": True}
    env = EpisodeMonitor(Contract(Odd(info=info, terminated=True)))
    env.reset()
    found = env.step(0)[4]
    assert found.pop("episode")["l"] == 1
    aside = {"env.episode": 7, "env.terminal_observation": "x", "env.TimeLimit.truncated": [1], "is_success": True}
    assert found == aside


class Talks(gymnasium.Wrapper):
    """A wrapper of a user's own, around the monitor."""

    def step(self, action: Any) -> Any:
        *result, info = self.env.step(action)
        self.info = {**info, "episode": "mine"}
        return *result, self.info


gymnasium.register(
    "Talkative-v0", lambda **_: Odd(terminated=True, info={"lock": threading.Lock(), "f": lambda: 0, "n": 1})
)


@pytest.mark.parametrize("vec_env", ["dummy", "subproc"])
def test_what_cannot_be_copied_or_sent_is_left_out_and_said_once(env_config, vec_env, capsys, monkeypatch):
    monkeypatch.setattr(console, "_warned", set())
    cfg = env_config("gym", id=f"{__name__}:Talkative-v0", wrappers={f"{__name__}:Talks": {}}, vec_env=vec_env)
    env = make(cfg, n_envs=2, seed=0)
    env.reset()
    for _ in range(3):
        infos = env.step(np.zeros(2, int))[3]
    env.close()
    for info in infos:
        assert info["n"] == 1 and info["episode"]["l"] == 1 and "lock" not in info
        assert ("f" in info) == (vec_env == "dummy")
    said = capsys.readouterr().err
    assert said.count("info['lock'] of the environment is left out") == 1
    assert said.count("info['f'] of the environment is left out") == (1 if vec_env == "subproc" else 0)


def learned(words: tuple[str, ...], tmp_path: Path, *extra: str) -> list[tuple[str, ...]]:
    """What is learned in an environment that reuses what it hands out, and in one that does not."""
    [name] = [word.removeprefix("env=") for word in words if word.startswith("env=")]
    ids = {short: env_id for env_id, short in env_names.short_names().items()}
    env_id = "reusing:Reusing" + {"TaxiMasked": "Masks", "BitFlipping": "Goals"}.get(name, "") + "-v0"
    found = []
    for reuse in ("true", "false"):
        own = [f"env.id={env_id}", f"env.kwargs={{of: {ids[name]}, reuse: {reuse}}}", f"runs_dir={tmp_path / reuse}"]
        own += ["env=gym", "seed=1", "logger=[]", "eval.freq=0", "eval.final_n_episodes=1", *extra]
        run = rlzoo.train(*(word for word in words if word != f"env={name}"), *own)
        found.append((checkpoints.fingerprint(run.checkpoint("last")), run.read_results()[-1]["returns"]))
        assert "restarted" not in run.log_file.read_text()
    return found


EARLY = {
    "ppo": ("env.normalize=true", "env.frame_stack=2"),
    "ppo-subproc": (),
    "ppo_scratch": ("env.frame_stack=3",),
    "maskable_ppo": (),
    "dqn-her": (),
    "sac-noise": ("env.normalize={norm_reward: false}",),
    "dqn_scratch-rainbow": (),
    "q_learning": (),
}
PLANS = ("value_iteration", "policy_iteration")
LATE = [name for name in SMALL if name not in EARLY and SMALL[name][0].partition("=")[2] not in PLANS]


@pytest.mark.parametrize("name", EARLY)
def test_the_same_is_learned_from_an_environment_that_reuses_what_it_hands_out(name, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(TESTS)
    one, other = learned(SMALL[name], tmp_path, *EARLY[name])
    assert one == other


@pytest.mark.slow
@pytest.mark.parametrize("vec_env", ["dummy", "subproc"])
@pytest.mark.parametrize("name", LATE)
def test_every_algorithm_learns_the_same(name, vec_env, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(TESTS)
    n_envs = 1 if any("episode]" in word for word in SMALL[name]) else 2  # whole episodes take a single environment
    one, other = learned(SMALL[name], tmp_path, f"env.vec_env={vec_env}", f"env.n_envs={n_envs}")
    assert one == other


KNOWN = sorted(proven.IDS)


@pytest.mark.parametrize(
    "env_id", [each if each not in proven.ATARI[2:] else pytest.param(each, marks=pytest.mark.slow) for each in KNOWN]
)
def test_shipped_environments_need_no_copies(env_id):
    """They are played without `Contract`: nothing that they hand out is ever changed later."""
    env = make_raw(env_id, imports=["ale_py"], max_steps=4)
    assert not any(isinstance(layer, Contract) for layer in chain(env))
    env.action_space.seed(0)
    kept = [env.reset(seed=0)]
    for _ in range(10):
        kept.append(env.step(env.action_space.sample()))
        _, reward, *ends, info = kept[-1]
        assert np.size(reward) == 1 and all(isinstance(end, bool | np.bool_) for end in ends) and type(info) is dict
        assert not set(contract.OURS).intersection(info)
        kept[-1] = (*kept[-1], deepcopy(kept[-1]))
        if any(ends):
            kept.append(env.reset())
            kept[-1] = (*kept[-1], deepcopy(kept[-1]))
    env.close()
    for *now, then in kept[1:]:
        np.testing.assert_equal(tuple(now), then)


def chain(env: Any) -> Any:
    while isinstance(env, gymnasium.Wrapper):
        yield env
        env = env.env
