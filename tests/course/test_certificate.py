"""`rlzoo certify`: which results pass which assignment, the levels, and a certificate that really opens."""

import json
import os
import re
import shlex
import subprocess
import sys
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rlzoo.cli.main import main
from rlzoo.config import assignments as course
from rlzoo.course import certificate
from rlzoo.course.progress import Standing, assess
from rlzoo.errors import RlzooError
from rlzoo.hub.listing import Model
from rlzoo.runs import lock
from tests.results import entry, make_run

ATARI = {"frameskip": 1, "repeat_action_probability": 0.0}
PASSING = {
    "unit1_lunarlander": ("ppo", "LunarLander-v3", entry(250.0, 50.0), {}),  # 200, the bar itself
    "unit2_taxi": ("q_learning", "Taxi-v4", entry(7.56, 2.71, 100), {}),
    "unit3_spaceinvaders": ("dqn", "SpaceInvadersNoFrameskip-v4", entry(600.0, 150.0), ATARI),
    "unit4_cartpole": ("reinforce", "CartPole-v1", entry(500.0, 0.0), {}),
    "unit4_pixelcopter": ("reinforce", "Pixelcopter-PLE-v0", entry(30.0, 20.0), {}),
    "unit6_pandareach": ("a2c", "PandaReachDense-v3", entry(-0.2, 0.1), {}),
    "unit8_lunarlander": ("ppo_scratch", "LunarLander-v3", entry(-150.0, 60.0), {}),
}


def of(report, name):
    return next(standing for standing in report.standings if standing.assignment.name == name)


def train_all(root):
    for algo, env_id, result, kwargs in PASSING.values():
        make_run(root, algo, env_id, [result], kwargs=kwargs)


def unity(name):
    tags = ("reinforcement-learning", f"ml-agents-{name.lower()}")
    return Model(f"ada/ppo-{name}", "", "", None, None, tags, 0, 0, "2026-11-20")


@pytest.mark.parametrize("name", PASSING)
def test_each_assignment_is_passed_by_its_own_run_alone(tmp_path, name):
    algo, env_id, result, kwargs = PASSING[name]
    run = make_run(tmp_path, algo, env_id, [result], kwargs=kwargs)
    report = assess([run])
    assert [standing.assignment.name for standing in report.passed] == [name]
    assert of(report, name).where == str(run.path)
    assert of(report, name).next == ""


@pytest.mark.parametrize(
    ("name", "algo", "env_id", "result", "state"),
    [
        ("unit1_lunarlander", "ppo", "LunarLander-v2", entry(250.0, 20.0), "passed"),  # the course's id
        ("unit1_lunarlander", "dqn", "LunarLander-v3", entry(250.0, 20.0), "passed"),  # any of the library
        ("unit1_lunarlander", "ppo", "LunarLander-v3", entry(219.99, 20.0), "failed"),
        ("unit1_lunarlander", "ppo_scratch", "LunarLander-v3", entry(250.0, 20.0), "open"),
        ("unit1_lunarlander", "ppo", "LunarLanderContinuous-v3", entry(250.0, 20.0), "open"),
        ("unit1_lunarlander", "ppo", "LunarLander-v3", entry(250.0, 20.0, 9), "open"),
        ("unit2_taxi", "q_learning", "Taxi-v3", entry(7.5, 2.5, 100), "passed"),
        ("unit2_taxi", "q_learning", "Taxi-v4", entry(8.0, 1.0, 99), "open"),
        ("unit2_taxi", "sarsa", "Taxi-v4", entry(8.0, 1.0, 100), "open"),
        ("unit4_cartpole", "ppo", "CartPole-v1", entry(500.0, 0.0), "open"),
        ("unit6_pandareach", "a2c", "PandaReachDense-v3", entry(-3.4, 0.2), "failed"),
        ("unit8_lunarlander", "ppo_scratch", "LunarLander-v3", entry(-400.0, 90.0), "passed"),
    ],
)
def test_what_counts(tmp_path, name, algo, env_id, result, state):
    assert of(assess([make_run(tmp_path, algo, env_id, [result])]), name).state == state


def test_another_reward_is_another_task(tmp_path):
    run = make_run(tmp_path, "reinforce", "Pixelcopter-PLE-v0", [entry(99.0, 1.0)], kwargs={"reward": "course"})
    assert of(assess([run]), "unit4_pixelcopter").state == "open"


