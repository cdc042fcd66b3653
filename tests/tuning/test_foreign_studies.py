"""Study folders that somebody else made: their SQLite file is read as data, and nothing else happens."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from short_studies import SHORT, Toy, started

from rlzoo.cli.main import main
from rlzoo.errors import RlzooError
from rlzoo.tuning import report as reports
from rlzoo.tuning import worker
from rlzoo.tuning.request import plan
from rlzoo.tuning.storage.read import read_yaml
from rlzoo.tuning.study import Study

pytestmark = pytest.mark.usefixtures("workdir")
FOLDER = Path("studies/s")
SECRET = "MARKEDSECRET123"


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where matplotlib is not installed: what is read is what this is about."""
    monkeypatch.setattr(reports, "find_spec", lambda name: None)


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A study with three trials of this user's own, and one that another user of rlzoo made."""
    made = {whose: tmp_path_factory.mktemp("made") / whose / "s" for whose in ("own", "foreign")}
    for whose, folder in made.items():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(worker, "run_trial", Toy())
            if whose == "foreign":
                patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("theirs")))
            study = started("n_trials=3", "pruner=none", f"studies_dir={folder.parent}")
            worker.run_trials(study, "w", lambda: False)
            study.close()
    return made


@pytest.fixture
def own(studies: dict[str, Path]) -> Path:
    return Path(shutil.copytree(studies["own"], FOLDER))


@pytest.fixture
def foreign(studies: dict[str, Path]) -> Path:
    return Path(shutil.copytree(studies["foreign"], FOLDER))


@pytest.fixture
def server() -> Iterator[tuple[int, list[bytes]]]:
    """A server that says nothing: its port, and what has reached it."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.1)
        over = threading.Event()

        def listen() -> None:
            while not over.is_set():
                try:
                    connection, _ = listening.accept()
                except TimeoutError:
                    continue
                with connection:
                    connection.settimeout(1)
                    heard.append(b"connected")
                    heard.append(connection.recv(1000))

        thread = threading.Thread(target=listen)
        thread.start()
        yield listening.getsockname()[1], heard
        over.set()
        thread.join()


def edited(folder: Path, **changes: Any) -> None:
    """Change study.yaml; keys with dots are below others."""
    path = folder / "study.yaml"
    values = yaml.safe_load(path.read_text())
    for key, value in changes.items():
        *above, last = key.split("__")
        place = values
        for name in above:
            place = place[name]
        place[last] = value
    path.write_text(yaml.safe_dump(values))


def tree(*besides: Path) -> dict[str, Any]:
    """Every file and link here and in other folders, with what is in it."""
    found = [path for root in (Path(), *besides) for path in root.rglob("*")]
    return {str(p): p.readlink() if p.is_symlink() else p.read_bytes() if p.is_file() else None for p in found}


IMPORT = ["tune", "import", f"storage={FOLDER}", *SHORT[:-1], "study=t", "--dry-run"]
REPORTS = (["tune", "report", "study=s"], ["tune", "report"], ["tune", "report", f"study={FOLDER}"])
READERS = (*REPORTS, IMPORT)


def test_it_is_read_as_data_and_nothing_of_it_changes(foreign: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = tree()
    assert main(["tune", "report", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["trials"] == {"complete": 3}
    assert "studies/s was not begun here: studies/s/study.db is read, as data" in err
    shutil.rmtree(foreign / "report")
    assert main(IMPORT) == 0
    assert tree() == before


@pytest.mark.parametrize("words", READERS, ids=" ".join)
@pytest.mark.parametrize("is_there", [True, False])
def test_no_server_that_it_names_hears_of_it(
    words: list[str],
    is_there: bool,
    foreign: Path,
    server: tuple[int, list[bytes]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    port, heard = server
    monkeypatch.setenv("PGPASSWORD", SECRET)
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "2")
    if not is_there:
        (foreign / "study.db").unlink()
    for url in (f"postgresql://me@127.0.0.1:{port}/x", f"mysql://me@127.0.0.1:{port}/x?local_infile=1",
                f"grpc://127.0.0.1:{port}", f"postgresql+psycopg2://me@127.0.0.1:{port}/x"):  # fmt: skip
        edited(foreign, search__storage=url)
        assert main(words) == (0 if is_there else 7)
        said = capsys.readouterr().err
        assert is_there or "was not begun here: of such a study its study.db is read, and there is none" in said
        assert main(["tune", *SHORT]) == 7
        assert "was not begun here" in capsys.readouterr().err
    assert heard == []


@pytest.mark.parametrize("place", ["sqlite:////{}/made.db", "sqlite:///made.db", "journal", "file:{}/made.db?mode=rwc"])
def test_no_file_is_made_where_it_says(
    place: str, foreign: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edited(foreign, search__storage=place.format(tmp_path))
    (foreign / "study.db").unlink()
    (foreign / "journal.log").write_text("")
    before = tree()
    for words in READERS:
        assert main(words) == 7
    assert main(["tune", *SHORT]) == 7
    assert tree() == before
    assert main(["tune", "report", "study=s", "storage=journal"]) == 2  # as the user says so
    assert "there is no study 's' in studies/s/journal.log" in capsys.readouterr().err
    assert tree() == before


def test_a_database_of_the_environment_is_not_asked_for_it(
    foreign: Path, server: tuple[int, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name in there is a stranger's word."""
    port, heard = server
    monkeypatch.setenv("RLZOO_STORAGE", f"postgresql://me:{SECRET}@127.0.0.1:{port}/x")
    for words in REPORTS:
        assert main(words) == 0
    (foreign / "study.db").unlink()
    for words in READERS[:3]:
        assert main(words) == 7
    assert heard == []


