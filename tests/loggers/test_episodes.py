"""The record of every training episode: what it says, for whom, and at what cost."""

from __future__ import annotations

import csv
import importlib
from pathlib import Path

import numpy as np
import pytest

import rlzoo
from rlzoo.loggers import csv as module
from rlzoo.loggers.csv import CsvLogger
from rlzoo.loggers.table import open_loggers
from rlzoo.runs import tables
from rlzoo.runs.run import Run

SHORT = ["seed=1", "device=cpu", "eval.freq=0", "eval.final_n_episodes=1", "hyperparams=none"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path, algo="ppo", env_id="CartPole-v1", seed=0)


def rows(run: Run) -> list[dict[str, str]]:
    return tables.read(run.episodes_file)[1]


def without_seconds(run: Run) -> list[list[str]]:
    return [[cell for name, cell in row.items() if name != "seconds"] for row in rows(run)]


def test_a_row_for_each(run: Run) -> None:
    logger = CsvLogger(run)
    logger.log_episodes([(9, {"r": 9.0, "l": 9, "t": 0.5})])
    logger.log_episodes([(20, {"r": -0.1, "l": 11, "t": 0.6}), (20, {"r": np.float64(1e-7), "l": 11})])
    logger.close()
    lines = run.episodes_file.read_text().splitlines()
    assert lines[0] == "step,return,length,seconds,success"
    assert without_seconds(run) == [["9", "9.0", "9", ""], ["20", "-0.1", "11", ""], ["20", "1e-07", "11", ""]]
    assert all(0 <= float(row["seconds"]) < 60 for row in rows(run))


def test_plain_rows_are_written_as_all_others_are(run: Run, tmp_path: Path) -> None:
    """The short way and the long one: the same bytes, whichever rows wait together."""
    other = Run.create(tmp_path, algo="ppo", env_id="CartPole-v1", seed=1)
    plain = [(step, {"r": step / 7, "l": step}) for step in range(1, 5)]
    more = [(step, {"r": float(step), "l": 2, "is_success": step > 7}) for step in range(5, 9)]
    together, apart = CsvLogger(run), CsvLogger(other)
    together.log_episodes([*plain, *more, *plain])
    together.close()
    for episode in [*plain, *more, *plain]:
        apart.log_episodes([episode])
        apart.close()
    assert without_seconds(run) == without_seconds(other)
    assert [row["success"] for row in rows(run)] == [""] * 4 + ["0"] * 3 + ["1"] + [""] * 4


def test_entries_of_info_have_columns_and_their_text_is_harmless(run: Run) -> None:
    logger = CsvLogger(run)
    logger.log_episodes([(1, {"r": 1.0, "l": 1})])
    logger.close()
    logger.log_episodes([(2, {"r": 1.0, "l": 1, "map": "=cmd()\n,\x1b[2Jnext", "step": 7, "lives": 3})])
    logger.log_episodes([(3, {"r": 1.0, "l": 1, "map": None, "+name": True})])
    logger.close()
    with run.episodes_file.open(newline="") as file:
        header, *cells = csv.reader(file)
    assert header == ["step", "return", "length", "seconds", "success", "map", "info.step", "lives", "'+name"]
    assert [row[5:] for row in cells] == [[""] * 4, ["'=cmd() ,[2Jnext", "7", "3", ""], ["", "", "", "True"]]


def test_no_secret_of_an_environment_is_in_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither as the name of an entry nor as its text."""
    monkeypatch.setenv("CANARY_TOKEN", "canary-token-7391")
    run = Run.create(tmp_path, algo="ppo", env_id="CartPole-v1", seed=0)
    logger = open_loggers({"csv": {}, "monitor": {}}, run, {})
    logger.log_episodes([(1, {"r": 1.0, "l": 1, "t": 0.1, "canary-token-7391": 1, "map": "at canary-token-7391"})])
    logger.close()
    for name in ("episodes.csv", "monitor.csv"):
        text = (run.path / name).read_text()
        assert "canary" not in text and "map" in text and "at ***" in text


def test_a_training_that_goes_on_takes_back_what_came_after_its_checkpoint(run: Run) -> None:
    logger = CsvLogger(run)
    logger.log_episodes([(1, {"r": 1.0, "l": 1})])
    state = logger.state()
    assert len(rows(run)) == 1  # what a checkpoint counts is on disk
    logger.log_episodes([(2, {"r": 2.0, "l": 1, "lives": 1})])
    logger.close()
    state.values["episodes"]["seconds"] += 1000
    resumed = CsvLogger(run)
    resumed.restore(state)
    resumed.log_episodes([(2, {"r": 3.0, "l": 1})])
    resumed.close()
    assert without_seconds(run) == [["1", "1.0", "1", ""], ["2", "3.0", "1", ""]]
    assert float(rows(run)[1]["seconds"]) >= 1000


def test_a_large_table_goes_on_in_little_memory(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record of all episodes grows beyond what is read of other tables."""
    logger = CsvLogger(run)
    logger.log_episodes([(step, {"r": 1.0, "l": 1}) for step in range(1, 3001)])
    state = logger.state()
    logger.log_episodes([(step, {"r": 1.0, "l": 1}) for step in range(3001, 6001)])
    logger.close()
    monkeypatch.setattr(module.tables, "MAX_BYTES", 4096)
    assert run.episodes_file.stat().st_size > 4096
    resumed = CsvLogger(run)
    resumed.restore(state)
    resumed.log_episodes([(3001, {"r": 2.0, "l": 1})])
    resumed.close()
    lines = run.episodes_file.read_text().splitlines()
    assert len(lines) == 3002 and lines[-2].startswith("3000,1.0,1,") and lines[-1].startswith("3001,2.0,1,")


