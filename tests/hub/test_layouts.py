"""Published folders of every layout become runs that play as their originals do; what is hostile stays closed."""

from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from sb3_contrib import ARS, RecurrentPPO
from stable_baselines3 import A2C, DQN, PPO, SAC
from stable_baselines3.common.atari_wrappers import AtariWrapper
from stable_baselines3.common.env_util import make_atari_env
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack, VecNormalize, VecTransposeImage

import rlzoo
from rlzoo.cli.main import main
from rlzoo.envs import registration
from rlzoo.errors import ConfigError, ExitCode, RlzooError
from rlzoo.evaluation.agent import load
from rlzoo.hub.formats import read as layouts
from rlzoo.hub.formats.read import recognise
from rlzoo.hub.formats.source import ImportOptions, Origin
from rlzoo.hub.listing import Published
from rlzoo.runs.run import Run
from tests.hub import foreign
from tests.hub.foreign import ARGS, CARD, publish, zoo_config

SEEDS = (11, 12, 13)
ON: dict[str, Any] = {"n_steps": 32, "seed": 0, "device": "cpu"}
OFF: dict[str, Any] = {"learning_starts": 16, "buffer_size": 200, "batch_size": 8, "seed": 0, "device": "cpu"}
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def read(folder: Path, **options: Any) -> Run:
    made = folder.parent / "made"
    into = made / f"{folder.name}{len(list(made.glob('*')))}"
    return layouts.read(folder, into, origin=Origin(f"me/{folder.name}", COMMIT), options=ImportOptions(**options))


def about(run: Run) -> dict[str, Any]:
    return run.read_info()["hub"]


def refused(folder: Path, **options: Any) -> RlzooError:
    """The error that reading raises; nothing is left of what was begun."""
    before = sorted(path for path in folder.parent.rglob("*"))
    with pytest.raises(RlzooError) as error:
        read(folder, **options)
    left = [path for path in folder.parent.rglob("*") if path not in before]
    assert left in ([], [folder.parent / "made"])
    return error.value


@pytest.fixture(scope="module")
def pendulum() -> PPO:
    """A model that learned on normalised observations."""
    env = VecNormalize(DummyVecEnv([foreign.monitored("Pendulum-v1")]), clip_obs=5.0)
    return PPO("MlpPolicy", env, batch_size=32, **ON).learn(128)


@pytest.fixture(scope="module")
def cartpole() -> PPO:
    return PPO("MlpPolicy", DummyVecEnv([foreign.monitored("CartPole-v1")]), batch_size=32, **ON).learn(64)


def statistics_of(folder: Path, env_id: str) -> VecNormalize:
    """The environment with the published statistics, as Stable-Baselines3 loads them."""
    env = VecNormalize.load(folder / "vec_normalize.pkl", DummyVecEnv([foreign.monitored(env_id)]))
    env.training, env.norm_reward = False, False
    return env


def test_rl_zoo3_with_normalisation_a_schedule_and_its_own_yaml(pendulum, tmp_path):
    config = zoo_config(
        n_envs=1, n_timesteps=1e5, policy="MlpPolicy", normalize="dict(norm_obs=True, norm_reward=False)",
        learning_rate="lin_3e-4", clip_range=0.2, n_steps=32, batch_size=32, gamma=0.99,
        policy_kwargs="dict(log_std_init=-2, ortho_init=False, activation_fn=nn.ReLU, net_arch=[1, 2])",
    )  # fmt: skip
    args, card = ARGS.format(algo="ppo", env_id="Pendulum-v1"), CARD.format(env_id="Pendulum-v1")
    folder = publish(tmp_path / "ppo-Pendulum-v1", "ppo-Pendulum-v1", pendulum, config=config, args=args, card=card)
    results = {"mean_reward": -170.5, "std_reward": 0.5, "is_deterministic": True, "n_eval_episodes": 10}
    (folder / "results.json").write_text(json.dumps(results))
    run = read(folder)
    agent = load(run)
    assert agent.config.env.normalize == {"norm_reward": False, "clip_obs": 5.0}
    assert agent.config.algo.hyperparams["learning_rate"] == {"linear": 3e-4}
    assert agent.config.algo.hyperparams["policy_kwargs"] == {}  # the network is the zip's, whatever the text says
    assert agent.config.total_timesteps == 100_000 and agent.config.seed is None  # 3392946828 is no seed here
    assert (about(run)["layout"], about(run)["commit"]) == ("rl_zoo3", COMMIT)
    assert about(run)["published"] == "-170.50 ± 0.50 over 10 episodes"
    entry = run.read_results()[0]
    assert (entry["source"], entry["mean_reward"], entry["result"]) == ("published", -170.5, -171.0)
    env = statistics_of(folder, "Pendulum-v1")
    expected = [foreign.play(pendulum, env, seed) for seed in SEEDS]
    assert agent.evaluate(seeds=SEEDS).returns == pytest.approx(expected, abs=1e-6)


