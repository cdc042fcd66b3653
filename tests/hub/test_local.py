"""Agents on this disk that are no runs: packages, repositories and files of weights, named where a run is named."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

import rlzoo
from rlzoo.cli.main import main
from rlzoo.errors import ExitCode, RlzooError
from rlzoo.hub.formats import read as local
from rlzoo.hub.formats.source import ImportOptions
from rlzoo.runs.run import Run
from tests.hub import foreign
from tests.hub.foreign import ARGS, CARD, publish, zoo_config

SEEDS = [11, 12, 13]
ON: dict[str, Any] = {"n_steps": 32, "batch_size": 32, "seed": 0, "device": "cpu"}


def digests(folder: Path) -> dict[str, str]:
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def table(n_states: int, n_actions: int) -> np.ndarray:
    return np.random.default_rng(3).uniform(size=(n_states, n_actions))


@pytest.fixture(scope="module")
def cartpole() -> PPO:
    return PPO("MlpPolicy", DummyVecEnv([foreign.monitored("CartPole-v1")]), **ON).learn(64)


@pytest.fixture(scope="module")
def pendulum() -> PPO:
    env = VecNormalize(DummyVecEnv([foreign.monitored("Pendulum-v1")]))
    return PPO("MlpPolicy", env, **ON).learn(128)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Path]:
    """A run and the package of it."""
    root = tmp_path_factory.mktemp("own")
    words = ["algo=ppo", "env=CartPole", "hyperparams=none", "total_timesteps=64", "algo.n_steps=32", "eval.freq=0"]
    run = rlzoo.train(*words, "algo.batch_size=32", "eval.final_n_episodes=1", "seed=0", f"runs_dir={root / 'runs'}")
    return run, rlzoo.package(run, folder=root / "pk", n_episodes=1, video=False).folder


def scores(model: Any, env_id: str, statistics: Path | None = None) -> list[float]:
    env: Any = DummyVecEnv([foreign.monitored(env_id)])
    if statistics is not None:
        env = VecNormalize.load(str(statistics), env)
        env.training = env.norm_reward = False
    return [foreign.play(model, env, seed) for seed in SEEDS]


def test_an_own_package_plays_as_its_run_and_stays_as_it_is(own, workdir, capsys):
    run, package = own
    before = digests(package)
    assert main(["evaluate", f"run={package}", f"seeds={SEEDS}", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["returns"] == list(rlzoo.evaluate(run, seeds=SEEDS).returns)
    made = Run.open(printed["run"])
    assert made.path.parent == local.ROOT and not made.is_own()
    assert [entry["source"] for entry in made.read_results()] == ["published", "evaluate"]
    assert main(["evaluate", f"run={package}", "n_episodes=1"]) == 0
    output = capsys.readouterr()
    assert f"appended to {made.results_file}" in output.out
    assert f"rlzoo's own layout, as the run {made.path}" in output.err
    assert len(list(local.ROOT.iterdir())) == 1  # the same files are the same run
    assert digests(package) == before


def test_a_run_that_a_stranger_has_put_in_its_place_is_not_taken(own, workdir, monkeypatch):
    """The folder that somebody sends has a package, and what they made of it."""
    _, package = own
    with monkeypatch.context() as theirs:
        theirs.setenv("XDG_STATE_HOME", str(workdir / "theirs"))
        planted = local.read_local(package, ImportOptions())
    mine = local.read_local(package, ImportOptions())
    assert planted.path.parent == mine.path.parent == local.ROOT and planted.path != mine.path
    assert local.read_local(package, ImportOptions()).path == mine.path


def test_the_other_verbs_take_it_too(own, workdir, capsys):
    _, package = own
    assert main(["enjoy", f"run={package}", "render=none", "n_episodes=1"]) == 0
    assert main(["record", f"run={package}", "n_timesteps=5"]) == 0
    assert "hub/local/pk-" in capsys.readouterr().out
    assert main(["package", f"run={package}", "video=false", "n_episodes=1"]) == 0
    assert (workdir / "packages" / "ppo-CartPole-v1" / "ppo-CartPole-v1.zip").is_file()
    assert main(["push-to-hub", f"run={package}", "dry_run=true", "folder=again", "video=false", "n_episodes=1"]) == 0
    assert (workdir / "again" / "config.yaml").is_file()
    assert rlzoo.load(package).num_timesteps == 64


def test_a_package_is_not_replaced_by_a_package_of_itself(own, workdir, capsys):
    package = workdir / "packages" / "ppo-CartPole-v1"
    shutil.copytree(own[1], package)
    before = digests(package)
    assert main(["package", "run=packages/ppo-CartPole-v1", "video=false", "n_episodes=1"]) == ExitCode.STORAGE
    assert "is the package that is read" in capsys.readouterr().err
    assert digests(package) == before


def test_what_is_refused_leaves_nothing(workdir, capsys):
    Path("model.zip").write_bytes(b"no zip")
    assert main(["evaluate", "run=model.zip", "env=CartPole"]) == ExitCode.UNSAFE
    assert [path.name for path in workdir.iterdir()] == ["model.zip"]


def test_changed_files_are_another_run(own, workdir):
    package = workdir / "pk"
    shutil.copytree(own[1], package)
    first = local.read_local(package, ImportOptions())
    (package / "results.json").write_text('{"mean_reward": 1.5, "std_reward": 0.5, "n_eval_episodes": 3}')
    second = local.read_local(package, ImportOptions())
    assert first.path != second.path
    assert second.read_results()[0]["mean_reward"] == 1.5


def test_a_repository_of_rl_zoo3_with_statistics(pendulum, workdir):
    config = zoo_config(n_timesteps=1e5, policy="MlpPolicy", normalize=True, n_steps=32, batch_size=32)
    args = ARGS.format(algo="ppo", env_id="Pendulum-v1")
    folder = publish(workdir / "ppo-Pendulum-v1", "ppo-Pendulum-v1", pendulum, config=config, args=args)
    before = digests(folder)
    expected = scores(pendulum, "Pendulum-v1", folder / "vec_normalize.pkl")
    for named in (folder, folder / "ppo-Pendulum-v1.zip"):
        assert rlzoo.evaluate(named, seeds=SEEDS).returns == pytest.approx(expected, abs=1e-6)
    assert digests(folder) == before


def test_a_repository_of_huggingface_sb3_by_a_relative_path(cartpole, workdir):
    card = CARD.format(env_id="CartPole-v1")
    publish(workdir / "down" / "unit1", "ppo", cartpole, card=card)
    assert list(rlzoo.evaluate("down/unit1/", seeds=SEEDS).returns) == scores(cartpole, "CartPole-v1")


def test_a_lone_zip_needs_to_be_told_its_environment(cartpole, workdir, capsys):
    cartpole.save("model.zip")
    assert main(["evaluate", "run=model.zip"]) == ExitCode.WRONG_REQUEST
    assert "say it: env.id=CartPole-v1" in capsys.readouterr().err
    expected = scores(cartpole, "CartPole-v1")
    for word in ("env=CartPole", "env=cartpole-v1", "env.id=CartPole-v1"):
        assert main(["evaluate", "run=model.zip", word, f"seeds={SEEDS}", "--json"]) == 0
        output = capsys.readouterr()
        found = json.loads(output.out)
        assert found["returns"] == expected
        assert "env" not in found  # it is where the agent belongs, not a changed environment
        assert "no vec_normalize.pkl" in output.err
    assert rlzoo.evaluate("model.zip", "env.max_steps=9", env="CartPole", seeds=SEEDS).lengths == (9, 9, 9)


def test_a_zip_with_its_statistics_beside_it(pendulum, workdir, capsys):
    pendulum.save("best_model.zip")
    pendulum.get_env().save("vec_normalize.pkl")
    expected = scores(pendulum, "Pendulum-v1", workdir / "vec_normalize.pkl")
    assert rlzoo.evaluate("best_model.zip", env="Pendulum", seeds=SEEDS).returns == pytest.approx(expected, abs=1e-6)
    assert "no vec_normalize.pkl" not in capsys.readouterr().err


def test_a_zip_whose_name_says_where_it_plays(workdir):
    model = DQN("MlpPolicy", DummyVecEnv([foreign.monitored("MountainCar-v0")]), buffer_size=50, seed=0, device="cpu")
    model.save("dqn-MountainCar-v0.zip")
    assert rlzoo.evaluate("dqn-MountainCar-v0.zip", seeds=[1]).returns == (-200.0,)


@pytest.mark.parametrize(
    ("env_id", "env", "kwargs", "shape"),
    [
        ("Taxi-v3", None, {}, (500, 6)),
        ("FrozenLake-v1", "FrozenLakeNoSlippery", {"is_slippery": False}, (16, 4)),
        ("CliffWalking-v0", None, {}, (48, 4)),
    ],
)
def test_a_table_of_the_course_alone(env_id, env, kwargs, shape, workdir):
    foreign.course_table(workdir / "q-learning.pkl", env_id, table(*shape))
    agent = rlzoo.load("q-learning.pkl", env=env)
    assert agent.config.env.kwargs == kwargs
    np.testing.assert_array_equal(agent.algorithm.state().tensors["q_values"], table(*shape))


def test_a_network_of_the_course_with_its_hyperparameters_beside_it(workdir):
    import torch

    policy = foreign.CoursePolicy(4, 2, 16)
    torch.save(policy.state_dict(), "model.pt")
    (workdir / "hyperparameters.json").write_text(foreign.course_hyperparameters("CartPole-v1"))
    agent = rlzoo.load("model.pt")
    assert (agent.config.algo.name, agent.config.env.id) == ("reinforce", "CartPole-v1")


def test_the_table_of_a_package_is_shown(workdir, capsys):
    foreign.course_table(workdir / "q-learning.pkl", "Taxi-v3", table(500, 6))
    assert main(["show", "run=q-learning.pkl", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["env"] == "Taxi-v4"


def test_several_agents_are_told_apart_by_file(cartpole, workdir):
    (workdir / "pair").mkdir()
    cartpole.save("pair/one.zip")
    cartpole.save("pair/two.zip")
    with pytest.raises(RlzooError, match="several agents") as caught:
        rlzoo.evaluate("pair", env="CartPole")
    assert (caught.value.code, caught.value.hint[:13]) == (ExitCode.WRONG_REQUEST, "say which: fi")
    assert list(rlzoo.evaluate("pair", file="two.zip", env="CartPole", seeds=SEEDS).returns) == scores(
        cartpole, "CartPole-v1"
    )


@pytest.mark.parametrize(
    ("make", "code", "said"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:5000]), ExitCode.UNSAFE, "zip"),
        (lambda path: path.write_bytes(b"PK\x03\x04 and then nothing"), ExitCode.UNSAFE, "zip"),
        (lambda path: path.write_text("not a zip"), ExitCode.UNSAFE, "zip"),
    ],
)
def test_a_damaged_zip_says_so(make, code, said, cartpole, workdir, capsys):
    cartpole.save("ppo-CartPole-v1.zip")
    make(workdir / "ppo-CartPole-v1.zip")
    assert main(["evaluate", "run=ppo-CartPole-v1.zip"]) == code
    assert said in capsys.readouterr().err
    assert not local.ROOT.exists() or not any(local.ROOT.iterdir())


def test_a_damaged_package_is_this_disk_s_damage(own, workdir, capsys):
    package = workdir / "pk"
    shutil.copytree(own[1], package)
    weights = package / "rlzoo" / "checkpoint" / "algorithm.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8])
    assert main(["evaluate", "run=pk"]) == ExitCode.STORAGE
    assert "revision=" not in capsys.readouterr().err


def test_what_would_have_to_be_unpickled_asks_for_trust(workdir, capsys):
    mark = workdir / "mark"
    with Path("q-learning.pkl").open("wb") as file:
        pickle.dump({"env_id": "Taxi-v3", "qtable": table(500, 6), "note": foreign.Evil(str(mark))}, file)
    assert main(["evaluate", "run=q-learning.pkl", "n_episodes=1"]) == ExitCode.UNSAFE
    assert not mark.exists()
    assert "trust=true" in capsys.readouterr().err
    assert main(["evaluate", "run=q-learning.pkl", "n_episodes=1", "trust=true"]) == 0
    assert mark.exists()
    assert "unpickled on trust" in capsys.readouterr().err


def test_links_are_not_followed(own, workdir):
    package = workdir / "pk"
    shutil.copytree(own[1], package)
    (workdir / "elsewhere.yaml").write_text((package / "config.yaml").read_text())
    (package / "config.yaml").unlink()
    (package / "config.yaml").symlink_to(workdir / "elsewhere.yaml")
    with pytest.raises(RlzooError) as caught:
        rlzoo.evaluate(package)
    assert caught.value.code is ExitCode.UNSAFE


def test_a_link_in_its_folder_is_no_place_for_its_run(own, workdir, tmp_path_factory, monkeypatch):
    """Where an agent's own folder is the current one, `hub` is its author's word."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    shutil.copytree(own[1], workdir / "pk")
    (workdir / "pk" / "hub").symlink_to(elsewhere)
    monkeypatch.chdir(workdir / "pk")
    for names in ((), ("config.yaml", "rlzoo")):  # rlzoo's layout and rl_zoo3's
        for name in names:
            shutil.move(name, workdir / name)
        for word in (".", "ppo-CartPole-v1.zip"):
            assert main(["evaluate", f"run={word}", "n_episodes=1"]) == ExitCode.UNSAFE
    assert not list(elsewhere.iterdir())


