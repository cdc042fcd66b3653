"""Run directories: where they are made, how they are found again, and which checkpoints they have."""

from __future__ import annotations

import json
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rlzoo.errors import ExitCode, RlzooError
from rlzoo.runs.run import Checkpoint, Run, find_runs, folder_name, write_text


def make_run(root: Path, algo: str = "ppo", env_id: str = "CartPole-v1", seed: int = 0) -> Run:
    run = Run.create(root, algo=algo, env_id=env_id, seed=seed)
    run.write_config({"algo": {"name": algo}, "env": {"id": env_id}, "seed": seed})
    run.write_info({"status": "running"})
    return run


def put_checkpoint(run: Run, folder: str, num_timesteps: int = 0) -> None:
    path = run.checkpoints_dir / folder
    path.mkdir(parents=True)
    (path / "manifest.json").write_text(json.dumps({"num_timesteps": num_timesteps}))


def test_a_run_has_its_place_by_algorithm_environment_time_and_seed(tmp_path):
    run = Run.create(tmp_path, algo="dqn", env_id="ALE/Pong-v5", seed=3)
    assert run.path.parent == tmp_path / "dqn" / "ALE-Pong-v5"
    assert re.fullmatch(r"\d{8}-\d{6}_seed3_[0-9a-f]{6}", run.path.name)
    assert folder_name("pkg:Env-v0") == "pkg-Env-v0"


def test_a_run_is_found_by_the_short_name_that_was_typed(tmp_path):
    slippery, dry = (make_run(tmp_path, "q_learning", "FrozenLake-v1") for _ in range(2))
    slippery.write_info({"status": "finished", "words": ["algo=q_learning", "env=FrozenLake"]})
    dry.write_info({"status": "finished", "words": ["algo=q_learning", "env=FrozenLakeNoSlippery"]})
    make_run(tmp_path, "q_learning", "Taxi-v4").info_file.write_text("[damaged")
    assert Run.open("q_learning/FrozenLake", tmp_path) == slippery
    assert Run.open("q_learning/FrozenLakeNoSlippery/", tmp_path) == dry
    for wrong in ("q_learning/Taxi", "../FrozenLake", "q_learning/", "q_learning/x/FrozenLake"):
        with pytest.raises(RlzooError, match=r"no run|not a run"):
            Run.open(wrong, tmp_path / "q_learning" if wrong == "q_learning/" else tmp_path)


def test_runs_that_start_together_do_not_collide(tmp_path):
    with ThreadPoolExecutor(20) as pool:
        runs = list(pool.map(lambda _: Run.create(tmp_path, algo="ppo", env_id="X-v0", seed=0), range(20)))
    assert len({run.path for run in runs}) == 20


def test_a_place_that_cannot_be_written_is_an_error_of_storage(tmp_path):
    (tmp_path / "runs").write_text("a file in the way")
    with pytest.raises(RlzooError, match="cannot make a run directory") as error:
        Run.create(tmp_path / "runs", algo="ppo", env_id="X-v0", seed=0)
    assert error.value.code == ExitCode.STORAGE and "runs_dir=" in error.value.hint


def test_a_run_is_found_by_path_by_latest_and_by_algorithm_and_environment(tmp_path):
    first, second = make_run(tmp_path), make_run(tmp_path, "dqn", "ALE/Pong-v5")
    renamed = second.path.with_name("99990101-000000_seed0_aaaaaa")
    second.path.rename(renamed)
    assert Run.open(first.path) == first
    assert Run.open(str(first.path) + "/") == first
    assert Run.open("latest", tmp_path).path == renamed
    assert Run.open("ppo/CartPole-v1", tmp_path) == first
    assert Run.open("dqn/ALE-Pong-v5", tmp_path).path == renamed
    assert Run.open("dqn/ALE/Pong-v5", tmp_path).path == renamed
    assert Run.open("dqn", tmp_path).path == renamed


def test_a_run_is_found_as_it_lies_below_the_folder_of_all_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = make_run(Path("runs"))
    make_run(Path("runs"))  # algo/env alone would be this one
    text = str(first.path.relative_to("runs"))
    assert Run.open(text) == Run.open(f"{text}/") == first
    assert Run.open(text, tmp_path / "runs").path == tmp_path / first.path
    here = make_run(Path())
    clash = Path("runs") / here.path
    shutil.copytree(here.path, clash)
    assert Run.open(str(here.path)) == here  # a folder of that name here comes first
    with pytest.raises(RlzooError):
        Run.open(f"../{tmp_path.name}/elsewhere/{text}")


def test_what_is_not_a_run_is_named_with_what_there_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = make_run(Path("runs"))
    for wrong in ("ppo/Pong", "nowhere", tmp_path, "runs", ".", "..", "ppo/..", ""):
        with pytest.raises(RlzooError) as error:
            Run.open(wrong)
        assert str(wrong) in error.value.message
        assert run.path.name in error.value.hint
    with pytest.raises(RlzooError, match="no run 'latest'") as error:
        Run.open("latest", tmp_path / "empty")
    assert "there are no runs" in error.value.hint


