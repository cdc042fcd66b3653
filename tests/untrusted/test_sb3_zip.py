"""Models saved by plain Stable-Baselines3 and sb3-contrib load without unpickling, and act as under its own load."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize, VecTransposeImage

from rlzoo.algos.specs import ALGOS
from rlzoo.config.schema import AlgoConfig
from rlzoo.envs.vector.normalization import normalize_observation
from rlzoo.errors import ExitCode, RlzooError
from rlzoo.untrusted import sb3_zip
from rlzoo.untrusted.pickle_files import read_vec_normalize
from tests.untrusted.models import BATCHES, MODELS, run_child


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a zip of every model, observations for it, and statistics where it has them."""
    folder = tmp_path_factory.mktemp("saved")
    torch.set_num_threads(1)
    for name, model in MODELS.items():
        trained = model.train()
        trained.save(folder / f"{name}.zip")
        trained.observation_space.seed(0)
        observations = np.stack([np.asarray(trained.observation_space.sample()) for _ in range(50)])
        np.save(folder / f"{name}.npy", observations)
        if model.normalized:
            trained.get_vec_normalize_env().save(folder / f"{name}.pkl")
    return folder


def test_every_algorithm_is_tried():
    assert {model.algo for model in MODELS.values()} == {
        name for name, spec in ALGOS.items() if spec.backend != "rlzoo"
    }


def test_predictions_are_those_of_stable_baselines3_and_pickle_looks_nothing_up(saved: Path, tmp_path: Path):
    jobs: list[dict[str, Any]] = [
        {"reader": "model", "file": str(saved / f"{name}.zip"), "observations": str(saved / f"{name}.npy")}
        for name in MODELS
    ]
    jobs += [
        {"reader": "vec_normalize", "file": str(saved / f"{name}.pkl")}
        for name, model in MODELS.items()
        if model.normalized
    ]
    results = run_child(tmp_path, jobs)
    assert [result for result in results if result["outcome"] != "read" or result["events"]] == []
    for (name, model), result in zip(MODELS.items(), results, strict=False):
        own = model.cls.load(saved / f"{name}.zip", device="cpu")
        observations = np.load(saved / f"{name}.npy")
        assert result["value"]["algo"] == model.algo, name
        assert result["value"]["num_timesteps"] == own.num_timesteps > 0
        for deterministic in (True, False) if not own.use_sde else (True,):
            torch.manual_seed(3)
            np.random.seed(3)
            actions, _ = own.predict(observations, deterministic=deterministic)
            found = np.asarray(result["value"][f"actions {deterministic}"])
            assert np.array_equal(found.astype(actions.dtype), actions), (name, deterministic)


@pytest.mark.parametrize("name", [name for name, model in MODELS.items() if model.normalized])
def test_statistics_are_those_of_stable_baselines3(saved: Path, name: str):
    statistics = read_vec_normalize(saved / f"{name}.pkl")
    own = VecNormalize.load(str(saved / f"{name}.pkl"), DummyVecEnv([lambda: gymnasium.make(MODELS[name].env)]))
    observations = np.load(saved / f"{name}.npy")
    assert np.array_equal(normalize_observation(observations, statistics), own.normalize_obs(observations))
    assert statistics.values["obs_count"] == own.obs_rms.count
    assert statistics.tensors["ret_var"] == own.ret_rms.var


def test_an_environment_gives_the_spaces(saved: Path):
    model = MODELS["ppo_pixels"]
    env = VecTransposeImage(model.make_env())
    algorithm = sb3_zip.load(saved / "ppo_pixels.zip", env=env, device="cpu")
    own = PPO.load(saved / "ppo_pixels.zip", device="cpu")
    observations = np.load(saved / "ppo_pixels.npy")
    assert np.array_equal(
        algorithm.predict(observations, deterministic=True)[0], own.predict(observations, deterministic=True)[0]
    )
    with pytest.raises(RlzooError, match="made for Box"):
        sb3_zip.load(saved / "ppo.zip", env=env)


def test_what_is_read(saved: Path):
    model = sb3_zip.read(saved / "qrdqn.zip")
    assert model.algo.name == "qrdqn"
    assert model.algo.hyperparams["policy_kwargs"] == {
        "net_arch": [8],
        "n_quantiles": 5,
        "optimizer_class": "adam",
        "optimizer_kwargs": {"eps": 0.0025},
    }
    assert model.algo.hyperparams["buffer_size"] == 200
    assert model.version.startswith("2.")
    assert "OS" in model.system
    ppo = sb3_zip.read(saved / "ppo.zip")
    assert ppo.algo.hyperparams["policy_kwargs"] == {"net_arch": {"pi": [8], "vf": [4]}, "activation_fn": "relu"}
    assert ppo.algo.hyperparams["clip_range"] == 0.2
    assert "learning_rate" not in ppo.algo.hyperparams  # a function of its author
    assert "learning_rate" in ppo.data.not_read


