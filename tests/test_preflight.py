"""What bad input gets: every mistake is named with its key and file before torch is imported or anything is written."""

import subprocess
import sys
from pathlib import Path

import pytest

from rlzoo.config.compose import compose
from rlzoo.errors import ConfigError, ExitCode
from rlzoo.training.preflight import check

BAD = [
    # words, key, a part of the message or hint
    (["algo=pppo"], "algo", "did you mean 'ppo'"),
    (["env=LunarLandr"], "env", "did you mean 'LunarLander'"),
    (["logger=tensorbord"], "logger", "did you mean 'tensorboard'"),
    (["algo.gama=0.9"], "algo.gama", "'gamma'"),
    (["evl.freq=5"], "evl", "'eval'"),
    (["total_timesteps=0"], "total_timesteps", "0"),
    (["env.observation_space=Box(7)"], "env.observation_space", "is Box(4), not Box(7)"),
    (["algo=sac", "env.action_space=Box(1)"], "env.action_space", "is Discrete(2), not Box(1)"),
    (["algo.rollout_buffer_class=dict"], "algo.rollout_buffer_class", "does not store Box(4)"),
    (["torch_threads=100000"], "torch_threads", "at most 1024"),
    (["total_timesteps=-5"], "total_timesteps", "-5"),
    (["algo.gamma=2"], "algo.gamma", "2"),
    (["algo.gamma=true"], "algo.gamma", "true"),
    (["algo.gamma='0.9'"], "algo.gamma", "0.9"),
    (["algo.gamma=nan"], "algo.gamma", "nan"),
    (["algo.learning_rate=inf"], "algo.learning_rate", "inf"),
    (["algo.learning_rate=-1"], "algo.learning_rate", "-1"),
    (["algo.n_steps=2.5"], "algo.n_steps", "2.5"),
    (["algo.policy_kwargs.net_arhc=[8]"], "algo.policy_kwargs.net_arhc", "'net_arch'"),
    (["algo.policy_kwargs.activation_fn=rleu"], "algo.policy_kwargs.activation_fn", "'relu'"),
    (["algo.learning_rate={linaer: 1e-3}"], "algo.learning_rate", "'linear'"),
    (["algo=dqn", "env=Pendulum"], "algo.name", "Box"),
    (["algo=sac", "env=CartPole"], "algo.name", "Discrete"),
    (["algo=sac", "env=LunarLander"], "algo.name", "Discrete"),
    (["algo=ppo", "env=SpaceInvaders", "algo.policy=MlpPolicy"], "algo.policy", "image"),
    (["algo=ppo", "env=CartPole", "algo.policy=CnnPolicy"], "algo.policy", "flat observations"),
    (["algo=dqn", "env=SpaceInvaders", "total_timesteps=20000"], "algo.learning_starts", "algo.learning_starts="),
    (["algo=sac", "env=Pendulum", "algo.train_freq=[1,episode]", "env.n_envs=2"], "algo.train_freq", "n_envs"),
    (["algo=dqn", "env=CartPole", "algo.buffer_size=0"], "algo.buffer_size", "0"),
    (["algo=dqn", "env=CartPole", "algo.buffer_size=10", "algo.batch_size=64"], "algo.batch_size", "buffer"),
    (
        ["algo=ppo", "algo.n_steps=32", "env.n_envs=1", "algo.batch_size=64", "hyperparams=none"],
        "algo.batch_size",
        "32",
    ),
    (["hyperparams=ppo/LunarLandr"], "hyperparams", "did you mean 'ppo/LunarLander'"),
    (["algo=sac", "env=CarRacing", "hyperparams=required"], "hyperparams", "no tuned set"),
    (["env=gym"], "env.id", "env.id="),
    (["env=gym", "env.id=LunarLandr-v3"], "env.id", "LunarLander"),
    (["env=gym", "env.id=Hopper-v3"], "env.id", "v5"),
    (["env=LunarLander", "env.kwargs.gravty=-5"], "env.kwargs", "gravty"),
    (["env.wrappers.flaten={}"], "env.wrappers", "flatten"),
    (["env=Blackjack", "~env.wrappers.flatten"], "", "flatten"),
    (["algo=maskable_ppo", "env=CartPole"], "", "mask"),
    (["algo=dqn", "env=CartPole", "algo.replay_buffer_class=her"], "algo.replay_buffer_class", "goal"),
    (["algo=custom"], "algo.name", "algo.name="),
    (["algo=custom", "algo.name=nowhere.at:All"], "algo.name", "nowhere"),
    (["algo.name=sac"], "algo.name", "sac"),
    (["stop.reward=100", "eval.freq=0"], "stop.reward", "eval.freq"),
    (["device=cuda:99"], "device", "cuda"),
    (["algo=dqn", "algo.buffer_size=1e12"], "algo.buffer_size", "needs 47.3 TiB"),
    (["algo=ppo", "algo.n_steps=1e9", "env.n_envs=100"], "algo.n_steps", "needs 4.4 TiB"),
    (["algo=ppo", "env.n_envs=1e12"], "env.n_envs", "at most 4096"),
    (["env.frame_stack=1000000000"], "env.frame_stack", "at most 64, not 1000000000 [command line]"),
    (["eval.seeds=[]"], "eval.seeds", "a list of 1 or more whole numbers or null, not []"),
    (["algo=ppo", "algo.policy_kwargs.net_arch=[1e9, 64]"], "algo.policy_kwargs.net_arch", "are free"),
    (["env.n_envs=4000", "env.vec_env=subproc"], "env.n_envs", "4000 processes"),
]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("words", "key", "expected"), BAD, ids=[" ".join(words) for words, _, _ in BAD])
def test_a_mistake_is_named(words, key, expected):
    with pytest.raises(ConfigError) as error:
        check(compose("train", words))
    assert error.value.code == ExitCode.WRONG_REQUEST
    named = [problem for problem in error.value.problems if problem.key.startswith(key) and expected in str(problem)]
    assert named, str(error.value)
    assert all(problem.where for problem in named if problem.key), "every mistake says where its value came from"
    assert list(Path.cwd().iterdir()) == []


