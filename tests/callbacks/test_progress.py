"""Progress: a bar on a terminal that is left as it was, plain lines elsewhere."""

from __future__ import annotations

import io
import logging
import threading
from types import SimpleNamespace

import pytest
from rich.console import Console

from rlzoo import console
from rlzoo.training.callbacks import Progress
from rlzoo.training.callbacks import progress as module


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(module.time, "monotonic", lambda: clock.now)
    return clock


def run(progress: Progress, clock: SimpleNamespace, *, steps: int, seconds: float, total: int = 1000) -> None:
    """`total` steps, `steps` at a time in `seconds` each."""
    algorithm = SimpleNamespace(num_timesteps=0)
    progress.on_start(algorithm)
    while algorithm.num_timesteps < total:
        algorithm.num_timesteps += steps
        clock.now += seconds
        assert progress.on_step(algorithm)
    progress.on_end(algorithm)


def test_plain_lines_say_steps_speed_time_left_and_scores(clock, capsys):
    progress = Progress(1000)
    progress.log({"rollout/ep_rew_mean": 21.0, "time/fps": 3}, 10)
    progress.log({"eval/mean_reward": 9.5}, 20)
    progress.log({"eval/mean_reward": 8.5}, 30)
    run(progress, clock, steps=50, seconds=1)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "100/1,000 steps (10%) | 50 steps/s | 18s left | return 21.00 | best evaluation 9.50"
    assert len(lines) == 10
    assert lines[-1] == "1,000/1,000 steps (100%) | 50 steps/s | return 21.00 | best evaluation 9.50"


def test_episodes_count_where_they_end_the_training(clock, capsys):
    progress = Progress(10_000, n_episodes=20)
    algorithm = SimpleNamespace(num_timesteps=0, n_episodes=0)
    progress.on_start(algorithm)
    for _ in range(19):
        algorithm.num_timesteps, algorithm.n_episodes = algorithm.num_timesteps + 100, algorithm.n_episodes + 1
        clock.now += 2
        progress.on_step(algorithm)
    algorithm.num_timesteps, algorithm.n_episodes = 2001, 20  # too soon after the last step to be shown by itself
    progress.on_end(algorithm)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "200 steps, 2/20 episodes (10%) | 50 steps/s | 36s left"
    assert lines[-1].startswith("2,001 steps, 20/20 episodes (100%)")


def test_lines_are_neither_too_many_nor_too_few(clock, capsys):
    run(Progress(1000), clock, steps=1, seconds=0.001)  # a second in all
    assert len(capsys.readouterr().err.splitlines()) == 1
    run(Progress(100_000), clock, steps=1, seconds=1)  # slow: a line every half minute
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1000 // 30 + 1
    assert "27h46m left" in lines[0]  # 99,970 s


def test_the_speed_is_that_of_late(clock):
    progress = Progress(10_000)
    algorithm = SimpleNamespace(num_timesteps=0)
    progress.on_start(algorithm)
    for step, seconds in [(5000, 1.0)] + [(5000 + 10 * i, 1.0) for i in range(1, 120)]:
        algorithm.num_timesteps = step
        clock.now += seconds
        progress.on_step(algorithm)
    assert "| 10 steps/s |" in progress.text(algorithm.num_timesteps)


def test_a_long_evaluation_is_part_of_the_speed_not_all_of_it(clock):
    progress = Progress(10_000)
    algorithm = SimpleNamespace(num_timesteps=0)
    progress.on_start(algorithm)
    for step in range(100, 2001, 100):
        algorithm.num_timesteps = step
        clock.now += 60.0 if step == 2000 else 1.0  # an evaluation of a minute before the last of these steps
        progress.on_step(algorithm)
    assert "| 14 steps/s |" in progress.text(2000)  # the last tenth: 1000 steps in 9 + 60 s, not 100 steps in 60 s


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    screen = io.StringIO()
    fake = Console(file=screen, force_terminal=True, width=120, markup=False)
    monkeypatch.setattr(console, "stderr", lambda: fake)
    monkeypatch.setattr(console, "is_live", lambda: True)
    return screen


def test_the_bar_shows_the_same_and_gives_the_cursor_back(clock, terminal, caplog):
    threads = threading.active_count()
    progress = Progress(1000)
    progress.log({"rollout/ep_rew_mean": 21.0, "eval/mean_reward": 9.5}, 10)
    with caplog.at_level(logging.INFO, logger="rlzoo"):
        run(progress, clock, steps=50, seconds=1)
    text = terminal.getvalue()
    assert "50 steps/s" in text and "18s left" in text and "return 21.00  best evaluation 9.50" in text
    assert "1000/1000" in text
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1
    assert " | " not in text  # no plain line after the bar
    assert threading.active_count() == threads
    assert len(caplog.records) == 10  # train.log has the plain lines all the same


def test_a_failed_training_gives_the_cursor_back_too(clock, terminal):
    progress = Progress(1000)
    progress.on_start(SimpleNamespace(num_timesteps=0))
    progress.close()  # what closing the loggers does
    progress.close()
    assert terminal.getvalue().count("\x1b[?25h") == 1


def test_durations_read_well():
    assert [module._duration(seconds) for seconds in (4.4, 65, 3600, 7265)] == ["4s", "1m05s", "1h00m", "2h01m"]
