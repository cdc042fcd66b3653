"""A training that begins with the weights of another: from a run, a checkpoint, a zip, or a folder of older layout."""

import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecNormalize

import rlzoo
from rlzoo.cli.main import main
from rlzoo.errors import ConfigError, RlzooError
from rlzoo.protocols import Algorithm, Callback
from rlzoo.runs import checkpoints
from rlzoo.runs.run import Run, find_runs
from rlzoo.untrusted.pickle_files import write_q_learning

TINY = ["hyperparams=none", "seed=0", "total_timesteps=64", "algo.n_steps=32", "algo.batch_size=32", "eval.freq=0"]
TINY += ["eval.final_n_episodes=1", "env.max_steps=20"]
STILL = ["algo.learning_rate=1e-60"]
"""With this step size, nothing in single precision, the weights stay what they began with."""


def weights(run: Run) -> dict[str, np.ndarray]:
    tensors = checkpoints.read(run.checkpoint("last")).algorithm.tensors
    return {name: array for name, array in tensors.items() if "optimizer" not in name}


@pytest.fixture
def source(workdir: Path) -> Run:
    return rlzoo.train("algo=ppo", "env=CartPole", *TINY, "runs_dir=source", "seed=1")


def test_a_run_and_a_checkpoint_give_their_weights_and_nothing_else(source):
    for text in (str(source.path), str(source.checkpoint("last").path)):
        run = rlzoo.train("algo=ppo", "env=CartPole", *TINY, *STILL, f"init_from={text}")
        first, second = weights(source), weights(run)
        assert first.keys() == second.keys()
        assert all(np.array_equal(first[name], second[name]) for name in first)
        contents = checkpoints.read(run.checkpoint("last"))
        assert contents.num_timesteps == 64  # not 128
        assert run.read_info()["init_from"] == {
            "path": str(
                source.checkpoint("last").path.resolve() if text.endswith("last") else source.checkpoint("last").path
            ),
            "num_timesteps": 64,
        }
        assert run.read_config()["init_from"] == text


def test_the_newest_run_is_the_one_before_this_training(source):
    words = ["algo=ppo", "env=CartPole", *TINY, "runs_dir=source", "init_from=latest"]
    path = str(source.checkpoint("last").path)
    assert main(["train", "-m", *words, "seed=0,2"]) == 0
    runs = [run for run in find_runs(Path("source")) if run.path != source.path]
    assert [run.read_info()["init_from"]["path"] for run in runs] == [path, path]
    assert {run.read_config()["init_from"] for run in runs} == {str(source.path)}


def test_resume_auto_knows_its_run_by_whatever_was_the_newest_then(source, capsys):
    words = ["algo=ppo", "env=CartPole", *TINY, "runs_dir=source", "init_from=ppo/CartPole-v1"]
    run = rlzoo.train(*words)
    run.update_info(status="interrupted")
    assert main(["train", *words, "resume=auto"]) == 0
    assert f"resuming {run.path}" in capsys.readouterr().err
    source.update_info(status="interrupted")  # it began with no weights: another training
    assert main(["train", *words, "resume=auto"]) == 0
    assert "starting one" in capsys.readouterr().err


def test_a_checkpoint_that_was_taken_out_of_its_run_is_enough(workdir):
    source = rlzoo.train("algo=ppo", "env=Pendulum", *TINY, "env.normalize=true")
    shutil.copytree(source.checkpoint("last").path, "taken")
    for text in ("taken", "taken/model.zip", str(source.checkpoint("last").model_zip)):
        words = ["algo=ppo", "env=Pendulum", *TINY, f"init_from={text}"]
        with pytest.raises(ConfigError, match="was trained on normalised observations"):
            rlzoo.train(*words)
        run = rlzoo.train(*words, "env.normalize=true")
        found = checkpoints.read(run.checkpoint("last")).normalization
        assert found is not None and found.values["obs_count"] > 2 * 64


def test_a_resumed_run_does_not_begin_with_them_again(source):
    run = rlzoo.train("algo=ppo", "env=CartPole", *TINY, f"init_from={source.path}")
    source.path.rename("gone")
    assert main(["train", f"resume={run.path}", "total_timesteps=96"]) == 0
    assert run.read_info()["resumed"][0]["from"] == 64


def test_a_zip_is_read_without_unpickling(workdir):
    env = make_vec_env("CartPole-v1")
    model = PPO("MlpPolicy", env, n_steps=32, batch_size=32, seed=2, device="cpu")
    model.learn(32)
    model.save("agent.zip")
    run = rlzoo.train("algo=ppo", "env=CartPole", *TINY, *STILL, "init_from=agent.zip")
    for name, tensor in model.policy.state_dict().items():
        assert torch.equal(torch.as_tensor(weights(run)[f"policy.{name}"]), tensor), name
    assert "trusted" not in run.read_info()["init_from"]
    trusted = rlzoo.train("algo=ppo", "env=CartPole", *TINY, *STILL, "init_from=agent.zip", "trust=true")
    assert trusted.read_info()["init_from"]["trusted"]["file"] == "agent.zip"
    assert "trust" not in trusted.read_config()
    assert all(np.array_equal(weights(run)[name], array) for name, array in weights(trusted).items())