def test_what_is_made_is_a_strangers_run_for_every_command(cartpole, workdir, capsys):
    run = read(publish(workdir / "ppo-CartPole-v1", "ppo-CartPole-v1", cartpole))
    assert not run.is_own()
    words = ["hyperparams=none", "total_timesteps=32", "algo.n_steps=32", "algo.batch_size=32", "eval.freq=0"]
    assert rlzoo.evaluate(run.path, seeds=SEEDS) == load(run).evaluate(seeds=SEEDS)
    assert run.read_results()[-1]["source"] == "evaluate"
    begun = rlzoo.train("algo=ppo", "env=CartPole", *words, f"init_from={run.path}", "eval.final_n_episodes=1")
    assert begun.read_info()["init_from"]["num_timesteps"] == 64
    PPO.load(run.checkpoint("last").model_zip)  # other tools find their file
    assert main(["train", f"resume={run.path}"]) == ExitCode.TRAINING_FAILED
    assert "no checkpoint to resume from" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "make", "env_id"),
    [
        ("a2c", lambda env: A2C("MlpPolicy", env, n_steps=8, seed=0, device="cpu"), "CartPole-v1"),
        ("sac", lambda env: SAC("MlpPolicy", env, policy_kwargs={"net_arch": [8]}, **OFF), "Pendulum-v1"),
        ("dqn", lambda env: DQN("MlpPolicy", env, policy_kwargs={"net_arch": [8]}, **OFF), "CartPole-v1"),
        ("ars", lambda env: ARS("LinearPolicy", env, n_delta=1, seed=0, device="cpu"), "CartPole-v1"),
        (
            "ppo_lstm",
            lambda env: RecurrentPPO(
                "MlpLstmPolicy", env, batch_size=32, policy_kwargs={"lstm_hidden_size": 8, "net_arch": [8]}, **ON
            ),
            "CartPole-v1",
        ),
    ],
)
def test_a_zip_alone_plays_as_its_model_does(name, make, env_id, tmp_path):
    env = DummyVecEnv([foreign.monitored(env_id)])
    model = make(env).learn(40)
    run = read(publish(tmp_path / f"{name}-{env_id}", f"{name}-{env_id}", model))
    agent = load(run)
    assert (agent.config.algo.name, agent.config.env.id, about(run)["layout"]) == (name, env_id, "huggingface_sb3")
    expected = [foreign.play(model, env, seed) for seed in SEEDS]
    assert agent.evaluate(seeds=SEEDS).returns == pytest.approx(expected, abs=1e-6)


def test_a_buffer_that_rl_zoo3_emptied_to_publish_is_no_setting(tmp_path):
    model = DQN("MlpPolicy", DummyVecEnv([foreign.monitored("CartPole-v1")]), **OFF).learn(40)
    model.buffer_size = 1
    config = zoo_config(n_timesteps=500, policy="MlpPolicy", batch_size=8, env_wrapper=None, noise_type=None)
    folder = publish(tmp_path / "dqn-CartPole-v1", "dqn-CartPole-v1", model, config=config)
    assert load(read(folder)).config.algo.hyperparams["buffer_size"] == 1_000_000


