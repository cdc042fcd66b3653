"""Environments that die, hang or raise: real processes, real signals, and what the algorithm is told of it."""

import logging
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv

from rlzoo.envs import make
from rlzoo.envs.make import build
from rlzoo.envs.seeding import episode_seeds
from rlzoo.envs.snapshot.vector import restore, snapshot
from rlzoo.errors import ExitCode, RlzooError
from rlzoo.evaluation.evaluate import evaluate
from rlzoo.processes import leaving

TESTS = Path(__file__).parents[1]
SLOW = pytest.mark.slow
EACH = [("subproc", "raise"), ("subproc", "exit"), ("subproc", "kill"), ("subproc", "hang"), ("dummy", "raise")]
WHAT = {
    "raise": "raised ValueError",
    "exit": "died (exit code 3)",
    "kill": "died (SIGKILL)",
    "hang": "did not answer for 1 s",
}


@pytest.fixture
def faulty(env_config, monkeypatch):
    """`faulty("subproc", faults={1: "kill"}, at=5)`: two such environments, of seeds 0 and 1."""
    monkeypatch.syspath_prepend(TESTS)
    made = []

    def begin(vec_env="subproc", *, n_envs=2, seed=0, training=True, max_restarts=3, step_timeout=60, **kwargs):
        cfg = env_config(
            "gym",
            id="faulty:Faulty-v0",
            vec_env=vec_env,
            kwargs=kwargs,
            max_restarts=max_restarts,
            step_timeout=step_timeout,
        )
        made.append(make(cfg, n_envs=n_envs, seed=seed, training=training))
        return made[-1]

    yield begin
    for env in made:
        env.close()


def processes(env):
    return [psutil.Process(worker.process.pid) for worker in env.remotes]


