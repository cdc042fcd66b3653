"""`policy=random`: uniformly random actions in any environment, played and scored as an agent's."""

import json
from pathlib import Path

import gymnasium
import numpy as np
import pytest

import rlzoo
from rlzoo.cli.main import main
from rlzoo.errors import ConfigError, ExitCode


@pytest.fixture(autouse=True)
def elsewhere(workdir):
    return workdir


def test_it_is_as_good_as_random_actions_are():
    found = rlzoo.evaluate(policy="random", env="CartPole", n_episodes=200)
    env, returns = gymnasium.make("CartPole-v1"), []
    env.action_space.seed(0)
    for seed in range(200):
        env.reset(seed=seed)
        total, ended = 0.0, False
        while not ended:
            _, reward, terminated, truncated, _ = env.step(env.action_space.sample())
            total, ended = total + reward, terminated or truncated
        returns.append(total)
    margin = 4 * np.hypot(np.std(returns), found.std_reward) / np.sqrt(200)
    assert found.mean_reward == pytest.approx(np.mean(returns), abs=margin)
    assert found.n_episodes == len(found.seeds) == 200
    assert not found.deterministic


def test_seeds_decide_everything():
    first = rlzoo.evaluate(policy="random", env="Pendulum", seeds=[5, 6])
    assert rlzoo.evaluate(policy="random", env="Pendulum", seeds=[5, 6]).returns == first.returns
    assert rlzoo.evaluate(policy="random", env="Pendulum", seeds=[7, 8]).returns != first.returns
    assert rlzoo.evaluate(policy="random", env="Pendulum", seeds=[5, 6], deterministic=True).returns == first.returns


def test_the_words_of_the_environment_are_those_of_a_training(capsys):
    words = ["policy=random", "env=LunarLander-v2", "env.kwargs.gravity=-1", "env.max_steps=30", "n_episodes=2"]
    assert main(["evaluate", *words, "n_envs=2", "--json"]) == 0
    output = capsys.readouterr()
    found = json.loads(output.out)
    assert found["lengths"] == [30, 30]
    assert (found["policy"], found["checkpoint"], found["deterministic"]) == ("random", "random", False)
    assert found["env"] == ["env=LunarLander-v2", "env.kwargs.gravity=-1", "env.max_steps=30"]
    assert "env=LunarLander-v2 is env=LunarLander" in output.err


def test_the_table_is_that_of_agents_and_nothing_is_written(capsys, elsewhere):
    assert main(["evaluate", "policy=random", "env=FrozenLake", "n_episodes=3"]) == 0
    output = capsys.readouterr()
    assert "evaluation: raw scores of whole episodes" in output.out and "random" in output.out
    assert "nothing was written" in output.out
    assert "uniformly random actions in FrozenLake-v1" in output.err
    assert list(elsewhere.iterdir()) == []


def test_the_seeds_are_those_of_a_training_s_final_evaluation():
    assert rlzoo.evaluate(policy="random", env="CartPole").seeds == tuple(range(10_000, 10_010))


@pytest.mark.parametrize("env", ["Taxi", "Blackjack", "MountainCarContinuous", "BitFlipping", "CheeseMaze-v0"])
def test_every_kind_of_space_is_played(env):
    assert rlzoo.evaluate(policy="random", env=env, n_timesteps=1000).n_episodes > 0


def test_of_masked_actions_only_the_valid_ones_are_taken():
    found = rlzoo.evaluate(policy="random", env="TaxiMasked", n_episodes=2)
    assert min(found.returns) >= -200  # an invalid pick-up or drop-off costs 10 instead of 1
    unmasked = rlzoo.evaluate(policy="random", env="Taxi", n_episodes=2)
    assert min(unmasked.returns) < -400


def test_an_environment_of_ones_own(elsewhere, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1])
    assert rlzoo.evaluate(policy="random", env="old_envs:Old-v0", n_episodes=3).n_episodes == 3


def test_it_can_be_watched_and_filmed(capsys, elsewhere):
    assert main(["enjoy", "policy=random", "env=CartPole", "render=none", "n_episodes=2"]) == 0
    assert "episode 2: return" in capsys.readouterr().out
    assert main(["record", "policy=random", "env=CliffWalking-v0", "n_timesteps=3"]) == 0
    assert (elsewhere / "videos" / "random-CliffWalking-v1.mp4").is_file()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["policy=random"], "env: needs a value"),
        (["policy=random", "env=CartPole", "run=latest"], "run: is not for policy=random"),
        (["policy=random", "env=CartPole", "checkpoint=last"], "checkpoint: is not for policy=random"),
        (["policy=random", "env=CartPoll"], "did you mean 'CartPole'"),
        (["policy=random", "env=Ant-v4"], "use env=Ant"),
        (["policy=random", "env=CartPole", "env.kwargs.gravty=1"], "env.kwargs.gravty"),
        (["policy=best", "env=CartPole"], "policy: must be random"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_played(words, said, capsys):
    assert main(["evaluate", *words]) == ExitCode.WRONG_REQUEST
    assert said in capsys.readouterr().err


def test_from_python_too():
    with pytest.raises(ConfigError, match="policy"):
        rlzoo.evaluate(policy="best", env="CartPole")
    with pytest.raises(ConfigError, match="run"):
        rlzoo.evaluate("latest", policy="random", env="CartPole")


def test_an_environment_of_ones_own_is_found_where_the_command_is_given(workdir, capsys):
    (workdir / "depot.py").write_text(
        "import gymnasium as gym\n"
        "gym.register('Depot-v0', 'gymnasium.envs.classic_control:CartPoleEnv', max_episode_steps=5)\n"
    )
    assert main(["evaluate", "policy=random", "env=depot:Depot-v0", "n_episodes=2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["lengths"] == [5, 5]
