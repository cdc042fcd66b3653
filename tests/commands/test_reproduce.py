"""A run trained once more: the same numbers, or the first that is another one."""

from __future__ import annotations

import json
import shutil

import pytest

import rlzoo
from rlzoo.cli.main import main
from rlzoo.runs.run import Run
from rlzoo.training.reproduce import differences

COMMON = ["hyperparams=none", "seed=5", "eval.freq=200", "eval.n_episodes=2", "eval.final_n_episodes=3"]
COMMON += ["env.max_steps=60", "total_timesteps=1000"]
PPO = ["algo=ppo", "env=CartPole", "algo.n_steps=64", "algo.batch_size=32", *COMMON]


def metrics(run: Run) -> list[str]:
    return run.metrics_file.read_text().splitlines()


@pytest.mark.parametrize("words", [PPO, ["algo=dqn", "env=CartPole", "algo.learning_starts=100", *COMMON]])
def test_the_same_numbers_come_out_again(words, workdir, capsys):
    run = rlzoo.train(*words)
    assert main(["reproduce", "run=latest", "into=again", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["identical"] is True and found["changed"] == [] and found["max_difference"] == 0
    assert set(found["parts"]) == {"metrics.csv", "evaluations.csv", "final evaluation"}
    assert [point["step"] for point in found["curve"]] == [200, 400, 600, 800, 1000]
    new = Run.open("latest", "again")
    assert found["new_run"] == str(new.path) and new.path != run.path
    assert new.read_info()["reproduces"] == str(run.path.resolve())
    assert metrics(new) == metrics(run)
    assert new.read_config() == {**run.read_config(), "runs_dir": "again"}


def test_what_is_not_the_same_is_named(workdir, capsys):
    run = rlzoo.train(*PPO)
    lines = run.evaluations_file.read_text().splitlines()
    columns = lines[0].split(",")
    cells = lines[2].split(",")
    reward = float(cells[columns.index("mean_reward")])
    cells[columns.index("mean_reward")] = repr(reward + 7.5)
    run.evaluations_file.write_text("\n".join([*lines[:2], ",".join(cells), *lines[3:]]) + "\n")
    run.metrics_file.write_text("\n".join(metrics(run)[:-1]) + "\n")
    results = run.read_results()
    results[0]["returns"][1] += 1
    run.results_file.write_text(json.dumps(results))
    run.update_info(versions={**run.read_info()["versions"], "torch": "2.0.0"}, cpu="Abacus 3000")
    capsys.readouterr()
    assert main(["reproduce", "run=latest"]) == 4
    output, errors = capsys.readouterr()
    assert errors.index("torch: 2.0.0 then") < errors.index("run: ")  # before the training, not after it
    assert "cpu: Abacus 3000 then" in errors and "torch" in output and "Abacus 3000" in output
    assert f"step 400, mean_reward: {reward + 7.5} | {reward}" in output
    assert "a row | nothing" in output or "nothing | a row" in output
    assert "last.returns.1" in output
    assert "largest difference of 5 evaluations: 7.5" in output and "not identical" in output


def test_what_cannot_be_repeated_is_refused(workdir, capsys):
    run = rlzoo.train(*PPO)
    run.update_info(status="interrupted")
    assert main(["reproduce", "run=latest"]) == 2
    assert "has not finished" in capsys.readouterr().err
    assert main(["train", "resume=latest", "total_timesteps=1200"]) == 0
    assert main(["reproduce", "run=latest"]) == 2
    errors = capsys.readouterr().err
    assert "was resumed with other settings on the way: total_timesteps: 1000 -> 1200" in errors
    assert main(["reproduce", "run=latest", "total_timesteps=5"]) == 2
    assert len(list(workdir.glob("runs/*/*/*/config.yaml"))) == 1


def test_a_resumed_run_is_reproduced_in_one_go(workdir, capsys):
    run = rlzoo.train(*PPO, "checkpoint.freq=300")
    for name in ("last", "960", "1024"):
        shutil.rmtree(run.checkpoint(name).path, ignore_errors=True)
    run.results_file.unlink()
    run.update_info(status="interrupted")
    assert main(["train", "resume=latest", "checkpoint.keep=3"]) == 0
    assert run.read_info()["resume"] == "exact" and run.read_info()["resumed"][0]["from"] < 960
    assert main(["reproduce", "run=latest", "into=again"]) == 0
    assert "identical" in capsys.readouterr().out


def test_differences_name_what_both_records_tell():
    then = {"versions": {"numpy": "1"}, "python": "3.11", "variables": {"OMP_NUM_THREADS": "1"}, "gpu": None}
    now = {"versions": {"numpy": "2", "box2d": "3"}, "python": "3.11", "variables": {}, "cpu": "new in the record"}
    now |= {"git": {"commit": "a" * 40}, "git_diff": "one\ntwo\n"}
    assert [(found.what, found.then, found.now) for found in differences(then, now)] == [
        ("numpy", "1", "2"),
        ("box2d", "nothing", "3"),
        ("OMP_NUM_THREADS", "1", "nothing"),
        ("git commit", "nothing", "a" * 12),
        ("uncommitted changes", "nothing", "2 lines of diff (c3f9c8c2)"),
    ]