def test_what_is_neither_a_run_nor_a_package_says_what_was_looked_for(workdir, capsys):
    (workdir / "notes").mkdir()
    (workdir / "notes" / "a.txt").write_text("nothing")
    for command in ("evaluate", "enjoy", "record", "package", "show"):
        assert main([command, "run=notes"]) == ExitCode.WRONG_REQUEST
        error = capsys.readouterr().err
        assert "notes is not a run, and no package" in error
        assert "config.yaml and info.json" in error and "q-learning.pkl" in error
    (workdir / "notes" / "vec_normalize.pkl").write_text("nothing")
    assert main(["evaluate", "run=notes"]) == ExitCode.WRONG_REQUEST
    assert "no agent that rlzoo knows among: a.txt, vec_normalize.pkl" in capsys.readouterr().err


def test_a_checkpoint_is_named_by_its_run(own, workdir):
    run, _ = own
    with pytest.raises(RlzooError, match="is a checkpoint of a run") as caught:
        rlzoo.evaluate(run.checkpoint("last").model_zip, env="CartPole")
    assert caught.value.hint == f"run={run.path.resolve()} checkpoint=last"


def test_a_run_says_its_environment_itself(own, workdir, capsys):
    run, _ = own
    assert main(["evaluate", f"run={run.path}", "env=Pendulum", "algo=sac"]) == ExitCode.WRONG_REQUEST
    error = capsys.readouterr().err
    assert "env= cannot change for a run that exists" in error and "algo= cannot change" in error


def test_only_who_plays_may_change_the_environment(own, workdir, capsys):
    _, package = own
    assert main(["package", f"run={package}", "env.max_steps=5"]) == ExitCode.WRONG_REQUEST
    assert "env.max_steps: does not change here" in capsys.readouterr().err


def test_a_home_is_not_searched_for_an_agent(workdir, monkeypatch):
    monkeypatch.setattr("rlzoo.hub.formats.source.MAX_FILES", 5)
    for number in range(7):
        (workdir / f"{number}.zip").write_bytes(b"")
    with pytest.raises(RlzooError, match="holds more than 5 files"):
        rlzoo.evaluate(workdir)