def test_wrappers_in_rl_zoo3s_words(tmp_path):
    def make() -> gymnasium.Env:
        env: gymnasium.Env = Monitor(gymnasium.make("CartPole-v1", sutton_barto_reward=True))
        env = gymnasium.wrappers.RepeatAction(gymnasium.wrappers.TimeLimit(env, 15), 2)
        return MaskVelocity(env)

    from rlzoo.envs.adapters import MaskVelocity

    env = VecFrameStack(DummyVecEnv([make]), 3)
    model = PPO("MlpPolicy", env, batch_size=32, **ON).learn(32)
    wrappers = [
        {"gymnasium.wrappers.time_limit.TimeLimit": {"max_episode_steps": 15}},
        {"rl_zoo3.wrappers.FrameSkip": {"skip": 2}},
        "rl_zoo3.wrappers.MaskVelocityWrapper",
    ]
    config = zoo_config(n_timesteps=100, policy="MlpPolicy", env_wrapper=wrappers, frame_stack=3, n_steps=32)
    texts = {
        "config": config,
        "env_kwargs": "sutton_barto_reward: true\n",
        "args": ARGS.format(algo="ppo", env_id="CartPole-v1"),
    }
    run = read(publish(tmp_path / "agent", "agent", model, **texts))
    agent = load(run)
    assert agent.config.env.wrappers == {
        "time_limit": {"max_episode_steps": 15}, "frame_skip": {"num_repeats": 2}, "mask_velocity": {},
    }  # fmt: skip
    assert agent.config.env.kwargs == {"sutton_barto_reward": True} and agent.config.env.frame_stack == 3
    expected = [foreign.play(model, env, seed) for seed in SEEDS]
    assert agent.evaluate(seeds=SEEDS).returns == pytest.approx(expected)


@pytest.fixture(scope="module")
def pong() -> DQN:
    registration.register(["ale_py"])
    env = VecTransposeImage(VecFrameStack(make_atari_env("PongNoFrameskip-v4", seed=0), 4))
    kwargs = {"net_arch": [8], "features_extractor_kwargs": {"features_dim": 16}}
    return DQN("CnnPolicy", env, policy_kwargs=kwargs, **{**OFF, "buffer_size": 50})


@pytest.mark.parametrize("zoo", [True, False])
def test_an_atari_agent_sees_what_it_learned_to_see(zoo, pong, tmp_path):
    config = zoo_config(
        env_wrapper=["stable_baselines3.common.atari_wrappers.AtariWrapper"], frame_stack=4, policy="CnnPolicy",
        n_timesteps=1e7, buffer_size=10_000, optimize_memory_usage=False,
    )  # fmt: skip
    texts = {"config": config} if zoo else {}
    run = read(publish(tmp_path / "dqn-PongNoFrameskip-v4", "dqn-PongNoFrameskip-v4", pong, **texts))
    agent = load(run)
    assert agent.config.env.wrappers == {"atari": {}} and agent.config.env.frame_stack == 4
    assert not agent.is_deterministic()
    assert any("preprocessing" in text for text in about(run)["assumed"]) is not zoo
    theirs = VecTransposeImage(
        VecFrameStack(DummyVecEnv([lambda: AtariWrapper(Monitor(gymnasium.make("PongNoFrameskip-v4")))]), 4)
    )
    theirs.seed(5)
    ours = agent.make_env(seed=5, episode_seeds=[5])
    one, other = theirs.reset(), ours.reset()
    for _ in range(60):
        assert np.array_equal(one, other)
        action, found = pong.predict(one, deterministic=True)[0], agent.algorithm.predict(other, deterministic=True)[0]
        assert np.array_equal(action, found)
        one, other = theirs.step(action)[0], ours.step(found)[0]
    ours.close()
    theirs.close()


def test_old_names_mean_todays_environment_and_changed_ones_ask_first(cartpole, tmp_path):
    model = PPO("MlpPolicy", DummyVecEnv([foreign.monitored("LunarLander-v3")]), batch_size=32, **ON)
    card = CARD.format(env_id="LunarLander-v2")
    run = read(publish(tmp_path / "unit1", "ppo-LunarLander-v2", model, card=card))
    assert run.read_config()["env"]["id"] == "LunarLander-v3"
    assert any("LunarLander-v2 is called LunarLander-v3 today" in text for text in about(run)["assumed"])
    assert about(run)["published"] == "200.20 ± 20.80"
    changed = publish(tmp_path / "old", "ppo-Hopper-v3", cartpole)
    error = refused(changed)
    assert isinstance(error, ConfigError) and "Hopper-v3 is an old version" in error.message
    assert "env.id=Hopper-v5 loads it all the same" in error.message


