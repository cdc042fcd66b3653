"""A command is a row, a module and a YAML file; its help, options, suggestions and function follow from them."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

import rlzoo
from rlzoo import play
from rlzoo.cli import commands
from rlzoo.cli.command import Answer, Entry, find_command, schemas
from rlzoo.cli.main import Arguments, main
from rlzoo.cli.table import COMMANDS, functions
from rlzoo.config import paths, yaml_file
from rlzoo.config.parse import text_fields
from rlzoo.errors import RlzooError
from rlzoo.training.request import OWN_WORDS

HELLO = '''
"""`rlzoo hello`: greet somebody."""

from __future__ import annotations

from dataclasses import dataclass

from rlzoo.cli.command import Answer, Call, command
from rlzoo.config.schema import Positive, Text


@dataclass(frozen=True)
class HelloConfig:
    title: Text
    times: Positive


def hello(title: str = "world", times: int = 1) -> list[str]:
    """Greet somebody."""
    return [f"hello {title}"] * times


@command(HelloConfig)
def main(call: Call[HelloConfig]) -> Answer:
    greetings = hello(call.options.title, call.options.times)
    return Answer({"greetings": greetings}, lambda: print(*greetings, sep="\\n"))
'''
YAML = "title: world  # whom to greet\ntimes: 1  # how often\n"
ROW = '"hello": Row("greet somebody: rlzoo hello title=Ada", "[title=...]", function="rlzoo.cli.commands.hello:hello"),'


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with one more command: in three places."""
    root = tmp_path_factory.mktemp("house")
    source = Path(rlzoo.__file__).parent
    for path in [*source.rglob("*.py"), *source.rglob("*.json")]:
        copy = root / "rlzoo" / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    for path in (paths.root() / "conf").rglob("*.yaml"):
        copy = root / "conf" / path.relative_to(paths.root() / "conf")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    (root / "rlzoo" / "cli" / "commands" / "hello.py").write_text(HELLO.lstrip())
    (root / "conf" / "hello.yaml").write_text(YAML)
    table = root / "rlzoo" / "cli" / "table.py"
    table.write_text(table.read_text().replace("COMMANDS = {\n", f"COMMANDS = {{\n    {ROW}\n"))
    return root


def say(house: Path, *words: str) -> subprocess.CompletedProcess[str]:
    code = f"import sys; sys.path.insert(0, {str(house)!r}); from rlzoo.cli.main import main; sys.exit(main())"
    command = [sys.executable, "-P", "-c", code, *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=house, check=False)


def test_a_new_command_has_its_help(house):
    assert "  hello          greet somebody" in say(house, "--help").stdout
    shown = say(house, "hello", "--help")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "usage: rlzoo hello [title=...] [--json]" in shown.stdout
    assert "  title=world                              whom to greet" in shown.stdout


def test_a_new_command_is_closed(house):
    wrong = say(house, "hello", "titel=Ada", "times=0")
    assert wrong.returncode == 2 and "Traceback" not in wrong.stderr
    assert "titel: is not a known setting; did you mean 'title'" in wrong.stderr
    assert "times: must be at least 1, not 0" in wrong.stderr
    assert say(house, "hello", "--dry-run").returncode == 2
    assert say(house, "validate", str(house / "conf" / "hello.yaml")).stdout == "1 files checked, no problems\n"


def test_a_new_command_answers_people_and_programs(house):
    title = "Ada, (Countess) {of} a=b [Lovelace]"  # what Hydra would read as something else
    shown = say(house, "hello", f"title={title}", "times=2")
    assert (shown.returncode, shown.stdout) == (0, f"hello {title}\n" * 2)
    assert json.loads(say(house, "hello", f"title={title}", "--json").stdout) == {"greetings": [f"hello {title}"]}


def test_a_new_command_is_a_function(house):
    code = f"import sys; sys.path.insert(0, {str(house)!r}); import rlzoo; "
    code += "print(rlzoo.hello('Ada'), 'hello' in dir(rlzoo))"
    shown = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown == "['hello Ada'] True\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_made_by_the_one_function(name):
    entry = find_command(name)
    assert isinstance(entry, Entry)
    if entry.schema is not None:
        keys = yaml_file.read(paths.root() / "conf" / f"{entry.file}.yaml").values
        assert set(keys) == {field.name for field in fields(entry.schema)}
        assert {key.partition(".")[0] for key in text_fields(entry.schema)} <= set(keys)


CLOSED = [name for name in COMMANDS if find_command(name).schema is not None]


@pytest.mark.parametrize("name", [name for name in CLOSED if name != "certify"])  # where `~name` is a path
def test_a_setting_that_is_taken_out_is_missed(name, workdir, capsys):
    for key in yaml_file.read(paths.root() / "conf" / f"{find_command(name).file}.yaml").values:
        assert main([*name.split(), f"~{key}"]) == 2
        assert f"{key}: is not set" in capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name, capsys):
    assert main([*name.split(), "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"{COMMANDS[name].summary}\n\nusage: rlzoo {name} {COMMANDS[name].usage}")


@pytest.mark.parametrize("name", sorted(functions()))
def test_a_function_takes_the_keys_of_its_command(name):
    schema = schemas().get(name.replace("_", "-"))
    parameters = inspect.signature(getattr(rlzoo, name)).parameters
    if schema is None:  # it takes words
        assert [parameter.kind for parameter in parameters.values()] == [inspect.Parameter.VAR_POSITIONAL]
        return
    defaults = yaml_file.read(paths.root() / "conf" / f"{name.replace('_', '-')}.yaml").values
    given = {key: value for key, value in parameters.items() if key not in ("run", "env_words", "env_id")}
    assert set(given) | {"run", "env", "runs_dir", "dry_run"} >= set(defaults)
    assert set(given) <= set(defaults)
    optional = {key: value.default for key, value in given.items() if value.default is not inspect.Parameter.empty}
    assert optional == {key: defaults[key] for key in optional}


def test_words_of_one_call_are_those_that_the_request_takes_out():
    assert set(COMMANDS["train"].own) == set(OWN_WORDS)


def test_what_is_played_is_checked_alike_from_python():
    with pytest.raises(RlzooError, match="3 problems"):
        play.evaluate(n_episodes=0, device="gpu", deterministic="maybe")


def test_data_for_programs_is_made_for_programs_alone(capsys):
    made = []
    entry = Entry(lambda _: Answer(lambda: made.append("data") or {"n": 1}, lambda: print("for people")))
    assert entry(Arguments([])) == 0
    assert (capsys.readouterr().out, made) == ("for people\n", [])
    assert entry(Arguments([], json=True)) == 0
    assert (capsys.readouterr().out, made) == ('{"n": 1}\n', ["data"])


def test_a_search_that_is_only_planned_is_told_to_people_and_programs(workdir, capsys):
    words = ["tune", "algo=q_learning", "env=FrozenLake", "n_trials=3", "--dry-run"]
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n_trials"] == 3
    assert main(words) == 0
    assert "{" not in capsys.readouterr().out.splitlines()[0]


def test_a_command_only_reads_calls_and_prints():
    """What it does lies where its kind is: in training/, evaluation/, hub/ and so on."""
    lines = {path.name: len(path.read_text().splitlines()) for path in Path(commands.__path__[0]).glob("*.py")}
    assert {name: n_lines for name, n_lines in lines.items() if n_lines > 40} == {}
