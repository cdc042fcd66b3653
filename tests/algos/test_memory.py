"""The estimate of a buffer's memory is what the real buffer takes."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv

from rlzoo.algos import memory
from rlzoo.algos.create import create
from rlzoo.algos.free_memory import Memory, cgroup_available
from rlzoo.algos.memory import Sizes, buffer_bytes, network_bytes, require
from rlzoo.config.compose import compose
from rlzoo.config.parse import parse
from rlzoo.envs.spaces import of as described_space
from rlzoo.errors import Problem, RlzooError
from tests.algos.conftest import SB3, case_of, defaults


def array_bytes(buffer: object) -> int:
    arrays = [value for value in vars(buffer).values() if isinstance(value, np.ndarray)]
    nested = [array for value in vars(buffer).values() if isinstance(value, dict) for array in value.values()]
    return sum(array.nbytes for array in (*arrays, *nested) if isinstance(array, np.ndarray))


BUFFERED = [name for name in SB3 if name not in ("ars", "dqn-her")]


@pytest.mark.parametrize("name", BUFFERED)
def test_estimate_is_what_is_allocated(name: str, make_env: Callable[..., VecEnv]) -> None:
    case = case_of(name)
    env = case.make(make_env, case.n_envs)
    model = create(case.config(), env, seed=0, device="cpu").model  # type: ignore[attr-defined]
    buffer = model.replay_buffer if hasattr(model, "replay_buffer") else model.rollout_buffer
    estimate = buffer_bytes(case.config(), Sizes.of(env.observation_space, env.action_space), n_envs=case.n_envs)
    assert estimate == array_bytes(buffer)


def test_atari() -> None:
    observation = spaces.Box(0, 255, (4, 84, 84), np.uint8)
    config = defaults("dqn", buffer_size=100_000)
    one = 2 * 4 * 84 * 84 + 8 + 12  # two observations, an int64 action; reward, done, timeout
    assert buffer_bytes(config, Sizes.of(observation, spaces.Discrete(6)), n_envs=1) == 100_000 * one
    half = defaults("dqn", buffer_size=100_000, optimize_memory_usage=True)
    assert buffer_bytes(half, Sizes.of(observation, spaces.Discrete(6)), n_envs=8) == 100_000 * (one - 4 * 84 * 84)


def test_hindsight_keeps_dicts(make_env: Callable[..., VecEnv]) -> None:
    env = make_env("BitFlipping-v0")
    estimate = buffer_bytes(case_of("dqn-her").config(), Sizes.of(env.observation_space, env.action_space), n_envs=1)
    assert estimate == 1000 * (2 * 30 + 8 + 12 + 88)


def test_no_buffer_no_memory(make_env: Callable[..., VecEnv]) -> None:
    env = make_env("CartPole-v1")
    assert buffer_bytes(defaults("ars"), Sizes.of(env.observation_space, env.action_space), n_envs=1) == 0


def test_inference_allocates_next_to_nothing(make_env: Callable[..., VecEnv]) -> None:
    for name in ("dqn", "ppo", "dqn-her"):
        case = case_of(name)
        config = case.config(**({"buffer_size": 1_000_000} if name != "ppo" else {"n_steps": 1_000_000}))
        model = create(config, make_env(case.env), seed=0, device="cpu", inference=True).model  # type: ignore[attr-defined]
        buffer = model.replay_buffer if hasattr(model, "replay_buffer") else model.rollout_buffer
        assert array_bytes(buffer) < 1000
        assert (model.buffer_size if name != "ppo" else model.n_steps) == 1_000_000


def test_networks_count_weights_gradients_and_moments() -> None:
    sizes = Sizes(16, 8, 4, 2)
    one = 64 * 1 + 64 + 64 * 32 + 32  # the input layer as if of a single number
    for net_arch in ([64, 32], {"pi": [64, 32], "vf": [8]}):
        assert network_bytes(defaults("ppo", policy_kwargs={"net_arch": net_arch}), sizes) == one * 4 * 4
    assert network_bytes(defaults("ppo"), sizes) == 0


@pytest.mark.parametrize("version", [1, 2])
def test_the_memory_of_a_control_group_is_read(version: int, tmp_path: Path) -> None:
    """The tightest of the groups around the process counts; cached files that can go are free."""
    controllers, mount = ("memory", tmp_path / "memory") if version == 1 else ("", tmp_path)
    limit, used, cache = {
        1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        2: ("memory.max", "memory.current", "inactive_file"),
    }[version]
    job = mount / "slurm" / "job_7"
    job.mkdir(parents=True)
    unlimited = "9223372036854771712" if version == 1 else "max"
    for group, bound in ((job, unlimited), (job.parent, "1000000")):
        (group / limit).write_text(f"{bound}\n")
        (group / used).write_text("300000\n")
        (group / "memory.stat").write_text(f"anon 5\n{cache} 100000\n")
    of = tmp_path / "cgroup"
    of.write_text(f"3:cpuset:/elsewhere\n7:{controllers}:/slurm/job_7\n")
    assert cgroup_available(of, tmp_path) == 800_000
    of.write_text("3:cpuset:/slurm/job_7\n")
    assert cgroup_available(of, tmp_path) is None
    assert cgroup_available(tmp_path / "missing", tmp_path) is None


def test_a_container_sees_its_own_group_at_the_top(tmp_path: Path) -> None:
    for name, text in (("memory.max", "500"), ("memory.current", "100"), ("memory.stat", "")):
        (tmp_path / name).write_text(text)
    (tmp_path / "cgroup").write_text("0::/outside/of/the/container\n")
    assert cgroup_available(tmp_path / "cgroup", tmp_path) == 400


def test_the_limit_of_the_shell_counts(tmp_path: Path) -> None:
    """A process that may have 4 GiB of address space is refused a buffer of 5, and told which fits."""
    code = (
        "import resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))\n"
        "from rlzoo.cli.main import main\n"
        "code = main(['train', 'algo=dqn', 'algo.buffer_size=100_000_000'])\n"
        "assert 'torch' not in sys.modules\n"
        "sys.exit(code)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    found = re.search(r"algo.buffer_size: needs 4.8 GiB, ([\d.]+) GiB can be allocated", done.stderr)
    assert found and 2 < float(found[1]) < 4, done.stderr
    fits = re.search(r"algo.buffer_size=(\d+) fits", done.stderr)
    assert fits and 0.5 * 2**30 < int(fits[1]) * 52 < 4 * 2**30
    assert list(tmp_path.iterdir()) == []


def test_what_does_not_fit_is_refused_for_the_real_spaces_too() -> None:
    config = parse(compose("train", ["algo=dqn", "algo.buffer_size=1e12"]).values)
    with pytest.raises(
        RlzooError, match=r"algo.buffer_size needs 47.3 TiB, .* can be allocated\n  algo.buffer_size=\d+"
    ):
        require(config, spaces.Box(-1, 1, (4,), np.float32), spaces.Discrete(2))


@pytest.mark.parametrize(
    ("words", "mib", "key"),
    [
        (["algo=ppo", "env.n_envs=4096", "env.vec_env=dummy"], 512, "env.n_envs"),
        (["algo=ppo", "env.frame_stack=64"], 256, "env.frame_stack"),
        (["algo=dqn", "env.frame_stack=64"], 8192, "env.frame_stack"),
        (["algo=dqn", "env.frame_stack=64"], 512, "algo.buffer_size"),  # a single frame would not fit either
        (["algo=a2c", "algo.n_steps=1e9"], 512, "algo.n_steps"),
        (["algo=ppo"], 8, "algo.n_steps"),  # no word of the user's
    ],
)
def test_the_setting_that_the_user_gave_is_the_one_to_change(monkeypatch, words, mib, key) -> None:
    def found(*more: str) -> list[Problem]:
        composition = compose("train", [*words, "env=SpaceInvaders", "total_timesteps=1e9", *more])
        config = parse(composition.values)
        observation = spaces.Box(0, 255, (int(config.env.frame_stack or 1), 84, 84), np.uint8)
        return memory.problems(config, Sizes.of(observation, spaces.Discrete(6)), typed=composition.typed)

    monkeypatch.setattr(memory, "available", lambda: Memory(mib * 2**20, mib * 2**20))
    (problem,) = found()
    assert problem.key == key
    advice = problem.hint.removesuffix(" fits")
    assert advice.startswith(f"{key}=") and found(advice) == []


def test_nothing_is_advised_that_cannot_be(monkeypatch) -> None:
    monkeypatch.setattr(memory, "available", lambda: Memory(1000, 1000))
    for words in (["algo=ppo", "env=CartPole", "env.n_envs=8"], ["algo=dqn", "env=CartPole", "algo.buffer_size=100"]):
        composition = compose("train", words)
        *_, problem = memory.problems(parse(composition.values), Sizes(2000, 8, 4, 2), typed=composition.typed)
        assert problem.hint == "a single step is too large"


VAST = {
    "ppo": (spaces.Discrete(10**9), spaces.Discrete(2), "env.observation_space"),
    "dqn": (spaces.Box(-1, 1, (3,)), spaces.Discrete(10**9), "env.action_space"),
    "a2c": (spaces.MultiDiscrete([10**8] * 3), spaces.Discrete(2), "env.observation_space"),
    "sac": (spaces.Dict(a=spaces.Discrete(10**9), b=spaces.Box(-1, 1, (3,))), spaces.Box(-1, 1, (2,)), "env.obs"),
    "q_learning": (spaces.Discrete(10**9), spaces.Discrete(2), "env.observation_space"),
    "monte_carlo": (spaces.Discrete(10), spaces.Discrete(10**9), "env.action_space"),
}


@pytest.mark.parametrize("name", VAST)
def test_spaces_of_more_values_than_there_is_memory_are_refused(name: str, monkeypatch) -> None:
    observation, action, key = VAST[name]
    monkeypatch.setattr(memory, "available", lambda: Memory(8 * 2**30, 8 * 2**30))
    words = [f"algo={name}", f"env={'Pendulum' if name == 'sac' else 'FrozenLake'}"]
    config = parse(compose("train", [*words, *(["algo.buffer_size=100"] if name in ("dqn", "sac") else [])]).values)
    described = Sizes.of_text(described_space(observation), described_space(action))
    for sizes in (Sizes.of(observation, action), described):
        problem, *_ = memory.problems(config, sizes)
        assert problem.key.startswith(key) and "outputs, which need" in problem.message
    assert memory.problems(config, Sizes(16, 8, 4, 2, n_inputs=1000)) == []


@pytest.mark.parametrize("name", ["ppo", "dqn", "q_learning"])
def test_what_values_take_at_least_is_no_more_than_what_is_built(name: str, make_env) -> None:
    env = make_env("Taxi-v4")
    algorithm = create(defaults(name), env, seed=0, device="cpu")
    if name == "q_learning":
        built = algorithm.q_values.nbytes  # type: ignore[attr-defined]
    else:
        built = 16 * sum(each.numel() for each in algorithm.model.policy.parameters())  # type: ignore[attr-defined]
    estimate = memory.ends_bytes(defaults(name), Sizes.of(env.observation_space, env.action_space))
    assert built / 4 <= estimate <= built