def test_weights_that_do_not_fit_the_environment_say_so(cartpole, tmp_path):
    folder = publish(tmp_path / "ppo-Acrobot-v1", "ppo-Acrobot-v1", cartpole)
    assert "is made for Box(4), and this environment has Box(6)" in refused(folder).message
    assert load(read(folder, env_id="CartPole-v1")).config.env.id == "CartPole-v1"
    assert "does not say which environment" in refused(publish(tmp_path / "agent", "agent", cartpole)).message
    assert "it holds ppo, not dqn" in refused(folder, algo="dqn").message


def test_every_key_that_means_nothing_here_is_named_at_once(cartpole, tmp_path):
    config = zoo_config(
        n_timesteps=100, policy="MlpPolicy", normalize=["yes"],
        env_wrapper=["ae.wrapper.AutoencoderWrapper", {"rl_zoo3.wrappers.HistoryWrapper": {"horizon": 2}}],
        vec_env_wrapper="utils.wrappers.VecForceResetWrapper",
    )  # fmt: skip
    error = refused(publish(tmp_path / "ppo-CartPole-v1", "ppo-CartPole-v1", cartpole, config=config))
    for text in ("4 problems", "ae.wrapper.AutoencoderWrapper", "HistoryWrapper", "VecForceResetWrapper"):
        assert text in error.message
    config = zoo_config(n_timesteps=100, policy="MlpPolicy", learning_rat=0.1, n_epochs="many", create_eval_env=True)
    error = refused(publish(tmp_path / "ppo-CartPole-v2", "ppo-CartPole-v1", cartpole, config=config))
    assert "algo.learning_rat: unknown keyword; did you mean 'learning_rate'?" in error.message
    assert "algo.n_epochs: must be a whole number" in error.message and "[config.yml of" in error.message
    config = zoo_config(n_timesteps=100, normalize="__import__('os').mkdir('pwned')")
    error = refused(publish(tmp_path / "ppo-CartPole-v3", "ppo-CartPole-v1", cartpole, config=config))
    assert error.code == ExitCode.UNSAFE and "not evaluated" in error.message


def test_statistics_that_are_missing_or_not_asked_for(pendulum, tmp_path):
    config = {"n_timesteps": 100, "policy": "MlpPolicy"}
    folder = publish(
        tmp_path / "a" / "ppo-Pendulum-v1", "ppo-Pendulum-v1", pendulum, config=zoo_config(**config, normalize=True)
    )
    (folder / "vec_normalize.pkl").rename(folder / "vecnormalize.pkl")  # as rl_zoo3 calls it on a disk
    assert load(read(folder)).config.env.normalize == {"clip_obs": 5.0}
    (folder / "vecnormalize.pkl").unlink()
    assert "there are no statistics: vec_normalize.pkl" in refused(folder).message
    (folder / "config.yml").write_text(zoo_config(**config, normalize={"norm_obs": False, "norm_reward": True}))
    assert load(read(folder)).config.env.normalize is False
    plain = publish(tmp_path / "b" / "ppo-Pendulum-v1", "ppo-Pendulum-v1", pendulum, config=zoo_config(**config))
    assert any("vec_normalize.pkl is left out" in text for text in about(read(plain))["assumed"])


SLIPPERY = np.random.default_rng(3).random((16, 4))


