"""The two legacy pickles: written as others read them, and read as others write them, in every protocol."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecFrameStack, VecNormalize

from rlzoo.envs.vector.normalization import load_statistics, statistics
from rlzoo.errors import ExitCode, RlzooError
from rlzoo.untrusted.pickle_files import read_q_learning, read_vec_normalize, write_q_learning, write_vec_normalize
from rlzoo.untrusted.pickle_reader import MAX_OPCODES, UnreadableError, parse, to_array


class Goals(gymnasium.Env):
    """A Dict observation and an action space with several parts."""

    observation_space = gymnasium.spaces.Dict(
        {"goal": gymnasium.spaces.Box(-1, 1, (2,)), "place": gymnasium.spaces.Box(-1, 1, (3,))}
    )
    action_space = gymnasium.spaces.MultiDiscrete([2, 3])

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        self.observation_space.seed(seed)
        return self.observation_space.sample(), {}

    def step(self, action: np.ndarray):
        return self.observation_space.sample(), 1.0, False, False, {}


def pendulum() -> gymnasium.Env:
    return gymnasium.make("Pendulum-v1")


def played(make: Callable[[], gymnasium.Env], **options: Any) -> VecNormalize:
    env = VecNormalize(DummyVecEnv([make, make]), **options)
    env.seed(0)
    env.action_space.seed(0)
    env.reset()
    for _ in range(20):
        env.step(np.stack([env.action_space.sample(), env.action_space.sample()]))
    return env


CASES = {
    "plain": (pendulum, {}),
    "no_obs": (pendulum, {"norm_obs": False}),
    "unlimited": (pendulum, {"clip_reward": np.inf, "gamma": 0.9, "epsilon": 1e-6}),
    "dict": (Goals, {}),
    "dict_part": (Goals, {"norm_obs_keys": ["goal"]}),
}


@pytest.mark.parametrize("case", CASES)
def test_statistics_of_stable_baselines3(case: str, tmp_path: Path):
    make, options = CASES[case]
    env = played(make, **options)
    env.save(str(tmp_path / "vec_normalize.pkl"))
    found, expected = read_vec_normalize(tmp_path / "vec_normalize.pkl"), statistics(env)
    assert expected is not None
    assert found.values == expected.values
    assert found.tensors.keys() == expected.tensors.keys()
    for name in found.tensors.keys() - {"returns"}:
        assert np.array_equal(found.tensors[name], expected.tensors[name]), name
    other = VecNormalize(DummyVecEnv([make]), **options)
    load_statistics(other, found)
    assert other.ret_rms.count == env.ret_rms.count


@pytest.mark.parametrize("case", CASES)
def test_stable_baselines3_reads_what_is_written(case: str, tmp_path: Path):
    make, options = CASES[case]
    env = played(make, **options)
    path = tmp_path / "vec_normalize.pkl"
    stacked: VecEnv = env if make is Goals else VecFrameStack(env, 2)
    write_vec_normalize(path, stacked)
    own = VecNormalize.load(str(path), DummyVecEnv([make]))
    found, expected = statistics(own), statistics(env)
    assert found is not None and expected is not None
    assert found.values == expected.values
    assert read_vec_normalize(path).values == expected.values
    assert env.venv is not None and env.reset_infos  # what is written is a copy


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol(protocol: int, tmp_path: Path):
    path = tmp_path / "file.pkl"
    env = played(pendulum)
    path.write_bytes(pickle.dumps(env, protocol=protocol))
    assert np.array_equal(read_vec_normalize(path).tensors["obs_mean"], env.obs_rms.mean)
    table = np.asfortranarray(np.random.default_rng(0).normal(size=(5, 3)))
    for dtype in ("float64", "float32", "int64", ">f8"):
        path.write_bytes(pickle.dumps({"qtable": table.astype(dtype), "gamma": 0.95}, protocol=protocol))
        found = read_q_learning(path)
        assert np.array_equal(found.qtable, table.astype(dtype))
        assert found.values == {"gamma": 0.95}


def test_a_q_table_as_the_course_shares_it(tmp_path: Path):
    values = {"env_id": "Taxi-v3", "max_steps": 99, "eval_seed": [16, 54], "decay_rate": 0.005, "slippery": False}
    table = np.arange(12.0).reshape(4, 3)
    write_q_learning(tmp_path / "q-learning.pkl", table, values)
    with (tmp_path / "q-learning.pkl").open("rb") as file:
        own = pickle.load(file)
    assert np.array_equal(own.pop("qtable"), table)
    assert own == values
    found = read_q_learning(tmp_path / "q-learning.pkl")
    assert found.values == values
    assert np.array_equal(found.qtable, table)
    found.qtable[0, 0] = 1.0  # not a view of the file


def test_numbers_of_numpy_are_plain(tmp_path: Path):
    path = tmp_path / "q-learning.pkl"
    path.write_bytes(pickle.dumps({"qtable": np.zeros((2, 2)), "lr": np.float64(0.7), "seeds": np.arange(3)}))
    assert read_q_learning(path).values == {"lr": 0.7, "seeds": [0, 1, 2]}


@pytest.mark.parametrize("value", [{"qtable": [[1.0]]}, {"qtable": np.zeros(3)}, {"q": np.zeros((2, 2))}, [1], 5, None])
def test_other_contents_are_refused(value: Any, tmp_path: Path):
    path = tmp_path / "q-learning.pkl"
    path.write_bytes(pickle.dumps(value))
    with pytest.raises(RlzooError, match="does not hold a Q-table") as error:
        read_q_learning(path)
    assert error.value.code == ExitCode.UNSAFE


def test_only_plain_values_are_written(tmp_path: Path):
    with pytest.raises(UnreadableError):
        write_q_learning(tmp_path / "q-learning.pkl", np.zeros((2, 2)), {"model": object()})
    assert not (tmp_path / "q-learning.pkl").exists()


def test_an_environment_without_statistics_has_none_to_write(tmp_path: Path):
    with pytest.raises(RlzooError, match="not normalised"):
        write_vec_normalize(tmp_path / "vec_normalize.pkl", DummyVecEnv([pendulum]))


def test_names_are_compared_whole():
    data = pickle.dumps(np.zeros(2), protocol=4)
    assert isinstance(
        to_array(parse(data, frozenset({"numpy._core.multiarray _reconstruct", "numpy ndarray", "numpy dtype"}))),
        np.ndarray,
    )
    for allowed in (frozenset({"numpy._core.multiarray"}), frozenset({"numpy.* *"}), frozenset()):
        with pytest.raises(UnreadableError, match="it names"):
            parse(data, allowed)


def test_long_pickles_are_refused():
    with pytest.raises(UnreadableError, match="instructions"):
        parse(b"\x80\x04](" + b"N" * MAX_OPCODES + b"e.", frozenset())
    with pytest.raises(UnreadableError, match=r"no end|damaged"):
        parse(b"\x80\x04]", frozenset())