def test_the_best_result_is_shown_and_ties_go_by_the_mean(tmp_path):
    for mean, std in ((300.0, 60.0), (250.0, 5.0), (280.0, 35.0)):  # 240, 245, 245
        make_run(tmp_path, "ppo", "LunarLander-v3", [entry(mean, std)])
    best = of(assess(_all(tmp_path)), "unit1_lunarlander").best
    assert (best.result, best.mean) == (245.0, 280.0)


def _all(root):
    from rlzoo.course.scores import runs_below

    return runs_below(root)


def test_too_few_episodes_are_mended_by_evaluate(tmp_path):
    run = make_run(tmp_path, "q_learning", "Taxi-v4", [entry(8.0, 1.0, 10)])
    following = of(assess([run]), "unit2_taxi").next
    assert shlex.split(following) == ["rlzoo", "evaluate", f"run={run.path}", "n_episodes=100"]


def test_models_pass_by_their_tags(tmp_path):
    report = assess([], [unity("SnowballTarget"), unity("SoccerTwos")])
    assert [standing.assignment.name for standing in report.passed] == ["unit5_snowballtarget", "unit7_soccertwos"]
    assert of(report, "unit5_snowballtarget").where == "ada/ppo-SnowballTarget"
    assert of(report, "unit5_snowballtarget").stated


def test_without_a_level_it_says_what_is_missing(workdir, capsys):
    train_all(workdir / "runs")
    assert main(["certify", "name=Ada"]) == 0
    output = capsys.readouterr().out
    assert "7 of 11 passed (64%); 9 (80%) are completion, all of them excellence" in output
    assert "no certificate yet: 2 more are needed" in output
    assert "rlzoo certify user=…" in output
    assert list(workdir.glob("*.p*")) == []


def test_commands_are_given_for_what_is_open(workdir, capsys):
    assert main(["certify", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["passed"], found["level"], found["certificate"]) == (0, None, [])
    following = {row["name"]: row["next"] for row in found["assignments"]}
    assert following["unit1_lunarlander"] == "rlzoo train experiment=unit1_lunarlander"
    assert following["unit8_doom"].startswith("not with rlzoo yet")


def test_a_run_that_still_trains_is_waited_for(workdir, capsys):
    run = make_run(workdir / "runs", "ppo", "LunarLander-v3", [])
    run.update_info(status="running")

    def following() -> str:
        assert main(["certify", "--json"]) == 0
        rows = json.loads(capsys.readouterr().out)["assignments"]
        return next(row["next"] for row in rows if row["name"] == "unit1_lunarlander")

    with lock.held(run):
        assert following() == f"{run.path.relative_to(workdir)} is training"
        assert main(["leaderboard", "env=LunarLander"]) == 0
        assert "its training is running" in capsys.readouterr().err
    assert following().startswith("rlzoo evaluate run=")  # it was killed
    assert main(["leaderboard", "env=LunarLander"]) == 0
    assert "its training is killed" in capsys.readouterr().err


def test_runs_are_named_by_paths_folders_and_names(workdir, capsys):
    lander = make_run(workdir / "runs", "ppo", "LunarLander-v3", [entry(250.0, 20.0)])
    make_run(workdir / "other=runs", "reinforce", "CartPole-v1", [entry(500.0, 0.0)])
    for words, expected in (
        ([], 1),
        ([str(lander.path)], 1),
        (["ppo/LunarLander-v3"], 1),
        ([str(workdir / "other=runs")], 1),
        ([str(workdir / "other=runs"), str(workdir / "runs")], 2),
        (["runs_dir=other=runs"], 1),
    ):
        assert main(["certify", *words, "--json"]) == 0, words
        assert json.loads(capsys.readouterr().out)["passed"] == expected, words
    assert main(["certify", "no/such-run"]) == 2
    assert "there is no run 'no/such-run'" in capsys.readouterr().err


def test_a_damaged_run_is_a_warning(workdir, capsys):
    train_all(workdir / "runs")
    broken = make_run(workdir / "runs", "ppo", "LunarLander-v3", [entry(250.0, 20.0)])
    broken.results_file.write_text("[")
    assert main(["certify"]) == 0
    output = capsys.readouterr()
    assert "warning: left out: " in output.err and f"{broken.path.name}/results.json is damaged" in output.err
    assert "7 of 11 passed" in output.out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["source=hub"], "source: hub needs to know whose"),
        (["source=runs", "user=ada"], "user: has models on the Hub"),
        (["name="], "name: is empty"),
        (["name=" + "x" * 81], "name: must be 1 to 80"),
        (["name=A\x1b[2Jda"], "name: must be 1 to 80"),
        (["colour=red", "source=moon"], "2 problems"),
    ],
)
def test_mistakes_are_explained(workdir, words, expected, capsys):
    assert main(["certify", *words]) == 2
    assert expected in capsys.readouterr().err
    assert list(workdir.iterdir()) == []