@pytest.mark.parametrize(
    ("env_id", "values", "kwargs"),
    [
        ("FrozenLake-v1", {"map_name": "4x4", "slippery": False}, {"map_name": "4x4", "is_slippery": False}),
        ("FrozenLake-v1", {"map_name": "4x4", "n_eval_episodes": 3, "eval_seed": [5, 6, 7, 8]}, {"map_name": "4x4"}),
        ("Taxi-v3", {"eval_seed": [16, 54, 165], "n_eval_episodes": 3}, {}),
    ],
)
def test_a_table_of_the_course_plays_as_in_the_course(env_id, values, kwargs, tmp_path):
    n_states = 500 if "Taxi" in env_id else 16
    table = np.random.default_rng(3).random((n_states, 6 if "Taxi" in env_id else 4))
    folder = tmp_path / "q-repo"
    folder.mkdir()
    foreign.course_table(folder / "q-learning.pkl", env_id, table, **values)
    (folder / "results.json").write_text('{"env_id": "x", "mean_reward": 1.0, "n_eval_episodes": 100}')
    run = read(folder)
    agent = load(run)
    assert (agent.config.algo.name, about(run)["layout"]) == ("q_learning", "q_learning")
    assert agent.config.env.kwargs == kwargs and agent.config.env.max_steps == 99
    assert agent.algorithm.n_episodes == 10_000  # so that its chance of random actions is what it was
    seeds = tuple(values.get("eval_seed", ()))[:3] or None
    assert agent.config.eval.seeds == seeds
    env = gymnasium.make(agent.config.env.id, **kwargs)
    expected = [foreign.course_episode(env, table, 99, seed) for seed in seeds or SEEDS]
    assert list(agent.evaluate(seeds=seeds or SEEDS).returns) == expected


def test_a_table_of_another_environment_is_no_fit(tmp_path):
    folder = tmp_path / "q-repo"
    folder.mkdir()
    foreign.course_table(folder / "q-learning.pkl", "Taxi-v3", SLIPPERY)
    assert "do not fit: q_values has shape (16, 4), not (500, 6)" in refused(folder).message


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("deep", [True, False])
def test_the_network_of_unit_4_acts_as_in_the_course(whole, deep, tmp_path):
    torch.manual_seed(1)
    policy = (foreign.DeepCoursePolicy if deep else foreign.CoursePolicy)(4, 2, 16)
    folder = tmp_path / "Reinforce-CartPole"
    folder.mkdir()
    if whole:
        foreign.save_as_notebook(policy, folder / "model.pt")
    else:
        torch.save(policy.state_dict(), folder / "model.pt")
    (folder / "hyperparameters.json").write_text(foreign.course_hyperparameters("CartPole-v1"))
    run = read(folder)
    agent = load(run)
    hyperparams = agent.config.algo.hyperparams
    assert hyperparams["net_arch"] == ([16, 32] if deep else [16]) and hyperparams["learning_rate"] == 0.01
    assert not agent.is_deterministic() and agent.config.env.max_steps is None  # CartPole ends after 500 by itself
    assert any("its code was not" in text for text in about(run)["assumed"]) is whole
    observations = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    with torch.no_grad():
        expected = policy(torch.as_tensor(observations)).argmax(dim=1).numpy()
    assert np.array_equal(agent.predict(observations, deterministic=True)[0], expected)


def test_the_network_of_unit_8_acts_and_judges_as_in_the_course(tmp_path):
    torch.manual_seed(1)
    network = foreign.CleanAgent(8, 4)
    folder = tmp_path / "ppo-CartPole"
    folder.mkdir()
    torch.save(network.state_dict(), folder / "model.pt")
    (folder / "README.md").write_text(CARD.format(env_id="LunarLander-v2"))
    agent = load(read(folder))
    assert (agent.config.algo.name, agent.config.env.id) == ("ppo_scratch", "LunarLander-v3")
    observations = torch.randn(50, 8)
    with torch.no_grad():
        actions, values = network.actor(observations).argmax(dim=1), network.critic(observations)[:, 0]
        found = agent.algorithm.network(observations)[1]
    assert np.array_equal(agent.predict(observations.numpy(), deterministic=True)[0], actions.numpy())
    assert torch.allclose(found, values, atol=1e-6)


def test_other_networks_and_other_objects_are_refused(tmp_path):
    folder = tmp_path / "net"
    folder.mkdir()
    (folder / "hyperparameters.json").write_text(foreign.course_hyperparameters("CartPole-v1"))
    torch.save({"body.weight": torch.zeros(2, 2)}, folder / "model.pt")
    assert "not the course's: body.weight" in refused(folder).message
    torch.save(foreign.CoursePolicy(4, 2, 16), folder / "model.pt")  # of a module that is no notebook
    error = refused(folder)
    assert error.code == ExitCode.UNSAFE and "state_dict" in error.hint
    torch.save({"fc1.weight": foreign.Evil(str(tmp_path / "pwned"))}, folder / "model.pt")
    assert refused(folder).code == ExitCode.UNSAFE
    assert refused(folder, trust=True).code == ExitCode.UNSAFE
    torch.save(foreign.CoursePolicy(3, 2, 16).state_dict(), folder / "model.pt")
    assert "do not fit: actor.layers.0.weight does not fit this network" in refused(folder).message
    assert not (tmp_path / "pwned").exists()


