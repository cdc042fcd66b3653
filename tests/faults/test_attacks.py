"""What strangers send does nothing: no code, no write outside, no secret read out, in bounded time and memory."""

from __future__ import annotations

import os
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rlzoo.contained import inside
from rlzoo.errors import RlzooError
from rlzoo.runs.run import Run
from tests.faults.hostile_runs import FORGED, HOSTILE_NAMES, SECRET, Attack, attacks
from tests.faults.warm import Warm
from tests.selected import with_best
from tests.system import needs

SECONDS, MEMORY = 10.0, 2**30
FAMILIES = ("A9", "A10", "A11", "A12", "A13", "A18", "A19", "A22", "A24", "A25", "S11")
IN_CI = 4
"""Attacks of each family in CI, evenly taken."""

HOOK = """
import os, resource, sys
ROOTS = tuple(os.path.realpath(path) for path in {roots!r})
SPIED = os.path.realpath({spied!r})
notes = os.open({notes!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
START = ("pickle.find_class", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.startfile", "socket.connect",
         "socket.getaddrinfo", "urllib.Request", "webbrowser.open")
CHANGE = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.truncate")
def place(path, follow):
    if not isinstance(path, (str, bytes, os.PathLike)):
        return None
    folder, name = os.path.split(os.path.abspath(os.fsdecode(path)))
    return os.path.realpath(path) if follow else os.path.join(os.path.realpath(folder), name)
def is_outside(path):
    return path is not None and path != "/dev/null" and not any(
        path == root or path.startswith(root + os.sep) for root in ROOTS)
def found(event, args):
    if event.startswith(START):
        return True
    if event == "subprocess.Popen":
        return os.path.basename(os.fsdecode(args[0])) not in ("git", "uname")
    if event == "open":
        flags = args[2] if isinstance(args[2], int) else 0
        path = place(args[0], not flags & os.O_NOFOLLOW)
        changes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and not os.path.isdir(path or "")  # a nameless file
        return path == SPIED or (changes and is_outside(path))
    if event in CHANGE and (event == "os.truncate" or args[-1] == -1):  # else it is relative to an open folder
        follow = event in ("os.truncate", "os.chmod")
        return any(is_outside(place(value, follow)) for value in args[:2])
    return False
def hook(event, args):
    if found(event, args):
        os.write(notes, (event + " " + repr(args)[:300] + "\\n").encode())
        raise PermissionError(event)
with open("/proc/self/statm") as file:
    size = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + {memory}, size + {memory}))
sys.addaudithook(hook)
"""


@dataclass(frozen=True)
class Shop:
    """A warm process, and a run that its user did not make (and the same one, signed by the user)."""

    warm: Warm
    folder: Path
    run: Path
    own_state: Path


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("attacks")
    warm = Warm()
    words = "train algo=ppo env=CartPole total_timesteps=64 algo.n_steps=32 algo.batch_size=32 eval.final_n_episodes=1"
    state = folder / "stranger"
    child = warm.start(*words.split(), "seed=1", "logger=csv", cwd=folder, env={"XDG_STATE_HOME": str(state)})
    assert child.wait() == 0, child.output
    (run,) = (path.parent for path in folder.glob("runs/*/*/*/info.json"))
    with_best(Run(run))
    yield Shop(warm, folder, run, state)
    warm.close()


@dataclass(frozen=True)
class Outcome:
    code: int
    output: str
    events: str
    seconds: float
    problems: tuple[str, ...]


