"""Evaluations: raw whole games by the monitor, fair shares, fixed seeds, and hand-computed summaries."""

from __future__ import annotations

import json
import math
from typing import Any

import gymnasium
import numpy as np
import pytest

from rlzoo.config.compose import compose
from rlzoo.config.parse import parse
from rlzoo.config.schema import EnvConfig
from rlzoo.envs import make
from rlzoo.errors import RlzooError
from rlzoo.evaluation.evaluate import bootstrap_iqm, evaluate, interquartile_text, summary
from rlzoo.protocols import Evaluation


def env_config(*words: str) -> EnvConfig:
    return parse(compose("train", ["algo=ppo", *words, "seed=0"]).values).env


class Constant:
    """Always the same action; remembers what it was given."""

    def __init__(self, action: Any, masked: bool = False) -> None:
        self.action = action
        self.masked = masked
        self.starts: list[list[bool]] = []
        self.states: list[Any] = []

    def predict(self, observation, state=None, episode_start=None, deterministic=False, **masks):
        self.starts.append(episode_start.tolist())
        self.states.append(state)
        n_envs = len(episode_start)
        actions = np.array([self.action] * n_envs)
        if self.masked:
            actions = np.array([int(np.flatnonzero(mask)[-1]) for mask in masks["action_masks"]])
        else:
            assert not masks
        return actions, (np.full(n_envs, len(self.states)),)


def replay(env_id: str, action: Any, seed: int, **kwargs: Any) -> tuple[float, int]:
    """One episode in plain gymnasium: the reference."""
    env = gymnasium.make(env_id, **kwargs)
    env.reset(seed=seed)
    total, length, done = 0.0, 0, False
    while not done:
        _, reward, terminated, truncated, _ = env.step(action)
        total, length, done = total + float(reward), length + 1, terminated or truncated
    env.close()
    return total, length


@pytest.mark.parametrize("n_envs", [1, 2, 3, 5])
def test_episode_k_is_the_one_of_seed_k_whatever_the_number_of_envs(n_envs):
    seeds = [10000, 10001, 10002, 10003, 7]
    env = make(env_config("env=CartPole"), n_envs=n_envs, seed=0, training=False)
    found = evaluate(Constant(1), env, n_episodes=5, seeds=seeds, deterministic=True)
    env.close()
    expected = [replay("CartPole-v1", 1, seed) for seed in seeds]
    assert list(zip(found.returns, found.lengths, strict=True)) == expected
    assert found.seeds == tuple(seeds) and found.deterministic


def test_an_env_can_be_evaluated_again_with_other_seeds():
    env = make(env_config("env=CartPole"), n_envs=2, seed=0, training=False)
    for seeds in ([1, 2, 3], [4, 5, 6], [1, 2, 3]):
        found = evaluate(Constant(0), env, n_episodes=3, seeds=seeds, deterministic=True)
        assert found.returns == tuple(replay("CartPole-v1", 0, seed)[0] for seed in seeds)
    env.close()


def test_short_episodes_are_not_favoured():
    """Two environments, one with episodes of 9 steps and one of 300: each plays its half."""

    class Stretched(Constant):
        def predict(self, observation, state=None, episode_start=None, deterministic=False):
            balance = (observation[:, 2] + observation[:, 3] > 0).astype(int)  # keeps the pole up for long
            return np.array([balance[0], 1]), None

    env = make(env_config("env=CartPole"), n_envs=2, seed=0, training=False)
    found = evaluate(Stretched(0), env, n_episodes=4, seeds=[0, 1, 2, 3], deterministic=True)
    env.close()
    assert min(found.lengths[0], found.lengths[2]) > 100
    assert max(found.lengths[1], found.lengths[3]) < 15


def test_recurrent_state_and_episode_starts_are_handed_on():
    env = make(env_config("env=CartPole"), n_envs=2, seed=0, training=False)
    policy = Constant(1)
    found = evaluate(policy, env, n_episodes=2, seeds=[0, 1], deterministic=True)
    env.close()
    assert policy.states[0] is None and policy.states[1][0].tolist() == [1, 1]
    assert policy.starts[0] == [True, True] and policy.starts[1] == [False, False]
    shorter = int(np.argmin(found.lengths))
    assert policy.starts[min(found.lengths)][shorter] is True


def test_normalised_envs_score_raw_returns_with_frozen_statistics():
    cfg = env_config("env=Pendulum", "env.normalize=true")
    env = make(cfg, n_envs=1, seed=0, training=False)
    found = evaluate(Constant([0.5]), env, n_episodes=2, seeds=[3, 4], deterministic=True)
    expected = [replay("Pendulum-v1", [0.5], seed)[0] for seed in (3, 4)]
    assert found.returns == pytest.approx(expected, rel=1e-6)
    assert env.obs_rms.count == pytest.approx(1e-4)  # nothing was added
    env.close()