def standings(n_passed):
    return [Standing(a, "passed" if k < n_passed else "open", None, "x") for k, a in enumerate(course.certified())]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificate") / "new"
    return certificate.write("Ada Lovelace", course.LEVELS[0], standings(11), folder, date(2026, 11, 21))


def test_the_picture_opens_and_is_a4_landscape(written):
    picture = Image.open(written[1])
    picture.load()
    assert picture.format == "PNG"
    assert picture.size[0] / picture.size[1] == pytest.approx(297 / 210, rel=1e-3)
    assert picture.size[0] >= 2300
    pixels = np.asarray(picture.convert("L"))
    assert 0.01 < (pixels < 128).mean() < 0.3  # there is something on it, and paper
    assert sorted(path.name for path in written[1].parent.iterdir()) == [path.name for path in written]


def test_the_document_is_one_page_of_a4_with_text_in_it(written):
    data = written[0].read_bytes()
    assert data.startswith(b"%PDF-") and data.rstrip().endswith(b"%%EOF")
    assert len(re.findall(rb"/Type\s*/Page\b", data)) == 1
    width, height = map(float, re.search(rb"/MediaBox\s*\[\s*0\s+0\s+([\d.]+)\s+([\d.]+)", data).groups())
    assert (width, height) == (pytest.approx(297 / 25.4 * 72, abs=0.5), pytest.approx(210 / 25.4 * 72, abs=0.5))
    assert b"/Type3" not in data  # fonts that can be searched and printed
    assert b"Certificate of excellence" in data


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_what_it_says():
    figure = certificate.draw("Ada", course.LEVELS[1], standings(9), date(2026, 3, 5))
    found = texts(figure)
    assert "Certificate of Completion" in found and "Ada" in found and "5 March 2026" in found and "9 of 11" in found
    assert "who has passed 9 of the 11 assignments of the course" in found
    assert any("Not issued by Hugging Face" in text for text in found)
    assert "result ≥ \N{MINUS SIGN}3.5" in found and found.count("open") == 2 and found.count("passed") == 9


@pytest.mark.parametrize(
    "name", ["Ñandú Žižek-Øster", "Софья Ковалевская", "Υπατία", "A $x_1$ $\\frac{1}{0}$", "<b>", "I", "W" * 80]
)
def test_names_of_any_kind_fit_on_the_page(name):
    figure = certificate.draw(name, course.LEVELS[0], standings(11), date(2026, 11, 21))
    (label,) = [text for axes in figure.axes for text in axes.texts if text.get_text() == name]
    box = label.get_window_extent().transformed(figure.transFigure.inverted())
    assert 0.04 < box.x0 < box.x1 < 0.96
    assert box.width <= certificate.NAME_WIDTH / certificate.WIDTH + 0.04  # letters are measured at whole pixels


def test_characters_that_no_font_has_are_said(capsys):
    assert certificate.fonts_for("Ada") == list(certificate.SERIF)
    certificate.fonts_for("\U0001f9ff\U000e0041x")
    assert "no font on this machine has" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_a_storage_failure(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RlzooError, match="cannot write the certificate") as failure:
        certificate.write("Ada", course.LEVELS[0], standings(11), tmp_path / "file" / "x", date(2026, 11, 21))
    assert failure.value.code == 5


def test_without_matplotlib_it_is_said_what_to_install(tmp_path):
    (tmp_path / "matplotlib.py").write_text("raise ImportError('gone')\n")
    code = (
        "from datetime import date; from pathlib import Path; from rlzoo.course import certificate; "
        "from rlzoo.config import assignments as course; "
        "from rlzoo.course.progress import Standing; "
        "certificate.write('Ada', course.LEVELS[0], [Standing(a, 'passed') for a in course.certified()], "
        "Path('out'), date(2026, 1, 1))"
    )
    path = os.pathsep.join((str(tmp_path), str(Path(__file__).resolve().parents[2])))
    environment = {**os.environ, "PYTHONPATH": path}
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
    assert 'pip install "hydra-rlzoo[plot]"' in result.stderr
    assert not (tmp_path / "out").exists()