def commit(shop: Shop, attack: Attack, folder: Path) -> Outcome:
    """Do to the user what the attack does, and see what became of it."""
    work, outside = folder / "work", folder / "outside"
    work.mkdir(parents=True)
    (outside / "home").mkdir(parents=True)
    (outside / "id_rsa").write_text(SECRET)
    attack.prepare(work)
    state = shop.own_state if attack.own else folder / "state"
    state.mkdir(exist_ok=True)
    notes = folder / "events.txt"
    hook = HOOK.format(
        roots=[str(work / "sent"), str(work / "runs"), str(state)],
        spied=str(outside / "id_rsa"),
        notes=str(notes),
        memory=MEMORY,
    )
    before = _files(outside)
    victims = _files(work / "victim") if (work / "victim").exists() else {}
    env = {"CANARY_PLAIN": SECRET, "HOME": str(outside / "home"), "XDG_STATE_HOME": str(state), "RLZOO_PLAIN": "1"}
    env |= {"TMPDIR": str(state), "XDG_CACHE_HOME": str(state)}  # where files of the user's own may lie
    started = time.monotonic()
    child = shop.warm.start(*attack.words, cwd=work, env=env, before=attack.before + hook)
    try:
        code = child.wait(3 * SECONDS)
    except TimeoutError as error:
        return Outcome(-1, str(error), "", time.monotonic() - started, ("it hangs",))
    seconds, output = time.monotonic() - started, child.output
    events = notes.read_text() if notes.exists() else ""
    problems = {
        f"it ended with {code}": code not in attack.codes,
        "code ran": (work / "canary").exists() or (outside / "canary").exists(),
        "it did what is forbidden": bool(events),
        "a secret was read out": SECRET in output or any(SECRET in text for text in _texts(work)),
        "something was written outside": _files(outside) != before,
        "a file was written through a link": bool(victims) and _files(work / "victim") != victims,
        "a traceback": "Traceback" in output,
        "a line that rlzoo did not say": any(line.startswith(FORGED) for line in output.split("\n")),
        "text that steers the terminal": not all(char.isprintable() or char in "\n\t" for char in output),
    }
    return Outcome(code, output, events, seconds, tuple(what for what, is_so in problems.items() if is_so))


def _files(folder: Path) -> dict[str, bytes]:
    if folder.is_file():
        return {str(folder): folder.read_bytes()}
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _texts(work: Path) -> Iterator[str]:
    for path in work.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.stat().st_size < 2**20:
            yield path.read_bytes().decode("latin-1")


