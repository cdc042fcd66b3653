import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from rlzoo.envs import make, set_episode_seeds
from rlzoo.envs.monitor import EpisodeMonitor, ShowEpisodes


class Counter(gymnasium.Env):
    """Ends after `length` steps; step t of an episode pays t; remembers the seeds it was reset with."""

    observation_space = spaces.Box(-1, 1000, (1,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, length=4):
        self.length = length
        self.seeds = []

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.seeds.append(seed)
        self.t = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.t += 1
        return np.full(1, self.t, np.float32), float(self.t), self.t == self.length, False, {"t": self.t}


class NoOps(gymnasium.Wrapper):
    """Like NoopResetEnv: steps by itself after a reset, and resets again if that ends the episode."""

    def __init__(self, env, n):
        super().__init__(env)
        self.n = n

    def reset(self, **kwargs):
        result = self.env.reset(**kwargs)
        for _ in range(self.n):
            if self.env.step(0)[2]:
                result = self.env.reset(**kwargs)
        return result


def episodes(monitor):
    return list(zip(monitor.get_episode_rewards(), monitor.get_episode_lengths(), strict=True))


def test_whole_episodes():
    monitor = EpisodeMonitor(Counter())
    for _ in range(2):
        monitor.reset()
        for _ in range(4):
            info = monitor.step(0)[4]
    assert episodes(monitor) == [(10.0, 4), (10.0, 4)]
    assert info["episode"]["r"] == 10.0 and info["episode"]["l"] == 4


def test_an_episode_that_is_cut_counts_up_to_where_it_was_cut():
    env = gymnasium.wrappers.TimeLimit(EpisodeMonitor(Counter()), 3)
    for _ in range(2):
        env.reset()
        for _ in range(3):
            *_, terminated, truncated, _ = env.step(0)
        assert truncated and not terminated
    assert episodes(env.env) == [(6.0, 3)]  # the second is kept at the next reset
    env.reset()
    assert episodes(env.env) == [(6.0, 3), (6.0, 3)]


def test_resets_without_a_step_between_are_one_episode():
    counter = Counter()
    monitor = EpisodeMonitor(counter, episode_seeds=[7, 8])
    monitor.reset()
    monitor.reset(seed=1)
    for _ in range(4):
        monitor.step(0)
    monitor.reset()
    assert counter.seeds == [7, 7, 8]
    assert episodes(monitor) == [(10.0, 4)]


def test_the_kth_episode_is_the_kth_seed_when_a_wrapper_ends_one_by_itself():
    counter = Counter(length=4)
    monitor = EpisodeMonitor(counter, episode_seeds=[7, 8, 9])
    env = NoOps(monitor, n=5)
    env.reset()  # four no-ops end episode 0, the fifth belongs to episode 1
    assert counter.seeds == [7, 8]
    assert episodes(monitor) == [(10.0, 4)]
    for _ in range(3):
        env.step(0)
    assert episodes(monitor) == [(10.0, 4), (10.0, 4)]


def test_seeds_run_out():
    counter = Counter(length=1)
    monitor = EpisodeMonitor(counter, episode_seeds=[7])
    for seed in (1, 2, None):
        monitor.reset(seed=seed)
        monitor.step(0)
    assert counter.seeds == [7, 2, None]


def test_info_keywords():
    monitor = EpisodeMonitor(Counter(), info_keywords=["t"])
    monitor.reset()
    for _ in range(4):
        info = monitor.step(0)[4]
    assert info["episode"]["info.t"] == 4 and info["episode"]["l"] == 4


def test_an_info_keyword_may_be_missing():
    monitor = EpisodeMonitor(Counter(), info_keywords=["t", "won"])
    monitor.reset()
    for _ in range(4):
        info = monitor.step(0)[4]
    assert info["episode"]["info.t"] == 4 and "won" not in info["episode"]
    assert "won" not in monitor.last_episode()


class Talkative(Counter):
    """Says more of every step than numbers."""

    success = np.bool_(True)

    def step(self, action):
        *result, info = super().step(action)
        return *result, {
            **info,
            "is_success": self.success,
            "r": 99,
            "place": np.array([1, 2]),
            "pole": np.array([3.5]),
        }


def test_what_info_says_of_an_episode_is_kept_as_numbers_or_text():
    monitor = EpisodeMonitor(Talkative(), info_keywords=["r", "place", "pole"])
    monitor.reset()
    for _ in range(4):
        info = monitor.step(0)[4]
    said = {"is_success": True, "info.r": 99, "place": "[1 2]", "pole": 3.5}
    assert info["episode"].items() >= {"r": 10.0, "l": 4, **said}.items()
    assert monitor.last_episode().items() >= {"r": 10.0, "l": 4, **said}.items()


@pytest.mark.parametrize("value", ["yes", None, [True, False], np.zeros(2)])
def test_a_success_that_is_no_number_is_moved_aside(value, monkeypatch):
    monkeypatch.setattr(Talkative, "success", value)
    monitor = EpisodeMonitor(Talkative())
    monitor.reset()
    info = monitor.step(0)[4]
    assert "is_success" not in info and info["env.is_success"] is value
    monitor.reset()
    assert "is_success" not in monitor.last_episode()


@pytest.mark.parametrize("value", [np.array([True]), np.array([[1.0]]), np.array(1)], ids=["one", "nested", "scalar"])
def test_a_success_in_an_array_is_a_number(value, monkeypatch):
    monkeypatch.setattr(Talkative, "success", value)
    monitor = EpisodeMonitor(Talkative())
    monitor.reset()
    success = monitor.step(0)[4]["is_success"]
    assert success == 1 and isinstance(success, bool | int | float)


def test_an_episode_that_was_cut_keeps_what_its_last_step_said():
    monitor = EpisodeMonitor(Talkative(), info_keywords=["pole"])
    monitor.reset()
    monitor.step(0)
    monitor.reset()
    assert monitor.last_episode().items() >= {"l": 1, "is_success": True, "pole": 3.5}.items()


def test_a_new_evaluation_forgets_everything():
    monitor = EpisodeMonitor(Counter(), episode_seeds=[7])
    monitor.reset()
    for _ in range(4):
        monitor.step(0)
    monitor.reset()
    monitor.step(0)
    monitor.set_episode_seeds([20, 21])
    assert monitor.step(0)[1:4] == (0.0, True, False)  # the abandoned episode is over
    assert episodes(monitor) == []
    monitor.reset()
    assert monitor.env.seeds == [7, None, 20]
    for _ in range(4):
        monitor.step(0)
    assert episodes(monitor) == [(10.0, 4)]


@pytest.mark.parametrize("vec_env", ["dummy", "subproc"])
def test_every_environment_gets_its_share_of_the_seeds(env_config, vec_env):
    cfg = env_config("CartPole", vec_env=vec_env)
    seeds = [100, 101, 102, 103, 104]

    def starts(n_envs):
        env = make(cfg, n_envs=n_envs, seed=0, episode_seeds=seeds)
        found = [[observation] for observation in env.reset()]
        while min(map(len, found)) < 3:
            observations, _, dones, _ = env.step(np.zeros(n_envs, dtype=int))
            for index in np.flatnonzero(dones):
                found[index].append(observations[index])
        set_episode_seeds(env, [104])
        again = env.reset()[0]
        env.close()
        return found, again

    found, again = starts(2)
    expected = [gymnasium.make("CartPole-v1").reset(seed=seed)[0] for seed in seeds]
    np.testing.assert_array_equal(found[0][:3], [expected[0], expected[2], expected[4]])
    np.testing.assert_array_equal(found[1][:2], [expected[1], expected[3]])
    np.testing.assert_array_equal(again, expected[4])


def test_training_hears_of_episodes_that_were_cut_or_ended_out_of_sight(env_config):
    monitor = EpisodeMonitor(Counter())
    env = ShowEpisodes(gymnasium.wrappers.TimeLimit(monitor, 3), monitor)
    shown = []
    for _ in range(3):
        env.reset()
        shown += [env.step(0)[4].get("episode") for _ in range(3)]
    assert [episode and (episode["r"], episode["l"]) for episode in shown] == [None] * 3 + [(6.0, 3), None, None] * 2

    cfg = env_config("CartPole", wrappers={"time_limit": {"max_episode_steps": 5}})
    vector = make(cfg, n_envs=1, seed=0)
    vector.reset()
    lengths = [
        info[0]["episode"]["l"] for *_, info in (vector.step([i % 2]) for i in range(16)) if "episode" in info[0]
    ]
    assert lengths == [5, 5, 5]
    vector.close()


def test_every_game_is_shown_once(env_config):
    env = make(env_config("SpaceInvaders"), n_envs=1, seed=1)
    env.reset()
    rng = np.random.default_rng(0)
    shown = []
    while len(env.env_method("get_episode_rewards")[0]) < 2 or len(shown) < 2:
        info = env.step(rng.integers(0, 6, 1))[3][0]
        shown += [info["episode"]["r"]] if "episode" in info else []
    assert shown == env.env_method("get_episode_rewards")[0]
    env.close()
