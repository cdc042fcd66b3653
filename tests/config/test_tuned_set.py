"""A tuned set applies by itself, whoever wrote it: it holds values, and what names something is refused."""

from __future__ import annotations

from dataclasses import is_dataclass
from pathlib import Path
from typing import get_type_hints

import pytest

from rlzoo.cli.main import main
from rlzoo.config import tuned_set, yaml_file
from rlzoo.config.compose import compose
from rlzoo.config.schema import REQUESTED, TUNED, TrainConfig

ROOT = Path(__file__).parents[2]
PLACE = "hyperparams/ppo/CartPole.yaml"
WORDS = ["algo=ppo", "env=CartPole"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(text: str, place: str = PLACE) -> None:
    Path(place).parent.mkdir(parents=True, exist_ok=True)
    Path(place).write_text(text)


def undecided(schema: type, above: str = "") -> list[str]:
    found = []
    for name, mark in tuned_set.marks(schema).items():
        inner = get_type_hints(schema)[name]
        if mark is None and is_dataclass(inner):
            found += undecided(inner, f"{above}{name}.")
        elif mark not in (TUNED, REQUESTED):
            found.append(f"{above}{name}")
    return found


def test_every_setting_says_whether_a_tuned_set_may_carry_it():
    assert undecided(TrainConfig) == []


REFUSED = {
    "env.imports": "env: {imports: [evil]}",
    "env.id": "env: {id: 'evil:X-v0'}",
    "env.kwargs": "env: {kwargs: {xml_file: /tmp/x.xml}}",
    "env.wrappers.evil:X": "env: {wrappers: {'evil:X': {}}}",
    "env.extra": "env: {extra: box2d}",
    "algo.name": "algo: {name: 'evil:X'}",
    "algo.weights": "algo: {weights: ../weights.zip}",
    "algo.policy_kwargs.net": "algo: {policy_kwargs: {net: [1, 'evil:Net']}}",
    "algo.policy_kwargs.evil:Net": "algo: {policy_kwargs: {'evil:Net': 1}}",
    "launcher": "launcher: {name: submitit_slurm, setup: [touch canary]}",
    "logger": "logger: {wandb: {entity: somebody}}",
    "runs_dir": "runs_dir: /tmp/elsewhere",
    "init_from": "init_from: weights.zip",
    "device": "device: cuda:1",
    "seed": "seed: 7",
    "eval": "eval: {seeds: [1]}",
    "stop.minutes": "stop: {minutes: 1}",
    "defaults": "defaults: [/experiment: mine]",
    "storage": "storage: postgresql://me@host/studies",
    "search_space": "search_space: {}",
}


@pytest.mark.parametrize("key", REFUSED)
def test_what_names_something_is_refused_and_not_taken(key):
    """In a set that applies by itself, and in one that is named, whose request is one to tune."""
    write(f"# by itself\n{REFUSED[key]}\n")
    write(f"# by its name\n{REFUSED[key]}\n", "mine/set.yaml")
    by_itself, by_name = compose("train", WORDS), compose("tune", [*WORDS, "hyperparams=mine/set.yaml"])
    for found, place in ((by_itself, PLACE), (by_name, "mine/set.yaml")):
        (problem,) = found.problems
        assert (problem.key, problem.where) == (key, f"{place}:2")
        assert "a tuned set" in problem.message and "experiment=<name>" in problem.hint
        assert "evil" not in str(found.values)
    plain = compose("train", [*WORDS, "hyperparams=none"]).values
    assert {**by_itself.values, "algo": None} == {**plain, "algo": None}


def test_values_are_taken():
    write(
        "total_timesteps: 5000\nstop: {episodes: 9, reward: 400}\nalgo: {learning_rate: {linear: 1e-3}, gamma: 0.9}\n"
        "env: {n_envs: 2, normalize: {norm_reward: false}, frame_stack: 2, max_steps: 50, vec_env: subproc,\n"
        "  wrappers: {time_feature: {max_steps: 50}}}\n"
    )
    found = compose("train", ["algo=ppo", "env=CartPole"])
    assert found.problems == ()
    assert found.values["env"]["wrappers"] == {"time_feature": {"max_steps": 50}}
    assert (found.values["total_timesteps"], found.values["stop"]["episodes"]) == (5000, 9)


@pytest.mark.parametrize("path", sorted((ROOT / "hyperparams").rglob("*.yaml")), ids=lambda path: path.stem)
def test_the_shipped_ones_hold_values_only(path):
    assert tuned_set.values_only(yaml_file.read(path))[1] == []


@pytest.mark.parametrize(
    "command", [["train", *WORDS, "--dry-run"], ["tune", *WORDS, "--dry-run"], ["validate", PLACE], ["show", *WORDS]]
)
def test_every_command_refuses_it_and_imports_nothing(command, capsys):
    write("# @package _global_\nenv:\n  imports: [planted_by_a_set]\n")
    Path("planted_by_a_set.py").write_text("open('canary', 'w')\n")
    assert main(command) == 2
    output = "".join(capsys.readouterr())
    assert "env.imports" in output and "is not for a tuned set" in output and f"{PLACE}:3" in output
    assert not Path("canary").exists()


def test_an_experiment_may_say_all_of_it():
    write("env: {imports: [json]}\nruns_dir: x\nlogger: {csv: {}}\n", "conf/experiment/mine.yaml")
    found = compose("train", [*WORDS, "experiment=mine"])
    assert found.problems == () and found.values["env"]["imports"] == ["json"]


SHADOWS = {
    "conf/env/CartPole.yaml": "defaults: [gym, _self_]\nid: CartPole-v1\nimports: [planted_by_a_shadow]\n",
    "conf/env/gym.yaml": "id: 'planted_by_a_shadow:X-v0'\n",
    "conf/experiment/unit1_lunarlander.yaml": "env: {wrappers: {'planted_by_a_shadow:X': {}}}\n",
}


@pytest.mark.parametrize("place", SHADOWS)
def test_a_file_in_the_place_of_a_shipped_one_names_no_modules(place, capsys):
    write(SHADOWS[place], place)
    Path("planted_by_a_shadow.py").write_text("open('canary', 'w')\n")
    name = Path(place).stem
    words = [f"experiment={name}"] if "experiment" in place else [f"env={name}"]
    assert main(["train", "algo=ppo", *words, "--dry-run"]) == 2
    said = capsys.readouterr().err
    assert "1 problem" in said and "takes the place of a shipped file and names planted_by_a_shadow" in said
    assert place in said and not Path("canary").exists()