def test_rows_reach_the_disk_before_long(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    logger = CsvLogger(run)
    logger.log_episodes([(1, {"r": 1.0, "l": 1})])
    assert not run.episodes_file.exists()
    logger.log_episodes([(2, {"r": 1.0, "l": 1})] * module.FLUSH_ROWS)
    assert len(rows(run)) == module.FLUSH_ROWS + 1
    monkeypatch.setattr(module, "FLUSH_SECONDS", 0.0)
    logger.log_episodes([(3, {"r": 1.0, "l": 1})])
    assert len(rows(run)) == module.FLUSH_ROWS + 2


WALK = """
import gymnasium, numpy as np
from gymnasium import spaces

class Walk(gymnasium.Env):
    observation_space, action_space = spaces.Discrete(6), spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place, self.steps = 3, 0
        return self.place, {}

    def step(self, action):
        self.place, self.steps = self.place + 2 * int(action) - 1, self.steps + 1
        over = self.place in (0, 5)
        info = {"place": self.place, "is_success": self.place == 5, "note": f"=end at {self.place}"}
        return self.place, 10.0 * (self.place == 5), over, False, info

gymnasium.register("Walk-v0", Walk, max_episode_steps=20)
"""


@pytest.mark.parametrize("words", [["algo=a2c"], ["algo=q_learning"], ["algo=dqn", "algo.learning_starts=20"]])
def test_every_run_has_it_with_success_and_info(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Raw returns of whole games, whatever a wrapper makes of rewards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "walk_env.py").write_text(WALK)
    importlib.invalidate_caches()
    run = rlzoo.train(
        *(*words, "env=gym", "env.id=walk_env:Walk-v0", "env.monitor_kwargs={info_keywords: [place, note]}"),
        *("env.wrappers={delayed_reward: {delay: 3}}", "env.n_envs=2", "total_timesteps=400", *SHORT),
    )
    found = rows(run)
    assert list(found[0]) == ["step", "return", "length", "seconds", "success", "place", "note"]
    assert found and all(row["place"] in ("0", "5") or row["length"] == "20" for row in found)
    for row in found:
        ends = row["place"] == "5"
        assert (row["success"], float(row["return"])) == (str(int(ends)), 10.0 * ends)
        assert row["note"] == f"=end at {row['place']}"
    steps = [int(row["step"]) for row in found]
    assert steps == sorted(steps) and sum(int(row["length"]) for row in found) <= 400


def test_a_table_that_is_asked_for_more_is_played_step_by_step(tmp_path: Path) -> None:
    words = ["algo=q_learning", "env=FrozenLake", "total_timesteps=300", *SHORT, f"runs_dir={tmp_path}"]
    run = rlzoo.train(*words, "env.monitor_kwargs={info_keywords: [prob]}")
    assert {float(row["prob"]) for row in rows(run)} <= {1 / 3, 1 / 3 + 5e-17, 1 - 2 / 3, 1.0}


def test_stable_baselines3_reads_a_run(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    from stable_baselines3.common.monitor import load_results
    from stable_baselines3.common.results_plotter import ts2xy

    words = ["algo=q_learning", "env=FrozenLake", "total_timesteps=2000", *SHORT, f"runs_dir={tmp_path}"]
    run = rlzoo.train(*words, "logger=[monitor]")
    frame, found = load_results(str(run.path)), rows(run)
    assert frame["r"].tolist() == [float(row["return"]) for row in found]
    assert frame["l"].tolist() == [int(row["length"]) for row in found]
    assert ts2xy(frame, "timesteps")[0].tolist() == [int(row["step"]) for row in found]


def test_the_file_of_stable_baselines3(run: Run) -> None:
    """Without pandas: a comment, a header, times that rise, and taken back like all others."""
    with open_loggers({"monitor": {}}, run, {"env": {"id": "CartPole-v1"}}) as loggers:
        loggers.log_episodes([(5, {"r": 5.0, "l": 5, "t": 9.9}), (9, {"r": 4.0, "l": 4})])
        state = loggers.state()
        loggers.log_episodes([(12, {"r": 3.0, "l": 3, "lives": 2})])
    comment, header, *_ = run.monitor_file.read_text().splitlines()
    assert comment.startswith('#{"t_start": ') and comment.endswith(', "env_id": "CartPole-v1"}')
    assert header == "r,l,t,lives"
    with open_loggers({"monitor": {}}, run, {"env": {"id": "other"}}) as loggers:
        loggers.restore(state)
        loggers.log_episodes([(12, {"r": 2.0, "l": 3})])
    again, header, *lines = run.monitor_file.read_text().splitlines()
    assert again == comment and header == "r,l,t"
    assert [line.split(",")[:2] for line in lines] == [["5.0", "5"], ["4.0", "4"], ["2.0", "3"]]
    times = [float(line.split(",")[2]) for line in lines]
    assert times == sorted(set(times))
