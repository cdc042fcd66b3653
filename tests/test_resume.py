"""Going on with a training by hand: what is refused, what is said, real kills and signals; all set-ups: faults/."""

import signal
import subprocess
import sys
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import gymnasium
import numpy as np
import pytest

import rlzoo
from rlzoo.cli.main import main
from rlzoo.config.compose import compose
from rlzoo.config.parse import dump
from rlzoo.errors import ExitCode, RlzooError
from rlzoo.evaluation.agent import load
from rlzoo.protocols import Algorithm, Callback
from rlzoo.runs.checkpoints import read
from rlzoo.runs.run import Run
from rlzoo.training.preflight import check
from rlzoo.training.resume import newest_boundary, resume_run
from rlzoo.training.train import train

COMMON = ["hyperparams=none", "seed=3", "eval.freq=100", "eval.n_episodes=1", "eval.final_n_episodes=1"]
COMMON += ["checkpoint.freq=60", "env.max_steps=40"]
ROLLOUT = ["algo.n_steps=64", "algo.batch_size=32", "total_timesteps=512"]


class Cut(Callback):
    """Ends the training with an error, as a killed process would, wherever it is."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step(self, algorithm: Algorithm) -> bool:
        if algorithm.num_timesteps >= self.step:
            raise RuntimeError("cut")
        return True


def start(words: list[str], root: Path):
    cfg = check(compose("train", words)).config
    run = Run.create(root, algo=cfg.algo.name, env_id=cfg.env.id, seed=cfg.seed)
    run.write_config(dump(cfg))
    run.write_info({"status": "running"})
    return cfg, run


def test_the_record_of_a_run_that_goes_on_is_of_all_its_sittings(tmp_path, monkeypatch):
    cfg, run = start(["algo=q_learning", "env=FrozenLake", *COMMON, "total_timesteps=200"], tmp_path)
    train(cfg, run)
    run.update_info(wall_seconds=1000.0)
    during = []

    def watched(*args, **options):
        during.append(run.read_info())
        train(*args, **options)

    monkeypatch.setattr("rlzoo.training.train.train", watched)
    assert main(["train", f"resume={run.path}", "total_timesteps=300"]) == 0
    assert during[0]["status"] == "running" and "finished" not in during[0]
    info = run.read_info()
    assert info["status"] == "finished" and 1000 < info["wall_seconds"] < 1100 and len(info["resumed"]) == 1


def test_what_cannot_be_restored_restarts_its_episode_and_says_so(tmp_path, monkeypatch, capsys):
    (tmp_path / "forgetful.py").write_text(
        "import gymnasium as gym, random\n"
        "from gymnasium.envs.classic_control.cartpole import CartPoleEnv\n"
        "class Forgetful(CartPoleEnv):\n"
        "    def step(self, action):\n"
        "        self.state = tuple(x + random.SystemRandom().gauss(0, 1e-3) for x in self.state)\n"
        "        return super().step(action)\n"
        "    def get_state(self): raise RuntimeError('nothing to give')\n"
        "    def set_state(self, state): raise RuntimeError('nothing to take')\n"
        "gym.register('Forgetful-v0', Forgetful, max_episode_steps=40)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    words = ["algo=ppo", "env=gym", "env.id=forgetful:Forgetful-v0", *COMMON, *ROLLOUT, "env.max_steps=null"]
    cfg, run = start(words, tmp_path / "runs")
    with pytest.raises(RlzooError, match="cut"):
        train(cfg, run, [Cut(300)])
    capsys.readouterr()
    train(cfg, run, resume_from=newest_boundary(run))
    assert run.read_info()["resume"].startswith("restarted-episodes: environment 0")
    assert "resume: restarted-episodes" in capsys.readouterr().err


def test_settings_that_were_edited_by_hand_are_not_called_exact(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["algo=ppo", "env=CartPole", *COMMON, *ROLLOUT]
    cfg, run = start(words, tmp_path / "runs")
    with pytest.raises(RlzooError, match="cut"):
        train(cfg, run, [Cut(300)])
    text = run.config_file.read_text()
    run.config_file.write_text(text.replace("gamma: 0.99", "gamma: 0.5"))
    assert run.config_file.read_text() != text
    assert main(["train", f"resume={run.path}"]) == 0
    assert run.read_info()["resume"].startswith("not-exact: the settings in config.yaml are not those")
    assert "resume: not-exact" in capsys.readouterr().err


def test_other_versions_and_threads_are_not_called_exact(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cfg, run = start(["algo=ppo", "env=CartPole", *COMMON, *ROLLOUT], tmp_path / "runs")
    with pytest.raises(RlzooError, match="cut"):
        train(cfg, run, [Cut(300)])
    run.update_info(versions={"torch": "2.10.0", "numpy": version("numpy")}, python="3.11.1", torch_threads=7)
    train(cfg, run, resume_from=newest_boundary(run))
    level = run.read_info()["resume"]
    assert level.startswith("not-exact: ")
    assert f"torch was 2.10.0, is {version('torch')}" in level
    assert "python was 3.11.1, is " in level and "torch_threads was 7, is 1" in level
    assert "numpy was" not in level


def test_a_killed_process_goes_on_in_a_new_one(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["algo=ppo", "env=CartPole", "seed=1", "total_timesteps=6000", "checkpoint.freq=1000", "eval.freq=2000"]
    whole = rlzoo.train(*words, "runs_dir=whole")
    command = [sys.executable, "-m", "rlzoo", "train", *words]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while not list(tmp_path.glob("runs/*/*/*/checkpoints/[1-9]*")) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    run = Run.open("latest")
    assert run.read_info()["status"] == "running"
    assert main(["train", f"resume={run.path}"]) == 0
    errors = capsys.readouterr().err
    assert "resuming" in errors and "resume: exact" in errors
    assert run.read_info()["resume"] == "exact"
    assert run.metrics_file.read_bytes() == whole.metrics_file.read_bytes()
    assert run.read_info()["status"] == "finished"
    first, second = (read(r.checkpoint("last")).algorithm.tensors for r in (whole, run))
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert main(["train", "resume=latest"]) == 0
    assert "is finished" in capsys.readouterr().err
    assert main(["train", "resume=latest", "seed=7", "algo.gamma=0.5"]) == 2
    errors = capsys.readouterr().err
    assert "seed: cannot change" in errors and "algo.gamma: cannot change" in errors
    assert main(["train", "resume=latest", "total_timesteps=7000"]) == 0
    assert "total_timesteps: 6000 -> 7000" in capsys.readouterr().err
    assert run.read_results()[-1]["num_timesteps"] >= 6000
    assert run.read_info()["resume"].startswith("not-exact: total_timesteps has changed")
    for flag in ("-m", "--dry-run"):
        assert main(["train", "resume=latest", flag]) == 2


@pytest.mark.parametrize(
    "setting", [["algo=ppo", "env=CartPole"], ["algo=dqn", "env=CartPole", "algo.learning_starts=100"]]
)
def test_a_signal_loses_nothing(setting, tmp_path, monkeypatch, capsys):
    """The training ends at the next boundary; resuming from there gives what it would have given."""
    monkeypatch.chdir(tmp_path)
    words = [*setting, "seed=1", "total_timesteps=4000", "eval.freq=1500", "eval.n_episodes=2", "env.max_steps=60"]
    whole = rlzoo.train(*words, "runs_dir=whole")
    command = [sys.executable, "-m", "rlzoo", "train", *words, "checkpoint.freq=100000"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 120
        while not list(tmp_path.glob("runs/*/*/*/metrics.csv")) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 143, errors
    assert "rlzoo train resume=" in errors
    run = Run.open("latest")
    assert newest_boundary(run).num_timesteps == read(run.checkpoint("last")).num_timesteps
    assert main(["train", f"resume={run.path}"]) == 0
    assert run.metrics_file.read_bytes() == whole.metrics_file.read_bytes()
    assert run.evaluations_file.read_bytes() == whole.evaluations_file.read_bytes()


@pytest.mark.parametrize(
    "words", [["env=BitFlipping"], ["env=CartPole", "hyperparams=none", "algo.learning_starts=100"]]
)
def test_without_its_replay_buffer_a_training_warms_up_again(words, workdir, capsys):
    words = ["algo=dqn", *words, "seed=3", "eval.freq=0", "eval.final_n_episodes=1", "checkpoint.freq=1000"]
    cfg, run = start([*words, "total_timesteps=3000", "checkpoint.replay_buffer=never"], Path("runs"))
    with pytest.raises(RlzooError, match="cut"):
        train(cfg, run, [Cut(1200)])
    n_updates = n_updates_of(run)
    assert main(["train", f"resume={run.path}"]) == 0
    assert "the replay buffer was not saved and is filled again" in capsys.readouterr().err
    warm_up = int(cfg.algo.hyperparams["learning_starts"])
    assert 0 < n_updates_of(run) - n_updates <= (2000 - warm_up) // 4 + 1  # one every four steps


def n_updates_of(run: Run) -> int:
    return int(read(run.checkpoint("last")).algorithm.values["counters"]["_n_updates"])


def test_loggers_that_are_typed_are_checked_as_in_a_request(workdir, capsys):
    rlzoo.train("algo=q_learning", "env=FrozenLake", "total_timesteps=200", "seed=0", "eval.final_n_episodes=1")
    words = ["logger.csv.foo=1", "logger.wandb={bar: 1}", "logger.evil={}", "total_timesteps=300"]
    assert main(["train", "resume=latest", *words]) == 2
    said = capsys.readouterr().err
    assert all(f"{key}: unknown" in said for key in ("logger.csv.foo", "logger.wandb.bar", "logger.evil")), said
    assert main(["train", "resume=latest", "logger.tensorboard.flush_seconds=9", "total_timesteps=300"]) == 0


class Mine(gymnasium.Env):
    """As its author has it today."""

    shape, says, sees = (3,), "Discrete(2)", 0.0

    def __init__(self):
        if self.says == "nothing":
            raise OSError("no licence")
        self.observation_space = gymnasium.spaces.Box(-1, 1, self.shape)
        self.action_space = eval(self.says, vars(gymnasium.spaces))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.full(self.shape, self.sees, np.float32), {}

    def step(self, action):
        return np.zeros(self.shape, np.float32), 0.0, False, False, {}


gymnasium.register("Resumed-v0", Mine)


def test_an_environment_that_has_changed_is_said_before_anything_is_written(workdir, monkeypatch):
    words = ["algo=a2c", "env=gym", f"env.id={__name__}:Resumed-v0", *COMMON, "total_timesteps=200", "eval.freq=0"]
    cfg, run = start(words, workdir / "runs")
    with pytest.raises(RlzooError, match="cut"):
        train(cfg, run, [Cut(150)])
    run.update_info(status="interrupted")
    config = run.config_file.read_bytes()

    def refused(act):
        with pytest.raises(RlzooError) as caught:
            act()
        assert caught.value.code is ExitCode.WRONG_REQUEST
        assert run.read_info()["status"] == "interrupted" and "resumed" not in run.read_info()
        assert run.config_file.read_bytes() == config
        return str(caught.value)

    for change, words in [
        ({"shape": (4,)}, "observation_space was Box(3), is Box(4)\n  the environment has changed"),
        ({"shape": (3, 1)}, "observation_space was Box(3), is Box(3, 1)"),
        ({"says": "Discrete(3)"}, "action_space was Discrete(2), is Discrete(3)"),
        ({"says": "Box(-1, 1, (2,))"}, "action_space was Discrete(2), is Box(2)"),
        ({"says": "nothing"}, "raised OSError while starting: no licence ("),
    ]:
        with monkeypatch.context() as patch:
            for name, value in change.items():
                patch.setattr(Mine, name, value)
            assert words in refused(lambda: resume_run(run, cfg))
            if words.startswith(("observation_space was Box(3), is Box(4)", "action_space")):  # others fit the networks
                assert words in refused(lambda: load(run))
    monkeypatch.delitem(gymnasium.registry, "Resumed-v0")
    for act in (lambda: resume_run(run, cfg), lambda: load(run)):
        assert f"'Resumed-v0' is not known to Gymnasium: {__name__} registers " in refused(act)
    monkeypatch.undo()
    assert resume_run(run, cfg) and run.read_info()["status"] == "finished"
    bad = r"(NaN|infinite) observation \(entry 0\) from"
    for value in ("nan", "inf"):
        monkeypatch.setattr(Mine, "sees", float(value))
        with pytest.raises(RlzooError, match=f"{bad} evaluation environment 0 at step 0"):
            load(run).evaluate(n_episodes=1)
    run.update_info(status="interrupted")
    with pytest.raises(RlzooError, match=f"{bad} environment 0 at step 200"):  # the first that it learns from
        resume_run(run, replace(cfg, total_timesteps=300))