def test_folders_of_sweeps_and_downloads_are_not_runs(tmp_path):
    run = make_run(tmp_path)
    make_run(tmp_path / ".sweeps")
    (tmp_path / "ppo" / "half").mkdir()
    (tmp_path / "ppo" / "half" / "config.yaml").write_text("{}")
    assert list(find_runs(tmp_path)) == [run]


def test_config_info_and_results_come_back(tmp_path):
    run = make_run(tmp_path)
    run.write_config(
        {"env": {"id": "Übung-v0"}, "algo": {"name": "ppo", "learning_rate": 3e-4, "net": [64, 64], "on": True}}
    )
    assert run.read_config() == {
        "env": {"id": "Übung-v0"},
        "algo": {"name": "ppo", "learning_rate": 3e-4, "net": [64, 64], "on": True},
    }
    run.update_info(status="finished", where=tmp_path)
    assert run.read_info() == {"status": "finished", "where": str(tmp_path)}
    assert run.read_results() == []
    run.append_result({"mean_reward": 1.5})
    run.append_result({"mean_reward": 2.5})
    assert [entry["mean_reward"] for entry in run.read_results()] == [1.5, 2.5]
    with pytest.raises(ValueError, match="not JSON compliant"):
        run.append_result({"mean_reward": float("nan")})
    assert len(run.read_results()) == 2


def test_small_files_are_replaced_whole_and_leave_nothing_behind(tmp_path):
    write_text(tmp_path / "a.json", "old")
    write_text(tmp_path / "a.json", "new")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a.json": "new"}
    with pytest.raises(RlzooError, match="cannot write") as error:
        write_text(tmp_path / "missing" / "a.json", "x")
    assert error.value.code == ExitCode.STORAGE


def test_checkpoints_are_listed_by_step_then_best_and_last(tmp_path):
    run = make_run(tmp_path)
    for name in ("9000", "10000", "best", "last", "500"):
        put_checkpoint(run, name)
    (run.checkpoints_dir / "700").mkdir()  # never finished
    put_checkpoint(run, "notes")
    put_checkpoint(run, "candidates/800")
    assert [candidate.name for candidate in run.candidates()] == ["800"]
    assert [checkpoint.name for checkpoint in run.checkpoints()] == ["500", "9000", "10000", "best", "last"]


def test_the_default_checkpoint_is_a_tested_best_then_last_then_the_newest_step(tmp_path):
    run = make_run(tmp_path)
    with pytest.raises(RlzooError, match="has no checkpoint") as error:
        run.find_checkpoint()
    assert "it has none" in error.value.hint
    put_checkpoint(run, "best")  # of an older version: the best of noisy evaluations
    assert run.find_checkpoint().name == "best"
    for name in ("9000", "10000", "last"):
        put_checkpoint(run, name)
        assert run.find_checkpoint().name == name
    best = run.checkpoint("best").manifest
    best.write_text(json.dumps({**json.loads(best.read_text()), "selected": True}))
    assert run.find_checkpoint().name == "best"
    assert run.find_checkpoint("9000").name == "9000"
    assert run.find_checkpoint("7").name == "9000"  # the nearest
    assert run.find_checkpoint("9501").name == "10000"
    with pytest.raises(RlzooError, match="no checkpoint '²'"):
        run.find_checkpoint("²")  # a digit, and no number
    for digits in (19, 4301):  # Python reads no number of more than 4300
        with pytest.raises(RlzooError, match="no checkpoint"):
            run.find_checkpoint("9" * digits)
    with pytest.raises(RlzooError, match="no checkpoint 'first'") as error:
        run.find_checkpoint("first")
    assert error.value.hint == "it has: 9000, 10000, best, last"


def test_a_replacement_cut_short_is_still_found(tmp_path):
    run = make_run(tmp_path)
    put_checkpoint(run, ".last.00ab.old", 100)
    assert run.find_checkpoint("last").num_timesteps == 100
    (run.checkpoints_dir / ".last.00ab.new").mkdir()  # without a manifest: not complete
    assert run.find_checkpoint("last").num_timesteps == 100
    put_checkpoint(run, ".last.00ac.new", 200)
    found = run.find_checkpoint("last")
    assert (found.name, found.num_timesteps) == ("last", 200)
    put_checkpoint(run, "last", 300)
    assert run.find_checkpoint("last").num_timesteps == 300
    put_checkpoint(run, ".500.00ab.old", 500)  # a step that was being removed
    assert [checkpoint.name for checkpoint in run.checkpoints()] == ["last"]


def test_a_checkpoint_without_a_manifest_does_not_exist(tmp_path):
    assert not Checkpoint(tmp_path).exists()


def test_a_class_of_ones_own_makes_a_folder_that_every_system_takes(tmp_path):
    run = Run.create(tmp_path, algo="package.module:Class", env_id="pkg:Env-v0", seed=1)
    assert run.path.parent.relative_to(tmp_path).as_posix() == "package.module-Class/pkg-Env-v0"
    run.write_config({})
    run.write_info({})
    assert Run.open("package.module:Class/pkg:Env-v0", tmp_path) == run