def test_atari_scores_whole_games_before_clipping_and_life_loss():
    env = make(env_config("env=SpaceInvaders"), n_envs=1, seed=0, training=False)
    found = evaluate(Constant(1), env, n_episodes=2, seeds=[1, 2], deterministic=False)
    env.close()
    for score, length in zip(found.returns, found.lengths, strict=True):
        assert score % 5 == 0 and score >= 15  # invaders are worth 5 to 30; clipped rewards would be 1 each
        assert length > 300


def test_action_masks_reach_the_policy():
    env = make(env_config("env=TaxiMasked"), n_envs=2, seed=0, training=False, max_steps=20)
    found = evaluate(Constant(0, masked=True), env, n_episodes=2, seeds=[0, 1], deterministic=True, masked=True)
    env.close()
    assert found.lengths == (20, 20)
    assert min(found.returns) > -20 * 10  # an illegal pick-up costs 10: masks leave none


def test_steps_instead_of_episodes_count_only_what_ended():
    env = make(env_config("env=CartPole"), n_envs=1, seed=0, training=False)
    lengths = [replay("CartPole-v1", 1, seed)[1] for seed in range(5)]
    budget = sum(lengths[:3]) + 1  # one step into the fourth
    found = evaluate(Constant(1), env, n_timesteps=budget, seeds=range(budget), deterministic=True)
    assert list(found.lengths) == lengths[:3] and found.seeds == (0, 1, 2)
    with pytest.raises(RlzooError, match="no episode ended within 3 steps"):
        evaluate(Constant(1), env, n_timesteps=3, seeds=range(3), deterministic=True)
    with pytest.raises(ValueError, match="either"):
        evaluate(Constant(1), env, seeds=[], deterministic=True)
    env.close()


def test_it_stops_when_asked_with_the_episodes_there_are():
    env = make(env_config("env=CartPole"), n_envs=1, seed=0, training=False)
    policy = Constant(1)
    first = replay("CartPole-v1", 1, 0)[1]
    found = evaluate(
        policy,
        env,
        n_episodes=50,
        seeds=range(50),
        deterministic=True,
        should_stop=lambda: len(policy.starts) > first,
    )
    env.close()
    assert found.lengths == (first,)


def test_the_iqm_drops_a_quarter_from_each_end():
    assert bootstrap_iqm([1, 2, 3, 4, 5, 6, 7, 800]).iqm == 4.5  # mean of 3, 4, 5, 6
    assert bootstrap_iqm([10, 0, 20, 1, 2, 3, 4, 5, 6, 7]).iqm == 4.5  # 10 // 4 = 2 from each end: 2 ... 7
    assert bootstrap_iqm([1, 2, 6]).iqm == 3.0  # nothing to cut
    assert bootstrap_iqm([5]) == (5, 5, 5)


def test_the_interval_is_fixed_and_covers_what_it_should():
    scores = list(range(1, 101))
    first = bootstrap_iqm(scores)
    assert first == bootstrap_iqm(scores)
    assert first.iqm == 50.5
    assert 40 < first.low < 47 and 54 < first.high < 61
    generator = np.random.default_rng(1)
    covered = 0
    for _ in range(60):
        interval = bootstrap_iqm(generator.normal(10, 2, size=40))
        covered += interval.low <= 10 <= interval.high
    assert covered >= 52  # 95 % of 60 is 57


def test_the_summary_has_the_courses_numbers():
    found = summary(Evaluation((200.0, 100.0, 300.0, 400.0), (10, 20, 30, 40), (0, 1, 2, 3), True))
    assert found["mean_reward"] == 250.0
    assert found["std_reward"] == math.sqrt(12500)  # of the population: (50² + 150² + 50² + 150²) / 4
    assert found["result"] == 250.0 - math.sqrt(12500)
    assert (found["median_reward"], found["iqm"]) == (250.0, 250.0)
    assert (found["min_reward"], found["max_reward"], found["mean_length"]) == (100.0, 400.0, 25.0)
    assert (found["n_episodes"], found["deterministic"]) == (4, True)
    assert found["iqm_ci"][0] <= 250 <= found["iqm_ci"][1]
    assert found["returns"] == [200.0, 100.0, 300.0, 400.0] and found["lengths"] == [10, 20, 30, 40]
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_one_episode_has_no_interval():
    found = summary(Evaluation((215.0,), (10,), (0,), True))
    assert found["iqm_ci"] == [None, None] and interquartile_text(found) == "215.00"
    assert interquartile_text({**found, "iqm_ci": [215.0, 215.0]}) == "215.00"  # as it was written before
    assert interquartile_text({"n_episodes": 2, "iqm": 1.0, "iqm_ci": [0.5, 1.5]}) == "1.00 [0.50, 1.50]"


def test_numbers_that_json_lacks_become_none():
    found = summary(Evaluation((1.0, math.nan), (1, 1), (0, 1), True))
    assert found["mean_reward"] is None and found["returns"] == [1.0, None]
    json.dumps(found, allow_nan=False)
