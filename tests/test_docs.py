"""The pages in docs/ say what the code says: they are made from it, and what they link to is there."""

import math
import re
import shlex
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from rlzoo.algos.explain import is_known
from rlzoo.algos.specs import ALGOS
from rlzoo.cli.command import schemas
from rlzoo.config.compose import compose, override
from rlzoo.config.parse import check
from rlzoo.config.records import Info
from rlzoo.training.preflight import find_problems
from rlzoo.tuning.request import find as find_tuning

ROOT = Path(__file__).parents[1]
OWN = [spec.name for spec in ALGOS.values() if spec.backend == "rlzoo"]
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\(([^)#:\s]+)\)")
PATH = re.compile(r"`((?:rlzoo|conf|hyperparams|benchmarks|tests|docs)/[\w./-]+\.\w+)`")


def module(path: str):
    spec = spec_from_file_location(path.replace("/", "_").removesuffix(".py"), ROOT / path)
    loaded = sys.modules[spec.name] = module_from_spec(spec)  # dataclasses look their module up
    spec.loader.exec_module(loaded)
    return loaded


build = module("docs/build.py")
curves = module("benchmarks/curves.py")


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_every_page_is_what_it_is_made_from():
    made = build.pages()
    stale = [
        name
        for name, text in made.items()
        if not (build.PAGES / name).is_file() or (build.PAGES / name).read_text() != text
    ]
    assert stale == [], f"run `make docs`: docs/algorithms/ is not what the code says now: {stale}"
    assert {path.name for path in build.PAGES.glob("*.md")} == made.keys() == {"README.md", *(f"{n}.md" for n in OWN)}


def test_the_curves_are_those_of_the_table():
    assert {path.stem for path in build.CURVES.glob("*.csv")} == curves.CURVES.keys() <= set(OWN)


@pytest.mark.parametrize("name", curves.CURVES)
def test_a_curve_is_what_its_row_says(name):
    curve = curves.CURVES[name]
    path = build.CURVES / f"{name}.csv"
    measured = build.read_curve(path)
    assert curve.words in measured.about["command"], f"{path.name} was measured by other words: measure it again"
    assert list(measured.seeds) == [0, 1, 2]
    for points in measured.seeds.values():
        timesteps = [step for step, _ in points]
        assert len(points) >= 5 and timesteps == sorted(set(timesteps))
        assert all(math.isfinite(value) for _, value in points)
    assert build.is_drawn_from(build.PAGES / f"{name}.png", path), "run `make docs`: the curve is of older numbers"


def test_every_key_of_info_json_is_explained():
    table = (ROOT / "docs" / "runs.md").read_text().partition("\n### info.json\n")[2].partition("\n## ")[0]
    keys = " ".join(re.findall(r"^\| (`.+?) \|", table, re.MULTILINE))
    assert sorted(re.findall(r"`(\w+)`", keys)) == sorted(Info.__annotations__)


def test_pictures_are_of_curves_that_there_are():
    assert {path.stem for path in build.PAGES.glob("*.png")} <= {path.stem for path in build.CURVES.glob("*.csv")}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path):
    missing = [link for link in LINK.findall(path.read_text()) if not (path.parent / link).exists()]
    if path.is_relative_to(build.PAGES):
        missing += [name for name in PATH.findall(path.read_text()) if not (ROOT / name).exists()]
    assert missing == []


@pytest.mark.parametrize("name", OWN)
def test_a_page_says_what_the_class_and_its_configuration_say(name):
    text = build.pages()[f"{name}.md"]
    for row in build.explain(name).hyperparameters:
        assert f"| `{row.name}` | `{build.as_yaml(row.default)}` |" in text
    for heading in ("## Train it", "## Hyperparameters", f"## The class `{ALGOS[name].entry_point.split(':')[1]}`"):
        assert heading in text
    assert f"rlzoo train algo={name} env=" in text
    assert "- `env`: " in text  # the first of the constructor's arguments


def test_docstrings_are_taken_apart():
    text, entries = build.sections(
        "What it is.\n\nAnd more.\n\n"
        "Attributes:\n    one: the first,\n        of two lines: yes.\n    two (int): the second.\n\n"
        "Raises:\n    ValueError: never.\n"
    )
    assert text == "What it is.\n\nAnd more."
    assert entries == {
        "Attributes": [("one", "the first, of two lines: yes."), ("two", "the second.")],
        "Raises": [("ValueError", "never.")],
    }


def test_text_is_no_markup():
    assert build.escape("q* of [0, 1] in `a*b` is _so_ a_b < c") == r"q\* of \[0, 1] in `a*b` is \_so\_ a_b \< c"
    assert build.row(("a | b", "`c`")) == r"| a \| b | `c` |"


def test_a_curve_is_read_with_what_is_said_about_it(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("# command: rlzoo train: x\n# date: today\nseed,timesteps,mean_reward\n0,10,1.5\n0,20,2\n1,10,-1\n")
    curve = build.read_curve(path)
    assert curve.about == {"command": "rlzoo train: x", "date": "today"}
    assert (curve.label, curve.seeds) == ("mean reward", {0: [(10, 1.5), (20, 2.0)], 1: [(10, -1.0)]})
    picture = tmp_path / "x.png"
    picture.write_bytes(b"PNG" + build.fingerprint(path).encode())
    assert build.is_drawn_from(picture, path)
    path.write_text(path.read_text() + "1,20,3\n")
    assert not build.is_drawn_from(picture, path)


def commands(path: Path) -> list[list[str]]:
    """The words of every `rlzoo` line in the blocks of a page, but those that only show the form of something."""
    blocks = re.findall(r"```sh\n(.*?)```", path.read_text(), re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    words = [shlex.split(line, comments=True) for line in lines if line.startswith("rlzoo ") and "…" not in line]
    return [line[1:] for line in words]


def problems(command: str, words: list[str]) -> list[str]:
    """What is wrong with a command, as far as its words alone say."""
    words = [word for word in words if not word.startswith("-")]
    closed = schemas()
    if words[:1] and f"{command}-{words[0]}" in closed:
        command, words = f"{command}-{words[0]}", words[1:]
    if command == "show" and len(words) == 1 and words[0].startswith("algo="):
        return [] if is_known(words[0].removeprefix("algo=")) else [words[0]]
    if command in ("train", "tune", "show") and not any(re.match(r"(resume|run)=", word) for word in words):
        several = re.compile(r"([\w.]+=)(?:range\((\d+).*|([^\[{(,]+),.*)")  # of a sweep the first
        single = [several.sub(r"\1\2\3", word) for word in words]
        if command == "tune":
            return [str(problem) for problem in find_tuning(compose("tune", single), make_env=False)[3]]
        return [str(problem) for problem in find_problems(compose("train", single), make_env=False)[1]]
    name = "show-run" if command == "show" else command
    if name not in closed:
        return []
    own = [word for word in words if name not in ("evaluate", "enjoy", "record") or not word.startswith("env.")]
    request = override(ROOT / "conf" / f"{name}.yaml", own, has_groups=False)
    return [str(problem) for problem in (*request.problems, *check(closed[name], request.values)[1])]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_command_of_a_page_can_be_typed(path, tmp_path, monkeypatch):
    found = commands(path)
    monkeypatch.chdir(tmp_path)
    assert [(command, words, wrong) for command, *words in found if (wrong := problems(command, words))] == []