def gone(found, seconds=2.0):
    """Whether processes end within that time; one that nobody has reaped yet has ended."""

    def runs(process):
        try:
            return process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    deadline = time.monotonic() + seconds
    while any(map(runs, found)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not any(map(runs, found))


def step(env, n=1):
    for _ in range(n):
        result = env.step(np.zeros(env.num_envs, int))
    return result


@pytest.mark.parametrize("vec_env", ["subproc", "dummy"])
@pytest.mark.parametrize("name", ["LunarLander", "BitFlipping", "TaxiMasked"])
def test_without_faults_everything_is_as_in_stable_baselines(env_config, name, vec_env):
    cfg = env_config(name, vec_env=vec_env)
    builders = [partial(build, cfg, seed=7 + index, max_steps=cfg.max_steps) for index in range(2)]
    ours = make(cfg, n_envs=2, seed=7)
    theirs = SubprocVecEnv(builders) if vec_env == "subproc" else DummyVecEnv(builders)
    theirs.seed(7)
    assert isinstance(ours, type(theirs))
    actions = np.random.default_rng(0)

    def same(one, other):
        if isinstance(one, dict):
            assert one.keys() == other.keys()
            for key in one.keys() - {"t"}:  # seconds
                same(one[key], other[key])
        elif isinstance(one, list | tuple):
            assert len(one) == len(other)
            for each in zip(one, other, strict=True):
                same(*each)
        else:
            np.testing.assert_array_equal(one, other)
            assert getattr(one, "dtype", None) == getattr(other, "dtype", None)

    same(ours.reset(), theirs.reset())
    n_ends = 0
    for _ in range(260):
        action = actions.integers(0, ours.action_space.n, 2)
        result = ours.step(action)
        same(list(result), list(theirs.step(action)))
        same(list(ours.reset_infos), list(theirs.reset_infos))
        n_ends += result[2].sum()
    assert n_ends > 1
    ours.close()
    theirs.close()


@pytest.mark.parametrize(("vec_env", "how"), EACH)
def test_the_cut_episode_is_truncated_and_a_new_one_begins(faulty, vec_env, how, capsys, caplog):
    env = faulty(vec_env, faults={1: how}, at=15, step_timeout=1)
    caplog.set_level(logging.INFO, "rlzoo")
    assert env.reset().tolist() == [[0, 0], [1, 0]]
    assert step(env, 14)[0].tolist() == [[0, 4], [1, 4]]
    before = time.time()
    observation, reward, done, infos = step(env)
    seed = episode_seeds(1, 1, 1)[0]
    assert observation.tolist() == [[0, 5], [seed, 0]]
    assert (reward.tolist(), done.tolist()) == ([1, 0], [False, True])
    assert infos[1]["TimeLimit.truncated"] is True and infos[1]["terminal_observation"].tolist() == [1, 4]
    assert "episode" not in infos[1]
    assert caplog.records[0].created - before < (1 if how == "hang" else 0) + 2
    assert f"environment 1 {WHAT[how]} at step 15, restarted (1 of 3)" in capsys.readouterr().err
    if how == "raise":
        assert ": the arm is out of its range (" in caplog.messages[0] and "faulty.py:" in caplog.messages[0]
        assert "Traceback" in caplog.messages[1] and "self._fail(self.fault)" in caplog.messages[1]
    observation, _, done, infos = step(env, 10)  # the new episode is a whole one
    assert observation.tolist() == [[0, 5], [seed, 0]] and done.tolist() == [False, True]
    assert not infos[1]["TimeLimit.truncated"] and infos[1]["episode"]["r"] == infos[1]["episode"]["l"] == 10


@pytest.mark.parametrize(("vec_env", "how"), EACH)
def test_an_episode_that_ended_before_its_reset_failed_has_ended(faulty, vec_env, how, capsys):
    env = faulty(vec_env, faults={1: how}, at=2, where="reset", step_timeout=1 / 3)
    env.reset()
    observation, reward, done, infos = step(env, 10)
    assert observation.tolist() == [[0, 0], [episode_seeds(1, 1, 1)[0], 0]]
    assert (reward.tolist(), done.tolist()) == ([1, 1], [True, True])
    assert not infos[1]["TimeLimit.truncated"] and infos[1]["terminal_observation"].tolist() == [1, 10]
    assert infos[1]["episode"]["l"] == 10
    assert f"{WHAT[how]} in reset after step 10, restarted (1 of 3)" in capsys.readouterr().err


@pytest.mark.parametrize(("vec_env", "how"), [("subproc", "kill"), ("dummy", "raise")])
def test_a_first_reset_that_fails_is_done_again(faulty, vec_env, how, capsys):
    env = faulty(vec_env, faults={0: how}, at=1, where="reset")
    assert env.reset().tolist() == [[episode_seeds(0, 1, 1)[0], 0], [1, 0]]
    assert not step(env)[2].any()
    assert "in reset after step 0, restarted (1 of 3)" in capsys.readouterr().err


@pytest.mark.parametrize(("vec_env", "how"), EACH)
def test_after_the_last_restart_the_training_ends_with_the_environments_own_words(faulty, vec_env, how, capsys):
    env = faulty(vec_env, faults={"any": how}, at=2, max_restarts=1, step_timeout=0.2 if how == "hang" else 60)
    env.reset()
    step(env, 3)
    with pytest.raises(RlzooError) as caught:
        step(env)
    what = WHAT[how].replace("1 s", "0.2 s")
    words = ": the arm is out of its range" if how == "raise" else ""
    assert caught.value.message.startswith(f"environment 0 {what} at step 4, after 1 restart{words}")
    assert caught.value.code is ExitCode.TRAINING_FAILED
    assert "env.max_restarts=11" in caught.value.hint
    assert ("env.step_timeout=2 " in caught.value.hint) == (how == "hang")
    assert ("env.vec_env=dummy" in caught.value.hint) == (how in ("exit", "kill"))
    assert capsys.readouterr().err.count("restarted (1 of 1)") == 2


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("raise", "environment 0 raised ValueError while starting: the arm is out of its range"),
        ("exit", r"environment 0 died \(exit code 3\) while starting"),
    ],
)
def test_an_environment_that_does_not_start_says_why(faulty, how, message):
    with pytest.raises(RlzooError, match=message) as caught:
        faulty(faults={"any": how}, where="constructor")
    assert caught.value.code is ExitCode.TRAINING_FAILED


def test_what_a_worker_refuses_to_make_is_refused(env_config):
    with pytest.raises(RlzooError, match="'Nowhere-v0' is not known to Gymnasium") as caught:
        make(env_config("gym", id="Nowhere-v0", vec_env="subproc"), n_envs=2, seed=0)
    assert caught.value.code is ExitCode.WRONG_REQUEST


