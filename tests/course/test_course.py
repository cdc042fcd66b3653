"""The assignments of the Deep RL Course: one table, from which documents, experiments and benchmarks do not drift."""

import re
from pathlib import Path

import pytest

from rlzoo.algos.specs import find_spec
from rlzoo.config import aliases, files
from rlzoo.config import assignments as course
from rlzoo.config.compose import compose
from rlzoo.config.files import read_choice
from rlzoo.course.progress import command
from rlzoo.course.scores import env_of
from rlzoo.training.preflight import find_problems

REPOSITORY = Path(__file__).resolve().parents[2]
TRAINABLE = [assignment for assignment in course.assignments() if assignment.words]


def named(assignment):
    return assignment.name


def test_the_bars_are_the_courses():
    bars = {assignment.name: assignment.bar for assignment in course.assignments()}
    assert bars == {
        "unit1_lunarlander": 200.0,
        "unit2_frozenlake": 1.0,
        "unit2_taxi": 4.5,
        "unit3_spaceinvaders": 200.0,
        "unit4_cartpole": 350.0,
        "unit4_pixelcopter": 5.0,
        "unit5_snowballtarget": None,
        "unit5_pyramids": None,
        "unit6_pandareach": -3.5,
        "unit7_soccertwos": None,
        "unit8_lunarlander": None,
        "unit8_doom": 5.0,
    }


def test_the_levels_are_shares_of_the_certified_ones():
    assert len(course.certified()) == 11  # 80 % of 11 is 8.8: nine assignments
    assert [(level.name, level.needed) for level in course.LEVELS] == [("excellence", 11), ("completion", 9)]
    assert [getattr(course.level(n), "name", None) for n in (0, 8, 9, 10, 11)] == [
        *(None, None, "completion", "completion", "excellence"),
    ]


@pytest.mark.parametrize("assignment", TRAINABLE, ids=named)
def test_what_rlzoo_trains_is_a_whole_request(assignment):
    composition = compose("train", list(assignment.words))
    _, problems, _ = find_problems(composition)
    assert [problem for problem in problems if not problem.missing] == []
    values = composition.values
    assert (values["algo"]["name"], values["env"]["id"]) == (assignment.algo, assignment.env_ids[0])
    assert command(assignment).startswith("rlzoo train ")


@pytest.mark.parametrize("assignment", [a for a in TRAINABLE if a.words[0].startswith("experiment=")], ids=named)
def test_experiments_say_and_play_what_the_course_asks_for(assignment):
    assert assignment.words == (f"experiment={assignment.name}",)
    found = files.find(f"experiment/{assignment.name}")
    values = compose("train", list(assignment.words)).values
    episodes = len(values["eval"]["seeds"] or ()) or values["eval"]["final_n_episodes"]
    assert episodes == assignment.n_episodes
    text = " ".join(found.read().header)
    if assignment.bar is not None and assignment.certified:
        assert f"mean - std >= {assignment.bar:g}" in text
    assert f"unit {assignment.unit}" in text


@pytest.mark.parametrize("assignment", TRAINABLE, ids=named)
def test_environments_and_algorithms_exist(assignment):
    find_spec(assignment.algo)
    today, *others = assignment.env_ids
    if assignment.env != "gym":
        assert read_choice("env", assignment.env)["id"] == today
    assert aliases.current(today) == today
    assert env_of(assignment)[0] == today
    for old in others:
        assert aliases.resolve(old) is None or aliases.resolve(old).id == today


def test_the_document_has_the_same_bars():
    table = {
        cells[1].split("=")[-1].strip("` "): cells[3]
        for line in (REPOSITORY / "docs" / "course.md").read_text().splitlines()
        if (cells := [cell.strip() for cell in line.strip("|").split("|")]) and "rlzoo train experiment=" in line
        if len(cells) == 4
    }
    assert set(table) == {a.name for a in TRAINABLE if a.words[0].startswith("experiment=")}
    for name, asked in table.items():
        assignment = course.find(name)
        number = re.search(r"-?\d+(\.\d+)?", asked)
        assert (None if number is None else float(number[0])) == assignment.bar, name
        assert ("mean - std" in asked) == (assignment.bar is not None and assignment.certified)


def test_the_benchmark_has_no_bars_of_its_own():
    source = (REPOSITORY / "benchmarks" / "course_bars.py").read_text()
    assert re.findall(r'"bar": *[-\d]', source) == []


def test_names_and_tags_are_in_order():
    names = [assignment.name for assignment in course.assignments()]
    assert len(set(names)) == len(names)
    assert [assignment.unit for assignment in course.assignments()] == sorted(a.unit for a in course.assignments())
    assert all(tag == tag.lower() for assignment in course.assignments() for tag in assignment.tags)