def test_hostile_files_stay_closed_until_they_are_trusted(cartpole, pendulum, tmp_path):
    evil = foreign.Evil(str(tmp_path / "pwned"))
    (tmp_path / "q").mkdir()
    (tmp_path / "q" / "q-learning.pkl").write_bytes(
        pickle.dumps({"qtable": SLIPPERY, "env_id": "FrozenLake-v1", "x": evil})
    )
    error = refused(tmp_path / "q")
    assert error.code == ExitCode.UNSAFE and "trust=true" in error.hint
    folder = publish(tmp_path / "ppo-Pendulum-v1", "ppo-Pendulum-v1", pendulum)
    (folder / "vec_normalize.pkl").write_bytes(pickle.dumps(evil))
    assert refused(folder).code == ExitCode.UNSAFE
    bomb = tmp_path / "bomb" / "ppo-CartPole-v1.zip"
    bomb.parent.mkdir()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data", b"0" * 2**28)
    assert refused(bomb.parent).code == ExitCode.UNSAFE
    assert not (tmp_path / "pwned").exists()
    run = read(tmp_path / "q", trust=True)
    assert (tmp_path / "pwned").exists()
    (record,) = about(run)["trusted"]
    assert record["file"] == "q-learning.pkl" and record["source"] == f"me/q at commit {COMMIT[:8]}"


def test_what_the_safe_reader_refuses_stable_baselines3_loads_on_trust(cartpole, pendulum, tmp_path):
    folder = publish(tmp_path / "ppo-Pendulum-v1", "ppo-Pendulum-v1", pendulum)
    name = folder / "ppo-Pendulum-v1.zip"
    with zipfile.ZipFile(name, "a") as archive:
        archive.writestr("notes.txt", "an entry that does not belong there")
    statistics = pickle.loads((folder / "vec_normalize.pkl").read_bytes())
    statistics.set_venv(DummyVecEnv([foreign.monitored("Pendulum-v1")]))
    statistics.note = {1.5: "a key that the safe reader does not take"}
    (folder / "vec_normalize.pkl").write_bytes(pickle.dumps(statistics))
    error = refused(folder)
    assert error.code == ExitCode.UNSAFE and "trust=true" in error.hint
    run = read(folder, trust=True)
    assert [record["file"] for record in about(run)["trusted"]] == ["ppo-Pendulum-v1.zip", "vec_normalize.pkl"]
    env = statistics_of(folder, "Pendulum-v1")
    expected = [foreign.play(pendulum, env, seed) for seed in SEEDS]
    assert load(run).evaluate(seeds=SEEDS).returns == pytest.approx(expected, abs=1e-6)
    assert "observations of shape (3,)" in refused(folder, trust=True, env_id="CartPole-v1").message
    (folder / "vec_normalize.pkl").unlink()
    assert "is made for Box(3)" in refused(folder, trust=True, env_id="CartPole-v1").message


def test_links_and_names_that_lead_elsewhere(cartpole, tmp_path):
    elsewhere = publish(tmp_path / "x", "ppo-CartPole-v1", cartpole)
    folder = tmp_path / "linked"
    folder.mkdir()
    (folder / "ppo-CartPole-v1.zip").symlink_to(elsewhere / "ppo-CartPole-v1.zip")
    error = refused(folder)
    assert error.code == ExitCode.UNSAFE and "behind a link that leads elsewhere" in error.message
    (tmp_path / "folders").mkdir()
    (tmp_path / "folders" / "rlzoo").symlink_to(elsewhere)
    assert "no agent that rlzoo knows among: rlzoo" in refused(tmp_path / "folders").message
    error = refused(elsewhere, file="../x/ppo-CartPole-v1.zip")
    assert error.code == ExitCode.HUB and "file= takes one of: ppo-CartPole-v1.zip" in error.hint


