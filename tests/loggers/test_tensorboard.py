"""The curve in TensorBoard of a training that was killed and went on is that of one that was not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from rlzoo.cli.main import main
from rlzoo.loggers.tensorboard import NOTEBOOK, open_logger
from rlzoo.protocols import State
from rlzoo.runs import tables
from rlzoo.runs.run import Run

WORDS = ["algo=ppo", "env=CartPole", "seed=1", "hyperparams=none", "algo.n_steps=64", "total_timesteps=3000"]
WORDS += [
    "eval.freq=100",
    "eval.n_episodes=1",
    "env.max_steps=50",
    "checkpoint.freq=700",
    "logger.tensorboard.flush_seconds=0.01",
]


def scalars(run: Run, *, purge: bool = True) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard shows, clocks left out."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(
        str(run.tensorboard_dir), size_guidance={"scalars": 0}, purge_orphaned_data=purge
    ).Reload()
    tags = [tag for tag in events.Tags()["scalars"] if not tag.startswith("time/")]
    found = {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in tags}
    return {tag: points for tag, points in found.items() if points}


def shown(run: Run) -> dict[str, list[int]]:
    """The steps that TensorBoard's server keeps of every scalar; it takes the first start of a log for no restart."""
    from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

    events = EventAccumulator(str(run.tensorboard_dir), size_guidance={"tensors": 0}, purge_orphaned_data=True).Reload()
    tags = [tag for tag in events.Tags()["tensors"] if tag != "config" and not tag.startswith("time/")]
    found = {tag: [event.step for event in events.Tensors(tag)] for tag in tags}
    return {tag: steps for tag, steps in found.items() if steps}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_killed_training_that_goes_on_has_one_curve(workdir):
    assert main(["train", *WORDS, "runs_dir=whole"]) == 0
    command = [sys.executable, "-m", "rlzoo", "train", *WORDS]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while not list(workdir.glob("runs/*/*/*/checkpoints/[1-9]*")) and time.monotonic() < deadline:
            time.sleep(0.005)
        size = Run.open("latest").metrics_file.stat().st_size
        while Run.open("latest").metrics_file.stat().st_size < size + 300 and time.monotonic() < deadline:
            time.sleep(0.005)  # so that something is logged after the checkpoint
        os.kill(process.pid, signal.SIGKILL)
    run, whole = Run.open("latest"), Run.open("latest", "whole")
    assert run.read_info()["status"] == "running"
    assert main(["train", "resume=latest"]) == 0
    assert run.read_info()["resume"] == "exact" and len(list(run.tensorboard_dir.iterdir())) == 2
    assert scalars(run) == scalars(whole) and len(scalars(run)["eval/mean_reward"]) == 30
    assert shown(run) == shown(whole) and len(shown(run)["eval/mean_reward"]) == 30
    assert len(scalars(run, purge=False)["eval/mean_reward"]) > 30  # there was something to forget


def test_what_follows_the_checkpoint_is_forgotten(tmp_path):
    """Also what came at the very step at which the training resumes, and what it will never log again."""
    run = Run.create(tmp_path, algo="ppo", env_id="CartPole-v1", seed=0)
    first = open_logger(run, {"gamma": 0.9})
    first.log({"a": 1.0}, 100)
    state = first.state()
    for step in (101, 150, 200):
        first.log({"a": 9.0, "gone": 9.0}, step)
    first.close()
    second = open_logger(run, {"gamma": 0.8})
    second.restore(state)
    second.log({"a": 2.0}, 180)
    second.close()
    assert scalars(run) == {"a": [(100, 1.0), (180, 2.0)]}
    assert shown(run) == {"a": [100, 180]}
    assert state == State(values={"last_step": 100})


def test_a_log_without_a_state_goes_on_where_it_is(tmp_path):
    run = Run.create(tmp_path, algo="ppo", env_id="CartPole-v1", seed=0)
    for steps in ((100, 200, 300), (250, 300)):
        logger = open_logger(run, {})
        for step in steps:
            logger.log({"a": float(len(steps))}, step)
        logger.close()
    assert scalars(run) == {"a": [(100, 3.0), (200, 3.0), (250, 2.0), (300, 2.0)]}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_config_is_a_block_of_code_whatever_is_in_it(tmp_path):
    """As TensorBoard's own reader makes a page of it."""
    import re

    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugin_util import markdown_to_safe_html

    run = Run.create(tmp_path, algo="ppo", env_id="CartPole-v1", seed=0)
    texts = ["# a\n\n# b", "a\n\nb [c](https://evil.example) ![d](https://evil.example/d.png)", "```\n# c", "<b>x</b>"]
    texts += ["a\x0b# b\x85# c\u2028# d\x1b]0;x\x07", "- a\n- b", "\n\n\n[a]: https://evil.example", "\u202eabc"]
    open_logger(run, {f"{number}": {text: text} for number, text in enumerate(texts)}).close()
    (text,) = EventAccumulator(str(run.tensorboard_dir)).Reload().Tensors("config")
    page = markdown_to_safe_html(text.tensor_proto.string_val[0])
    assert all(char == "\n" or char.isprintable() for char in page)
    assert set(re.findall(r"<(\w+)", page)) == {"pre", "code"} and page.count("<pre>") == 1


def test_ppo_from_scratch_is_logged_by_the_names_of_the_notebook_too(workdir):
    """The eleven scalars of CleanRL's ppo.py, the same numbers as under rlzoo's names; clocks in timings.csv alone."""
    words = ["algo=ppo_scratch", "env=CartPole", "seed=1", "hyperparams=none", "env.n_envs=2", "algo.n_steps=64"]
    assert main(["train", *words, "total_timesteps=400", "eval.freq=0", "eval.final_n_episodes=1"]) == 0
    run = Run.open("latest")
    found = scalars(run)
    pairs = {name: notebook for name, notebook in NOTEBOOK.items() if not name.startswith("time/")}
    for name, notebook in pairs.items():
        sign = -1 if notebook == "losses/entropy" else 1
        assert found[notebook] == [(step, sign * value) for step, value in found[name]]
    assert {step for step, _ in found["charts/SPS"]} == {128, 256, 384, 512}
    assert all(value > 0 for _, value in found["charts/SPS"])
    _, episodes = tables.read(run.episodes_file)
    for column in ("return", "length"):
        expected = [(int(row["step"]), float(row[column])) for row in episodes]
        assert expected and found[f"charts/episodic_{column}"] == expected
    assert len([tag for tag in found if tag.startswith(("charts/", "losses/"))]) == 11
    header = run.metrics_file.read_text().partition("\n")[0]
    assert "train/old_approx_kl" in header and "fps" not in header and "SPS" not in header and "charts" not in header
    assert "time/fps" in run.timings_file.read_text()


def test_other_algorithms_keep_to_their_own_names(tmp_path):
    run = Run(tmp_path)
    logger = open_logger(run, {"algo": {"name": "ppo"}})
    logger.log({"train/value_loss": 1.0}, 10)
    logger.log_episodes([(10, {"r": 1.0, "l": 5})])
    logger.close()
    assert scalars(run) == {"train/value_loss": [(10, 1.0)]}
