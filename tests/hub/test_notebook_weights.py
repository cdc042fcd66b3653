"""A published network is one of plain layers: the course's classes open it, and play what rlzoo's agent plays."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch
from stable_baselines3.common.envs import FakeImageEnv, IdentityEnvBox, SimpleMultiObsEnv
from stable_baselines3.common.torch_layers import CombinedExtractor
from stable_baselines3.common.vec_env import DummyVecEnv
from torch import nn

import rlzoo
from rlzoo import registry
from rlzoo.algos.create import create
from rlzoo.algos.search.base import PolicySearch
from rlzoo.algos.specs import ALGOS
from rlzoo.errors import RlzooError
from rlzoo.evaluation.agent import load
from rlzoo.hub.formats.course import PARTS, weights
from rlzoo.hub.formats.read import read
from tests.algos.conftest import defaults

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "sharing.md"
QUICK = ["hyperparams=none", "eval.final_n_episodes=2", "eval.freq=0", "seed=0", "logger=[]", "checkpoint.freq=0"]
CARTPOLE = ["env=CartPole", "total_timesteps=300"]
RUNS = {
    "CoursePolicy": ["algo=reinforce", *CARTPOLE],
    "Policy": ["algo=reinforce", "algo.baseline=true", "env=Acrobot", "env.max_steps=100", "total_timesteps=300"],
    "CopterPolicy": ["algo=reinforce", "algo.net_arch=[64,128]", *CARTPOLE],
    "CourseAgent": ["algo=ppo_scratch", "algo.batch_size=64", *CARTPOLE],
    "Agent": ["algo=actor_critic", "algo.net_arch=[8,5]", *CARTPOLE],
    "QNetwork": ["algo=dqn_scratch", "algo.learning_starts=50", *CARTPOLE],
    "Search": ["algo=cem", "algo.net_arch=[6]", "env=CartPole", "total_timesteps=2000"],
}


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    root = tmp_path_factory.mktemp("packages")
    made = {}
    for kind, words in RUNS.items():
        run = rlzoo.train(*words, *QUICK, f"runs_dir={root / 'runs'}")
        made[kind] = run, rlzoo.package(run, folder=root / kind, n_episodes=3, deterministic=True, video=False)
    return made


@pytest.fixture(scope="module")
def observations():
    return np.random.default_rng(0).normal(size=(100, 6)).astype(np.float32)


def logits(run, observations):
    """What rlzoo's own agent makes of observations: logits or action values, (n, n_outputs)."""
    algorithm = load(run).algorithm
    if hasattr(algorithm, "q_network"):
        with torch.no_grad():
            return algorithm.q_network(torch.as_tensor(observations)).numpy()
    if isinstance(algorithm, PolicySearch):
        return algorithm.policy.outputs(algorithm.weights[None], observations)
    return algorithm._outputs(observations)


