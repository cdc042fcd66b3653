"""NaN and infinity from environments, in losses and in weights: the training ends, and no such model is kept."""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

import rlzoo
from rlzoo.errors import ExitCode, RlzooError

MODULE = '''
import gymnasium
import numpy as np
from gymnasium import spaces


class Faulty(gymnasium.Env):
    """Gives `value` in its observation or reward at its own step `at`, if it is the environment number `index`."""

    n_made = 0

    def __init__(self, what="", value="nan", at=0, index=0, actions="discrete", kind="box", of=None):
        self.what, self.value, self.at, self.kind = what, float(value), at, kind
        box = spaces.Box(-np.inf, np.inf, (3,), np.float32)
        self.observation_space = box if kind == "box" else spaces.Dict(image=spaces.Discrete(4), velocity=box)
        self.action_space = spaces.Discrete(2) if actions == "discrete" else spaces.Box(-1, 1, (1,), np.float32)
        self.index, self.t, self.mine = index, 0, index < 0  # below 0: every environment
        self.of = of  # the seed of the only one

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None and self.index >= 0:
            self.mine = seed % 2 == self.index and seed > 0  # 0 is for its trial; environment i starts from seed + i
            self.mine = self.mine if self.of is None else seed == self.of
        return self._seen(0.0), {}

    def step(self, action):
        self.t += 1
        bad = self.mine and self.t == self.at
        reward = self.value if bad and self.what == "reward" else float(self.np_random.normal())
        extra = self.value if bad and self.what == "observation" else 0.0
        return self._seen(extra), reward, self.t % 10 == 0, False, {}

    def _seen(self, extra):
        seen = self.np_random.normal(size=3).astype(np.float32)
        seen[1] += extra
        return seen if self.kind == "box" else {"image": 1, "velocity": seen}


gymnasium.register("BadNumbers-v0", Faulty)
'''
OFF_POLICY = ("algo.learning_starts=20", "algo.batch_size=8", "algo.buffer_size=200", "algo.policy_kwargs.net_arch=[8]")
ALGOS = {
    "ppo": ("algo.n_steps=16", "algo.batch_size=16", "algo.n_epochs=2", "algo.policy_kwargs.net_arch=[8]"),
    "a2c": ("algo.n_steps=8", "algo.policy_kwargs.net_arch=[8]"),
    "dqn": OFF_POLICY,
    "sac": (*OFF_POLICY, "env.kwargs.actions=continuous"),
    "ars": ("algo.n_delta=2", "algo.n_top=2", "algo.n_eval_episodes=1", "algo.policy_kwargs.net_arch=[8]"),
}
TOTAL, AT = 240, 61
"""Steps of a training over both environments, and the step of one of them that goes wrong."""