def test_it_can_go_on_learning_from_these_weights(saved: Path):
    model = MODELS["ppo"]
    algo = AlgoConfig(
        "ppo", {**BATCHES, "policy_kwargs": {"net_arch": {"pi": [8], "vf": [4]}, "activation_fn": "relu"}}
    )
    algorithm = sb3_zip.build(
        sb3_zip.read(saved / "ppo.zip"), algo=algo, env=model.make_env(), device="cpu", inference=False
    )
    before = algorithm.num_timesteps
    algorithm.learn(before + 32)
    assert algorithm.num_timesteps >= before + 32


def test_values_that_make_no_training_together(saved: Path, tmp_path: Path):
    """Models on the Hub were often saved with the buffer of one transition that they were loaded with."""
    changed = tmp_path / "changed.zip"
    with zipfile.ZipFile(saved / "dqn.zip") as source, zipfile.ZipFile(changed, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "data":
                content = json.dumps({**json.loads(content), "buffer_size": 1, "learning_starts": 10**6}).encode()
            target.writestr(name, content)
    assert sb3_zip.load(changed, device="cpu").num_timesteps > 0


def test_names_of_algorithms(saved: Path):
    assert sb3_zip.read(saved / "ppo_lstm.zip", "recurrent_ppo").algo.name == "ppo_lstm"
    assert sb3_zip.read(saved / "td3.zip", "ddpg").algo.name == "ddpg"  # the same file, under another name
    with pytest.raises(RlzooError, match="unknown algorithm"):
        sb3_zip.read(saved / "ppo.zip", "pppo")
    with pytest.raises(RlzooError, match="not an algorithm of Stable-Baselines3"):
        sb3_zip.read(saved / "ppo.zip", "os:system")


def test_another_algorithm_is_refused(saved: Path):
    for name, algo in (("ppo", "dqn"), ("dqn", "ppo"), ("a2c", "ppo"), ("sac", "tqc")):
        with pytest.raises(RlzooError, match=f"it holds {name}, not {algo}") as error:
            sb3_zip.read(saved / f"{name}.zip", algo)
        assert error.value.code == ExitCode.UNSAFE


def test_a_shared_features_extractor_of_an_older_version(saved: Path, tmp_path: Path):
    """Before 1.7 it was saved once, now under three names."""
    old = tmp_path / "old.zip"
    with zipfile.ZipFile(saved / "ppo_pixels.zip") as source, zipfile.ZipFile(old, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "policy.pth":
                tensors = torch.load(source.open(name), weights_only=True)
                kept = {key: tensor for key, tensor in tensors.items() if not key.startswith(("pi_", "vf_"))}
                torch.save(kept, tmp_path / "policy.pth")
                content = (tmp_path / "policy.pth").read_bytes()
            target.writestr(name, content)
    observations = np.load(saved / "ppo_pixels.npy")
    new = sb3_zip.load(saved / "ppo_pixels.zip", device="cpu").predict(observations, deterministic=True)[0]
    assert np.array_equal(sb3_zip.load(old, device="cpu").predict(observations, deterministic=True)[0], new)


def test_pickled_fields_may_be_broken(saved: Path, tmp_path: Path):
    """Pickles of another Python break; nobody reads them here."""
    broken = tmp_path / "broken.zip"
    with zipfile.ZipFile(saved / "ppo.zip") as source, zipfile.ZipFile(broken, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "data":
                fields = json.loads(content)
                for value in fields.values():
                    if isinstance(value, dict) and ":serialized:" in value:
                        value[":serialized:"] = "broken"
                content = json.dumps(fields).encode()
            target.writestr(name, content)
    assert sb3_zip.load(broken, device="cpu").num_timesteps > 0


def test_the_callers_generators_are_left_alone(saved: Path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    sb3_zip.load(saved / "sac.zip", device="cpu")
    assert torch.equal(torch.rand(3), expected)


def test_a_missing_file_says_so(tmp_path: Path):
    with pytest.raises(RlzooError, match="cannot read") as error:
        sb3_zip.read(tmp_path / "nothing.zip")
    assert error.value.code == ExitCode.STORAGE