def test_imports_of_strangers_need_trust(cartpole, tmp_path):
    args = ARGS.format(algo="ppo", env_id="CartPole-v1").replace("- []", "- [evil_package]")
    config = zoo_config(n_timesteps=100, policy="MlpPolicy")
    folder = publish(tmp_path / "agent", "agent", cartpole, config=config, args=args)
    error = refused(folder)
    assert error.code == ExitCode.UNSAFE and "imports evil_package" in error.message
    assert refused(folder, env_id="evil_package:Env-v0").code == ExitCode.UNSAFE
    (folder / "env_kwargs.yml").write_text("frame_skip: 1000000000\n")
    (folder / "args.yml").write_text(args.replace("- [evil_package]", "- []"))
    error = refused(folder)
    assert error.code == ExitCode.UNSAFE and "has env.kwargs.frame_skip larger than 200,000" in error.message


@pytest.mark.parametrize(
    ("names", "repo", "expected"),
    [
        (["config.yml", "ppo-CartPole-v1.zip", "train_eval_metrics.zip"], "x", ("rl_zoo3", "ppo-CartPole-v1.zip")),
        (["a.zip", "ppo-CartPole-v1.zip"], "ppo-CartPole-v1", ("huggingface_sb3", "ppo-CartPole-v1.zip")),
        (["deep/a.zip", "README.md"], "x", ("huggingface_sb3", "deep/a.zip")),
        (["config.yaml", "rlzoo/checkpoint/manifest.json", "a.zip"], "x", ("rlzoo", "rlzoo/checkpoint/manifest.json")),
        (["q-learning.pkl", "replay.mp4"], "x", ("q_learning", "q-learning.pkl")),
        (["model.pt", "hyperparameters.json"], "x", ("torch", "model.pt")),
        (["model.pt", "other.pt"], "x", ("torch", "model.pt")),
    ],
)
def test_layouts_by_their_names(names, repo, expected):
    found = recognise(names, repo_name=repo)
    assert (found.name, found.file) == expected
    assert set(found.files) <= set(names)


def test_several_agents_and_none(tmp_path):
    with pytest.raises(RlzooError, match=r"there are several agents: a\.zip, b\.zip") as error:
        recognise(["a.zip", "b.zip"])
    assert error.value.hint == "say which: file=a.zip"
    assert recognise(["a.zip", "b.zip"], file="b.zip").file == "b.zip"
    with pytest.raises(RlzooError, match=r"no agent that rlzoo knows among: SnowballTarget\.onnx") as error:
        recognise(["SnowballTarget.onnx"])
    assert error.value.code == ExitCode.HUB
    with pytest.raises(RlzooError, match="holds no agent"):
        recognise(["README.md"], file="README.md")
    hostile = ["../../evil.zip", "/etc/evil.zip", "rlzoo/checkpoint/../../../x.json", "rlzoo/checkpoint/.x.json"]
    found = recognise(["config.yaml", "rlzoo/checkpoint/manifest.json", *hostile])
    assert found.files == ("rlzoo/checkpoint/manifest.json", "config.yaml")


def test_damaged_files_beside_the_weights_are_left_out_and_said(cartpole, tmp_path):
    folder = publish(tmp_path / "ppo-CartPole-v1", "ppo-CartPole-v1", cartpole, card="---\ntags: [a\n---\n")
    (folder / "results.json").write_text("[" * 100_000)
    run = read(folder)
    assert about(run)["published"] == "" and run.read_results() == []
    assert [text.partition(":")[0] for text in about(run)["assumed"]] == [
        "results.json is left out", "the metadata of README.md is left out",
    ]  # fmt: skip


@pytest.mark.parametrize("tags", ["5", "{a: b}", "CartPole-v1", "[5, [a]]"])
def test_a_card_may_say_anything(tags, cartpole, tmp_path):
    text = f"---\ntags: {tags}\nmodel-index: [{{name: 5, results: [{{dataset: 3, metrics: 4}}, 7]}}]\n---\n"
    run = read(publish(tmp_path / "ppo-CartPole-v1", "ppo-CartPole-v1", cartpole, card=text))
    assert about(run)["published"] == "" and run.read_results() == []