def evenly(found: list[Attack], count: int) -> list[Attack]:
    return [found[index * len(found) // count] for index in range(count)] if count < len(found) else found


@pytest.mark.parametrize("family", FAMILIES)
def test_an_attack_does_nothing(family, shop, tmp_path, full, record_property):
    mine = [attack for attack in attacks(shop.run) if attack.family == family]
    assert len({attack.name for attack in mine}) == len(mine) >= 3
    chosen = mine if full else evenly(mine, IN_CI)
    failed, slowest = [], 0.0
    for index, attack in enumerate(chosen):
        outcome = commit(shop, attack, tmp_path / str(index))
        slowest = max(slowest, outcome.seconds)
        if outcome.problems or outcome.seconds > SECONDS:
            failed.append((attack.name, outcome.problems, outcome.seconds, outcome.events[:300], outcome.output[-600:]))
    record_property("attacks", len(chosen))
    record_property("slowest_seconds", round(slowest, 2))
    assert failed == []


def test_the_hook_sees_what_it_should(shop, tmp_path):
    """The same harness around something that is not rlzoo: every kind of harm is noticed."""
    harm = {
        "os.system": "os.system('true')",
        "subprocess.Popen": "__import__('subprocess').run(['true'])",
        "open": "open('../outside/new', 'w')",
        "os.mkdir": "os.mkdir('../outside/folder')",
        "socket.getaddrinfo": "__import__('socket').create_connection(('127.0.0.1', 9))",
        "pickle.find_class": "__import__('pickle').loads(b'cos\\nsystem\\n.')",
        "id_rsa": "open('../outside/id_rsa')",
    }
    for index, (what, source) in enumerate(harm.items()):
        module = f"import os\n{source}\n"

        def prepare(folder: Path, module: str = module) -> None:
            (folder / "mine.py").write_text(module)

        words = ("train", "algo=ppo", "env=gym", "env.id=mine:X-v0")
        outcome = commit(shop, Attack("control", what, words, prepare, frozenset({2})), tmp_path / str(index))
        assert what in outcome.events, (what, outcome)


def test_names_that_others_chose_stay_inside(tmp_path, record_property):
    """A13: names as a repository or an archive would give them."""
    for name in HOSTILE_NAMES:
        with pytest.raises(RlzooError) as error:
            inside(tmp_path, name)
        assert error.value.code == 7 and str(error.value).isprintable()
    for name in ("config.yaml", "checkpoints/best/algorithm.safetensors", "videos/replay 1.mp4", "modèle_β.zip"):
        assert inside(tmp_path, name) == tmp_path / name
    (tmp_path / "link").symlink_to("/etc")
    with pytest.raises(RlzooError, match="behind a link"):
        inside(tmp_path, "link/passwd")
    record_property("names", len(HOSTILE_NAMES) + 1)


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(shop, tmp_path):
    import shutil

    for name in ("config.yaml", "info.json", "results.json", "metrics.csv"):
        shutil.copytree(shop.run, tmp_path / name / "sent")
        (tmp_path / name / "sent" / name).unlink(missing_ok=True)
        os.mkfifo(tmp_path / name / "sent" / name)
        child = shop.warm.start("evaluate", "run=sent", "n_episodes=1", cwd=tmp_path / name)
        assert child.wait(SECONDS) in (0, 2, 5), child.output


CANARIES = {
    "CANARY_TOKEN": "canary-of-the-environment",
    "netrc": "canary-of-the-netrc",
    "hub": "canary-of-the-hub-store",
    "url": "canary-of-a-database",
    "diff": "canary-in-an-uncommitted-change",
    "remote": "canary-in-a-git-remote",
    "word": "canary-typed-as-a-setting",
    "GH_PAT": "canary-of-a-pat",
    "DB_PW_PROD": "canary of a pw's",
    "TLS_PEM": "canary-of-a-pem",
    "SENTRY_DSN": "canary-of-a-dsn",
    "PROXY_AUTH": "canary-of-an-auth",
    "SESSION_COOKIE": "canary-of-a-cookie",
    "KEY_PASSPHRASE": "canary-of-a-passphrase",
    "GIT_CREDENTIAL": "canary-of-a-credential",
    "SSH_PRIVATE": "canary-of-a-private",
    "REQUEST_SIGNATURE": "canary-of-a-signature",
    "MYSQL_PWD": "canary-of-a-pwd",
    "CACHE_URL": "canary-of-a-url",
}
VARIABLES = [name for name in CANARIES if name.isupper()]
PLAIN = {"PWD": "plain-folder", "AUTHOR": "plain-author", "SSH_AUTH_SOCK": "plain-socket", "PATTERN": "plain-pattern"}
"""Variables that hold no secret: their values stay."""

LEAKY = """
import os
import gymnasium
from gymnasium.envs.classic_control import CartPoleEnv
class Leaky(CartPoleEnv):
    steps = 0
    is_training = False
    def reset(self, *, seed=None, options=None):
        self.is_training = self.is_training or seed == 7
        return super().reset(seed=seed, options=options)
    def step(self, action):
        Leaky.steps += self.is_training
        if Leaky.steps == 100:
            at = "https://me:canary-of-a-database@host"
            raise RuntimeError("cannot log in with " + os.environ["CANARY_TOKEN"] + " at " + at)
        return super().step(action)
gymnasium.register(id="Leaky-v0", entry_point=Leaky, max_episode_steps=20)
"""


@needs("git", "--version")
def test_canaries_are_found_nowhere(shop, tmp_path, record_property):
    """A21: secrets in the environment, stores, settings, a URL, git and a crash; none reaches a file or the screen."""
    home, work = tmp_path / "home", tmp_path / "work"
    (home / ".cache/huggingface").mkdir(parents=True)
    work.mkdir()
    (home / ".netrc").write_text(f"machine api.wandb.ai login user password {CANARIES['netrc']}\n")
    (home / ".cache/huggingface/token").write_text(CANARIES["hub"])
    (work / "leaky.py").write_text(LEAKY)
    (work / "settings.yaml").write_text("a: 1\n")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c"]
    for words in (
        ["init", "-q"],
        ["remote", "add", "origin", f"https://me:{CANARIES['remote']}@host/repository"],
        ["add", "leaky.py", "settings.yaml"],
        ["commit", "-q", "-m", "first"],
    ):
        subprocess.run([*git, *words], cwd=work, check=True)
    (work / "settings.yaml").write_text(f"a: 2\napi_key: {CANARIES['diff']}\nnetrc: {CANARIES['netrc']}\n")
    env = {"HOME": str(home), "XDG_STATE_HOME": str(home / "state"), "CANARY_TOKEN": CANARIES["CANARY_TOKEN"]}
    env |= {name: CANARIES[name] for name in VARIABLES} | PLAIN
    env["CACHE_URL"] = f"redis://me:{CANARIES['CACHE_URL']}@host:1/0"
    env |= {"HF_TOKEN_PATH": None, "HF_HOME": None, "NETRC": None, "XDG_CACHE_HOME": None, "RLZOO_PLAIN": "1"}
    small = "total_timesteps=128 algo.n_steps=32 algo.batch_size=32 eval.final_n_episodes=1 eval.freq=64".split()
    secrets = [f"postgresql://me:{CANARIES['url']}@host/db", CANARIES["hub"], *(CANARIES[name] for name in VARIABLES)]
    texts = [f'env.summary="{" ".join([*secrets, *PLAIN.values()])}"', "logger=[csv,tensorboard]"]
    commands = [
        (0, ["train", "algo=ppo", "env=CartPole", *small, *texts]),
        (0, ["train", "algo=ppo", "env=CartPole", *small, *texts, "--cfg", "job"]),
        (0, ["show", "algo=ppo", "env=CartPole", *texts, "--json"]),
        (0, ["show", "algo=ppo", "env=CartPole", *texts]),
        (0, ["train", "algo=ppo", "env=CartPole", *small, *texts, "--dry-run"]),
        (4, ["train", "algo=ppo", "env=gym", "env.id=leaky:Leaky-v0", "seed=7", *small, *texts, "env.max_restarts=0"]),
        (0, ["evaluate", "run=ppo/CartPole-v1", "n_episodes=1"]),
        (0, ["package", "run=ppo/CartPole-v1", "n_episodes=1", "video=false"]),
        (2, ["train", "algo=ppo", "env=CartPole", f"runs_dir=runs-{CANARIES['GH_PAT']}"]),
        (0, ["train", "resume=ppo/CartPole-v1", "total_timesteps=512"]),
        (0, ["list", "runs", "--json"]),
        (2, ["train", "algo=ppo", "env=CartPole", f"hub_token={CANARIES['word']}"]),
        (2, ["train", "algo=ppo", "env=CartPole", f"logger.wandb.api_key={CANARIES['word']}"]),
        (2, ["train", "algo=ppo", "env=CartPole", f"+env.kwargs.password={CANARIES['word']}", "-m"]),
        (2, ["train", "resume=ppo/CartPole-v1", f"logger.wandb.api_key={CANARIES['word']}"]),
        (2, ["evaluate", "run=ppo/CartPole-v1", f"+env.kwargs.secret={CANARIES['word']}"]),
    ]
    screen = ""
    for code, words in commands:
        child = shop.warm.start(*words, cwd=work, env=env)
        assert child.wait() == code, (words, child.output)
        screen += child.output
    found = {"screen": screen.encode()} | {
        str(path.relative_to(work)): path.read_bytes()
        for folder in ("runs", "packages")
        for path in (work / folder).rglob("*")
        if path.is_file()
    }
    assert all(text in found["packages/ppo-CartPole-v1/README.md"].decode() for text in PLAIN.values())
    assert any("tensorboard/" in name for name in found) and any(name.endswith("train.log") for name in found)
    log = next(content for name, content in found.items() if "Leaky" in name and name.endswith("train.log"))
    assert b"cannot log in with ***" in log
    assert any(b"api_key: ***" in content for content in found.values())  # the uncommitted change is kept, without it
    hits = [
        (name, which) for name, data in found.items() for which, value in CANARIES.items() if value.encode() in data
    ]
    record_property("files", len(found))
    record_property("canaries", len(CANARIES))
    assert hits == []


def test_every_family_has_its_files(shop, record_property):
    from tests.hostile_files import attacks as files
    from tests.untrusted.test_attacks import FAMILIES as OTHERS

    counts = Counter(attack.family for attack in attacks(shop.run))
    counts += Counter(attack.family for attack in files(shop.folder))
    counts["A21"] = len(CANARIES)
    missing = {f"A{number}" for number in range(1, 26)} - set(counts)
    assert missing == {"A23"}  # there is no tuning, so no database of it
    assert set(counts) == {*FAMILIES, *OTHERS, "A21"} and all(count >= 3 for count in counts.values())
    record_property("families", len(counts))
    record_property("files", sum(counts.values()))
    assert sum(counts.values()) >= 100