def test_the_statistics_beside_a_zip_are_taken_over(workdir):
    env = VecNormalize(make_vec_env("Pendulum-v1", n_envs=2))
    model = PPO("MlpPolicy", env, n_steps=32, batch_size=32, seed=2, device="cpu")
    model.learn(256)
    Path("hub").mkdir()
    model.save("hub/ppo-Pendulum-v1.zip")
    env.save("hub/vec_normalize.pkl")
    words = ["algo=ppo", "env=Pendulum", *TINY, *STILL, "init_from=hub"]
    with pytest.raises(ConfigError, match="was trained on normalised observations"):
        rlzoo.train(*words)
    run = rlzoo.train(*words, "env.normalize=true")
    found = checkpoints.read(run.checkpoint("last")).normalization
    assert found is not None
    began = env.obs_rms.count
    assert found.values["obs_count"] == pytest.approx(began + 64 + 1, abs=1)  # they went on from there


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["algo=a2c", "env=CartPole", "init_from={run}"], "holds weights of ppo, not of a2c"),
        (["algo=ppo", "env=CartPole", "init_from=nowhere"], "there is no run 'nowhere'"),
        (["algo=ppo", "env=CartPole", "init_from={run}/config.yaml"], "is not a run, a checkpoint, a zip"),
        (["algo=ppo", "env=CartPole", "init_from={run}/checkpoints"], "has no single zip: none"),
        (["algo=ppo", "env=CartPole", "trust=yes"], "trust: must be true or false"),
    ],
)
def test_what_cannot_be_begun_with_is_found_before_anything_starts(words, said, source):
    with pytest.raises(ConfigError, match=said):
        rlzoo.train(*[word.format(run=source.path) for word in words], "hyperparams=none")
    assert not Path("runs").exists()


def test_weights_of_another_network_are_named(source):
    words = ["algo=ppo", "env=CartPole", *TINY, "algo.policy_kwargs={net_arch: [8]}"]
    with pytest.raises(RlzooError, match=r"do not fit: .*shape \(64, 4\), not \(8, 4\)"):
        rlzoo.train(*words, f"init_from={source.path}")
    assert not Path("runs").exists()


def _cut_short(source: Run) -> str:
    part = source.checkpoint("last").path / "algorithm.safetensors"
    part.write_bytes(part.read_bytes()[:100])
    return str(source.path)


def _leads_out(source: Run) -> str:
    shutil.move(source.checkpoint("last").path, "outside")
    source.checkpoint("last").path.symlink_to(Path("outside").resolve())
    return str(source.checkpoint("last").path)


def _odd_statistics(source: Run) -> str:
    shutil.copy(source.checkpoint("last").model_zip, "agent.zip")
    Path("vec_normalize.pkl").write_bytes(b"no pickle")
    return "agent.zip"


def _cut_zip(source: Run) -> str:
    Path("agent.zip").write_bytes(source.checkpoint("last").model_zip.read_bytes()[:500])
    return "agent.zip"


BEFORE_THE_RUN = (
    (lambda source: "nowhere.zip", [], 2),
    (lambda source: str(source.path), ["env=Acrobot"], 2),  # other shapes
    (_cut_short, [], 5),
    (_leads_out, [], 7),
    (_cut_zip, [], 7),
    (_odd_statistics, ["env.normalize=true"], 7),
)


@pytest.mark.parametrize(("make", "words", "code"), BEFORE_THE_RUN)
@pytest.mark.parametrize("option", ["seed=0", "--dry-run"])
def test_weights_that_cannot_be_taken_over_leave_no_run(source, make, words, code, option):
    assert main(["train", "algo=ppo", "env=CartPole", *TINY, *words, f"init_from={make(source)}", option]) == code
    assert not Path("runs").exists()


def test_neither_do_a_sweep_a_search_and_a_reproduction(source, capsys):
    words = ["algo=ppo", "env=CartPole", *TINY]
    run = rlzoo.train(*words, f"init_from={source.path}", "runs_dir=began")
    text = _cut_short(source)
    assert main(["train", "-m", *words, "seed=0,1", f"init_from={text}"]) == 5
    assert main(["tune", *words, "n_trials=1", "objective=final", f"init_from={text}"]) == 5
    assert main(["reproduce", f"run={run.path}", "into=again"]) == 5
    assert main(["train", "-m", *words, "seed=0,1", "init_from=agent.zip"]) == 2
    assert not {"runs", "studies", "again"} & {path.name for path in Path().iterdir()}


