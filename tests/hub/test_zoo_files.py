"""Settings in the words of rl_zoo3: by hand, and every shipped set of Stable-Baselines3's algorithms."""

from pathlib import Path

import pytest
import yaml

from rlzoo.algos.specs import ALGOS
from rlzoo.config.compose import compose
from rlzoo.config.files import read_choice
from rlzoo.config.parse import parse
from rlzoo.hub.formats.rl_zoo3 import arguments, env_kwargs, hyperparameters
from rlzoo.untrusted import zoo_yaml

ROOT = Path(__file__).parents[2]
SETS = sorted(
    (path.parent.name, "SpaceInvaders" if path.stem == "atari" else path.stem)
    for path in (ROOT / "hyperparams").rglob("*.yaml")
    if ALGOS[path.parent.name].backend != "rlzoo"
)


def config(*words):
    composition = compose("train", words)
    assert not composition.problems
    return parse(composition.values)


def in_words_of_the_zoo(*words):
    values, left_out = hyperparameters(config("hyperparams=none", *words), "MlpPolicy")
    assert yaml.safe_load(yaml.safe_dump(values)) == values
    return values, left_out


@pytest.mark.usefixtures("workdir")
def test_schedules_networks_noise_and_buffers():
    words = ["algo=sac", "env=Pendulum", "algo.learning_rate={linear:7.3e-4}", "algo.action_noise={normal:0.2}"]
    words += ["algo.policy_kwargs={net_arch:{pi:[64],qf:[400,300]},activation_fn:elu,log_std_init:-3}", "algo.tau=0.02"]
    values, left_out = in_words_of_the_zoo(*words)
    assert values == {
        "learning_rate": "lin_0.00073",
        "n_envs": 1,
        "n_timesteps": 100_000,
        "noise_std": 0.2,
        "noise_type": "normal",
        "policy": "MlpPolicy",
        "policy_kwargs": "dict(net_arch=dict(pi=[64], qf=[400, 300]), activation_fn=nn.ELU, log_std_init=-3)",
        "tau": 0.02,
    }
    assert left_out == []


@pytest.mark.usefixtures("workdir")
def test_hindsight_is_a_class_of_the_zoos():
    values, _ = in_words_of_the_zoo("algo=dqn", "env=BitFlipping", "algo.replay_buffer_class=her")
    assert values["replay_buffer_class"] == "HerReplayBuffer"


@pytest.mark.usefixtures("workdir")
def test_what_it_has_no_words_for_is_named():
    words = ["algo=ppo", "env=CartPole", "algo.learning_rate={cosine:1e-3}", "algo.clip_range={linear:[0.2,0.1]}"]
    words += ["algo.policy_kwargs={optimizer_class:rmsprop_tf_like,features_extractor_class:flatten}"]
    values, left_out = in_words_of_the_zoo(*words)
    assert left_out == ["learning_rate", "clip_range", "policy_kwargs"]
    assert not {"learning_rate", "clip_range", "policy_kwargs"} & set(values)


@pytest.mark.usefixtures("workdir")
def test_environments():
    words = ["env.wrappers={mask_velocity:{},delayed_reward:{delay:3},action_noise:{std:0.3},time_feature:{}}"]
    cfg = config("algo=ppo", "env=Pendulum", "env.max_steps=50", "env.kwargs={g:9.81}", "env.frame_stack=2", *words)
    values, _ = hyperparameters(cfg, "MlpPolicy")
    assert values["env_wrapper"] == [
        "rl_zoo3.wrappers.MaskVelocityWrapper",
        {"rl_zoo3.wrappers.DelayedRewardWrapper": {"delay": 3}},
        {"rl_zoo3.wrappers.ActionNoiseWrapper": {"noise_std": 0.3}},
        "sb3_contrib.common.wrappers.TimeFeatureWrapper",
    ]
    assert values["frame_stack"] == 2
    assert values["env_kwargs"] == env_kwargs(cfg.env) == arguments(cfg)["env_kwargs"]
    assert env_kwargs(cfg.env) == {"g": 9.81, "max_episode_steps": 50}


@pytest.mark.usefixtures("workdir")
@pytest.mark.parametrize(("algo", "env"), SETS)
def test_every_shipped_set_means_the_same_there(algo, env):
    cfg = config(f"algo={algo}", f"env={env}")
    values, left_out = hyperparameters(cfg, "MlpPolicy")
    assert left_out == []
    defaults = read_choice("algo", algo)
    given = {key: value for key, value in cfg.algo.hyperparams.items() if value != defaults[key] and key != "policy"}
    noise = given.pop("action_noise", None)
    for key, value in given.items():
        read = values[key]
        if key in ("policy_kwargs", "replay_buffer_kwargs") and isinstance(read, str):
            read = zoo_yaml.parse_expression(read)
        elif key == "replay_buffer_class":
            read = {"HerReplayBuffer": "her"}[read]
        assert zoo_yaml.schedule(read) == value
    if noise is not None:
        assert noise == {values["noise_type"].replace("-", "_"): values["noise_std"]}
    assert values["n_timesteps"] == cfg.total_timesteps
    assert values.get("normalize", False) == cfg.env.normalize
