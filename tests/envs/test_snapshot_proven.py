"""Every environment that is called exact: steps, a snapshot through files, a new environment, and a long equal tail."""

import json
import subprocess
import sys

import numpy as np
import pytest

from rlzoo.envs import make
from rlzoo.envs.snapshot import proven
from rlzoo.envs.snapshot.vector import restore, snapshot
from rlzoo.runs.state_files import read_state, write_state

N_BEFORE, N_AFTER = 137, 300

SHORT = {"CarRacing-v3": (50, 40)}  # 10 ms a step; with a limit of 20 steps it passes four resets
CHANGES = {"CarRacing-v3": {"max_steps": 20}}
VARIANTS = [("BipedalWalker-v3", {}, (400, 100), seed) for seed in range(8)] + [
    ("LunarLander-v3", {"kwargs": {"enable_wind": True}}, (137, 300), 0),
    ("CarRacing-v3", {"kwargs": {"continuous": False}}, (7, 10), 1),
    ("FrozenLake-v1", {"kwargs": {"is_slippery": False}}, (3, 100), 1),
    ("QbertNoFrameskip-v4", {}, (500, 100), 0),  # of which the emulator's clone is not everything
    ("BreakoutNoFrameskip-v4", {"wrappers": {"atari": {"action_repeat_probability": 0.25}}}, (137, 100), 2),
    ("ALE/Breakout-v5", {"kwargs": {"frameskip": (2, 5)}}, (137, 100), 2),
    ("Humanoid-v5", {"kwargs": {"reset_noise_scale": 0.1}}, (10, 100), 2),
]


@pytest.fixture
def config(env_config):
    def of(env_id, **changes):
        if "NoFrameskip" in env_id:
            return env_config("atari", id=env_id, **changes)
        imports = ["ale_py"] if env_id.startswith("ALE/") else []
        return env_config("gym", id=env_id, imports=imports, **changes)

    return of


def through_files(state, folder):
    write_state(folder, "environments", state)
    return read_state(folder, "environments")


def plain(value):
    """Nested values as something that compares exactly."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    array = np.asarray(value)
    return array.dtype.str, array.shape, array.tobytes()


def step(env, action):
    """Everything a step shows, but for clocks."""
    observation, reward, done, infos = env.step(np.array([action] * env.num_envs))
    seen = []
    for info in infos:
        episode = {key: value for key, value in info.get("episode", {}).items() if key != "t"}
        seen.append((info["TimeLimit.truncated"], plain(info.get("terminal_observation", 0)), episode))
    return plain(observation), plain(reward), plain(done), seen


def records(env):
    return (
        env.env_method("get_episode_rewards"),
        env.env_method("get_episode_lengths"),
        env.env_method("get_total_steps"),
    )


def check_tail(cfg, seed, n_before, n_after, folder, n_envs=1):
    """The restoration of a new environment, after its tail was compared."""
    one = make(cfg, n_envs=n_envs, seed=seed)
    one.reset()
    actions = [one.action_space.sample() for _ in range(n_before + n_after)]
    for action in actions[:n_before]:
        one.step(np.array([action] * n_envs))
    state = through_files(snapshot(one), folder)
    other = make(cfg, n_envs=n_envs, seed=1000 + seed)
    restoration = restore(other, state)
    for t, action in enumerate(actions[n_before:]):
        assert step(one, action) == step(other, action), f"differs {t} steps after"
    assert records(one) == records(other)
    assert plain(one.action_space.sample()) == plain(other.action_space.sample())
    one.close()
    other.close()
    return restoration


@pytest.mark.parametrize("env_id", sorted(proven.IDS))
def test_it_goes_on_exactly(config, env_id, tmp_path):
    n_before, n_after = SHORT.get(env_id, (N_BEFORE, N_AFTER))
    restoration = check_tail(config(env_id, **CHANGES.get(env_id, {})), 3, n_before, n_after, tmp_path)
    assert (restoration.level, restoration.reasons) == ("exact", ())


@pytest.mark.parametrize(("env_id", "changes", "steps", "seed"), VARIANTS)
def test_over_resets_and_with_options(config, env_id, changes, steps, seed, tmp_path):
    assert check_tail(config(env_id, **changes), seed, *steps, tmp_path).level == "exact"


@pytest.mark.parametrize("env_id", ["LunarLander-v3", "BreakoutNoFrameskip-v4"])
def test_in_processes_of_their_own(config, env_id, tmp_path):
    cfg = config(env_id, vec_env="subproc")
    assert check_tail(cfg, 0, 60, 100, tmp_path, n_envs=2).level == "exact"


def test_in_a_new_interpreter(config, env_values, tmp_path):
    """What a resumed run does: another process, days later."""
    ids = ["Taxi-v4", "BipedalWalker-v3", "Ant-v5", "SpaceInvadersNoFrameskip-v4"]
    expected = {}
    for index, env_id in enumerate(ids):
        env = make(config(env_id), n_envs=1, seed=5)
        env.reset()
        actions = np.array([env.action_space.sample() for _ in range(200)])
        for action in actions[:137]:
            env.step(np.array([action]))
        folder = tmp_path / str(index)
        folder.mkdir()
        write_state(folder, "environments", snapshot(env))
        np.save(folder / "actions.npy", actions[137:])
        values = env_values("atari" if "NoFrameskip" in env_id else "gym", id=env_id)
        (folder / "config.json").write_text(json.dumps(values))
        expected[env_id] = "exact " + " ".join(step(env, action)[0][2].hex()[:64] for action in actions[137:])
        env.close()
    program = f"""
import json, sys, numpy as np
from pathlib import Path
from rlzoo.runs.state_files import read_state
from rlzoo.config.parse import check
from rlzoo.config.schema import EnvConfig
from rlzoo.envs import make
from rlzoo.envs.snapshot.vector import restore
for index in range({len(ids)}):
    folder = Path(sys.argv[1]) / str(index)
    cfg = check(EnvConfig, json.loads((folder / "config.json").read_text()))[0]
    env = make(cfg, n_envs=1, seed=0)
    level = restore(env, read_state(folder, "environments")).level
    shown = [env.step(np.array([action]))[0].tobytes().hex()[:64] for action in np.load(folder / "actions.npy")]
    print(level, *shown)
"""
    done = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=True)
    assert dict(zip(ids, done.stdout.splitlines(), strict=True)) == expected


def test_a_snapshot_changes_nothing(config):
    for env_id in ("CartPole-v1", "Ant-v5", "BipedalWalker-v3", "QbertNoFrameskip-v4"):
        one, other = (make(config(env_id), n_envs=1, seed=0) for _ in range(2))
        one.reset(), other.reset()
        for _ in range(150):
            action = one.action_space.sample()
            snapshot(one)
            assert step(one, action) == step(other, action)
        one.close(), other.close()


def test_what_is_proven_is_what_the_study_named():
    named = [*proven.CLASSIC, *proven.BOX2D, *proven.MUJOCO]
    assert (len(proven.CLASSIC), len(proven.BOX2D), len(proven.MUJOCO)) == (10, 5, 11)
    assert proven.IDS.issuperset(named)


@pytest.mark.parametrize("package", ["gymnasium", "mujoco"])
def test_other_versions_are_not_called_exact(config, package, tmp_path, monkeypatch):
    monkeypatch.setitem(proven.VERSIONS, package, ("0.1",))
    restoration = check_tail(config("Hopper-v5"), 0, 20, 20, tmp_path)
    assert restoration.level == "unproven"
    assert f"Hopper-v5 was not proven with {package}" in restoration.reasons[0]