def test_several_mistakes_are_named_at_once():
    words = ["algo.gamma=2", "algo.n_stepz=5", "env.n_envs=0", "total_timesteps=true", "eval.freq=x"]
    with pytest.raises(ConfigError) as error:
        check(compose("train", words))
    found = {problem.key for problem in error.value.problems}
    assert found == {"algo.gamma", "algo.n_stepz", "env.n_envs", "total_timesteps", "eval.freq"}


def test_a_batch_beyond_the_rollout_is_a_notice_in_a_tuned_set():
    request = check(compose("train", ["env=MountainCarContinuous"]))
    assert request.config.algo.hyperparams["batch_size"] > request.config.algo.hyperparams["n_steps"]
    assert any("batch_size" in notice for notice in request.notices)


def test_a_changed_keyword_changes_the_spaces():
    """`continuous=true` gives LunarLander a Box: its file's declaration no longer holds."""
    assert check(compose("train", ["algo=sac", "env=LunarLander", "env.kwargs.continuous=true"])).config
    with pytest.raises(ConfigError):
        check(compose("train", ["algo=dqn", "env=LunarLander", "env.kwargs.continuous=true"]))


@pytest.mark.parametrize("env_id", ["LunarLander-v2", "Taxi-v3", "CliffWalking-v0"])
def test_old_ids_of_the_same_environment_are_aliases_with_a_notice(env_id):
    request = check(compose("train", ["algo=ppo", "env=gym", f"env.id={env_id}"]))
    assert any(env_id in notice for notice in request.notices)


def test_a_shipped_environment_by_its_id_is_named():
    request = check(compose("train", ["env=gym", "env.id=LunarLander-v3"]))
    assert any("env=LunarLander" in notice for notice in request.notices)


