"""SQLite files and journals of others, whatever was put into them: rows are read, or it is said what is wrong."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import sqlite3
import struct
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import optuna
import pytest
from short_studies import SHORT, Toy, started

from rlzoo.cli.main import main
from rlzoo.errors import RlzooError
from rlzoo.tuning import report as reports
from rlzoo.tuning import worker
from rlzoo.tuning.import_trials import open_source
from rlzoo.tuning.report.data import collect
from rlzoo.tuning.storage import read, tables
from rlzoo.tuning.storage.store import refuse_other_journals

FOLDER = Path("studies/s")
FILE = FOLDER / "study.db"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "s"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker, "run_trial", Toy())
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("theirs")))
        study = started("n_trials=3", "pruner=none", f"studies_dir={folder.parent}")
        worker.run_trials(study, "w", lambda: False)
        study.close()
    return folder


@pytest.fixture(autouse=True)
def foreign(made: Path, workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A study with three trials that another user of rlzoo made; pictures are not what this is about."""
    shutil.copytree(made, FOLDER)
    monkeypatch.setattr(reports, "find_spec", lambda name: None)


def run(*statements: str, file: Path = FILE) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as database:
        for statement in statements:
            database.execute(statement)


def said(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What a command that ends with exit code 5 says, in two lines at most."""
    began = time.process_time()
    assert main(words) == 5
    assert time.process_time() - began < 5
    err = capsys.readouterr().err
    assert err.startswith("rlzoo: ") and err.count("\n") <= 2 and "\x1b" not in err, err
    return err


REPORT = ["tune", "report", "study=s"]
NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
ENDLESS = f"{NUMBERS} SELECT i AS study_id, 's' AS study_name FROM n"
RENAMED = "ALTER TABLE {0} RENAME TO old_{0}"
STRUCTURES = {
    "a view in the place of a table": [RENAMED.format("trial_params"), f"CREATE VIEW trial_params AS {ENDLESS}"],
    "of the versions": [
        RENAMED.format("alembic_version"),
        f"CREATE VIEW alembic_version AS {NUMBERS} SELECT max(i) AS version_num FROM n",
    ],
    "a virtual table": [
        RENAMED.format("trial_values"),
        "CREATE VIRTUAL TABLE trial_values USING fts5(trial_value_id, trial_id, objective, value, value_type)",
    ],
    "a column that is computed": ["ALTER TABLE trials ADD COLUMN size GENERATED ALWAYS AS (hex(zeroblob(99999999)))"],
    "a column that is missing": ["ALTER TABLE trials DROP COLUMN datetime_start"],
    "bytes": ["UPDATE trial_user_attributes SET value_json = zeroblob(5000000)"],
    "text for a number": ["UPDATE trial_values SET value = 'inf'"],
    "no text": ["UPDATE trial_user_attributes SET value_json = CAST(x'ff00fe' AS TEXT)"],
    "trials of one number": ["UPDATE trials SET number = 'x'"],
    "another version": ["UPDATE alembic_version SET version_num = '\x1b[31mhello'"],
    "a schema that is none": ["PRAGMA writable_schema = 1", "UPDATE sqlite_master SET sql = 'CREATE TABLE x('"],
}


@pytest.mark.parametrize("statements", STRUCTURES.values(), ids=STRUCTURES)
def test_what_is_no_plain_row_is_refused(statements: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    run(*statements)
    before = {path: path.read_bytes() for path in FOLDER.rglob("*.*") if path.is_file()}
    began = time.process_time()
    assert main(REPORT) == (2 if "alembic_version" in statements[0] else 5)
    assert time.process_time() - began < 5
    err = capsys.readouterr().err
    assert "studies/s/study.db" in err and err.count("\n") <= 2 and "\x1b" not in err, err
    assert {path: path.read_bytes() for path in FOLDER.rglob("*.*") if path.is_file()} == before


def test_triggers_views_and_tables_besides_are_not_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    run(
        "CREATE TRIGGER t AFTER INSERT ON trial_params BEGIN DELETE FROM trials; END",
        f"CREATE VIEW besides AS {ENDLESS}",
        "CREATE TABLE mine (a)",
        "CREATE VIRTUAL TABLE searched USING fts5(a)",
    )
    assert main([*REPORT, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["trials"] == {"complete": 3}


def test_there_are_limits(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(FILE, "kept")
    with FILE.open("ab") as file:
        file.truncate(2**40)  # a sparse one
    assert "is larger than 512 MiB" in said(REPORT, capsys)
    shutil.copy("kept", FILE)
    run("UPDATE trial_user_attributes SET value_json = printf('%.*c', 30000, 'x')")
    for name, limit in (("MAX_ROWS", 20), ("MAX_VALUE", 20_000)):
        with monkeypatch.context() as patch:
            patch.setattr(tables, name, limit)
            assert "too big" in (found := said(REPORT, capsys)) or "come out of it" in found


def inner_page(children: list[int], size: int) -> bytes:
    """A page of a table's tree that only leads to others."""
    cells = [struct.pack(">I", child) + b"\x7f" for child in children[:-1]]
    starts = [size - 5 * (k + 1) for k in range(len(cells))]
    head = struct.pack(f">BHHHBI{len(cells)}H", 5, 0, len(cells), starts[-1], 0, children[-1], *starts)
    return head + bytes(starts[-1] - len(head)) + b"".join(reversed(cells))


def endless(path: Path) -> None:
    """Let one page with one entry be the end of 400 ** 4 ways through the tree of the schema."""
    with closing(sqlite3.connect(path)) as database:
        (size,) = database.execute("PRAGMA page_size").fetchone()
        entry = database.execute("SELECT * FROM sqlite_master WHERE name LIKE 'sqlite_autoindex%'").fetchone()
    whole = bytearray(path.read_bytes())
    kind, name, table, root, _ = entry
    texts = [each.encode() for each in (kind, name, table)]
    record = bytes([6, *(13 + 2 * len(text) for text in texts), 4, 0]) + b"".join(texts) + struct.pack(">I", root)
    cell = bytes([len(record), 127]) + record
    start = size - len(cell)
    pages = [struct.pack(">BHHHBH", 13, 0, 1, start, 0, start).ljust(start, b"\0") + cell]
    last = len(whole) // size + 1
    for _ in range(4):
        pages.append(inner_page([last + len(pages) - 1] * 400, size))
    pages.append(inner_page([struct.unpack(">I", whole[108:112])[0], last + len(pages) - 1], size))
    whole[108:112] = whole[28:32] = struct.pack(">I", last + len(pages) - 1)
    whole[92:96] = whole[24:28]
    path.write_bytes(whole + b"".join(pages))


def test_reading_has_an_end(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    endless(FILE)
    monkeypatch.setattr(tables, "MAX_SECONDS", 0.2)
    assert "it takes more than 0.2 s" in said(REPORT, capsys)
    named = ["tune", "import", "storage=x.db", *SHORT[:-1], "study=t"]
    shutil.copy(FILE, "x.db")
    assert "it takes more than 0.2 s" in said(named, capsys)


def cut_short(path: str) -> None:
    """A write that is killed in the middle, as by SIGKILL."""
    database = sqlite3.connect(path, isolation_level=None)
    for statement in ("PRAGMA cache_size = 1", "BEGIN IMMEDIATE", "CREATE TABLE junk (text)"):
        database.execute(statement)
    database.executemany("INSERT INTO junk VALUES (?)", [("x" * 4000,)] * 200)
    os._exit(0)


def removes(victim: Path, journal: Path) -> None:
    """Have the journal say that its write was one to several files, whose list is the victim: SQLite removes that."""
    name = str(victim.absolute()).encode()
    with journal.open("ab") as file:
        file.write(struct.pack(">I", 2**30 // 4096 + 1) + name + struct.pack(">II", len(name), sum(name)))
        file.write(bytes.fromhex("d9d505f920a163d7"))


def test_a_journal_removes_no_file(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(tables, "FINISH_SECONDS", 0.2)
    shutil.rmtree(FOLDER)
    started().close()  # the user's own, in whose folder somebody could write
    process = multiprocessing.get_context("spawn").Process(target=cut_short, args=(str(FILE),))
    process.start()
    process.join()
    victim = Path("victim").absolute()
    victim.write_text("precious")
    removes(victim, FOLDER / "study.db-journal")
    for words in (REPORT, ["tune", *SHORT], ["tune", "import", f"storage={FOLDER}", *SHORT[:-1], "study=t"]):
        assert main(words) == 7
        assert "study.db-journal names another file, which SQLite would remove" in capsys.readouterr().err
    (FOLDER / "study.yaml").rename("study.yaml")
    assert "is being written to, or its last write was cut short" in said(REPORT, capsys)
    assert victim.exists()
    with closing(sqlite3.connect(FILE)) as database:
        database.execute("SELECT name FROM sqlite_master").fetchall()
    assert not victim.exists()  # it would have


def _comes_and_goes(paths: list[str]) -> None:
    while True:
        for path in paths:
            Path(path).write_bytes(b"what a worker is writing")
            Path(path).unlink()


@pytest.mark.parametrize(
    ("what", "file"),
    [
        (lambda: refuse_other_journals(FILE), "study.db-journal"),
        (lambda: tables._stamp(FILE), "study.db-wal"),
        (lambda: read._folders(FOLDER.parent), "journal.log"),
    ],
    ids=["journal", "stamp", "folders"],
)
def test_what_others_write_beside_a_study_may_vanish_at_any_moment(what: Callable[[], object], file: str) -> None:
    process = multiprocessing.get_context("fork").Process(
        target=_comes_and_goes, args=([str(FOLDER.absolute() / file)],), daemon=True
    )
    process.start()
    try:
        for _ in range(3000):
            what()
    finally:
        process.kill()
        process.join()


@pytest.mark.parametrize("name", ["x.db", "journal.log", "study.db"])
def test_a_file_that_is_named_is_read_as_data_too(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    journal = name == "journal.log"
    if journal:
        storage = optuna.storages.journal.JournalFileBackend(name)
        optuna.create_study(storage=optuna.storages.JournalStorage(storage), study_name="s")
        Path(name).write_text(Path(name).read_text() + '{"op_code": [], "worker_id": 5}\n')
    else:
        shutil.copy(FILE, name)
        run(*STRUCTURES["a view in the place of a table"], "PRAGMA journal_mode = WAL", file=Path(name))
    before = sorted(Path().iterdir())
    found = said(["tune", "import", f"storage={name}", *SHORT[:-1], "study=t"], capsys)
    assert f"{name} is damaged" in found
    assert sorted(Path().iterdir()) == before


@pytest.mark.parametrize(
    ("limit", "why"), [("MAX_BYTES", "it is larger than"), ("MAX_VALUE", "a line of it is longer")]
)
def test_a_journal_that_is_named_is_read_up_to_a_limit(
    limit: str, why: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    storage = optuna.storages.journal.JournalFileBackend("journal.log")
    optuna.create_study(storage=optuna.storages.JournalStorage(storage), study_name="s")
    monkeypatch.setattr(tables, limit, 50)
    found = said(["tune", "import", "storage=journal.log", *SHORT[:-1], "study=t"], capsys)
    assert f"journal.log is damaged: {why}" in found


JSON: list[Any] = [None, [], {}, 5, -1, 2**70, 1e308, float("nan"), "\x1b[31mx", True, [[1]], {"a": {"b": 1}}, 10**400]
PLAIN = [
    None,
    "",
    5,
    -1,
    2**62,
    1e308,
    b"\x00\xff",
    "x" * 100_000,
    "9" * 5000,
    "[" * 3000,
    "\x1b]0;x\x07",
    0,
    "COMPLETE",
]


def changed(text: str, rng: random.Random) -> str:
    """JSON with an odd value somewhere in it."""
    values = json.loads(text)
    above, key = [values], 0
    while isinstance(above[key], dict | list) and above[key] and rng.random() < 0.8:
        above = above[key]
        key = rng.choice(list(above) if isinstance(above, dict) else range(len(above)))
    above[key] = rng.choice(JSON)
    return json.dumps(values if above is not values or isinstance(values, dict | list) else above[key])


def test_odd_values_of_every_kind_end_in_one_line() -> None:
    """Whatever a row holds: a report is made, or it is said what is wrong."""
    rng = random.Random(7)
    whole = FILE.read_bytes()
    with closing(sqlite3.connect(FILE)) as database:
        columns = [(t, row[1]) for t in tables.TABLES for row in database.execute(f"PRAGMA table_info({t})")]
    codes = set()
    for count in range(24):
        FILE.write_bytes(whole)
        table, column = rng.choice([each for each in columns if each[1].endswith("json") or count % 2])
        with closing(sqlite3.connect(FILE)) as database, database:
            rows = database.execute(f"SELECT rowid, {column} FROM {table}").fetchall()
            if not rows:
                continue
            row, old = rng.choice(rows)
            new = changed(old, rng) if column.endswith("json") and rng.random() < 0.8 else rng.choice(PLAIN)
            with suppress(sqlite3.IntegrityError):
                database.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (new, row))
        for reads in (lambda: collect("s", "studies", None), lambda: open_source(str(FILE), None)):
            try:
                reads()
                codes.add(0)
            except RlzooError as error:
                codes.add(int(error.code))
                assert "\x1b" not in str(error) and len(str(error)) < 2000
    assert codes >= {0, 5} and codes <= {0, 2, 5}
