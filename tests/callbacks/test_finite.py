"""What is not finite is found in any algorithm: by its own answer, by its state, by what it logs."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from stable_baselines3.common.logger import Logger

from rlzoo.algos.create import create
from rlzoo.config.compose import compose
from rlzoo.config.parse import parse
from rlzoo.envs import make
from rlzoo.errors import ExitCode, RlzooError
from rlzoo.protocols import State
from rlzoo.runs import checkpoints
from rlzoo.runs.run import Run
from rlzoo.training.callbacks import Checkpoints, NanGuard

TINY = ("env=CartPole", "hyperparams=none", "seed=1", "device=cpu", "algo.policy_kwargs.net_arch=[4]")


class Table:
    """An algorithm without networks, as one of a user's own."""

    num_timesteps = 7

    def __init__(self) -> None:
        self.values = np.zeros((3, 2))

    def state(self) -> State:
        return State({"values": self.values, "visits": np.zeros(3, dtype=int)})


@pytest.fixture
def env():
    made = make(parse(compose("train", list(TINY)).values).env, n_envs=1, seed=1, on_nan="stop")
    yield made
    made.close()


@pytest.mark.parametrize(("value", "word"), [(math.nan, "NaN"), (-math.inf, "infinite")])
def test_the_state_of_an_algorithm_of_ones_own_is_looked_at(value, word, env, tmp_path):
    algorithm, finite = Table(), NanGuard("stop", Run(tmp_path), env)
    finite.on_boundary(algorithm)
    algorithm.values[1, 1] = value
    with pytest.raises(RlzooError, match=f"at step 7: values is {word}") as error:
        finite.on_end(algorithm)
    assert error.value.code == ExitCode.TRAINING_FAILED


def test_a_loss_that_is_only_logged_is_heard(env, tmp_path):
    finite = NanGuard("stop", Run(tmp_path), env)
    finite.log({"train/explained_variance": math.nan, "eval/loss": math.nan, "train/loss": 1.0}, 7)
    finite.on_end(Table())
    finite.log({"train/value_loss": math.inf}, 7)
    with pytest.raises(RlzooError, match="train/value_loss is infinite"):
        finite.on_end(Table())


@pytest.mark.parametrize("algo", ["ppo", "dqn", "ars"])
def test_every_learned_tensor_is_looked_at_and_named(algo, env):
    algorithm = create(parse(compose("train", [f"algo={algo}", *TINY]).values).algo, env, seed=1, device="cpu")
    model = algorithm.model
    model.set_logger(Logger(None, []))
    named = {name: p for name, p in model.policy.named_parameters() if "_target" not in name}
    if algo == "ars":
        named["weights"] = model.weights
    assert algorithm.not_finite() == []
    for name, tensor in named.items():
        with torch.no_grad():
            before = tensor.view(-1)[-1].item()
            for value, word in ((math.nan, "NaN"), (math.inf, "infinite"), (3e38, None)):
                tensor.view(-1)[-1] = value
                found = algorithm.not_finite()
                assert [text.endswith(f" is {word}") for text in found] == ([True] if word else []), name
                assert not found or name == "weights" or found[0].startswith(name), "ARS's networks share its weights"
            tensor.view(-1)[-1] = before


@pytest.mark.parametrize("name", ["last", "best", "100"])
def test_a_model_that_is_not_finite_is_never_saved(name, env, tmp_path):
    run = Run(tmp_path)
    algorithm = create(parse(compose("train", ["algo=ppo", *TINY]).values).algo, env, seed=1, device="cpu")
    checkpoints.save(run, name, algorithm=algorithm, env=env, model_zip=True)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with torch.no_grad():
        algorithm.model.policy.action_net.bias[0] = math.nan
    with pytest.raises(checkpoints.NotFiniteError, match=r"action_net.bias is NaN; the previous one is kept"):
        checkpoints.save(run, name, algorithm=algorithm, env=env, model_zip=True)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(("setting", "kept"), [("auto", False), ("always", True), ("never", False)])
def test_a_replay_buffer_that_takes_the_disk_is_left_out_and_said(setting, kept, env, tmp_path: Path, capfd):
    """Sizes follow from what this disk has free: one transition of CartPole is 52 bytes."""
    free = shutil.disk_usage(tmp_path).free
    for share, fits in ((0.6, False), (0.4, True)):
        words = [
            f"algo.buffer_size={int(share * free / 52)}",
            "total_timesteps=1e12",
            f"checkpoint.replay_buffer={setting}",
        ]
        made = Checkpoints(parse(compose("train", ["algo=dqn", *TINY, *words]).values), Run(tmp_path), env)
        assert made._with_buffer == (kept or (setting == "auto" and fits))
        assert ("leave out the replay buffer" in capfd.readouterr().err) == (setting == "auto" and not fits)
