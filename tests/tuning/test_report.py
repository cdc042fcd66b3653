"""`rlzoo tune report`: what it says and draws of studies of every kind, and that it changes none of them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import multiprocessing
import os
import sqlite3
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState, create_trial
from short_studies import Toy, started

from rlzoo.cli.main import main
from rlzoo.tuning import report as reports
from rlzoo.tuning import worker
from rlzoo.tuning.final import FINALIST, FRESH
from rlzoo.tuning.progress import DRAWN, ENQUEUED, ERROR, INFEASIBLE, OUTCOME, PLACE, reports_per_seed
from rlzoo.tuning.report import figures
from rlzoo.tuning.report.axes import Axis, cells
from rlzoo.tuning.report.data import collect, importance
from rlzoo.tuning.report.figures import limits
from rlzoo.tuning.storage.store import Store
from rlzoo.tuning.study import Study
from rlzoo.tuning.trial import trial_seed

pytestmark = pytest.mark.usefixtures("workdir")
ALL = {"history", "importance", "slices", "parallel", "intermediate", "edf"}
needs_plot = pytest.mark.skipif(find_spec("matplotlib") is None, reason="needs matplotlib")


class Seen(HTMLParser):
    """A page as a browser reads it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where matplotlib is not installed: what is not about pictures need not wait for them."""
    monkeypatch.setattr(reports, "find_spec", lambda name: None)


def report(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    """What `--json` says; a number that JSON does not know is a failure."""
    capsys.readouterr()
    assert main(["tune", "report", *words, "--json"]) == 0

    def refuse(name: str) -> None:
        raise AssertionError(name)

    found: dict[str, Any] = json.loads(capsys.readouterr().out, parse_constant=refuse)
    return found


def page(found: dict[str, Any]) -> str:
    return Path(found["report"]).read_text(encoding="utf-8")


def add(study: Study, score: float | None, params: dict[str, Any], *evaluations: float, **more: Any) -> None:
    """A trial that has ended: complete with a score, otherwise as `state` says."""
    place = len(study.queue.trials)
    values = None if score is None else [score, *([more["second"]] if "second" in more else [])]
    spaces = {each.raw_name: each.transform.distribution() for each in study.request.space.parameters}
    study.queue.add_trial(
        create_trial(
            state=more.get("state", TrialState.COMPLETE),
            values=values,
            params=params,
            distributions={name: spaces[name] for name in params},
            intermediate_values=dict(enumerate(evaluations)),
            user_attrs={PLACE: place, DRAWN: True, **more.get("attributes", {})},
        )
    )


def drawn(k: int, **more: Any) -> dict[str, Any]:
    """The parameters of the k-th of some trials."""
    return {
        "learning_rate": 0.01 * 1.2**k, "one_minus_gamma": 0.001 * 1.1**k, "min_epsilon": 0.005 * k,
        "decay_rate": 1e-5 * 1.3**k, **more,
    }  # fmt: skip


def mixed(*words: str) -> Study:
    """A study with trials that ended in every way."""
    study = started("n_trials=20", "enqueue=[]", *words)
    for k in range(12):
        outcome = {"steps": 100, "seconds": 1.5, "cpu_seconds": 3.0}
        add(study, float(k % 7), drawn(k), k * 0.1, k * 0.2, attributes={OUTCOME: outcome})
    add(study, None, drawn(3), 0.5, float("nan"), state=TrialState.PRUNED)
    add(study, None, drawn(4), 1e9, state=TrialState.FAIL, attributes={ERROR: "it blew up\nin line 7"})
    add(study, None, drawn(5), -1e9, state=TrialState.FAIL)
    add(study, None, drawn(6), state=TrialState.PRUNED, attributes={INFEASIBLE: ["batch_size <= n_steps"]})
    return study


def files_of(folder: str) -> dict[str, tuple[str, int]]:
    """What is in a folder: contents and times."""
    return {
        str(path): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file() and "report" not in path.parts
    }


@needs_plot
@pytest.mark.parametrize("storage", ["sqlite", "journal"])
def test_a_study_is_shown_and_not_changed(storage: str, capsys: pytest.CaptureFixture[str]) -> None:
    mixed(f"storage={storage}").close()
    before = files_of("studies")
    found = report(capsys)
    assert files_of("studies") == before
    assert found["trials"] == {"complete": 12, "pruned": 1, "failed": 1, "lost": 1, "infeasible": 1}
    assert (found["finished"], found["n_trials"]) == (13, 20)
    assert found["cost"] == {"steps": 1200, "cpu_hours": pytest.approx(0.01)}
    assert [each["number"] for each in found["best"]][:3] == [6, 5, 4]  # scores 6, 5 (of 5 and, at 12, none), 4
    assert found["best"][0]["values"]["gamma"] == pytest.approx(1 - 0.001 * 1.1**6)
    assert found["failures"] == [{"trial": 13, "error": "it blew up\nin line 7"}]
    assert set(found["pictures"]) == ALL and found["not_drawn"] == {}
    for path in found["pictures"].values():
        assert Path(path).read_bytes().startswith(b"\x89PNG")
    seen = Seen(page(found))
    assert seen.tags.count("img") == len(ALL)
    assert all(value.startswith("data:image/png;base64,") for tag, name, value in seen.attributes if name == "src")
    assert "it blew up\nin line 7" in seen.texts and "batch_size <= n_steps" in seen.texts
    assert {each.name for each in Path("studies/s/report").iterdir()} == {f"{name}.png" for name in ALL} | {
        "report.html"
    }

    assert main(["tune", "report", "study=s", "n=2"]) == 0
    out = capsys.readouterr().out
    for text in ("best trials", "gamma=0.99", "12 complete, 1 pruned", "13 of 20", "1,200 steps, 36 CPU seconds"):
        assert text in out
    assert "it blew up" in out and "report.html" in out


@needs_plot
def test_the_same_study_gives_the_same_bytes(capsys: pytest.CaptureFixture[str]) -> None:
    mixed()
    one, other = report(capsys, "folder=one"), report(capsys, "study=studies/s", "folder=other/place")
    assert page(one) == page(other)
    for name in ALL:
        assert Path(one["pictures"][name]).read_bytes() == Path(other["pictures"][name]).read_bytes()


@needs_plot
def test_trials_without_a_score_change_no_picture(capsys: pytest.CaptureFixture[str]) -> None:
    study = started("n_trials=20", "enqueue=[]")
    for k in range(12):
        add(study, float(k % 7), drawn(k), k * 0.1)
    before = report(capsys, "folder=before")
    add(study, None, drawn(1), 1e9, state=TrialState.FAIL, attributes={ERROR: "x"})
    add(study, None, drawn(2), -1e9, state=TrialState.FAIL)
    add(study, None, drawn(11), state=TrialState.PRUNED, attributes={INFEASIBLE: ["no"]})
    after = report(capsys, "folder=after")
    assert before["importance"] == after["importance"]
    for name in ALL:
        assert Path(before["pictures"][name]).read_bytes() == Path(after["pictures"][name]).read_bytes(), name


@needs_plot
@pytest.mark.parametrize(
    ("scores", "drawn_names"),
    [
        ([], set()),
        ([1.0], {"history", "slices", "intermediate"}),
        ([1.0, 2.0], ALL - {"importance"}),
        ([3.0] * 12, ALL - {"importance"}),
        ([0.0, 1e308, -1e308], {"intermediate"}),
    ],
)
def test_few_trials_and_equal_scores(
    scores: list[float], drawn_names: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    study = started("enqueue=[]")
    for k, score in enumerate(scores):
        add(study, score, drawn(k), 0.5)
    found = report(capsys)
    assert set(found["pictures"]) == drawn_names
    assert set(found["not_drawn"]) == ALL - drawn_names and all(found["not_drawn"].values())
    for reason in found["not_drawn"].values():
        assert f"Not drawn: {reason}." in page(found)


@needs_plot
def test_two_objectives_have_a_front(capsys: pytest.CaptureFixture[str]) -> None:
    study = started("second_objective=wall_time", "pruner=none", "enqueue=[]")
    for k, (score, seconds) in enumerate([(1.0, 5.0), (3.0, 9.0), (3.0, 8.0), (2.0, 8.0), (0.0, 1.0), (1.0, 5.5)]):
        add(study, score, drawn(k), second=seconds)
    found = report(capsys)
    assert [each["number"] for each in found["best"]] == [2, 0, 4]
    assert found["best"][0]["second"] == 8.0 and found["second_objective"] == "wall_time"
    assert set(found["pictures"]) == {"pareto", "history", "slices", "parallel", "edf"}
    assert "never pruned" in found["not_drawn"]["intermediate"]
    assert main(["tune", "report"]) == 0
    assert "Pareto front" in capsys.readouterr().out


@needs_plot
def test_parameters_that_only_some_trials_have(capsys: pytest.CaptureFixture[str]) -> None:
    slip = "search_space.slip={type: choice, key: env.kwargs.is_slippery, values: [true, false]}"
    most = "search_space.max_epsilon={type: float, low: 0.5, high: 1.0, when: {slip: true}}"
    study = started(slip, most, "enqueue=[]")
    for k in range(12):
        add(study, float(k), drawn(k, slip=bool(k % 2), **({"max_epsilon": 0.5 + k / 30} if k % 2 else {})), 0.1)
    found = report(capsys)
    assert set(found["pictures"]) == ALL
    values = {each["number"]: each["values"] for each in found["best"]}
    assert values[11]["slip"] is True and "max_epsilon" in values[11] and "max_epsilon" not in values[10]
    assert sum(found["importance"]["shares"]["score"].values()) == pytest.approx(1.0)


@needs_plot
def test_what_a_study_holds_is_never_markup(capsys: pytest.CaptureFixture[str]) -> None:
    evil = "<script>alert(1)</script>"
    choice = "<img src=x onerror=alert(1)> $\\frac{ ünï 字"
    study = started("search_space.odd={type: choice, key: algo.max_epsilon, values: [0.5, 0.75]}", "enqueue=[]")
    own = study.queue._storage
    name = f"{evil}'\"&"
    optuna.create_study(storage=own, study_name=name, direction="maximize")
    copy = optuna.load_study(study_name=name, storage=own)
    request = json.loads(json.dumps(study.queue.user_attrs["request"]))
    request["search_space"]["odd"]["values"] = {choice: 0.5, evil: 0.75}
    request["search"]["sampler"] = {evil: {evil: evil}}
    request["train"]["env"]["id"] = evil
    for key, value in {**study.queue.user_attrs, "request": request}.items():
        copy.set_user_attr(key, value)
    kind = optuna.distributions.CategoricalDistribution([choice, evil])
    for k in range(3):
        given = {"odd": [choice, evil][k % 2]}
        copy.add_trial(create_trial(value=float(k), params=given, distributions={"odd": kind}, user_attrs={PLACE: k}))
    attributes = {ERROR: f"{evil}\x1b[31m password=geheim-wort-99", ENQUEUED: evil, "worker": {"name": evil}}
    copy.add_trial(create_trial(state=TrialState.FAIL, user_attrs=attributes))
    folder = Path("studies/s")
    text = folder.joinpath("study.yaml").read_text()
    (folder / "study.yaml").write_text(text.replace("study: s\n", f"study: {json.dumps(name)}\n", 1))
    found = report(capsys, "study=s")
    assert found["study"] == name
    seen = Seen(page(found))
    assert seen.tags.count("script") == 1 and seen.tags.count("img") == len(found["pictures"]) > 0
    assert not [name for _, name, _ in seen.attributes if name.startswith("on")]
    assert evil in "".join(seen.texts) and choice in "".join(seen.texts)
    assert "geheim-wort-99" not in page(found) and "\x1b" not in page(found)
    assert "http:" not in page(found) and "https:" not in page(found)
    policy = next(value for tag, name, value in seen.attributes if name == "content" and "default-src" in str(value))
    assert "default-src 'none'" in str(policy) and "script-src 'sha256-" in str(policy)


@pytest.mark.usefixtures("no_pictures")
def test_the_comparison_on_fresh_seeds(capsys: pytest.CaptureFixture[str]) -> None:
    study = started("final_seeds=5", "enqueue=[]", "top_k=2")
    for k in range(2):
        add(study, float(k), drawn(k))
    search = study.request.config
    of = {"objective": [search.objective, search.n_last], "total_timesteps": 200, "eval": {"n": 1}, "stop": {}}

    def keep(label: str, k: int, score: float, stage: str = "seed", **more: Any) -> None:
        path = study.folder / "final" / label / f"{stage}{k}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        seed = trial_seed(study.seed, FRESH[stage], k)
        path.write_text(json.dumps({"of": {**of, "seed": seed, **more}, "score": score, "steps": 200}))

    assert report(capsys)["final"] is None
    for k, score in enumerate([9.0, 12.0]):
        keep(f"trial_{k}", 0, score, "race")
    found = report(capsys)["final"]
    assert [(each["label"], each["scores"]) for each in found["raced"]] == [("trial 1", [12.0]), ("trial 0", [9.0])]
    assert found["candidates"] == [] and found["done"] is False
    (study.folder / "final" / FINALIST).write_text('{"trial": 1}')
    for k in range(5):
        keep("defaults", k, float(k))
    keep("trial_1", 0, 10.0)
    keep("trial_0", 0, 99.0)  # of a race before this one
    keep("trial_2", 0, 99.0, total_timesteps=100)  # of another budget
    keep("trial_2", 1, 99.0, seed=5)  # of another seed
    (study.folder / "final" / "trial_0" / "seed7.json").write_text("{")
    found = report(capsys)["final"]
    assert [(each["label"], each["scores"]) for each in found["candidates"]] == [
        ("trial 1", [10.0]), ("defaults", [0.0, 1.0, 2.0, 3.0, 4.0]),
    ]  # fmt: skip
    assert found["done"] is False and found["gain"] is None
    for k in range(1, 5):
        keep("trial_1", k, 10.0 + k)
    found = report(capsys)["final"]
    assert found["done"] is True
    assert [each["mean"] for each in found["candidates"]] == [12.0, 2.0]
    # both have a variance of 2.5: the difference is 10, its standard error 1, and t with 8 degrees of freedom 2.306
    assert found["gain"]["mean"] == 10.0
    assert found["gain"]["low"] == pytest.approx(10 - 2.306, abs=1e-3)
    assert main(["tune", "report"]) == 0
    out = capsys.readouterr().out
    assert "Trial 1 beats the defaults by 10.00 [7.69, 12.31]." in out
    shown = Seen((study.folder / "report" / "report.html").read_text()).texts
    assert {"Race", "On fresh seeds", "[10.04, 13.96]"} <= set(shown)


@needs_plot
def test_the_learning_curves_are_over_steps_and_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    study = started("total_timesteps=6000", "enqueue=[]")
    for k in range(8):
        add(study, 10.0 + k / 10, drawn(k), *[10.0] * 9, 10.0 + k / 10)
    add(study, 400.0, drawn(8), *[300.0] * 7, 500.0, 500.0, 200.0)
    add(study, None, drawn(3), -900.0, -5.0, state=TrialState.PRUNED)
    found = collect("s", "studies", None)
    [line] = figures.lines_of(found, found.trials[8])
    assert line == [(600 * (k + 1), value) for k, (_, value) in enumerate(found.trials[8].evaluations)]
    axes = figures.draw_intermediate(found).axes[0]
    assert axes.get_xlabel() == "environment steps"
    low, high = axes.get_ylim()
    assert low < -900 and high > 500
    drawn_values = [value for each in axes.get_lines() for value in each.get_ydata()]
    assert max(drawn_values) == 500 and min(drawn_values) == -900  # nothing is moved to an edge
    assert max(value for each in axes.get_lines() for value in each.get_xdata()) == 6000
    assert limits([each.score or 0.0 for each in found.complete])[1] > 400  # the best is never at an edge


def test_several_seeds_of_a_trial_are_as_many_curves() -> None:
    study = started("total_timesteps=1000", "eval.freq=250", "seeds_per_trial=2", "enqueue=[]")
    for k in range(2):
        add(study, 1.0, drawn(k), *([1.0] * 4), attributes={})
    per_seed = reports_per_seed(1000, 250)
    trial = dataclasses.replace(
        collect("s", "studies", None).trials[0],
        evaluations=((0, 1.0), (3, 4.0), (per_seed, 5.0), (per_seed + 1, 6.0)),
    )
    found = collect("s", "studies", None)
    assert figures.lines_of(found, trial) == [[(250, 1.0), (1000, 4.0)], [(250, 5.0), (500, 6.0)]]
    between = dataclasses.replace(found, request={**found.request, "search": {**found.search, "pruner": "wilcoxon"}})
    assert figures.lines_of(between, trial)[0][:2] == [(1, 1.0), (4, 4.0)]


def test_importance_finds_what_decides() -> None:
    study = started("enqueue=[]")
    generator = __import__("random").Random(1)
    for _ in range(60):
        params = drawn(0, learning_rate=10 ** generator.uniform(-2, 0), min_epsilon=generator.uniform(0, 0.2))
        params["one_minus_gamma"] = 10 ** generator.uniform(-3, -1)
        add(study, -abs(params["min_epsilon"] - 0.1), params)
    found = importance(collect("s", "studies", None))
    assert next(iter(found.shares["score"])) == "min_epsilon"
    assert found.shares["score"]["min_epsilon"] > 0.5
    assert found.shares["score"]["decay_rate"] == 0.0  # it had one value
    assert found.method == "PED-ANOVA: what the best 6 of 60 complete trials have in common"


def test_values_are_those_that_people_know() -> None:
    gamma = Axis("gamma", "algo.gamma", "one_minus_gamma", "one_minus", 0.9, 0.9999)
    steps = Axis("n_steps", "algo.n_steps", "log2_n_steps", "two", 32, 4096)
    rate = Axis("rate", "algo.rate", "rate", "log", 1e-5, 1e-1)
    net = Axis("net", "algo.net", "net", "choice", 0, 2, ("tiny", True, None), ([64], True, None))
    drop = Axis("drop", "algo.drop", "drop", "linear", 0.0, 0.2)
    raw = {"one_minus_gamma": 0.00013, "log2_n_steps": 8, "rate": 3e-4, "net": "tiny", "other": 1}
    found = cells([gamma, steps, rate, net, drop], raw)
    assert [found[name].text for name in ("gamma", "n_steps", "rate", "net")] == ["0.99987", "256", "0.0003", "tiny"]
    assert (found["n_steps"].value, found["net"].setting) == (256, [64])
    assert "drop" not in found
    assert cells([rate, net], {"rate": "text", "net": True})["net"].text == "true"
    assert [text for _, text in gamma.ticks()] == ["0.9999", "0.999", "0.99", "0.9"]
    assert [text for _, text in steps.ticks()] == ["32", "128", "512", "2048"]
    assert [text for _, text in rate.ticks()] == ["1e-05", "0.0001", "0.001", "0.01", "0.1"]
    assert [text for _, text in net.ticks()] == ["tiny", "true", "null"]
    assert [text for _, text in drop.ticks()] == ["0", "0.05", "0.1", "0.15", "0.2"]
    assert gamma.position(0.99) == pytest.approx(2.0) and gamma.position(0.999) == pytest.approx(3.0)


def test_one_value_far_away_does_not_squeeze_the_others() -> None:
    low, high = limits([1.0, 2.0, 3.0, 4.0, 5.0, -1e6])
    assert -50 < low < 1 and 5 < high < 6


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["study=ss"], 2, "did you mean 's'"),
        (["study=nothing"], 2, "there is no study 'nothing' in studies"),
        (["studies_dir=nowhere"], 2, "there is no study in nowhere"),
        (["study=s", "storage=oracle://x"], 2, "oracle"),
        (["study=s", "storage=journal"], 2, "there is no studies/s/journal.log"),
        (["study=s", "foldr=x"], 2, "'folder'"),
        (["study=s", "n=0"], 2, "n: must be at least 1"),
        (["study=s", "folder=taken"], 5, "cannot write the report to taken"),
        (["study=other"], 2, "there is no study 'other' in studies/other/study.db"),
        (["study=broken"], 5, "studies/broken/study.db cannot be read"),
        (["study=plain"], 2, "none of rlzoo's"),
        (["study=s", "--dry-run"], 2, "--dry-run"),
    ],
)
def test_mistakes_are_explained(words: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    started("n_trials=1").close()
    Path("taken").write_text("a file")
    for name in ("other", "broken", "plain"):
        Path(f"studies/{name}").mkdir()
    Path("studies/broken/study.db").write_bytes(b"no database" * 1000)
    sqlite3.connect("studies/other/study.db").close()
    optuna.create_study(storage="sqlite:///studies/plain/study.db", study_name="plain")
    before = files_of(".")
    capsys.readouterr()
    assert main(["tune", "report", *words]) == code
    assert message in capsys.readouterr().err
    assert files_of(".") == before
    assert not list(Path().rglob("report"))


def test_words_behind_tune(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune", "repot", "study=s"]) == 2
    assert "unknown word 'repot'; did you mean 'report'?" in capsys.readouterr().err
    assert main(["tune", "report", "--help"]) == 0
    out = capsys.readouterr().out
    assert "rlzoo tune report" in out and "study=latest" in out and "folder=null" in out
    assert main(["--help"]) == 0
    assert "  tune report    what a study found" in capsys.readouterr().out


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.filterwarnings("ignore:Heartbeat of storage")
def test_a_study_that_runs(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    study = started("n_trials=3")
    worker.run_one(study, "w")
    study.queue.ask()
    with study.queue.store.lock():  # somebody takes a trial at this moment
        found = report(capsys)
    assert found["trials"] == {"complete": 1, "running": 1}
    worker.run_one(study, "w")
    assert len(study.queue.progress().finished) == 2


@pytest.mark.usefixtures("no_pictures")
def test_a_folder_that_was_moved_and_the_newest_study(capsys: pytest.CaptureFixture[str]) -> None:
    mixed().close()
    Path("studies").rename("archive")
    Path("archive/s").rename("archive/renamed")
    assert report(capsys, "study=archive/renamed")["study"] == "s"
    started("study=newer").close()
    os.utime("archive/renamed/study.db", (1, 1))
    Path("archive/renamed").rename("studies/renamed")
    assert report(capsys)["study"] == "newer"


@pytest.mark.usefixtures("no_pictures")
def test_a_journal_whose_end_is_torn(capsys: pytest.CaptureFixture[str]) -> None:
    mixed("storage=journal").close()
    path = Path("studies/s/journal.log")
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"op_code": 4, "wor')
    before = files_of("studies")
    assert report(capsys)["trials"]["complete"] == 12
    assert files_of("studies") == before
    path.write_bytes(whole[:50] + b"\n" + whole[50:])
    assert main(["tune", "report"]) == 5
    assert "journal.log is damaged: no sense can be made of it" in capsys.readouterr().err


def _die_while_writing(path: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA cache_size = 1")
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("CREATE TABLE junk (text)")
    connection.executemany("INSERT INTO junk VALUES (?)", [("x" * 4000,)] * 200)
    os._exit(0)


@pytest.mark.usefixtures("no_pictures")
def test_a_worker_that_died_while_it_wrote(capsys: pytest.CaptureFixture[str]) -> None:
    mixed().close()
    process = multiprocessing.get_context("spawn").Process(target=_die_while_writing, args=("studies/s/study.db",))
    process.start()
    process.join()
    assert Path("studies/s/study.db-journal").stat().st_size > 0
    before = files_of("studies")
    assert report(capsys)["trials"]["complete"] == 12
    assert files_of("studies") == before


@pytest.mark.usefixtures("no_pictures")
def test_a_locked_database_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    mixed().close()
    monkeypatch.setattr("rlzoo.tuning.storage.store.BUSY_SECONDS", 0.2)
    assert Store("sqlite", Path()).busy_seconds == 0.2
    other = sqlite3.connect("studies/s/study.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    assert main(["tune", "report"]) == 5
    assert "database is locked" in capsys.readouterr().err
    other.close()


def test_without_matplotlib_there_are_the_tables(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mixed()
    monkeypatch.setattr(reports, "find_spec", lambda name: None)
    Path("studies/s/report").mkdir()
    Path("studies/s/report/edf.png").write_bytes(b"of an earlier report")
    found = report(capsys)
    assert found["pictures"] == {}
    assert 'pip install "hydra-rlzoo[plot]"' in "".join(Seen(page(found)).texts)
    assert [each.name for each in Path("studies/s/report").iterdir()] == ["report.html"]
    assert main(["tune", "report"]) == 0
    assert 'pip install "hydra-rlzoo[plot]"' in capsys.readouterr().err
