"""`rlzoo validate` passes on all that is shipped, and finds mistakes planted in every key of the tables."""

import json
import os
import re
from pathlib import Path

import pytest
import yaml

from rlzoo.cli.main import main
from rlzoo.cli.validate import validate
from rlzoo.config import files, paths
from rlzoo.errors import RlzooError

SHIPPED = sorted(path for folder in ("conf", "hyperparams") for path in (paths.root() / folder).rglob("*.yaml"))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


ANY_NUMBER = ("gradient_steps", "target_entropy", "alive_bonus_offset")
"""Keywords for which a large negative number is allowed: -1 is "as many as steps", the others have no bounds."""


def signatures() -> dict[str, dict[str, dict]]:
    from rlzoo.algos.schema.check import find_signature
    from rlzoo.algos.specs import ALGOS

    return {name: dict(find_signature(spec).keywords) for name, spec in ALGOS.items()}


def wrong_value(type_text: str) -> object:
    """A value of no type that any keyword takes: a mapping with an unknown name, unless mappings are its type."""
    return "surely not this" if "mapping" in type_text else {"surely": "not this"}


def planted() -> dict[tuple[str, str], dict[str, object]]:
    """Every keyword of every algorithm with a wrong type, with a typo, and far out of range: one file for each kind."""
    files: dict[tuple[str, str], dict[str, object]] = {}
    for algo, keywords in signatures().items():
        typos, types, ranges = (files.setdefault((algo, kind), {}) for kind in ("typo", "type", "range"))
        for key, about in keywords.items():
            if key == "policy":
                continue
            typos[f"{key}z"] = about.default
            types[key] = wrong_value(about.type)
            if {"int", "float"} & set(about.type.split(" | ")) and key not in ANY_NUMBER:
                ranges[key] = -12345
    return files


def test_planted_errors_are_found(tmp_path):
    plants = planted()
    assert sum(map(len, plants.values())) > 400
    missed = []
    for (algo, kind), values in plants.items():
        path = tmp_path / kind / "hyperparams" / algo / "Planted.yaml"
        path.parent.mkdir(parents=True)
        path.write_text("# @package _global_\n" + yaml.safe_dump({"algo": values}))
        _, findings = validate([path])
        named = [finding.key for finding in findings if "Planted.yaml" in finding.file]
        missed += [(algo, kind, key) for key in values if not any(name.startswith(f"algo.{key}") for name in named)]
    assert missed == []


@pytest.mark.parametrize(
    "key", ["n_envs", "vec_env", "normalize", "frame_stack", "max_steps", "wrappers", "kwargs", "imports"]
)
def test_planted_errors_in_environment_files_are_found(key, tmp_path):
    path = tmp_path / "conf" / "env" / "Planted.yaml"
    path.parent.mkdir(parents=True)
    for name, value in ((key, "surely not this"), (f"{key}z", 1)):
        path.write_text(yaml.safe_dump({"defaults": ["gym", "_self_"], "id": "CartPole-v1", name: value}))
        _, findings = validate([path])
        assert any(finding.key.startswith(f"env.{name}") for finding in findings), (name, findings)


def test_everything_shipped_is_valid_and_a_users_files_are_checked_with_it(tmp_path, capsys):
    good = tmp_path / "conf" / "env" / "Mine.yaml"
    good.parent.mkdir(parents=True)
    good.write_text("defaults: [gym, _self_]\nid: CartPole-v1\n")
    bad = tmp_path / "hyperparams" / "ppo" / "Mine.yaml"
    bad.parent.mkdir(parents=True)
    bad.write_text("algo:\n  n_steps: 64\n  gama: 0.9\n  batch_size: -1\n")
    assert main(["validate", str(good)]) == 0
    assert main(["validate", str(tmp_path)]) == 2
    capsys.readouterr()
    assert main(["validate", "--json"]) == 2
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["files"] == len(SHIPPED) + 2 > 100
    assert {(Path(f["file"].split(":")[0]).name, f["file"].split(":")[1], f["key"]) for f in found["findings"]} == {
        ("Mine.yaml", "3", "algo.gama"),
        ("Mine.yaml", "4", "algo.batch_size"),
    }