@pytest.fixture(autouse=True)
def faulty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A module with an environment that gives what it should not, in the current folder."""
    (tmp_path / "faulty_env.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    torch.set_num_threads(1)
    yield
    sys.modules.pop("faulty_env", None)
    gymnasium.registry.pop("BadNumbers-v0", None)


def train(algo: str, *words: str) -> rlzoo.Run:
    own = ("env=gym", "env.id=faulty_env:BadNumbers-v0", "hyperparams=none", "env.n_envs=2", "logger=[]", "seed=2")
    counts = (f"total_timesteps={TOTAL}", "eval.freq=48", "eval.n_episodes=1", "eval.final_n_episodes=1")
    return rlzoo.train(f"algo={algo}", *own, *counts, "checkpoint.freq=40", *ALGOS[algo], *words)


def fails(algo: str, *words: str) -> RlzooError:
    with pytest.raises(RlzooError) as error:
        train(algo, *words)
    assert error.value.code == ExitCode.TRAINING_FAILED, error.value
    assert rlzoo.Run.open("latest").read_info()["status"] == "failed"
    return error.value


def checkpoints_are_finite() -> list[str]:
    """The names of the checkpoints of the only run, each float array of which is finite."""
    run = rlzoo.Run.open("latest")
    for path in run.checkpoints_dir.rglob("*.safetensors"):
        for name, array in load_file(path).items():
            assert array.dtype.kind != "f" or np.isfinite(array).all(), (path, name)
    return [checkpoint.name for checkpoint in run.checkpoints()]


CASES = [
    (algo, what, value, index)
    for (algo, what), (value, index) in zip(
        itertools.product(ALGOS, ("observation", "reward")),
        itertools.cycle([("nan", 1), ("inf", 0), ("-inf", 1), ("nan", 0)]),
        strict=False,
    )
]


@pytest.mark.parametrize(("algo", "what", "value", "index"), CASES)
def test_what_an_environment_gives_ends_the_training_in_that_step(algo, what, value, index, record_property):
    words = (f"env.kwargs.{key}={setting}" for key, setting in
             {"what": what, "value": f"'{value}'", "at": AT, "index": index}.items())  # fmt: skip
    error = fails(algo, *words)
    kind = "NaN" if value == "nan" else "infinite"
    entry = r" \(entry 1\)" if what == "observation" else ""
    found = re.fullmatch(rf"{kind} {what}{entry} from environment {index} at step (\d+)", error.message)
    assert found, error.message
    assert int(found[1]) == 2 * AT, "both environments have taken this many steps when one of them gives it"
    names = checkpoints_are_finite()
    assert "last" in names and f"kept: {', '.join(names)}" in error.hint
    record_property("steps_until_seen", int(found[1]) - 2 * AT)


@pytest.mark.parametrize("value", ["nan", "-inf"])
def test_what_an_evaluation_on_the_way_is_shown_ends_the_training_too(value, monkeypatch):
    seeds = []
    monkeypatch.setattr("rlzoo.training.callbacks.evaluate.episode_seeds", lambda *_: seeds.append(7) or [777])
    words = ("env.kwargs.what=observation", f"env.kwargs.value='{value}'", "env.kwargs.at=3", "env.kwargs.of=777")
    error = fails("ppo", *words)
    kind = "NaN" if value == "nan" else "infinite"
    assert error.message == f"{kind} observation (entry 1) from evaluation environment 0 at step 3"
    assert seeds


@pytest.mark.parametrize("algo", ALGOS)
def test_weights_that_overflow_end_the_training_in_that_update(algo):
    clip = ["algo.max_grad_norm=1e30"] if algo in ("ppo", "a2c") else []
    error = fails(algo, f"algo.learning_rate={'3e38' if algo == 'ars' else '1e30'}", *clip)
    assert re.match(r"the training diverged (at|in the update after) step \d+: [\w.]+ is (NaN|infinite)", error.message)
    assert "smaller algo.learning_rate" in error.hint
    checkpoints_are_finite()


def test_told_to_warn_the_training_goes_on_and_keeps_what_was_finite(capfd):
    often = ("algo.train_freq=1", "algo.gradient_steps=4")
    run = train("dqn", "env.kwargs.what=reward", f"env.kwargs.at={AT}", "on_nan=warn", *often)
    said = capfd.readouterr().err
    assert said.count("NaN reward from environment 0 at step 122") == 1
    assert said.count("the training diverged at") == 1
    assert run.read_info()["status"] == "finished"
    assert "last" in checkpoints_are_finite()
    assert "the previous one is kept" in said
    assert run.checkpoint("last").num_timesteps < TOTAL


def test_an_update_is_named_where_warning_cannot_help():
    """PPO's own distribution fails on NaN: what came before it is told."""
    error = fails("ppo", "env.kwargs.what=observation", f"env.kwargs.at={AT}", "on_nan=warn")
    assert error.message.startswith("training failed after NaN observation (entry 1) from environment 0 at step 122: ")
    checkpoints_are_finite()


@pytest.mark.parametrize("vec_env", ["dummy", "subproc"])
def test_parts_of_a_dict_are_named_in_workers_too(vec_env):
    error = fails("ppo", "env.kwargs.kind=dict", "env.kwargs.what=observation", f"env.kwargs.at={AT}",
                  "env.kwargs.index=1", f"env.vec_env={vec_env}")  # fmt: skip
    assert error.message == "NaN observation (velocity[1]) from environment 1 at step 122"


def test_a_training_that_goes_on_counts_on():
    """The environment counts its own steps, anew in a new process; the message counts those of the whole training."""
    train("dqn", "env.kwargs.what=reward", "env.kwargs.at=125", "env.kwargs.index=-1")
    run = rlzoo.Run.open("latest")
    with pytest.raises(RlzooError) as error:
        rlzoo.train(f"resume={run.path}", "total_timesteps=600")
    assert error.value.message == "NaN reward from environment 0 at step 490"
    checkpoints_are_finite()