LINKS = {
    "report": "report",
    "report/report.html": "file",
    "study.db": "file",
    "study.db-journal": "file",
    "study.db-wal": "file",
    "study.yaml": "file",
    "trials/0000": "report",
    "final": "report",
    ".locks": "report",
    ".locks/study.lock": "file",
    "trials/0003.json": "nowhere",
}
"""Names in a study's folder, and what they are links to outside of it."""


@pytest.mark.parametrize("whose", ["own", "foreign"])
@pytest.mark.parametrize("name", LINKS)
def test_no_link_is_followed(
    name: str, whose: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    request.getfixturevalue(whose)
    outside = tmp_path_factory.mktemp("outside")
    (outside / "report").mkdir()
    (outside / "report" / "report.html").write_text("mine")
    there = FOLDER / name
    if there.is_file():
        shutil.copy(there, outside / "file")
        there.unlink()
    elif there.is_dir():
        shutil.rmtree(there)
    else:
        (outside / "file").write_text("mine")
    there.parent.mkdir(exist_ok=True)
    there.symlink_to(outside / LINKS[name])
    before = tree(outside)
    for words in (REPORTS[0], IMPORT, ["tune", *SHORT, "n_trials=4", "trust=true"]):
        assert main(words) == 7, words
        assert "a link to a place outside of it" in capsys.readouterr().err
    assert tree(outside) == before


def test_a_folder_that_is_a_link(foreign: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """To a study of one's own, on another disk, it may lead."""
    elsewhere = tmp_path_factory.mktemp("disk") / "s"
    foreign.rename(elsewhere)
    foreign.symlink_to(elsewhere)
    assert [main(words) for words in (*REPORTS, ["tune", *SHORT])] == [7] * 4
    assert main(["tune", "report", f"study={elsewhere}"]) == 0
    shutil.rmtree(elsewhere)
    elsewhere.mkdir()
    assert main(["tune", *SHORT]) == 7  # before a file is made there
    assert not list(elsewhere.iterdir())
    foreign.unlink()
    started().folder.rename(elsewhere.with_name("own"))
    foreign.symlink_to(elsewhere.with_name("own"))
    assert main(["tune", "report"]) == 0
    assert started("n_trials=4").folder == foreign


def test_a_link_in_the_place_of_the_report_elsewhere(foreign: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """folder= is the user's word, what lies there need not be."""
    mine = tmp_path_factory.mktemp("mine") / "report.html"
    mine.write_text("mine")
    page = Path("page")
    page.mkdir()
    for name in ("report.html", f".report.html.{os.getpid()}.tmp", "history.png"):
        (page / name).symlink_to(mine)
    assert main(["tune", "report", "folder=page"]) == 5
    assert mine.read_text() == "mine"
    assert main(["tune", "report", "folder=page"]) == 0
    assert mine.read_text() == "mine" and not (page / "report.html").is_symlink()
    (foreign / "report").symlink_to(page.absolute())
    started("study=own").close()
    assert main(["tune", "report", "study=own", f"folder={foreign}/report"]) == 7


def test_it_is_continued_only_where_it_is_trusted(foreign: Path, toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    before = tree()
    assert main(["tune", *SHORT, "n_trials=4"]) == 7
    assert "trust=true continues it, and signs it as yours" in capsys.readouterr().err
    assert tree() == before
    study = started("n_trials=4", "pruner=none", "trust=true")
    worker.run_trials(study, "w", lambda: False)
    assert len(started("n_trials=4", "pruner=none").queue.progress().finished) == 4  # from then on it is the user's own


def test_one_that_was_killed_while_it_was_made_is_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(real: Any = optuna.create_study, **options: Any) -> Any:
        if "storage" in options:
            raise KeyboardInterrupt
        return real(**options)  # in memory, to try the space

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("optuna.create_study", stop)
        started()
    assert (FOLDER / "study.db").is_file()
    assert started().queue.progress().trials == []


class Planted:
    """What runs when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.canary,)


CMAES = ("sampler={cmaes: {n_startup_trials: 1, popsize: 4}}", "pruner=none", "search_space.decay_rate=null")


def generations(study: Study) -> list[int | None]:
    return [trial.system_attrs.get("cma:generation") for trial in study.queue.trials]


@pytest.mark.parametrize("own", [True, False])
def test_no_state_of_a_sampler_is_unpickled(own: bool, toy: Toy, tmp_path: Path) -> None:
    """Optuna's CMA-ES opens what lies in the storage under these names; here its state is computed of the trials."""
    pytest.importorskip("cmaes")
    study = started(*CMAES, "n_trials=10")
    worker.run_trials(study, "w", lambda: False)
    assert generations(study) == [None, *[0] * 4, *[1] * 4, 2]
    study.close()
    canary = tmp_path / "ran"
    planted = json.dumps(pickle.dumps(Planted(canary)).hex())
    with closing(sqlite3.connect(FOLDER / "study.db")) as database, database:
        for number in range(1, 11):
            for key in ("cma:optimizer:0", "cma:optimizer", "cma:state:0"):
                query = "INSERT INTO trial_system_attributes (trial_id, key, value_json) VALUES (?, ?, ?)"
                database.execute(query, (number, key, planted))
    if not own:
        (FOLDER / "study.yaml").unlink()
    again = started(*CMAES, "n_trials=14", f"trust={'false' if own else 'true'}")
    worker.run_trials(again, "w", lambda: False)
    assert generations(again)[10:] == [2, 2, 2, 3]
    assert not canary.exists()
    pickle.loads(bytes.fromhex(json.loads(planted)))
    assert canary.exists()  # it would have


ODD: list[Any] = [None, [], [1, 2], {}, {"a": {"b": []}}, 5, -1, 2.5, True, 10**30, "\x1b[31m\n", [[[]]]]
KEYS = (
    "search train search_space study seed search__storage search__n_trials search__sampler search__final_seeds"
    " search__second_objective train__algo train__env train__algo__name"
).split()


def test_odd_types_in_its_yaml_are_said(foreign: Path) -> None:
    whole = (foreign / "study.yaml").read_text()
    refused = 0
    for key in KEYS:
        for value in ODD:
            edited(foreign, **{key: value})
            try:
                read_yaml(foreign)
            except RlzooError as error:
                assert error.code == 5 and error.message.startswith("studies/s/study.yaml is damaged: ")
                assert "\n" not in error.message and "\x1b" not in error.message
                refused += 1
            (foreign / "study.yaml").write_text(whole)
    assert refused > 0.8 * len(KEYS) * len(ODD)


@pytest.mark.parametrize("words", [["tune", "report"], ["tune", *SHORT], IMPORT], ids=lambda words: words[1])
def test_every_command_says_so(words: list[str], foreign: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for key, value in (("search", [1, 2]), ("train__algo", 5), ("seed", {})):
        edited(foreign, **{key: value})
        assert main(words) == 5
        said = capsys.readouterr().err
        assert said.startswith("rlzoo: studies/s/study.yaml is damaged: ") and said.count("\n") == 2


def test_a_yaml_that_is_none(foreign: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = foreign / "study.yaml"
    for content in (b"", b"- 1\n", b"\xff\xfe", b"a: [", b"a: !!python/object:os.system x", b"[" * 5000,
                    b"study: s\n" * 2, b"a" * 2**20, b"search: [1, 2]\n"):  # fmt: skip
        path.write_bytes(content)
        assert main(["tune", "report"]) == 5, content[:20]
        assert "studies/s/study.yaml is damaged: " in capsys.readouterr().err
    path.unlink()
    os.mkfifo(path)  # which nobody ever writes to
    assert main(["tune", "report"]) == 5
    assert "it is not a file" in capsys.readouterr().err


def test_no_file_names_a_server() -> None:
    """A storage is a word of the command, whatever lies in the current folder."""
    Path("conf/experiment").mkdir(parents=True)
    theirs = "# @package _global_\nstorage: postgresql://me@127.0.0.1/x\n"
    for path in ("conf/experiment/theirs.yaml", "theirs.yaml"):
        Path(path).write_text(theirs)
    assert plan([*SHORT, "experiment=theirs"]).config.storage == "sqlite"
    with suppress(RlzooError):
        assert plan([*SHORT[:2], *SHORT[3:], "hyperparams=theirs.yaml"]).config.storage == "sqlite"


def test_what_the_environment_names_is_checked_where_a_study_is_read(
    own: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (own / "study.db").unlink()
    monkeypatch.setenv("RLZOO_STORAGE", f"sqlite:////{tmp_path}/made.db")
    for words in READERS:
        assert main(words) == 2
    assert not Path("made.db").exists()


def test_results_on_fresh_seeds_that_are_none_are_left_out(foreign: Path) -> None:
    folder = foreign / "final" / "defaults"
    folder.mkdir(parents=True)
    good = {"of": {"seed": 1, "objective": ["last", 3]}, "score": 1.0, "steps": 5, "second": None}
    changes: list[dict[str, Any]] = [{"of": []}, {"of": {"seed": []}}, {"of": {"seed": 2**99}}, {"score": "x"},
                                     {"score": float("nan")}, {"second": {}}]  # fmt: skip
    odd: list[Any] = [[], 5, {}, *({**good, **change} for change in changes)]
    for number, value in enumerate(odd):
        (folder / f"seed{number}.json").write_text(json.dumps(value))
    (folder / "seed97.json").write_text("[" * 100_000)
    (folder / "seed98.json").write_text("")
    os.mkfifo(folder / "seed99.json")
    assert main(["tune", "report", "study=s"]) == 0
