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


MODULE = "defaults: [gym, _self_]\nid: CartPole-v1\nimports: [planted_by_a_shadow]\n"
OVERRIDE = "defaults: [override /{group}: mine, _self_]\n"
EXPERIMENT = "conf/experiment/unit4_cartpole.yaml"
UNASKED = {
    "base_of_an_env": ({"conf/env/CartPole.yaml": MODULE.replace("gym", "mine"), "conf/env/mine.yaml": MODULE}, ""),
    "base_alone": (
        {"conf/env/CartPole.yaml": "defaults: [mine, _self_]\nid: CartPole-v1\n", "conf/env/mine.yaml": MODULE},
        "env=CartPole",
    ),
    "env_of_an_experiment": (
        {EXPERIMENT: OVERRIDE.format(group="env"), "conf/env/mine.yaml": MODULE},
        "experiment=unit4_cartpole",
    ),
    "base_of_an_experiment": (
        {
            EXPERIMENT: "defaults: [mine, _self_]\n",
            "conf/experiment/mine.yaml": "env: {imports: [planted_by_a_shadow]}\n",
        },
        "experiment=unit4_cartpole",
    ),
    "an_id_of_others": ({"conf/env/mine.yaml": MODULE.replace("CartPole-v1", "MountainCar-v7")}, "env=MountainCar-v7"),
    "an_id_of_a_package": (
        {"conf/env/mine.yaml": MODULE.replace("CartPole-v1", "PandaPush-v3")},
        "env=PandaPush-v3",
    ),
    "tracker": ({"conf/logger/tensorboard.yaml": "mlflow: {tracking_uri: 'http://127.0.0.1:9'}\n"}, ""),
    "account": ({"conf/logger/wandb.yaml": "wandb: {entity: planted_by_a_shadow}\n"}, "logger=wandb"),
    "tracker_of_an_experiment": (
        {EXPERIMENT: OVERRIDE.format(group="logger"), "conf/logger/mine.yaml": "wandb: {entity: x}\n"},
        "experiment=unit4_cartpole",
    ),
    "commands": (
        {EXPERIMENT: "launcher: {name: submitit_slurm, setup: [touch canary]}\n"},
        "experiment=unit4_cartpole",
    ),
    "search_of_modules": (
        {"conf/search_space/ppo.yaml": "x: {type: choice, key: env.imports, values: {a: [planted_by_a_shadow]}}\n"},
        "",
    ),
    "search_of_wrappers": (
        {"conf/search_space/ppo.yaml": "x: {type: choice, key: env.wrappers, values: {a: {'evil:X': {}}}}\n"},
        "",
    ),
    "search_of_files": (
        {"conf/search_space/ppo.yaml": "x: {type: choice, key: env.kwargs.xml_file, values: [./a.xml]}\n"},
        "search_space=ppo",
    ),
    "place": ({EXPERIMENT: "runs_dir: /elsewhere\n"}, "experiment=unit4_cartpole"),
    "weights": ({EXPERIMENT: "init_from: theirs.zip\n"}, "experiment=unit4_cartpole"),
    "file": ({"conf/env/Ant.yaml": "defaults: [gym, _self_]\nid: Ant-v5\nkwargs: {xml_file: ./a.xml}\n"}, "env=Ant"),
}


@pytest.mark.parametrize("name", UNASKED)
def test_what_was_not_asked_for_by_its_name_names_nothing(name, monkeypatch):
    planted, word = UNASKED[name]
    if name == "an_id_of_others":
        import gymnasium

        monkeypatch.setitem(gymnasium.registry, "MountainCar-v7", gymnasium.registry["MountainCar-v0"])
    for place, text in planted.items():
        write(text, place)
    found = compose("tune" if name.startswith("search") else "train", ["algo=ppo", *word.split()])
    said = [str(problem) for problem in found.problems]
    assert [line for line in said if "and names " in line], said
    assert "planted_by_a_shadow" not in str(found.values) and "127.0.0.1" not in str(found.values)


ASKED = {
    "own_env": ({"conf/env/mine.yaml": MODULE}, "env=mine"),
    "own_base": ({"conf/env/mine.yaml": "defaults: [base, _self_]\n", "conf/env/base.yaml": MODULE}, "env=mine"),
    "own_id": ({"conf/env/mine.yaml": MODULE.replace("CartPole-v1", "MyOwn-v0")}, "env=MyOwn-v0"),
    "own_experiment": (
        {"conf/experiment/own.yaml": OVERRIDE.format(group="env"), "conf/env/mine.yaml": MODULE},
        "experiment=own",
    ),
    "beside_a_shadow": (
        {
            "conf/env/mine.yaml": "defaults: [base, _self_]\n",
            "conf/env/base.yaml": MODULE,
            "conf/logger/tensorboard.yaml": "tensorboard: {flush_seconds: 1}\n",
        },
        "env=mine",
    ),
}


@pytest.mark.parametrize("name", ASKED)
def test_what_was_asked_for_by_its_name_may_bring_others(name):
    planted, word = ASKED[name]
    for place, text in planted.items():
        write(text, place)
    found = compose("train", ["algo=ppo", word])
    assert found.problems == () and found.values["env"]["imports"] == ["planted_by_a_shadow"]
