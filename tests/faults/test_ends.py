"""However a training has ended, one that is resumed from there is the training that never ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rlzoo
from rlzoo.algos.specs import ALGOS
from rlzoo.cli.main import main
from rlzoo.config.compose import compose
from rlzoo.config.parse import dump
from rlzoo.protocols import Algorithm, Callback
from rlzoo.runs.checkpoints import read
from rlzoo.runs.compare import compare_tables
from rlzoo.runs.run import Run
from rlzoo.training.preflight import check
from rlzoo.training.train import train
from tests.small import SHORT, SMALL

COMMON = ["hyperparams=none", "seed=3", "device=cpu", "eval.freq=70", "eval.n_episodes=1", "eval.final_n_episodes=1"]
COMMON += ["checkpoint.freq=0", "logger=[]"]
EPSILON = ["algo.exploration_initial_eps=0.2", "algo.exploration_final_eps=0.2"]
ENDS = {
    "minutes": ["stop.minutes=1e-9"],
    "reward": ["stop.reward=-1e9"],
    "episodes": ["stop.episodes=3"],
    "total_timesteps": [],
    "callback": [],
}
IN_EVERY_RUN = {
    *(("ppo", end) for end in ENDS),
    *(("dqn", end) for end in ("episodes", "total_timesteps")),
    *(("q_learning-table", end) for end in ("minutes", "episodes", "total_timesteps")),
    *(("cem", end) for end in ("reward", "total_timesteps")),
    *(("reinforce", end) for end in ("minutes", "total_timesteps")),
    *(("ppo-gsde", "total_timesteps"), ("ppo_scratch", "total_timesteps"), ("dqn_scratch", "callback")),
}
CASES = [
    pytest.param(name, end, marks=[] if (name, end) in IN_EVERY_RUN else pytest.mark.slow)
    for name in SMALL
    if ALGOS[name.partition("-")[0]].family != "planning"
    for end in ENDS
]


def steady(name: str) -> list[str]:
    """A small configuration in which nothing but the log of a table depends on `total_timesteps`."""
    words = list(SMALL[name])
    algo = compose("train", words).values["algo"]
    if isinstance(algo.get("learning_rate"), Mapping):
        words.append("algo.learning_rate=1e-3")
    return [*words, *(EPSILON if "exploration_initial_eps" in algo else [])]


class Enough(Callback):
    """Says once that the training is to end."""

    def __init__(self) -> None:
        self.n_steps = 0

    def on_step(self, algorithm: Algorithm) -> bool:
        self.n_steps += 1
        return self.n_steps != 50


def trained(words: list[str], *callbacks: Callback) -> Run:
    cfg = check(compose("train", words)).config
    run = Run.create(cfg.runs_dir, algo=cfg.algo.name, env_id=cfg.env.id, seed=int(cfg.seed or 0))
    run.write_config(dump(cfg))
    run.write_info({"status": "running"})
    train(cfg, run, callbacks)
    return run


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Run]]:
    """The training that nothing has ended, by its name."""
    runs: dict[str, Run] = {}
    folder = tmp_path_factory.mktemp("whole")

    def find(name: str) -> Run:
        if name not in runs:
            runs[name] = trained([*COMMON, *steady(name), f"runs_dir={folder / name}"])
        return runs[name]

    yield find


def total(run: Run) -> int:
    return int(run.read_config()["total_timesteps"])


@pytest.mark.parametrize(("name", "end"), CASES)
def test_a_training_that_goes_on_is_the_one_that_never_ended(
    name: str, end: str, whole: Callable[[str], Run], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    undisturbed = whole(name)
    steps = total(undisturbed)
    words = [*COMMON, *steady(name), *ENDS[end], f"runs_dir={tmp_path}"]
    if end == "total_timesteps":
        words.append(f"total_timesteps={steps // 2}")
    run = trained(words, *([Enough()] if end == "callback" else []))
    ended_at = read(run.checkpoint("last")).num_timesteps
    assert ended_at < steps and run.read_info()["status"] == "finished"
    assert [checkpoint.name for checkpoint in run.checkpoints() if checkpoint.name != "best"] == ["last"]
    assert (
        main(
            ["train", f"resume={run.path}", f"total_timesteps={steps}", *(f"{w.split('=')[0]}=null" for w in ENDS[end])]
        )
        == 0
    )
    said = capsys.readouterr().err
    assert f"from step {ended_at:,} of" in said
    level = run.read_info()["resume"]
    assert level == "exact" or (end == "total_timesteps" and level.startswith("not-exact: total_timesteps has changed"))
    assert_same(undisturbed, run, log=end != "total_timesteps" or ALGOS[name.partition("-")[0]].family != "tabular")


def assert_same(one: Run, other: Run, *, log: bool = True) -> None:
    """All that was learned, and what was written on the way."""
    first, second = (read(run.checkpoint("last")) for run in (one, other))
    assert first.num_timesteps == second.num_timesteps
    tensors, others = first.algorithm.tensors, second.algorithm.tensors
    assert tensors.keys() == others.keys()
    assert [key for key in tensors if not np.array_equal(tensors[key], others[key])] == []
    assert one.evaluations_file.read_bytes() == other.evaluations_file.read_bytes()
    assert one.episodes_file.is_file()
    assert compare_tables(one.episodes_file, other.episodes_file, but=["seconds"]) is None
    if log:
        assert one.metrics_file.read_bytes() == other.metrics_file.read_bytes()
    assert one.read_results()[-1]["returns"] == other.read_results()[-1]["returns"]


def test_one_that_is_done_has_nothing_left_to_go_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    run = rlzoo.train("algo=value_iteration", "env=FrozenLake", *COMMON[1:], "total_timesteps=5000")
    manifest = read(run.checkpoint("last")).manifest
    assert manifest["done"] and manifest["at_boundary"]
    before = run.metrics_file.read_bytes()
    assert main(["train", "resume=latest", "total_timesteps=9000"]) == 0
    assert "there is nothing more to learn" in capsys.readouterr().err
    assert run.metrics_file.read_bytes() == before


def test_one_that_has_played_its_episodes_plays_no_more_until_it_gets_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["algo=reinforce", "env=CartPole", *COMMON, "total_timesteps=5000", *SHORT]
    run = rlzoo.train(*words, "stop.episodes=5")
    n_results = len(run.read_results())

    def played() -> Any:
        return read(run.checkpoint("last")).algorithm.values["n_episodes"]

    assert played() == 5
    assert main(["train", "resume=latest"]) == 0
    assert "all of its 5 episodes" in capsys.readouterr().err
    run.update_info(status="interrupted")  # in the evaluation at the end
    assert main(["train", "resume=latest"]) == 0
    assert played() == 5 and len(run.read_results()) > n_results
    assert read(run.checkpoint("last")).manifest["at_boundary"]
    assert main(["train", "resume=latest", "stop.episodes=8"]) == 0
    assert played() == 8
    assert run.read_info()["resume"] == "exact"