def test_a_package_that_is_missing_ends_with_code_3(tmp_path):
    """Box2D is hidden from a child process, as if it had not been installed."""
    code = (
        "import sys; sys.modules['Box2D'] = None\n"
        "from rlzoo.cli.main import main\n"
        "sys.exit(main(['train', 'env=LunarLander']))\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert result.returncode == ExitCode.MISSING, result.stderr
    assert "box2d" in result.stderr
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words", [["algo.gamma=2"], ["algo=dqn", "env=Pendulum"], ["env=gym", "env.id=LunarLander-v3", "algo=sac"]]
)
def test_mistakes_are_found_before_torch_is_imported(words, tmp_path):
    code = (
        "import sys; from rlzoo.cli.main import main\n"
        f"assert main({['train', *words]!r}) == 2\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, capture_output=True)
    assert list(tmp_path.iterdir()) == []


def test_what_an_environment_file_leaves_out_is_said_at_once(workdir):
    file = workdir / "conf" / "env" / "Mine.yaml"
    file.parent.mkdir(parents=True)
    for text, expected in (("id: CartPole-v1\n", "leaves out summary, imports"), ("", "is empty")):
        file.write_text(text)
        with pytest.raises(ConfigError) as error:
            check(compose("train", ["env=Mine"]))
        problem = error.value.problems[0]
        assert (problem.key, problem.where) == ("env", str(file.relative_to(workdir)))
        assert expected in problem.message
        assert "defaults: [gym, _self_]" in problem.hint


def test_empty_keywords_of_an_environment_are_none():
    request = check(compose("train", ["env.kwargs=null", "env.monitor_kwargs=null"]))
    assert (request.config.env.kwargs, request.config.env.monitor_kwargs) == ({}, {})


def test_a_module_that_exits_is_a_mistake_of_the_request(workdir, monkeypatch):
    (workdir / "exiting_module.py").write_text("import sys; sys.exit(3)\n")
    monkeypatch.syspath_prepend(str(workdir))
    with pytest.raises(ConfigError, match="importing exiting_module:X failed: SystemExit"):
        check(compose("train", ["algo=custom", "algo.name=exiting_module:X"]))


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("defaults: [ppo, _self_]\nn_steps: 64\n", []),
        ("defaults: [ppo_lstm, _self_]\nname: recurrent_ppo\n", ["algo.name"]),
        ("defaults: [ppo, _self_]\ngamma: 3\nnope: 1\n", ["algo.gamma", "algo.nope"]),
        ("name: q_learning\ngamma: 0.9\n", ["algo.name"]),
        ("gamma: 3\nname: nothing\n", ["algo.name"]),
    ],
    ids=["variant", "alias", "mistakes", "other spaces", "unknown name"],
)
def test_a_file_of_the_users_own_is_of_the_algorithm_that_it_names(text, wrong, workdir):
    file = workdir / "conf" / "algo" / "small.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    with pytest.raises(ConfigError) as error:
        check(compose("train", ["algo=small", "env=CartPole", "total_timesteps=0"]))
    first, *others = error.value.problems
    assert (first.key, [problem.key for problem in others]) == ("total_timesteps", wrong)
    lines = [line.partition(":")[0] for line in text.splitlines()]
    for problem in others:
        line = lines.index(problem.key.removeprefix("algo.")) + 1
        assert problem.where == f"{file.relative_to(workdir)}:{line}"


def test_jobs_that_run_together_have_to_fit_together():
    """One job fits into this machine's memory, sixteen at the same time do not; the hint is what does."""
    from rlzoo.algos.free_memory import available

    size = available().free // 52 // 4  # transitions of CartPole
    composition = compose("train", ["algo=dqn", f"algo.buffer_size={size}", "total_timesteps=1e12", "n_jobs=16"])
    assert check(composition)
    with pytest.raises(ConfigError, match="in 16 jobs at the same time") as error:
        check(composition, n_requests=100)
    fits = int(error.value.problems[0].hint.partition("=")[2].split()[0])
    again = compose("train", ["algo=dqn", f"algo.buffer_size={int(0.9 * fits)}", "total_timesteps=1e12", "n_jobs=16"])
    assert check(again, n_requests=100)
