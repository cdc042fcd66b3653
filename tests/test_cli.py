"""The front of the command line: help without third parties, suggestions, exit codes, no traceback for a mistake."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rlzoo import __version__
from rlzoo.cli.main import COMMANDS, main, parse

THIRD_PARTY = "torch numpy gymnasium hydra omegaconf pydantic rich optuna stable_baselines3 yaml".split()


def run(*words: str, cwd=None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "rlzoo", *words], capture_output=True, text=True, cwd=cwd, check=False)


def imported_by(*words: str) -> set[str]:
    """The third-party packages that a command imports."""
    code = (
        "import sys; from rlzoo.cli.main import main\n"
        f"try: main({list(words)!r})\nexcept SystemExit: pass\n"
        f"print('IMPORTED', *[name for name in {THIRD_PARTY!r} if name in sys.modules])"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    return set(output.rsplit("IMPORTED", 1)[1].split())


@pytest.mark.parametrize("words", [["--help"], [], ["--version"], ["trian"]])
def test_help_imports_no_third_party(words):
    assert imported_by(*words) == set()


def test_command_help_and_config_import_no_torch():
    assert imported_by("train", "--help") <= {"yaml"}
    heavy = {"torch", "stable_baselines3", "gymnasium", "numpy", "optuna"}
    assert not imported_by("train", "algo=dqn", "env=SpaceInvaders", "--cfg", "job") & heavy
    assert not imported_by("show", "algo=ppo", "env=LunarLander") & heavy
    assert not imported_by("list", "envs") & heavy


def test_help_lists_every_command_and_is_quick(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    for command in COMMANDS:
        assert f"  {command} " in text
    start = time.process_time()
    main(["--help"])
    assert time.process_time() - start < 0.1


def test_command_help_says_what_keys_mean(capsys):
    assert main(["train", "--help", "algo=dqn"]) == 0
    text = capsys.readouterr().out
    for expected in ("algo.exploration_fraction=", "env.n_envs=1", "total_timesteps=100000", "SpaceInvaders"):
        assert expected in text
    for command in COMMANDS:
        assert main([command, "-h"]) == 0


@pytest.mark.parametrize(
    "words", [["--help"], ["train", "--help", "algo=ppo"], ["tune", "import", "-h"], ["list", "-h"]]
)
def test_help_fits_the_screen(words, capsys, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    main(words)
    whole = capsys.readouterr().out  # on a pipe it is not broken
    monkeypatch.setenv("COLUMNS", "80")
    main(words)
    narrow = capsys.readouterr().out
    assert max(map(len, whole.splitlines())) > 80 >= max(map(len, narrow.splitlines()))
    assert narrow.split() == whole.split()


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"rlzoo {__version__}\n"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["trian"], "did you mean 'train'"),
        (["train", "algo=pppo"], "did you mean 'ppo'"),
        (["train", "--algo", "dqn"], "algo="),
        (["train", "algo.gama=0.9"], "'gamma'"),
        (["train", "--cfg", "hydra"], "--cfg"),
        (["evaluate", "run=nowhere"], "nowhere"),
        (["evaluate", "run="], "run: is empty"),
        (["evaluate", "run=nowhere", "env=CartPole"], "nowhere"),
        (["show", "run="], "run: is empty"),
        (["package", "folder="], "folder: is empty"),
        (["train", "resume=''"], "resume: is empty"),
        (["train", "algo=ppo", "runs_dir="], "runs_dir: is empty"),
        (["evaluate", "n_episode=5"], "'n_episodes'"),
        (["list", "algo"], "did you mean 'algos'"),
        (["list"], "algos"),
        (["validate", "no/such/file.yaml"], "no/such/file.yaml"),
        (["evaluate", "--dry-run"], "--dry-run"),
        (["list", "algos", "-m"], "-m"),
        (["train", "--json"], "--json"),
    ],
)
def test_mistakes_end_with_a_message_and_code_2(words, expected, tmp_path):
    result = run(*words, cwd=tmp_path)
    assert result.returncode == 2
    assert expected in result.stderr
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_flags_are_found_anywhere():
    found = parse(["a=1", "-m", "--json", "--cfg", "job", "b=2", "--dry-run"])
    assert found.words == ["a=1", "b=2"]
    assert (found.multirun, found.json, found.config, found.dry_run, found.help) == (True, True, True, True, False)


def test_a_home_directory_is_found_behind_a_key(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    words = ["runs_dir=~/runs", "path=~/film.mp4", "studies_dir=~", "~logger.csv", "~algo.gamma=0.9", "env=CartPole"]
    home = [f"runs_dir={tmp_path}/runs", f"path={tmp_path}/film.mp4", f"studies_dir={tmp_path}"]
    assert parse(words).words == [*home, *words[3:]]


@pytest.mark.parametrize(
    "words",
    [
        ["evaluate", "run=~nobody_at_all/run"],
        ["package", "run=~nobody_at_all/run"],
        ["certify", "~nobody_at_all/run"],
        ["train", "algo=q_learning", "env=FrozenLake", "init_from=~nobody_at_all/run", "--dry-run"],
        ["tune", "report", "study=~nobody_at_all"],
    ],
    ids=lambda words: words[0],
)
def test_a_home_that_nobody_has_is_only_a_path_that_is_not_there(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    assert "~nobody_at_all" in capsys.readouterr().err


def test_a_module_of_the_current_folder_is_found_after_the_installed_ones(tmp_path):
    (tmp_path / "mine.py").write_text("from stable_baselines3 import PPO\nclass Mine(PPO): pass\n")
    (tmp_path / "yaml.py").write_text("raise RuntimeError('a stranger')\n")
    command = [
        sys.executable,
        "-c",
        "import sys; sys.path.remove(''); from rlzoo.cli.main import main; sys.exit(main())",
    ]
    words = ["train", "algo=custom", "algo.name=mine:Mine", "total_timesteps=64", "algo.n_steps=-1"]
    result = subprocess.run([*command, *words], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert "algo.n_steps: must be at least 1" in result.stderr, result.stderr  # the class was imported and read


@pytest.mark.skipif(sys.platform == "win32", reason="needs /dev/full")
def test_output_that_cannot_be_written_is_a_storage_failure():
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "rlzoo", "list", "algos"]
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert result.returncode == 5
    assert "Traceback" not in result.stderr and "No space left" in result.stderr


def test_a_code_page_without_a_sign_ends_nothing():
    code = "from rlzoo.cli.main import main; main(['--version']); print('\\u00b1')"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii:strict"}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert (result.returncode, result.stdout.splitlines()[-1]) == (0, "?")


def test_a_reader_that_has_gone_is_no_failure():
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "rlzoo", "list", "envs"]
    result = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (result.returncode, result.stderr) == (0, "")


def test_a_message_that_nobody_reads_keeps_its_code():
    reading, writing = os.pipe()
    os.close(reading)
    result = subprocess.run([sys.executable, "-m", "rlzoo", "trian"], stderr=writing, check=False)
    os.close(writing)
    assert result.returncode == 2
    if Path("/dev/full").exists():
        with Path("/dev/full").open("w") as full:
            assert subprocess.run([sys.executable, "-m", "rlzoo", "trian"], stderr=full, check=False).returncode == 2


def test_a_training_on_atari_ends_without_a_report_of_its_emulator(tmp_path):
    words = "train algo=dqn env=SpaceInvaders total_timesteps=60 algo.learning_starts=20 algo.buffer_size=100 seed=1"
    words += " eval.final_n_episodes=1 eval.max_steps=30 eval.freq=10000 hyperparams=none"
    process = run(*words.split(), cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    assert "leaked" not in process.stderr


@pytest.mark.parametrize(
    "words",
    [["train", "algo.gamma=0.9", "algo.gamma=0.8"], ["list", "runs", "last=1", "+last=2"], ["show", "env=a", "env=b"]],
)
def test_a_key_that_is_given_twice_is_said(workdir, capsys, words):
    main([*words, *(["algo=ppo", "--cfg=job"] if words[0] == "train" else [])])
    key = words[-1].strip("+").partition("=")[0]
    assert f"note: {key}= is given 2 times: the last one counts" in capsys.readouterr().err


def test_mappings_are_laid_over_each_other_without_a_word(workdir, capsys):
    words = ["train", "algo=ppo", "env.kwargs={a: 1}", "env.kwargs={b: 2}", "--cfg=job"]
    assert main(words) == 0
    said = capsys.readouterr()
    assert "note:" not in said.err
    assert "    a: 1\n    b: 2\n" in said.out


@pytest.mark.parametrize("word", ["runs_dir=a\udcff", "logger.wandb.notes=\udc80", "\udcff"])
def test_what_is_no_text_is_refused_before_it_lies_in_a_file(workdir, capsys, word):
    assert main(["train", "algo=q_learning", "env=FrozenLake", word]) == 2
    assert "not UTF-8" in capsys.readouterr().err and not list(workdir.iterdir())


@pytest.mark.parametrize(
    "words", [["train", "runs_dir="], ["evaluate", "run=''"], ["tune", "study="], ["list", "runs_dir="]]
)
def test_a_path_or_text_that_is_left_empty_is_refused(workdir, capsys, words):
    assert main(words) == 2
    assert f"{words[1].partition('=')[0]}: is empty" in capsys.readouterr().err
    assert not list(workdir.iterdir())


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("train --algo dqn --env X -c dqn.yml -f logs", "train algo=dqn env=X hyperparams=dqn.yml runs_dir=logs"),
        (
            "train --algo=ppo --env-id CartPole-v1 -n 5000 --seed 3 -P",
            "train algo=ppo env=CartPole-v1 total_timesteps=5000 seed=3",
        ),
        ("train -c dqn.yml algo=dqn", "train hyperparams=dqn.yml algo=dqn"),
        ("enjoy --algo ppo --env CartPole-v1 -f logs/", "enjoy run=ppo/CartPole-v1 runs_dir=logs/"),
        ("tune --n-trials 5 --track algo=ppo", "tune n_trials=5 logger=wandb algo=ppo"),
        ("list envs --all", "list envs 'all=…'"),
    ],
)
def test_options_of_other_tools_are_translated(workdir, capsys, typed, meant):
    assert main(typed.split()) == 2
    said = capsys.readouterr().err
    assert "unknown option '-" in said and said.rstrip().endswith(f"settings are written key=value: rlzoo {meant}")
