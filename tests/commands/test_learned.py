"""`rlzoo show run=…` prints the table of a run, marks what is done, and draws it where states are cells."""

import json
import math
import re
import shutil
import time
from types import SimpleNamespace

import gymnasium
import numpy as np
import pytest
import yaml

import rlzoo
from rlzoo.algos.specs import ALGOS
from rlzoo.cli.main import main
from rlzoo.envs.games.grid import find_grid
from rlzoo.envs.make import make_raw
from rlzoo.evaluation.learned import read
from rlzoo.protocols import State
from rlzoo.runs import checkpoints
from rlzoo.runs.run import Run

QUICK = ["eval.freq=0", "eval.final_n_episodes=1", "seed=0", "logger=[]"]
TABULAR = [spec.name for spec in ALGOS.values() if spec.family in ("tabular", "planning")]


def train(tmp_path, *words):
    return rlzoo.train(*words, *QUICK, f"runs_dir={tmp_path / 'runs'}")


def shown(capsys, run, *words):
    capsys.readouterr()
    assert main(["show", f"run={run.path}", *words]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("algo", TABULAR)
def test_every_tabular_algorithm_shows_what_it_does(algo, tmp_path, capsys):
    run = train(tmp_path, f"algo={algo}", "env=FrozenLakeNoSlippery", "total_timesteps=300")
    told = json.loads(shown(capsys, run, "--json"))
    agent = rlzoo.load(run)
    acted = [agent.predict(np.array([state]), deterministic=True)[0][0] for state in range(16)]
    assert all(action in (told["policy"][state], told["policy"][state] % 4) or told["policy"][state] == -1
               for state, action in enumerate(acted))  # fmt: skip
    assert (told["q_values"] is None) == (algo in ("mc_prediction", "td0"))
    assert told["grid"]["map"][3] == f"H{told['grid']['map'][3][1:3]}G"
    text = shown(capsys, run)
    for row in told["q_values"] or [[value] for value in told["v_values"]]:
        assert all(f"{value:.3f}" in text for value in row)


def test_the_best_way_through_the_maze(tmp_path, capsys):
    run = train(tmp_path, "algo=q_learning", "env=CheeseMaze", "total_timesteps=3000")
    text = shown(capsys, run)
    assert "what is done, as a map:\n  → → ↓\n  ↑ x C\n\n  x, C the end of an episode\n" in text
    starred = [line.split() for line in text.splitlines() if "*" in line]
    assert [row[1:].index(next(cell for cell in row if cell.endswith("*"))) for row in starred[:3]] == [1, 1, 3]


def test_what_a_policy_is_worth(tmp_path, capsys):
    words = ["algo=mc_prediction", "env=CheeseMaze", "algo.actions=[1,1,3,3,3,3]", "algo.gamma=1.0"]
    text = shown(capsys, train(tmp_path, *words, "total_timesteps=3000"))
    assert "what states are worth, as a map:\n  11.000 10.000 10.000\n   0.000  0.000  0.000\n" in text
    assert "\n      0   11.000   1 →" in text


def test_a_large_table_is_shortened_and_whole_for_programs(tmp_path, capsys):
    run = train(tmp_path, "algo=sarsa", "env=Taxi", "total_timesteps=3000")
    text = shown(capsys, run)
    assert len(text.splitlines()) < 40
    assert "480 of the 500 states are left out" in text
    told = json.loads(shown(capsys, run, "--json"))
    table = read(run).q_values
    assert (told["n_states"], told["n_actions"], told["grid"]) == (500, 6, None)
    assert np.array_equal(told["q_values"], table)
    assert told["policy"] == table.argmax(axis=1).tolist()


def test_a_network_is_no_table(tmp_path, capsys):
    run = train(tmp_path, "algo=cem", "env=CartPole", "total_timesteps=300", "eval.max_steps=20")
    capsys.readouterr()
    assert main(["show", f"run={run.path}"]) == 2
    assert "has learned no table: cem learns" in capsys.readouterr().err
    assert main(["show", f"run={run.path}", "checkpoint=nope", "env=CartPole"]) == 2
    assert main(["show", f"run={tmp_path}/nowhere"]) == 2


def test_nothing_of_a_strangers_run_is_run(tmp_path, capsys, monkeypatch):
    run = train(tmp_path, "algo=q_learning", "env=FrozenLakeNoSlippery", "total_timesteps=300")
    sent = Run(tmp_path / "sent")
    shutil.copytree(run.path, sent.path)
    values = run.read_config()
    sent.config_file.write_text(yaml.safe_dump(values))
    assert json.loads(shown(capsys, sent, "--json"))["grid"] is not None  # data of a known environment
    values["env"]["imports"] = ["evil_module"]
    sent.config_file.write_text(yaml.safe_dump(values))
    (tmp_path / "evil_module.py").write_text(f"open({str(tmp_path / 'pwned')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    told = json.loads(shown(capsys, sent, "--json"))
    assert told["grid"] is None and np.shape(told["q_values"]) == (16, 4)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    ("env_id", "kwargs", "shape", "arrows"),
    [
        ("FrozenLake-v1", {"desc": ["SFFHF", "FFFFF", "FHFFG"], "is_slippery": True}, (3, 5), "←↓→↑"),
        ("FrozenLake8x8-v1", {"is_slippery": True}, (8, 8), "←↓→↑"),
        ("CliffWalking-v1", {"is_slippery": True}, (4, 12), "↑→↓←"),
        ("CheeseMaze-v0", {}, (2, 3), "←→↑↓"),
    ],
)
def test_directions_are_found_out(env_id, kwargs, shape, arrows):
    env = make_raw(env_id, kwargs=kwargs)
    grid = find_grid(env, int(env.observation_space.n))
    assert grid.shape == shape
    assert "".join(grid.arrows[action] for action in range(4)) == arrows


def test_what_is_no_map():
    for env_id in ("Taxi-v4", "AliasedGridworld-v0"):
        env = make_raw(env_id)
        assert find_grid(env, int(env.observation_space.n)) is None
    env = gymnasium.make("CartPole-v1")
    env.unwrapped.shape = (2, 2)  # a map, and no dynamics
    assert find_grid(env, 4) is None


@pytest.mark.parametrize(
    "arrays",
    [
        {"q_values": np.zeros((3, 4)), "policy": np.zeros(16, dtype=np.int64)},
        {"q_values": np.zeros((16, 4)), "policy": np.zeros((16, 2), dtype=np.int64)},
        {"q_values": np.zeros((16, 4)), "policy": np.zeros(0, dtype=np.int64)},
        {"q_values": np.zeros((16, 4)), "v_values": np.zeros(5)},
        {"v_values": np.zeros(16), "policy": np.zeros(15, dtype=np.int64)},
        {"q_values": np.zeros((16, 100_000))},
        {"v_values": np.zeros(16)},
        {"v_values": np.zeros(16), "policy": np.zeros(16)},
        {"v_values": np.zeros(16), "policy": np.zeros(16, dtype=np.int64), "q_values": np.zeros((16, 0))},
        {"v_values": np.zeros(16), "policy": np.full(16, 7, dtype=np.int64), "q_values": np.zeros((16, 4))},
        {"q_values": np.zeros((16, 4)), "v_values": np.zeros(16, dtype=np.int64)},
    ],
    ids=lambda arrays: " ".join(f"{name}{array.shape}" for name, array in arrays.items()),
)
@pytest.mark.parametrize("option", [[], ["--json"]], ids=["text", "json"])
def test_a_table_that_nothing_can_have_learned_is_damaged(arrays, option, tmp_path, capsys):
    run = Run(tmp_path / "run")
    run.path.mkdir()
    run.write_config({"algo": {"name": "q_learning"}, "env": {"id": "FrozenLake-v1"}})
    run.write_info({"status": "finished"})
    checkpoints.save(run, "last", algorithm=SimpleNamespace(state=lambda: State(arrays, {}), num_timesteps=1), env=None)
    assert main(["show", f"run={run.path}", *option]) == 5
    said = capsys.readouterr().err
    assert "damaged" in said and said.count("\n") <= 2


def test_a_table_of_a_million_states_costs_what_is_shown_of_it(tmp_path, capsys):
    seconds = []
    for n_states in (100, 2_000_000):  # the first one imports torch
        run = Run(tmp_path / str(n_states))
        run.path.mkdir()
        run.write_config({"algo": {"name": "q_learning"}, "env": {"id": "FrozenLake-v1"}})
        run.write_info({"status": "finished"})
        values = np.zeros((n_states, 4))
        values[1] = [-1e308, 999_999_999, 1e9, np.finfo(float).max]
        learner = SimpleNamespace(state=lambda values=values: State({"q_values": values}, {}), num_timesteps=1)
        checkpoints.save(run, "last", algorithm=learner, env=None)
        before = time.process_time()
        text = shown(capsys, run)
        seconds.append(time.process_time() - before)
    before = time.process_time()
    assert all(math.isfinite(one) for row in values for one in row)
    assert seconds[-1] < time.process_time() - before  # less than one look at each number
    assert re.search(r"1 +-1e\+308 +999999999\.000 +1e\+09 +1\.8e\+308\*", text)
    assert "1999980 of the 2000000 states are left out" in text and len(text) < 5000
