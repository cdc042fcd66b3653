"""The launchers by name: their YAML, what is wrong with options, missing packages."""

from pathlib import Path

import pytest
import yaml

from rlzoo.errors import ExitCode, RlzooError, show
from rlzoo.launchers import LAUNCHERS, Job, check, launch
from rlzoo.launchers import table as launcher_table

CONF = Path(__file__).parents[2] / "conf" / "launcher"


def options(name):
    return yaml.safe_load((CONF / f"{name}.yaml").read_text())


def test_every_launcher_has_a_yaml_with_every_option_and_nothing_else():
    assert {path.stem for path in CONF.glob("*.yaml")} == set(LAUNCHERS)
    for name, launcher in LAUNCHERS.items():
        assert set(options(name)) == {"name", *launcher.options}
        assert check(options(name)) == []


@pytest.mark.parametrize("name", LAUNCHERS)
def test_every_option_has_a_comment(name):
    lines = (CONF / f"{name}.yaml").read_text().splitlines()
    assert lines[0].startswith("# ")
    assert all("  # " in line for line in lines[2:])


WRONG = [
    ("submitit_slurm", "cluster", "slrum"),
    ("submitit_slurm", "cluster", None),
    ("submitit_slurm", "timeout_min", 0),
    ("submitit_slurm", "timeout_min", "60"),
    ("submitit_slurm", "timeout_min", True),
    ("submitit_slurm", "cpus_per_task", 1.5),
    ("submitit_slurm", "gpus_per_node", -1),
    ("submitit_slurm", "mem_gb", -4),
    ("submitit_slurm", "mem_gb", float("nan")),
    ("submitit_slurm", "partition", 3),
    ("submitit_slurm", "setup", "module load cuda"),
    ("submitit_slurm", "additional", ["account"]),
    ("ray", "num_cpus", 0),
    ("ray", "num_gpus", float("inf")),
    ("ray", "runtime_env", None),
    ("ray", "address", 6379),
]


@pytest.mark.parametrize(("name", "key", "value"), WRONG)
def test_a_wrong_value_is_a_problem_of_its_key(name, key, value):
    [problem] = check({**options(name), key: value})
    assert problem.key == f"launcher.{key}"
    assert show(value) in problem.message


def test_unknown_launchers_and_options_get_the_nearest_names():
    [problem] = check({"name": "rai"})
    assert "did you mean 'ray'" in problem.message
    [problem] = check({"name": "ray", "num_cpu": 1})
    assert problem.key == "launcher.num_cpu"
    assert "did you mean 'num_cpus'" in problem.message
    with pytest.raises(RlzooError, match="unknown launcher 'locl'; did you mean 'local'"):
        launch([], {"name": "locl"})


def test_a_missing_package_says_which_extra_to_install(monkeypatch):
    monkeypatch.setattr(launcher_table, "find_spec", lambda _name: None)
    [problem] = check(options("submitit_slurm"))
    assert problem.missing
    assert problem.hint == 'pip install "hydra-rlzoo[slurm]"'
    with pytest.raises(RlzooError) as caught:
        launch([Job({}, "toy_jobs:nothing")], options("ray"))
    assert caught.value.code == ExitCode.MISSING
    assert caught.value.hint == 'pip install "hydra-rlzoo[ray]"'