class Cut(Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step(self, algorithm: Algorithm) -> bool:
        if algorithm.num_timesteps >= self.step:
            raise RuntimeError("cut")
        return True


def test_resume_auto_goes_on_with_its_own_run_or_starts_one(workdir, capsys):
    from tests.test_resume import start

    words = ["algo=ppo", "env=CartPole", *TINY, "total_timesteps=192", "checkpoint.freq=32"]
    cfg, run = start(words, Path("runs"))
    with pytest.raises(RlzooError, match="cut"):
        rlzoo.training.train.train(cfg, run, [Cut(150)])
    other = main(["train", *words, "seed=5", "resume=auto"])
    assert other == 0 and "starting one" in capsys.readouterr().err
    assert main(["train", *words, "resume=auto"]) == 0
    said = capsys.readouterr()
    assert f"resuming {run.path} from step 128" in said.err
    assert run.read_info()["status"] == "finished"
    assert str(run.path) in said.out
    assert main(["train", *words, "resume=auto"]) == 0  # finished: another one begins
    assert "starting one" in capsys.readouterr().err
    assert len(list(Path("runs").glob("ppo/CartPole-v1/*"))) == 3
    # without a seed any seed's run is the same training
    cfg, drawn = start([*words, "seed=77"], Path("runs"))
    with pytest.raises(RlzooError, match="cut"):
        rlzoo.training.train.train(cfg, drawn, [Cut(150)])
    without = [word for word in words if not word.startswith("seed=")]
    assert main(["train", "-m", *without, "n_jobs=1", "resume=auto"]) == 0
    assert drawn.read_info()["status"] == "finished"
    assert json.loads(drawn.info_file.read_text())["resumed"][0]["from"] == 128


def test_resume_auto_leaves_the_runs_of_others(workdir, capsys, monkeypatch):
    from tests.test_resume import start

    words = ["algo=ppo", "env=CartPole", *TINY, "total_timesteps=96", "checkpoint.freq=32"]
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("XDG_STATE_HOME", str(workdir / "other"))
        cfg, run = start(words, Path("runs"))
        with pytest.raises(RlzooError, match="cut"):
            rlzoo.training.train.train(cfg, run, [Cut(70)])
    before = run.config_file.read_text()
    assert main(["train", *words, "resume=auto"]) == 0
    said = capsys.readouterr().err
    assert f"{run.path} was not begun here: rlzoo train resume={run.path} resumes it" in said and "starting one" in said
    assert run.config_file.read_text() == before and run.read_info()["status"] == "failed"
    monkeypatch.setenv("XDG_STATE_HOME", str(workdir / "file"))  # where no key can be, nothing is signed
    Path("file").touch()
    assert main(["train", *words, "resume=auto"]) == 0
    assert f"resuming {run.path} from step 64" in capsys.readouterr().err


def test_resume_auto_asks_for_the_seeds_of_several_jobs(workdir, capsys):
    words = ["algo=ppo", "env=CartPole", *[word for word in TINY if word != "seed=0"], "resume=auto"]
    for jobs in (["n_seeds=2"], ["-m", "algo.gamma=0.9,0.99"]):
        assert main(["train", *words, *jobs]) == 2
        assert "seed: is null, but resume=auto tells the runs of several jobs by their seeds" in capsys.readouterr().err
    assert not Path("runs").exists()


def test_a_table_of_the_course_is_played_on_and_read_as_data(workdir: Path) -> None:
    table = np.arange(64.0).reshape(16, 4) % 7
    write_q_learning(Path("q-learning.pkl"), table, {"env_id": "FrozenLake-v1", "learning_rate": 0.7, "eval_seed": []})
    words = ["algo=q_learning", "env=FrozenLake", "total_timesteps=1", "seed=0", "algo.learning_rate=1e-300"]
    run = rlzoo.train(*words, "init_from=q-learning.pkl", "hyperparams=none")
    np.testing.assert_allclose(weights(run)["q_values"], table, atol=1e-200)
    assert run.read_info()["init_from"]["values"] == {"env_id": "FrozenLake-v1", "learning_rate": 0.7}

    for wrong, reason in (
        (["env=Taxi"], "has 16 states and 4 actions, and this environment Discrete"),
        (["algo=ppo", "~algo.learning_rate"], "ppo learns no table"),
    ):
        with pytest.raises(ConfigError, match=reason):
            rlzoo.train(*words[:-1], *wrong, "init_from=q-learning.pkl", "hyperparams=none")


def test_a_table_that_would_run_code_is_refused(workdir: Path) -> None:
    class Evil:
        def __reduce__(self):
            return os.mkdir, ("pwned",)

    Path("q-learning.pkl").write_bytes(pickle.dumps({"qtable": Evil()}))
    with pytest.raises(ConfigError, match=r"q-learning\.pkl") as error:
        rlzoo.train("algo=q_learning", "env=FrozenLake", "init_from=q-learning.pkl", "total_timesteps=1")
    assert error.value.code == 7
    assert not Path("pwned").exists()
