"""Mutated configurations are accepted or refused in words: no traceback, no hang, nothing executed, written or read."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rlzoo.config.compose import compose, expand_jobs
from rlzoo.config.parse import check as check_schema
from rlzoo.config.schema import TrainConfig
from rlzoo.config.yaml_file import parse_text
from rlzoo.errors import MAX_LINE, MAX_PROBLEMS, ConfigError, RlzooError
from rlzoo.training.preflight import check

CHILD = Path(__file__).with_name("mutation_child.py")
SEED = "2026"


def start(first: int, count: int, folder: Path) -> subprocess.Popen:
    folder.mkdir()
    command = [sys.executable, str(CHILD), SEED, str(first), str(count), str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)


def test_mutations(tmp_path, count, full, record_property):
    total, processes = count(500, 10_000), count(1, 2)
    share = total // processes
    children = [start(index * share, share, tmp_path / f"part{index}") for index in range(processes)]
    reports = []
    for child in children:
        out, err = child.communicate()
        assert child.returncode == 0, err.decode()[-3000:]
        reports.append(json.loads(out))
    seconds = sum(report["cpu_seconds"] for report in reports)
    record_property("mutations", total)
    record_property("accepted", sum(report["accepted"] for report in reports))
    record_property("mutations_per_cpu_second", round(total / seconds, 1))
    record_property("slowest_cpu_seconds", max(report["slowest"] for report in reports))
    record_property("mib", max(report["mib"] for report in reports))
    findings = [finding for report in reports for finding in report["findings"]]
    assert not findings, json.dumps(findings[:5], indent=1)
    assert sum(report["accepted"] + report["refused"] for report in reports) == total
    assert sum(report["accepted"] for report in reports) > total / 20, "mutations that nothing survives test a parser"
    assert not any(report["torch"] or report["canary"] for report in reports)
    assert max(report["mib"] for report in reports) < 512


def write(place: str, text: str) -> None:
    Path(place).parent.mkdir(parents=True, exist_ok=True)
    Path(place).write_text(text)


def refused(*words: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        check(compose("train", words), make_env=False)
    return caught.value


FEW, MANY = 1_000, 6_000


def seconds_for(count: int, indent: str) -> float:
    """CPU seconds in which a file of so many unknown keys is composed and checked."""
    space = " " * (2 * (indent.count("\n") + bool(indent)))
    write("conf/experiment/many.yaml", indent + "\n" + "".join(f"{space}k{i}: {i}\n" for i in range(count)))
    start = time.process_time()
    composition = compose("train", ["experiment=many"])
    try:
        check(composition, make_env=False)
    except ConfigError as error:
        assert str(error).count("\n") < 3 * MAX_PROBLEMS
        assert "more" in str(error).splitlines()[-1]
    return time.process_time() - start


@pytest.mark.parametrize("indent", ["", "algo:", "env:", "env:\n  kwargs:", "env:\n  wrappers:", "logger:"])
def test_the_time_for_a_file_of_very_many_keys_grows_as_their_number(indent, workdir):
    seconds_for(FEW, indent)  # imports what is imported once
    few = min(seconds_for(FEW, indent) for _ in range(2))
    assert seconds_for(MANY, indent) < 3 * (MANY / FEW) * few  # with the square of their number: 6 times as much


def test_a_number_of_very_many_digits(workdir):
    with pytest.raises(RlzooError, match="a number of 5000 characters is too long"):
        parse_text("total_timesteps: " + "9" * 5000, Path("a.yaml"))
    for digits in ("9" * 400, "1" + "0" * 25):
        problem = refused(f"n_jobs={digits}").problems[0]
        assert (problem.key, "up to 10^18" in problem.message) == ("n_jobs", True)
        assert refused(f"algo.n_steps={digits}").problems[0].key == "algo.n_steps"
    for endless in (".inf", "-.inf", ".nan"):
        write("conf/experiment/endless.yaml", f"total_timesteps: {endless}\n")
        assert refused("experiment=endless").problems[0].key == "total_timesteps"


def test_numbers_to_base_60_and_tagged_words_are_text():
    assert parse_text("a: 1:30.5\nb: !!float 'x'\n", Path("a.yaml")).values == {"a": "1:30.5", "b": "x"}


@pytest.mark.parametrize("word", ["range(0,1,0)", "shuffle(range(0,100000000))", "range(0,1000000000)", "range(3,0)"])
def test_ranges_that_are_no_sweep(word):
    jobs, problems = expand_jobs([f"seed={word}"])
    assert (jobs, [problem.key for problem in problems]) == ([], ["seed"])


@pytest.mark.parametrize("defaults", ["|", "''", "{}", "0", "false"])
def test_a_defaults_list_that_is_none(defaults, workdir):
    write("conf/env/Mine.yaml", f"defaults: {defaults}\nid: CartPole-v1\n")
    if defaults == "|":
        write("conf/env/Mine.yaml", "defaults: |\n\nid: CartPole-v1\n")
    (problem,) = refused("env=Mine").problems
    assert "defaults must be a list" in problem.message


@pytest.mark.parametrize("place", ["conf/algo/ppo.yaml", "conf/env/CartPole.yaml", "conf/logger/tensorboard.yaml"])
def test_a_file_that_cannot_be_read_is_one_problem(place, workdir):
    write(place, "a: [1\n")
    (problem,) = refused().problems
    assert problem.message.startswith(f"{place}:2:1: not valid YAML")


def test_what_is_said_of_a_value_has_an_end_and_no_control_characters(workdir):
    text = str(refused("device=" + "a" * 50_000, 'runs_dir=x"\x1b[31m', "algo.policy='\x1b]0;title\x07'"))
    assert max(map(len, text.splitlines())) <= MAX_LINE
    assert "\x1b" not in text
    assert "\x07" not in text


@pytest.mark.parametrize("options", ["1", "[a]", "text"])
def test_options_of_a_logger_that_are_none(options, workdir):
    (problem,) = refused(f"logger.tensorboard={options}").problems
    assert (problem.key, "must be a mapping" in problem.message) == ("logger.tensorboard", True)


def test_a_launcher_whose_name_is_a_list(workdir):
    assert refused("launcher.name=[[]]").problems[0].key == "launcher.name"


def test_a_launcher_that_is_nothing(workdir):
    write("conf/experiment/x.yaml", "# @package _global_\nlauncher:\n")
    assert "launcher.name" in str(refused("experiment=x"))


def test_a_large_number_is_no_number(workdir):
    _, problems = check_schema(TrainConfig, compose("train", ["signal_grace=" + "9" * 400]).values)
    assert problems[0].message.startswith("must be a number, not 999")