def test_a_process_without_rlzoo_plays_them(packages, observations, tmp_path):
    seen = {kind: observations[:, : 6 if kind == "Policy" else 4] for kind in RUNS}
    tasks = [
        {
            "class": kind,
            "folder": str(package.folder),
            "env": run.read_config()["env"]["id"],
            "observations": seen[kind].tolist(),
        }
        for kind, (run, package) in packages.items()
    ]
    (tmp_path / "tasks.json").write_text(json.dumps(tasks))
    command = [sys.executable, str(HERE / "notebook.py"), str(PAGE), str(tmp_path / "tasks.json")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for (kind, (run, package)), found in zip(packages.items(), json.loads(done.stdout), strict=True):
        expected = logits(run, seen[kind])
        if kind.endswith("Policy"):
            expected = torch.softmax(torch.as_tensor(expected), dim=1).numpy()
        assert np.allclose(found["outputs"], expected, atol=1e-5), kind
        actions = load(run).predict(seen[kind], deterministic=True)[0]
        assert np.array_equal(np.argmax(found["outputs"], axis=1), actions), kind
        assert found["returns"] == list(package.evaluation.returns), kind
    policy, agent = packages["CoursePolicy"][1].folder, packages["CourseAgent"][1].folder
    assert list(torch.load(policy / "model.pt", weights_only=True)) == [
        "fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias",
    ]  # fmt: skip
    assert {key.rpartition(".")[0] for key in torch.load(agent / "model.pt", weights_only=True)} == {
        f"{part}.{index}" for part in ("actor", "critic") for index in (0, 2, 4)
    }


def test_every_network_of_our_own_has_its_names():
    own = [spec for spec in ALGOS.values() if spec.backend == "rlzoo" and spec.family not in ("tabular", "planning")]
    searches = {spec.name for spec in own if issubclass(registry.load(spec.entry_point), PolicySearch)}
    assert {spec.name for spec in own} - searches == PARTS.keys()


def published(algo, env, **changes):
    """The names of a new agent's network, its weights, and the agent."""
    algorithm = create(defaults(algo, **changes), DummyVecEnv([env]), seed=0, device="cpu")
    return weights(algo, algorithm), algorithm


def cartpole():
    return gymnasium.make("CartPole-v1")


def images():
    return FakeImageEnv(screen_height=40, screen_width=40, discrete=True, channel_first=True)


CONVOLUTIONS = [
    *(nn.Conv2d(1, 32, 8, 4), nn.ReLU(), nn.Conv2d(32, 64, 4, 2), nn.ReLU(), nn.Conv2d(64, 64, 3, 1), nn.ReLU()),
    *(nn.Flatten(), nn.Linear(64, 512), nn.ReLU()),
]
"""The network of Mnih et al. 2015 up to its features, for images of 40 x 40."""


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(0).integers(0, 256, (5, 1, 40, 40), dtype=np.uint8)


def test_convolutions_are_the_first_layers(pictures):
    shown = torch.as_tensor(pictures).float() / 255
    found, algorithm = published("dqn_scratch", images, buffer_size=10)
    plain = nn.Sequential(*CONVOLUTIONS, nn.Linear(512, 6))
    plain.load_state_dict({key.removeprefix("network."): value for key, value in found.items()})
    assert torch.allclose(plain(shown), algorithm.q_network(shown), atol=1e-6)
    found, algorithm = published("ppo_scratch", images, net_arch=[8])
    plain = nn.ModuleDict({
        "network": nn.Sequential(*CONVOLUTIONS),
        "actor": nn.Sequential(nn.Linear(512, 8), nn.Tanh(), nn.Linear(8, 6)),
        "critic": nn.Sequential(nn.Linear(512, 8), nn.Tanh(), nn.Linear(8, 1)),
    })  # fmt: skip
    plain.load_state_dict(found)
    seen = plain["network"](shown)
    outputs, values = algorithm.network(torch.as_tensor(pictures))
    assert torch.allclose(plain["actor"](seen), outputs, atol=1e-5)
    assert torch.allclose(plain["critic"](seen)[:, 0], values, atol=1e-5)
    found, _ = published("reinforce", images)
    assert [key for key in found if key.endswith("weight")] == [
        *(f"conv{n}.weight" for n in (1, 2, 3)), *(f"fc{n}.weight" for n in (1, 2, 3)),
    ]  # fmt: skip


def test_two_ends_of_a_dueling_network(observations):
    found, algorithm = published("dqn_scratch", cartpole, dueling=True, net_arch=[7], buffer_size=10)
    plain = nn.ModuleDict(
        {
            name: nn.Sequential(nn.Linear(4, 7), nn.ReLU(), nn.Linear(7, n))
            for name, n in (("value", 1), ("advantage", 2))
        }
    )
    plain.load_state_dict(found)
    seen = torch.as_tensor(observations[:, :4])
    advantages = plain["advantage"](seen)
    expected = plain["value"](seen) + advantages - advantages.mean(dim=1, keepdim=True)
    assert torch.allclose(algorithm.q_network(seen), expected, atol=1e-6)


@pytest.mark.parametrize("algo", ["reinforce", "actor_critic", "ppo_scratch"])
def test_continuous_actions_have_their_spread(algo):
    changes = {"net_arch": [6], "normalize_returns": "batch"} if algo == "reinforce" else {"net_arch": [6]}
    found, _ = published(algo, IdentityEnvBox, **changes)
    assert found["log_std"].tolist() == [0.0]
    assert found["fc2.weight" if algo == "reinforce" else "actor.2.weight"].shape == (1, 6)


@pytest.mark.parametrize("algo", ["reinforce", "actor_critic", "ppo_scratch", "dqn_scratch"])
def test_what_several_observations_pass_through(algo):
    """Of vectors and a picture: Stable-Baselines3's own module takes it, and the layers behind fit to its features."""
    env = SimpleMultiObsEnv(channel_last=False)
    found, _ = published(algo, lambda: env, **({"buffer_size": 10} if algo == "dqn_scratch" else {}))
    extractor = CombinedExtractor(env.observation_space)
    start = "actor_features." if algo == "actor_critic" else "features."
    extractor.load_state_dict({key.removeprefix(start): value for key, value in found.items() if key.startswith(start)})
    first = {"reinforce": "fc1", "dqn_scratch": "network.0"}.get(algo, "actor.0")
    assert found[f"{first}.weight"].shape[1] == extractor.features_dim


def alone(folder, into):
    """A repository with nothing but what a notebook publishes."""
    into.mkdir()
    for name in ("model.pt", "hyperparameters.json"):
        shutil.copyfile(folder / name, into / name)
    return into


@pytest.mark.parametrize("kind", ["CopterPolicy", "CourseAgent", "Agent"])
def test_what_is_written_is_read(kind, packages, observations, tmp_path):
    run, package = packages[kind]
    again = read(alone(package.folder, tmp_path / "repo"), tmp_path / "run")
    seen = observations[:, :4]
    assert np.array_equal(
        load(again).predict(seen, deterministic=True)[0], load(run).predict(seen, deterministic=True)[0]
    )


@pytest.mark.parametrize("algo", ["reinforce", "ppo_scratch"])
def test_packages_of_rlzoo_0_1_are_read(algo, observations, tmp_path):
    """Their `model.pt` has the names of the checkpoint's tensors."""
    older = HERE / "older_packages" / algo
    results = json.loads((older / "results.json").read_text())
    run = read(older, tmp_path / "whole")
    assert list(rlzoo.evaluate(run, seeds=results["seeds"], deterministic=True).returns) == results["returns"]
    notebook = read(alone(older, tmp_path / "repo"), tmp_path / "notebook")
    seen = observations[:, :4]
    assert np.allclose(load(notebook).algorithm._outputs(seen), load(run).algorithm._outputs(seen), atol=1e-6)


def test_a_search_is_not_taken_for_another_network(packages, tmp_path):
    with pytest.raises(RlzooError, match=r"not the course's: network\.0\.weight"):
        read(alone(packages["Search"][1].folder, tmp_path / "repo"), tmp_path / "run")
