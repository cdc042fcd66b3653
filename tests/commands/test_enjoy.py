"""`rlzoo enjoy`: in a terminal, in a window, and as scores where there is neither."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time

import pytest
import yaml

import rlzoo
from rlzoo.cli.main import main
from rlzoo.errors import ExitCode, RlzooError
from rlzoo.play import enjoy
from tests.system import no_xvfb

ON_POLICY = ("algo=ppo", "algo.n_steps=32", "algo.batch_size=32", "algo.n_epochs=1", "total_timesteps=32")
HOME = "\x1b[H"


def train(root, *words):
    options = ["hyperparams=none", "eval.freq=0", "eval.final_n_episodes=1", "seed=0", "device=cpu", "logger=[]"]
    return rlzoo.train(*words, *options, f"runs_dir={root}")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train(tmp_path_factory.mktemp("enjoy"), "env=CartPole", *ON_POLICY)


@pytest.fixture(autouse=True)
def no_display(monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)


def in_a_terminal(*words, size=(80, 24), interrupt_at=None):
    """Run the command in a terminal: what it printed, and its exit code. Ctrl-C is pressed once it shows a text."""
    pid, terminal = pty.fork()
    if pid == 0:
        env = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
        env |= {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
        time.sleep(0.1)  # for the size of the terminal
        os.execve(sys.executable, [sys.executable, "-m", "rlzoo", "enjoy", *words], env)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
    output, deadline = b"", time.monotonic() + 90
    while time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                more = os.read(terminal, 1 << 16)
            except OSError:  # Linux's way to say that the other side is closed
                more = b""
            if not more:
                break
            output += more
        if interrupt_at is not None and interrupt_at in output:
            os.write(terminal, b"\x03")
            interrupt_at = None
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    text = output.decode(errors="replace")  # Ctrl-C may cut a picture within a character
    return text, os.waitstatus_to_exitcode(status)


def test_where_nobody_looks_there_are_scores_alone(run, capsys):
    assert main(["enjoy", f"run={run.path}", "seeds=[5,6]"]) == 0
    output = capsys.readouterr()
    evaluation = rlzoo.load(run).evaluate(seeds=[5, 6])
    first, second = evaluation.returns
    assert output.out.splitlines() == [
        f"episode 1: return {first:.2f}, {evaluation.lengths[0]} steps, checkpoint last",
        f"episode 2: return {second:.2f}, {evaluation.lengths[1]} steps, checkpoint last",
        f"2 episodes: {evaluation.mean_reward:.2f} ± {evaluation.std_reward:.2f}",
    ]
    assert "\x1b" not in output.out + output.err


def test_so_many_steps(run, capsys):
    assert enjoy(run, n_timesteps=3) == []
    assert capsys.readouterr().out == "3 steps; no episode has ended\n"


def test_all_checkpoints_one_after_the_other(run):
    episodes = enjoy(run, checkpoint="all", n_episodes=1)
    steps = sorted({checkpoint.num_timesteps for checkpoint in run.checkpoints()})
    assert len(episodes) == len(steps)


@pytest.mark.parametrize(
    ("options", "expected", "code"),
    [
        ({"render": "window"}, "there is no display to open a window on", ExitCode.MISSING),
        ({"render": "terminal"}, "standard output is not a terminal", ExitCode.WRONG_REQUEST),
        ({"render": "human"}, "render: must be auto, window", ExitCode.WRONG_REQUEST),
        ({"fps": -1}, "fps: must be greater than 0", ExitCode.WRONG_REQUEST),
        ({"seeds": []}, "seeds: must be a list of 1 or more", ExitCode.WRONG_REQUEST),
        ({"checkpoint": "first"}, "it has:", ExitCode.WRONG_REQUEST),
    ],
)
def test_mistakes_are_explained(run, options, expected, code):
    with pytest.raises(RlzooError, match=expected) as caught:
        enjoy(run, **options)
    assert caught.value.code == code


@pytest.mark.skipif(sys.platform == "win32", reason="terminals of Unix")
def test_pictures_in_the_terminal(run):
    output, code = in_a_terminal(f"run={run.path}", "n_episodes=1", "fps=100", size=(60, 20))
    assert code == 0
    before, *pictures = output.split(HOME)
    assert before.endswith("\x1b[?1049h\x1b[?25l")  # the second screen, without the cursor
    assert "checkpoint last, deterministic actions" in before
    assert len(pictures) > 5
    lines = pictures[0].split("\r\n")
    cells = [len(re.sub(r"\x1b\[[\d;]*[mKJ]", "", line)) for line in lines[:-1]]
    assert cells == [54] * 18  # 600x400 into 60x18 cells, which are half as wide as they are high: 36 rows, 54 columns
    assert "episode 1 of 1  step 0  reward 0  return 0" in lines[-1]
    last, after = pictures[-1].split("\x1b[0m\x1b[?25h\x1b[?1049l")
    (steps,) = re.findall(r"step (\d+)  reward 1  return \1", last)
    assert after == f"episode 1: return {steps}.00, {steps} steps, checkpoint last\r\n"


@pytest.mark.skipif(sys.platform == "win32", reason="terminals of Unix")
def test_toy_texts_are_text(tmp_path):
    run = train(tmp_path, "env=FrozenLake", "algo=q_learning", "total_timesteps=20", "eval.max_steps=20")
    output, code = in_a_terminal(f"run={run.path}", "n_timesteps=2", "fps=100")
    assert code == 0
    assert "\x1b[41mS\x1b[0mFFF" in output.split(HOME)[1]
    assert "▀" not in output


@pytest.mark.skipif(sys.platform == "win32", reason="terminals of Unix")
def test_a_map_of_others_does_not_steer_the_terminal(tmp_path):
    """Each cell of a lake is a letter, and a row of them may spell what terminals obey."""
    run = train(tmp_path, "env=FrozenLake", "algo=q_learning", "total_timesteps=20", "eval.max_steps=20")
    values = run.read_config()
    values["env"]["kwargs"] |= {"desc": ["S\x1b]0;x\x07F", "\x1b[2J\x1b[nG"], "map_name": None}
    run.config_file.write_text(yaml.safe_dump(values))
    assert not run.is_own()
    output, code = in_a_terminal(f"run={run.path}", "n_timesteps=2", "fps=100")
    assert code == 0
    frame = output.split(HOME)[1]
    assert "\x1b[41mS\x1b[0m]0;xF" in frame and "[2J[nG" in frame
    assert not re.search(r"\x1b\]|\x07|\x1b\[2J|\x1b\[n", output)


@pytest.mark.skipif(sys.platform == "win32", reason="terminals of Unix")
def test_ctrl_c_ends_it_with_the_episodes_so_far(run):
    output, code = in_a_terminal(f"run={run.path}", "n_episodes=500", "fps=200", interrupt_at=b"episode 2 of 500")
    assert code == 130
    _, after = output.split("\x1b[?25h\x1b[?1049l")
    assert after.startswith("episode 1: return ")
    assert after.endswith("rlzoo: interrupted; the whole episodes are above\r\n")
    assert "Traceback" not in output


def test_a_window(run):
    if no_xvfb():
        pytest.skip(no_xvfb())
    pytest.importorskip("pyvirtualdisplay")
    from rlzoo.envs.display import virtual_screen

    environment = {name: value for name, value in os.environ.items() if name != "SDL_VIDEODRIVER"}
    with virtual_screen("a test"):
        environment["DISPLAY"] = os.environ["DISPLAY"]
        begin = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "rlzoo", "enjoy", f"run={run.path}", "n_timesteps=25", "fps=10"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert "25 steps" in done.stdout or "episode 1" in done.stdout
    assert time.monotonic() - begin > 2.5  # ten steps a second