@pytest.mark.parametrize(
    ("gone", "words"),
    [
        ("os.remove(__file__)", "no module named 'leaving'"),
        pytest.param("open(__file__, 'w').write('import nowhere')", "no module named 'nowhere'", marks=SLOW),
        pytest.param("open(__file__, 'w').write('x = ')", "importing leaving failed: SyntaxError", marks=SLOW),
        ("open(__file__, 'w').write('')", "'Leaving-v0' is not known to Gymnasium"),
    ],
)
def test_an_environment_that_cannot_be_made_again_ends_a_training_that_has_begun(
    env_config, tmp_path, monkeypatch, gone, words
):
    (tmp_path / "leaving.py").write_text(
        "import os, gymnasium\n"
        "from gymnasium.envs.classic_control.cartpole import CartPoleEnv\n"
        "class Leaving(CartPoleEnv):\n"
        "    def step(self, action):\n"
        f"        {gone}\n"
        "        raise ValueError\n"
        "gymnasium.register('Leaving-v0', Leaving)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    env = make(env_config("gym", id="leaving:Leaving-v0", vec_env="subproc", max_restarts=2), n_envs=2, seed=0)
    try:
        env.reset()
        with pytest.raises(RlzooError) as caught:
            step(env)
    finally:
        env.close()
    assert f"environment 0 cannot be made while restarting, after 2 restarts: {words}" in caught.value.message
    assert caught.value.code is ExitCode.TRAINING_FAILED


def test_a_method_that_raises_costs_nothing(faulty):
    env = faulty()
    env.reset()
    before = processes(env)
    with pytest.raises(RlzooError, match="environment 0 raised ValueError in refuse after step 0: not this"):
        env.env_method("refuse", indices=[0])
    with pytest.raises(AttributeError, match="nothing"):
        env.get_attr("nothing", indices=[1])
    assert not env.has_attr("nothing") and env.get_attr("n_resets") == [1, 1]
    assert processes(env) == before and step(env)[0].tolist() == [[0, 1], [1, 1]]


def test_an_environment_may_have_processes_of_its_own(faulty):
    assert faulty().env_method("employ") == [(7, -signal.SIGTERM)] * 2


def test_what_ends_whoever_reads_it_ends_no_training(faulty):
    env = faulty()
    take_back = leaving.refuse()
    try:
        with pytest.raises(RlzooError, match=r"environment 0 put .* os\._exit was called") as caught:
            env.env_method("rig")
        env.close()  # with an answer that nobody has read
    finally:
        take_back()
    assert caught.value.code is ExitCode.TRAINING_FAILED and os._exit is leaving.at_once


def test_a_process_that_dies_between_two_steps_cuts_the_next_one(faulty, capsys):
    env = faulty()
    env.reset()
    step(env, 3)
    processes(env)[1].kill()
    assert env.get_attr("t") == [3, 0]
    state = snapshot(env)
    seed = episode_seeds(1, 1, 1)[0]
    observation, reward, done, infos = step(env)
    assert observation.tolist() == [[0, 4], [seed, 0]]
    assert (reward.tolist(), done.tolist()) == ([1, 0], [False, True])
    assert infos[1]["TimeLimit.truncated"] and infos[1]["terminal_observation"].tolist() == [1, 3]
    assert step(env)[0].tolist() == [[0, 5], [seed, 1]]
    assert "died (SIGKILL) in get_attr after step 3, restarted (1 of 3)" in capsys.readouterr().err
    back = restore(faulty(), state)  # the last observation had been of another episode
    assert back.restarted.tolist() == [False, True] and "it had just been restarted" in back.reasons[-1]


def test_what_was_put_back_and_then_dies_ends_where_it_was_put(faulty):
    first, second = faulty(), faulty()
    first.reset()
    step(first, 3)
    restore(second, snapshot(first))
    processes(second)[0].kill()
    observation, _, done, infos = step(second)
    assert observation[1].tolist() == [1, 4] and done.tolist() == [True, False]
    assert infos[0]["terminal_observation"].tolist() == [0, 3]


def test_a_death_is_noticed_while_another_environment_is_slow(faulty, caplog):
    env = faulty(faults={0: "slow", 1: "kill"}, at=1)
    env.reset()
    before = time.time()
    assert step(env)[2].tolist() == [False, True]
    assert "environment 1 died" in caplog.messages[0]
    assert caplog.records[0].created - before < 2
    assert time.time() - before > 4


@pytest.mark.parametrize(("vec_env", "how"), [("subproc", "kill"), ("dummy", "raise")])
def test_an_evaluation_plays_the_share_again_from_the_same_seeds(faulty, tmp_path, vec_env, how, capsys):
    class Policy:
        def predict(self, observation, state=None, episode_start=None, deterministic=False):
            return np.zeros(len(observation), int), None

    once = str(tmp_path / "once")
    env = faulty(vec_env, faults={"any": how}, at=15, once=once, training=False)
    seeds = [100, 101, 102, 103]
    result = evaluate(Policy(), env, n_episodes=4, seeds=seeds, deterministic=True)
    assert Path(once).exists()
    assert (result.returns, result.lengths, result.seeds) == ((10,) * 4, (10,) * 4, tuple(seeds))
    assert "evaluation environment" in capsys.readouterr().err


@pytest.mark.parametrize("how", ["kill", "stop", "hang"])
def test_closing_is_quick_whatever_the_processes_do(faulty, how):
    env = faulty(n_envs=3, faults={2: "hang"} if how == "hang" else {}, at=1, child=True)
    env.reset()
    children = [psutil.Process(pid) for pid in env.get_attr("child")]
    workers = processes(env)
    if how == "hang":
        env.step_async(np.zeros(3, int))
    else:
        workers[2].send_signal(signal.SIGKILL if how == "kill" else signal.SIGSTOP)
    before = time.monotonic()
    env.close()
    assert time.monotonic() - before < (1.5 if how == "hang" else 3.5)
    assert gone([*workers, *children])


def test_signals_to_all_processes_are_for_the_main_one(faulty):
    env = faulty()
    env.reset()
    workers = processes(env)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        workers[0].send_signal(number)
    server = workers[0].parent()
    if server.pid != os.getpid():
        server.terminate()  # nobody can say any more how a worker ended
        assert gone([server])
    assert step(env)[0].tolist() == [[0, 1], [1, 1]] and processes(env) == workers
    workers[1].kill()
    assert step(env)[2].tolist() == [False, True]  # with a new server
    assert workers[0].is_running()


PROGRAM = """
import json, sys
import numpy as np
from rlzoo.config.parse import check
from rlzoo.config.schema import EnvConfig
from rlzoo.envs import make
if __name__ == "__main__":
    cfg = check(EnvConfig, json.loads(sys.argv[1]))[0]
    env = make(cfg, n_envs=2, seed=0)
    env.reset()
    print(json.dumps([worker.process.pid for worker in env.remotes] + env.get_attr("child")), flush=True)
    if sys.argv[2] == "work":
        env.step(np.zeros(2, int))
"""


@pytest.mark.parametrize("way", ["killed", "ends"])
def test_no_process_outlives_the_command(env_values, tmp_path, way):
    """One that is in the middle of something, with the interpreter in its hand; and one that was never closed."""
    import json

    kwargs = {"faults": {"0": "spin"}, "at": 1, "child": True}
    values = env_values("gym", id="faulty:Faulty-v0", vec_env="subproc", kwargs=kwargs, imports=["faulty_keys"])
    (tmp_path / "faulty_keys.py").write_text(
        "import faulty\n"  # JSON has no whole numbers as keys
        "init = faulty.Faulty.__init__\n"
        "def __init__(self, faults=None, **kwargs):\n"
        "    init(self, {int(seed): how for seed, how in faults.items()}, **kwargs)\n"
        "faulty.Faulty.__init__ = __init__\n"
    )
    (tmp_path / "program.py").write_text(PROGRAM)
    command = [sys.executable, tmp_path / "program.py", json.dumps(values), "work" if way == "killed" else "end"]
    environment = {**os.environ, "PYTHONPATH": f"{TESTS}{os.pathsep}{tmp_path}"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        found = [psutil.Process(pid) for pid in json.loads(process.stdout.readline())]
        if way == "killed":
            time.sleep(0.3)
            process.kill()
            assert gone(found)
        assert process.wait(timeout=10) == (-signal.SIGKILL if way == "killed" else 0)
    assert gone(found)