def test_wrong_spaces_in_a_users_file_are_found(tmp_path):
    path = tmp_path / "conf" / "env" / "Mine.yaml"
    path.parent.mkdir(parents=True)
    text = "defaults: [gym, _self_]\nid: CartPole-v1\nobservation_space: Box(4)\naction_space: Box(1)\n"
    path.write_text(text)
    _, findings = validate([path])
    assert ("env.action_space", "4") in [(finding.key, finding.file.split(":")[-1]) for finding in findings]
    path.write_text(text.replace("Box(1)", "Discrete(2)"))
    assert validate([path]) == (1, [])


def test_a_folder_without_files_is_refused(tmp_path):
    with pytest.raises(RlzooError, match=r"no \.yaml file"):
        validate([tmp_path])


def test_every_option_of_every_group_is_covered():
    """A group that is added without a rule of validation would be found here."""
    from rlzoo.cli.validate import _request_for

    for path in SHIPPED:
        if path.parent not in (
            paths.root() / "conf",
            paths.root() / "conf" / "course",
        ):
            assert _request_for(path) is not None, path
    assert {name.partition("/")[0] for name in files.options("hyperparams")} <= set(signatures())


def test_links_are_checked_where_they_lie_and_what_is_no_file_is_left_out(workdir):
    folder = workdir / "conf" / "env"
    (folder / "Folder.yaml").mkdir(parents=True)
    (workdir / "real.yaml").write_text("defaults: [gym, _self_]\nid: CartPole-v1\nn_envs: 0\n")
    (folder / "Link.yaml").symlink_to(workdir / "real.yaml")
    (folder / "Dangling.yaml").symlink_to(workdir / "nowhere.yaml")
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "Pipe.yaml")
    count, findings = validate([workdir / "conf"])
    assert (count, [finding.key for finding in findings]) == (1, ["env.n_envs"])
    assert {"Folder", "Dangling", "Pipe"}.isdisjoint(files.options("env"))


def test_a_mistake_in_an_assignment_of_the_course_is_named(tmp_path):
    path = tmp_path / "conf" / "course" / "assignments.yaml"
    path.parent.mkdir(parents=True)
    text = (paths.root() / "conf" / "course" / "assignments.yaml").read_text()
    assert "env=gym" in text
    path.write_text(text.replace("bar: 4.5", "bar: high").replace("  - env=gym", "  - env=gim"))
    _, findings = validate([path])
    assert {finding.key for finding in findings} == {"unit2_taxi.bar", "unit6_pandareach.words"}
    assert findings[0].problem.startswith("must be a number")


@pytest.mark.parametrize(
    "word",
    ["env.imports=[planted]", "env.id=planted:Planted-v0", "env.wrappers={planted:W: {}}", "algo.name=planted:Planted"],
)
def test_nothing_that_somebodys_assignments_name_is_imported(word, workdir):
    (workdir / "planted.py").write_text("open('imported', 'w')\n")
    path = workdir / "conf" / "course" / "assignments.yaml"
    path.parent.mkdir(parents=True)
    text = (paths.root() / "conf" / "course" / "assignments.yaml").read_text()
    path.write_text(re.sub(r"words: \[.*\]", f"words: [algo=custom, env=CartPole, '{word}']", text, count=1))
    assert word in path.read_text()
    validate([path])
    assert not (workdir / "imported").exists()


def test_what_makes_learning_unlikely_is_a_note_and_no_mistake(workdir, capsys):
    path = workdir / "hyperparams" / "ppo" / "CartPole.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("# @package _global_\nalgo:\n  learning_rate: 3\n")
    assert main(["validate", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["findings"] == []
    assert any("CartPole.yaml: algo.learning_rate is 3" in notice for notice in found["notices"])
    assert main(["validate", str(path)]) == 0
    assert "note: hyperparams/ppo/CartPole.yaml: algo.learning_rate is 3" in capsys.readouterr().err


def test_a_set_of_an_unknown_environment_and_an_unknown_algorithm_are_findings(workdir):
    (workdir / "hyperparams" / "ppo").mkdir(parents=True)
    (workdir / "hyperparams" / "ppo" / "Mine.yaml").write_text("# @package _global_\nalgo:\n  batch_size: -3\n")
    (workdir / "conf" / "algo").mkdir(parents=True)
    (workdir / "conf" / "algo" / "mine.yaml").write_text("name: mine\n")
    found = validate([workdir / "hyperparams", workdir / "conf"]).found
    assert {(Path(each.file.split(":")[0]).name, each.key) for each in found} >= {
        ("Mine.yaml", "algo.batch_size"),
        ("mine.yaml", ""),
    }