@pytest.mark.parametrize("wrong", [1.5, -1, True, "3", None, 10**19])
@pytest.mark.parametrize("key", ["seeds", "lengths"])
def test_what_was_published_of_episodes_is_whole_numbers(key, wrong, cartpole, tmp_path):
    folder = publish(tmp_path / "ppo-CartPole-v1", "ppo-CartPole-v1", cartpole)
    said = {"mean_reward": 3.0, "returns": [2.0, 4.0], "lengths": [2, 4], "seeds": [7, 8]}
    (folder / "results.json").write_text(json.dumps(said))
    whole = read(folder).read_results()[0]
    assert (whole["returns"], whole["lengths"], whole["seeds"]) == ([2.0, 4.0], [2, 4], [7, 8])
    (folder / "results.json").write_text(json.dumps({**said, key: [2, wrong]}))
    entry = read(folder).read_results()[0]
    assert entry["mean_reward"] == 3.0 and entry[key] == []


def test_a_published_score_that_no_record_may_hold_is_left_out(cartpole, tmp_path, monkeypatch):
    folder = publish(tmp_path / "ppo-CartPole-v1", "ppo-CartPole-v1", cartpole)
    monkeypatch.setattr(Published, "entry", lambda *_: {"date": "", "seeds": [-1]})
    run = read(folder)
    assert run.read_results() == []
    assert "the published score is left out: seeds.0 must be at least 0, not -1" in about(run)["assumed"]


def zoo_metrics(path: Path, **arrays: Any) -> None:
    """A `train_eval_metrics.zip` as rl_zoo3 makes it out of what Stable-Baselines3 writes."""
    np.savez(path.with_name("evaluations.npz"), **arrays)
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(path.with_name("evaluations.npz"), arcname="evaluations.npz")
        archive.writestr("0.monitor.csv", "r,l,t\n")
    path.with_name("evaluations.npz").unlink()


def test_evaluations_of_rl_zoo3_become_a_table(cartpole, tmp_path):
    texts = {"config": zoo_config(n_timesteps=100, policy="MlpPolicy", optimize_memory_usage=True)}
    folder = publish(tmp_path / "ppo-CartPole-v1", "ppo-CartPole-v1", cartpole, **texts)
    arrays = {"timesteps": [10, 20], "results": [[1.0, 3.0], [5.0, 5.0]], "ep_lengths": [[1, 3], [5, 5]]}
    zoo_metrics(folder / "train_eval_metrics.zip", **arrays)
    run = read(folder)
    rows = [line.split(",")[:5] for line in run.evaluations_file.read_text().splitlines()]
    assert rows == [
        ["timesteps", "mean_reward", "std_reward", "mean_ep_length", "n_episodes"],
        ["10", "2.0", "1.0", "2.0", "2"],
        ["20", "5.0", "0.0", "5.0", "2"],
    ]
    assert any("optimize_memory_usage" in text for text in about(run)["assumed"])
    for wrong in ({"timesteps": np.array([evil_object()], dtype=object)}, {"results": [[np.nan]]}, {"ep_lengths": [1]}):
        zoo_metrics(folder / "train_eval_metrics.zip", **{**arrays, **wrong})
        run = read(folder)
        assert not run.evaluations_file.exists()
        assert any("train_eval_metrics.zip is left out" in text for text in about(run)["assumed"])
    assert not (tmp_path / "pwned").exists()


def evil_object() -> foreign.Evil:
    return foreign.Evil("pwned")


def test_numbers_that_are_not_finite_are_refused(tmp_path):
    folder = tmp_path / "q-repo"
    folder.mkdir()
    foreign.course_table(folder / "q-learning.pkl", "FrozenLake-v1", np.full((16, 4), np.nan))
    error = refused(folder)
    assert error.code == ExitCode.UNSAFE and "not finite" in error.message


def test_a_full_place_is_not_touched(cartpole, tmp_path):
    folder = publish(tmp_path / "ppo-CartPole-v1", "ppo-CartPole-v1", cartpole)
    (tmp_path / "full").mkdir()
    with pytest.raises(RlzooError, match="is there already"):
        layouts.read(folder, tmp_path / "full")
    assert list((tmp_path / "full").iterdir()) == []
