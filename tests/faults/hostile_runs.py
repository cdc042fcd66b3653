"""Attacks on the command line by family: what a stranger sends, and the command that the user gives.

Every attack has a fresh current folder. Code that must not run touches the file `canary`; `SECRET` must stay unread.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

SECRET = "canary-value-7391"
"""The value of the environment variable CANARY_PLAIN, whose name does not say that it is a secret."""

Prepare = Callable[[Path], None]
UNSAFE, WRONG, STORAGE = {7}, {2}, {5}
REFUSED = {2, 5, 7}
HARMLESS = {0}


@dataclass(frozen=True)
class Attack:
    """What lies in the folder, the command that meets it, and how it may end."""

    family: str
    name: str
    words: tuple[str, ...]
    prepare: Prepare
    codes: frozenset[int]
    before: str = ""
    own: bool = False  # the run was made by the user who gives the command


GADGETS = (
    "os.system os.popen os.execv os.remove subprocess.Popen subprocess.run subprocess.check_output builtins.eval "
    "builtins.exec builtins.__import__ importlib.import_module runpy.run_path pty.spawn shutil.copy shutil.rmtree "
    "pathlib.Path.write_text torch.load torch.hub.load torch.jit.load torch.utils.collect_env.run numpy.load "
    "pandas.read_pickle pickle.loads joblib.load gymnasium.make stable_baselines3.PPO.load setuptools.distutils.spawn "
    "asyncio.create_subprocess_shell imaplib.IMAP4_stream code.interact webbrowser.open socket.create_connection "
    "logging.os.system hydra.utils.instantiate urllib.request.urlopen ctypes.CDLL timeit.timeit"
).split()


def evil(canary: Path) -> str:
    """A module that shows it was run."""
    return f"import os\nos.open({str(canary)!r}, os.O_CREAT | os.O_WRONLY)\nclass X: ...\n"


def attacks(run: Path) -> Iterator[Attack]:
    """Every attack; `run` is a short finished training, which each gets a copy of."""
    for family in (_targets, _hydra, _modules, _resolvers, _names, _texts, _swaps, _tables, _locks, _places, _sizes):
        yield from family(run)


def stranger(run: Path, change: Callable[[dict], None] = lambda config: None, **files: str | bytes) -> Prepare:
    """A copy of the run as `sent/`, with its configuration changed and files beside it."""

    def prepare(folder: Path) -> None:
        shutil.copytree(run, folder / "sent", symlinks=True)
        config = yaml.safe_load((run / "config.yaml").read_text())
        change(config)
        text = yaml.safe_dump(config, sort_keys=False)
        if config != yaml.safe_load((run / "config.yaml").read_text()):
            (folder / "sent" / "config.yaml").write_text(text)
        for name, content in files.items():
            data = content if isinstance(content, bytes) else content.encode()
            (folder / "sent" / name.replace("__", ".")).write_bytes(data)

    return prepare


def written(files: dict[str, str]) -> Prepare:
    """Files in the current folder."""

    def prepare(folder: Path) -> None:
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text.replace("CANARY", str(folder / "canary")))

    return prepare


def both(*prepares: Prepare) -> Prepare:
    def prepare(folder: Path) -> None:
        for one in prepares:
            one(folder)

    return prepare


def put(*keys: str, value: object) -> Callable[[dict], None]:
    def change(config: dict) -> None:
        node = config
        for key in keys[:-1]:
            node = node.setdefault(key, {}) or {}
        node[keys[-1]] = value

    return change


EVALUATE = ("evaluate", "run=sent", "n_episodes=1")
RESUME = ("train", "resume=sent", "total_timesteps=512")


def _node(index: int) -> dict:
    return {"_target_": GADGETS[index], "_args_": ["touch CANARY"], "_partial_": False, "_convert_": "all"}


def _targets(run: Path) -> Iterator[Attack]:
    """A9: `_target_` and its like, at every level."""
    places = [("env",), ("env", "kwargs"), ("env", "wrappers", "x"), ("algo",), ("algo", "policy_kwargs"), ("eval",)]
    places += [("logger", "tensorboard"), ("env", "kwargs", "a", "b", "c"), ("launcher",), ("stop",)]
    for index, gadget in enumerate(GADGETS):
        path = places[index % len(places)]
        content: object = _node(index)
        for key in reversed(path):
            content = {key: content}
        text = yaml.safe_dump(content)
        file = "conf/experiment/x.yaml" if index % 2 else "hyperparams/ppo/CartPole.yaml"
        words = ("experiment=x",) if index % 2 else ()
        command = ("train", "algo=ppo", "env=CartPole", *words, "--dry-run")
        yield Attack("A9", f"file_{gadget}", command, written({file: text}), WRONG)
        change = put(*path, value=_node(index))
        yield Attack("A9", f"run_{gadget}", EVALUATE, stranger(run, change), {0, 2, 4, 5, 7})
        key = ".".join(path)
        yield Attack(
            "A9",
            f"word_{gadget}",
            ("train", "algo=ppo", "env=CartPole", f"+{key}._target_={gadget}", "--dry-run"),
            written({}),
            WRONG,
        )
    listed = "env:\n  kwargs: {a: [{b: [{_target_: os.system, _args_: [touch CANARY]}]}]}\n"
    file = {"hyperparams/ppo/CartPole.yaml": listed}
    yield Attack("A9", "in_lists", ("validate", "hyperparams/ppo/CartPole.yaml"), written(file), WRONG)


def _hydra(run: Path) -> Iterator[Attack]:
    """A10: a `hydra:` node, which Hydra's own programs act on before they begin."""
    nodes = {
        "callbacks": {"callbacks": {"x": {"_target_": "os.system", "command": "touch CANARY"}}},
        "job_logging": {"job_logging": {"version": 1, "handlers": {"x": {"()": "os.system"}}}},
        "hydra_logging": {"hydra_logging": {"handlers": {"x": {"class": "logging.FileHandler", "filename": "CANARY"}}}},
        "run_dir": {"run": {"dir": "CANARY"}},
        "sweep_dir": {"sweep": {"dir": "CANARY"}},
        "searchpath": {"searchpath": ["file:///etc", "pkg://evil"]},
        "launcher": {"launcher": {"_target_": "os.system"}},
        "sweeper": {"sweeper": {"_target_": "os.system"}},
        "env": {"job": {"env_set": {"PATH": "/tmp"}}},
    }
    for name, node in nodes.items():
        text = yaml.safe_dump({"hydra": node, "total_timesteps": 64})
        file = written({"conf/experiment/x.yaml": text, "evil.py": evil(Path("CANARY"))})
        yield Attack(
            "A10", f"file_{name}", ("train", "algo=ppo", "env=CartPole", "experiment=x", "--dry-run"), file, WRONG
        )
        yield Attack("A10", f"validate_{name}", ("validate", "conf"), file, WRONG)
        yield Attack("A10", f"run_{name}", EVALUATE, stranger(run, put("hydra", value=node)), REFUSED)
        key = next(iter(node))
        words = ("train", "algo=ppo", "env=CartPole", "--dry-run", f"+hydra.{key}=x")
        yield Attack("A10", f"word_{name}", words, written({}), WRONG)
    for word in ("hydra/launcher=submitit_slurm", "hydra/job_logging=none", "hydra.run.dir=CANARY"):
        yield Attack("A10", word, ("train", "algo=ppo", "env=CartPole", "--dry-run", word), written({}), WRONG)
    defaults = "defaults: [override hydra/launcher: basic, _self_]\n"
    file = written({"conf/experiment/x.yaml": defaults})
    yield Attack("A10", "defaults", ("show", "algo=ppo", "env=CartPole", "experiment=x"), file, WRONG)


PLANTED = "evil panda_gym minigrid triton pygame torch yaml numpy rlzoo json org backports hydra_plugins".split()


def _modules(run: Path) -> Iterator[Attack]:
    """A11: modules that a file names, and planted ones."""

    def plant(folder: Path) -> None:
        for place in (folder, folder / "sent"):
            for name in PLANTED:
                place.mkdir(exist_ok=True)
                (place / f"{name}.py").write_text(evil(folder / "canary"))

    changes = {
        "imports": put("env", "imports", value=["evil"]),
        "imports_from_run": put("env", "imports", value=["sent.evil"]),
        "imports_installed": put("env", "imports", value=["antigravity"]),
        "id": put("env", "id", value="evil:X-v0"),
        "id_from_run": put("env", "id", value="sent.evil:X-v0"),
        "wrapper": put("env", "wrappers", value={"evil:X": {}}),
        "wrapper_installed": put("env", "wrappers", value={"subprocess:Popen": {"shell": True}}),
        "algo": put("algo", value={"name": "evil:X"}),
    }
    for name, change in changes.items():
        prepare = both(stranger(run, change), plant)
        for command in (EVALUATE, RESUME, ("reproduce", "run=sent"), ("verify-resume", "run=sent")):
            yield Attack("A11", f"{name}_{command[0]}", command, prepare, UNSAFE)
        yield Attack("A11", f"{name}_trust", (*EVALUATE, "trust=yes"), prepare, WRONG)
    known = both(stranger(run, put("env", "imports", value=["panda_gym"])), plant)
    yield Attack("A11", "known_package", EVALUATE, known, {2, 3, 7})
    yield Attack("A11", "planted", EVALUATE, both(stranger(run), plant), HARMLESS)
    for name, text in {
        "imports": "env: {imports: [evil]}\n",
        "id": "env: {id: 'evil:X-v0'}\n",
        "wrapper": "env: {wrappers: {'evil:X': {}}}\n",
    }.items():
        file = both(written({"got/hyperparams/ppo/CartPole.yaml": text}), plant)
        yield Attack("A11", f"validate_{name}", ("validate", "got"), file, {0, 2})
        own = both(written({"hyperparams/ppo/CartPole.yaml": text}), plant)
        yield Attack("A11", f"validate_own_{name}", ("validate", "hyperparams"), own, WRONG)
        yield Attack("A11", f"tuned_set_{name}", ("train", "algo=ppo", "env=CartPole"), own, WRONG)
        shadow = both(written({"conf/experiment/unit1_lunarlander.yaml": text}), plant)
        yield Attack("A11", f"shadow_{name}", ("train", "experiment=unit1_lunarlander"), shadow, WRONG)
    file = both(written({"conf/env/x.yaml": "defaults: [gym, _self_]\nid: 'evil:X-v0'\n"}), plant)
    yield Attack("A11", "validate_env", ("validate", "conf/env/x.yaml"), file, {0, 2})
    shadow = both(written({"conf/env/CartPole.yaml": "defaults: [gym, _self_]\nid: 'evil:X-v0'\n"}), plant)
    yield Attack("A11", "shadow_env", ("train", "algo=ppo", "env=CartPole"), shadow, WRONG)


def _resolvers(run: Path) -> Iterator[Attack]:
    """A12: references that read the environment or run a function."""
    texts = (
        "${oc.env:CANARY_PLAIN}",
        "${n_jobs}${oc.env:CANARY_PLAIN}",
        "${oc.env:${oc.env:X,CANARY_PLAIN}}",
        "${env:CANARY_PLAIN}",
        "${hydra:runtime.cwd}",
        "${oc.decode:${oc.env:CANARY_PLAIN}}",
        "${oc.create:{a: 1}}",
        "x${ oc.env : CANARY_PLAIN }",
        "${oc.env:\nCANARY_PLAIN}",
        "${custom:os.system}",
        "${oc.${launcher.name}:CANARY_PLAIN}",
        "${${launcher.name}:CANARY_PLAIN}",
        "${algo.name}" * 100,
    )
    for index, text in enumerate(texts):
        quoted = json.dumps(text)
        file = written({"hyperparams/ppo/CartPole.yaml": f"env:\n  summary: {quoted}\n"})
        request = ("algo=ppo", "env=CartPole")
        for command in (("train", *request, "--cfg", "job"), ("show", *request)):
            yield Attack("A12", f"file_{index}_{command[0]}", command, file, WRONG)
        yield Attack("A12", f"run_{index}", EVALUATE, stranger(run, put("env", "summary", value=text)), WRONG)
        yield Attack("A12", f"resume_{index}", RESUME, stranger(run, put("env", "summary", value=text)), WRONG)
        listed = put("env", "kwargs", value={"a": [{"b": text}]})
        yield Attack("A12", f"nested_{index}", EVALUATE, stranger(run, listed), REFUSED)
        words = ("train", "algo=ppo", "env=CartPole", "--cfg", "job", f"env.summary='{text}'")
        yield Attack("A12", f"word_{index}", words, written({}), WRONG)


HOSTILE_NAMES = (
    "../evil", "/etc/passwd", "..\\evil", "C:\\evil", "C:evil", "\\\\host\\share\\evil", "a/../../evil",
    "a//b", "a/./b",
    "a\0b", "a" * 300, "a/" + "b" * 300, "", ".", "..", "~/evil", ".git/hooks/x", "NUL", "con.txt", "a/aux", "name.",
    "name ", "-rf", "a:stream", "a\nb", "a\x1b[2J", "\u202egnp", "//host/evil", "a/.ssh/x", "lpt1.pkl",
)  # fmt: skip


def _names(run: Path) -> Iterator[Attack]:
    """A13: file names that lead elsewhere, in a manifest and on the command line."""
    for index, name in enumerate(HOSTILE_NAMES):

        def prepare(folder: Path, name: str = name) -> None:
            stranger(run)(folder)
            sign(folder / "sent" / "checkpoints" / "best", {f"{name}algorithm.json": "algorithm.json"})
            sign(folder / "sent" / "checkpoints" / "last", {f"{name}/algorithm.safetensors": "algorithm.safetensors"})

        words = (*EVALUATE, f"checkpoint={('best', 'last')[index % 2]}")
        yield Attack("A13", f"manifest_{index}", words, prepare, {0, 5})
    for index, name in enumerate(("../../x", "/etc", "..", "best/../../../x", "a" * 300, "..\\x")):
        yield Attack("A13", f"checkpoint_{index}", (*EVALUATE, f"checkpoint={name}"), stranger(run), REFUSED)
        words = ("evaluate", f"run={name}", "n_episodes=1", "runs_dir=sent")
        yield Attack("A13", f"run_{index}", words, stranger(run), REFUSED)


def sign(checkpoint: Path, more: dict[str, str]) -> None:
    """Give a checkpoint's manifest further names, each with size and hash of a file that is there."""
    manifest = json.loads((checkpoint / "manifest.json").read_text())
    manifest.pop("sha256")
    for name, file in more.items():
        manifest["files"][name] = manifest["files"][file]
    text = json.dumps(manifest, sort_keys=True).encode()
    manifest["sha256"] = hashlib.sha256(text).hexdigest()
    (checkpoint / "manifest.json").write_text(json.dumps(manifest))


STEERING = "\x1b]0;owned\x07\x1b[2J\x1b[31m[red]x[/red]\u202e\x9b1m\r\x08"
FORGED = "rlzoo: all is well"
"""A line that only rlzoo may say."""
INJECTIONS = (
    "CartPole-v1\n---\ninjected: true",
    f"CartPole-v1{STEERING}",
    "[link=http://evil]CartPole-v1[/link]",
    "CartPole-v1'\"`$(touch CANARY)`",
    "<script>alert(1)</script>",
    "=cmd|'/c calc'!A1",
    "# x\n- !!python/none",
    f"CartPole-v1\n{FORGED}\r\n{FORGED}\u2028{FORGED}",
)


def _told(text: str) -> Prepare:
    """All that a run says of itself in words."""

    def prepare(folder: Path) -> None:
        info, results = (folder / "sent" / name for name in ("info.json", "results.json"))
        said = {"words": [text], "notices": [text], "hyperparams": [text], "variables": {text: text}, "resume": text}
        said |= {"versions": {text: text, "torch": text}, "python": text, "platform": text, "cpu": text, "gpu": text}
        info.write_text(json.dumps(json.loads(info.read_text()) | said))
        entries = [entry | {"checkpoint": text, "date": text} for entry in json.loads(results.read_text())]
        results.write_text(json.dumps(entries))

    return prepare


def _texts(run: Path) -> Iterator[Attack]:
    """A18: text that would become structure in what is generated from it."""
    for index, text in enumerate(INJECTIONS):
        for path in (("env", "id"), ("env", "summary"), ("algo", "name"), ("runs_dir",)):
            prepare = stranger(run, put(*path, value=text))
            name = f"{'_'.join(path)}_{index}"
            yield Attack("A18", f"list_{name}", ("list", "runs", "runs_dir=."), prepare, HARMLESS)
            yield Attack("A18", f"evaluate_{name}", EVALUATE, prepare, {0, 2, 3, 4, 5, 7})
        words = ("train", "algo=ppo", "env=gym", f"env.id={json.dumps(text)}", "total_timesteps=64")
        yield Attack("A18", f"word_{index}", words, written({}), {2, 3})
        info = json.dumps({"status": text, "started": text})
        yield Attack("A18", f"status_{index}", ("list", "runs", "runs_dir=."), stranger(run, info__json=info), HARMLESS)

        told = both(stranger(run, put("env", "summary", value=text)), _told(text))
        for command in (("reproduce", "run=sent", "into=runs"), EVALUATE):
            yield Attack("A18", f"told_{command[0]}_{index}", command, told, {0, 2, 4, 5, 7})
        for command in (("leaderboard", "runs_dir=.", "n_episodes=1"), ("certify", "sent")):
            yield Attack("A18", f"told_{command[0]}_{index}", command, told, HARMLESS | STORAGE)

        def renamed(folder: Path, text: str = text) -> None:
            shutil.copytree(run, folder / text.replace("/", "_").replace("\0", "_"))

        yield Attack("A18", f"folder_{index}", ("list", "runs", "runs_dir=."), renamed, HARMLESS)


SWAP = """
import os, sys
opened = []
def hook(event, args):
    if event == "open" and str(args[0]).endswith("{name}") and "/sent/" in os.path.abspath(str(args[0])):
        opened.append(1)
        if len(opened) == {at}:
            with_other = os.path.abspath("sent/.other")
            os.replace(with_other, str(args[0]))
sys.addaudithook(hook)
"""


def _swaps(run: Path) -> Iterator[Attack]:
    """A19: a file exchanged for another between two of its openings."""
    for name in ("algorithm.safetensors", "algorithm.json", "manifest.json", "config.yaml"):
        for at in (1, 2, 3):

            def prepare(folder: Path, name: str = name) -> None:
                stranger(run)(folder)
                (folder / "sent" / ".other").write_bytes(
                    b"\x08\0\0\0\0\0\0\0{}      " if "safe" in name else b"[" * 100
                )

            yield Attack("A19", f"{name}_{at}", EVALUATE, prepare, {0, 2, 5}, before=SWAP.format(name=name, at=at))


def _tables(run: Path) -> Iterator[Attack]:
    """A22: results, tables and records that do not hold what they should."""
    entry = {"mean_reward": 1, "checkpoint": "last", "num_timesteps": 1, "std_reward": 0, "result": 1}
    results = {
        "huge": json.dumps([{**entry, "mean_reward": 1}]).replace('"mean_reward": 1', '"mean_reward": 1e999999'),
        "digits": f'[{{"mean_reward": {"9" * 100_000}}}]',
        "digits_few": f'[{{"mean_reward": {"9" * 4000}}}]',
        "types": json.dumps([{**entry, "mean_reward": {"a": [1]}, "num_timesteps": "=cmd|'/c calc'!A1"}]),
        "control": json.dumps([{**entry, "checkpoint": STEERING, "mean_reward": STEERING}]),
        "nan": "[{\"mean_reward\": NaN, \"std_reward\": -Infinity}]",
        "depth": "[" * 200_000,
        "wide": "[" + "[]," * 5_000_000 + "[]]",
        "line": "[" + " " * (100 * 2**20) + "]",
        "binary": b"\0\xff\xfe" * 1000,
        "no_list": '{"a": 1}',
        "entries": "[1, null, []]",
    }  # fmt: skip
    for name, content in results.items():
        prepare = stranger(run, results__json=content)
        yield Attack("A22", f"list_{name}", ("list", "runs", "runs_dir=."), prepare, HARMLESS)
        yield Attack("A22", f"json_{name}", ("list", "runs", "runs_dir=.", "--json"), prepare, HARMLESS)
        yield Attack("A22", f"evaluate_{name}", EVALUATE, prepare, {0, 5})
        yield Attack("A22", f"info_{name}", ("list", "runs", "runs_dir=."), stranger(run, info__json=content), HARMLESS)
    tables = {
        "formula": "step,=cmd|'/c calc'!A1\n64,=1+1\n",
        "numbers": f"step,a\n{'9' * 5000},1e99999\n",
        "control": f"step,{STEERING}\n64,{STEERING}\n",
        "nul": "step,a\n\0,\0\n",
        "line": "step,a\n" + "x" * (100 * 2**20),
        "field": "step,a\n1," + "x" * (100 * 2**20) + "\n",
        "rows": "step\n" + "\n" * 2_000_000,
        "binary": b"\xff\xfe\0" * 1000 + b"\n",
        "quote": 'step,"a\n' + "1,2\n" * 1000,
    }
    for name, content in tables.items():
        for table in ("metrics__csv", "evaluations__csv", "timings__csv"):
            prepare = stranger(run, **{table: content})
            yield Attack("A22", f"resume_{table[:-5]}_{name}", RESUME, prepare, {0, 5})


def _locks(run: Path) -> Iterator[Attack]:
    """A24: something else where the lock should be."""

    def plant(make: Callable[[Path, Path], None]) -> Prepare:
        def prepare(folder: Path) -> None:
            stranger(run)(folder)
            victim = folder / "victim"
            victim.write_text("precious")
            lock = folder / "sent" / ".lock"
            lock.unlink(missing_ok=True)
            make(lock, victim)

        return prepare

    kinds = {
        "link": lambda lock, victim: lock.symlink_to(victim),
        "dangling": lambda lock, victim: lock.symlink_to(victim.with_name("canary")),
        "folder_link": lambda lock, victim: lock.symlink_to(victim.parent),
        "loop": lambda lock, victim: lock.symlink_to(lock),
        "folder": lambda lock, victim: lock.mkdir(),
        "pipe": lambda lock, victim: os.mkfifo(lock),
        "unreadable": lambda lock, victim: (lock.write_text(""), lock.chmod(0)),
    }
    for name, make in kinds.items():
        for own in (True, False):
            who = "own" if own else "sent"
            yield Attack("A24", f"{name}_{who}", RESUME, plant(make), {0, 5, 7}, own=own)


def _links(linked: Callable[[str, str], Prepare]) -> Iterator[Attack]:
    """A25: further commands, the user's own run, and places that are named through somebody's folder."""
    package = ("package", "run=sent", "video=false", "folder=runs/package")
    every = (EVALUATE, RESUME, package, ("reproduce", "run=sent"), ("verify-resume", "run=sent"), ("enjoy", "run=sent"))
    for command in every:
        file, folder = linked("evaluations.csv", "file"), linked("checkpoints", "")
        yield Attack("A25", f"own_{command[0]}", command, file, UNSAFE, own=True)
        yield Attack("A25", f"trust_{command[0]}", (*command, "trust=true"), folder, UNSAFE)
    for command in ("list runs", "leaderboard", "certify"):
        for name in ("config.yaml", "info.json", "results.json"):
            words = (*command.split(), "runs_dir=.")
            yield Attack("A25", f"scan_{name}_{words[0]}", words, linked(name, "file"), HARMLESS)
    short = ("total_timesteps=64", "algo.n_steps=32", "algo.batch_size=32")
    train = ("train", "algo=ppo", "env=CartPole", *short)
    through = {
        "runs_dir": (*train, "runs_dir=sent/videos/new"),
        "init_from": (*train, "init_from=sent/videos/x.zip"),
        "into": ("reproduce", "run=sent", "into=sent/videos"),
        "keep": ("verify-resume", "run=sent", "keep=sent/videos/new"),
        "folder": (*package, "folder=sent/videos/new"),
        "certificate": ("certify", "runs_dir=.", "name=Ada", "folder=sent/videos"),
        "film": ("record", "run=sent", "path=sent/videos/new.mp4"),
    }
    for key, words in through.items():
        codes = {0} if key == "certificate" else {2} if key == "init_from" else UNSAFE  # nothing was passed
        yield Attack("A25", f"through_{key}", words, linked("videos", ""), codes)


USES = (
    *(EVALUATE, RESUME, ("reproduce", "run=sent"), ("verify-resume", "run=sent")),
    *(("enjoy", "run=sent", "render=none"), ("package", "run=sent", "video=false")),
)
"""Commands that read a run's configuration to play or to train; a film would start its encoder first."""
LARGE: dict[str, tuple[tuple[str, ...], object]] = {
    "frames": (("env", "frame_stack"), 2_000_000),
    "threads": (("torch_threads",), 1_000_000),
    "environments": (("env", "n_envs"), 100_000),
    "image": (("env", "wrappers"), {"resize": {"shape": [100_000, 100_000]}}),
    "episodes": (("eval", "final_n_episodes"), 10**15),
    "batch": (("algo", "batch_size"), -5),
    "network": (("algo", "policy_kwargs"), {"net_arch": [60_000, 60_000]}),
    "networks": (("algo", "policy_kwargs"), {"net_arch": {"pi": [64], "vf": [60_000, 60_000]}}),
    "width": (("algo", "policy_kwargs"), {"net_arch": [10**12]}),
}
"""A key and a value that no request could have."""
LARGE_TO_TRAIN: dict[str, tuple[tuple[str, ...], object]] = {
    "rollout": (("algo", "n_steps"), 10**12),
    "device": (("device",), "cuda:99"),
}


def _sizes(run: Path) -> Iterator[Attack]:
    """S11: a configuration that asks for more than a request may."""
    for command in USES:
        trains = command in (RESUME, ("reproduce", "run=sent"), ("verify-resume", "run=sent"))
        for name, (keys, value) in {**LARGE, **(LARGE_TO_TRAIN if trains else {})}.items():
            prepare = stranger(run, put(*keys, value=value))
            yield Attack("S11", f"{name}_{command[0]}_{command[1]}", command, prepare, WRONG | UNSAFE)


def _places(run: Path) -> Iterator[Attack]:
    """A25: configurations and folders that point out of their run."""
    outside = put("runs_dir", value="../outside")
    yield Attack("A25", "runs_dir_resume", RESUME, stranger(run, outside), HARMLESS)
    yield Attack("A25", "runs_dir_reproduce", ("reproduce", "run=sent"), stranger(run, outside), HARMLESS)
    yield Attack("A25", "runs_dir_evaluate", EVALUATE, stranger(run, outside), HARMLESS)
    tracked = put("logger", value={"mlflow": {"tracking_uri": "sqlite:///../outside/x.db"}})
    yield Attack("A25", "tracker", RESUME, stranger(run, tracked), UNSAFE)
    named = {
        "model": {"xml_file": "/etc/passwd"},
        "hidden": {"scenario_file": ".evil.cfg"},
        "home": {"model": "~root"},
        "windows": {"path": "C:evil.cfg"},
        "module": {"env_id": "evil:Foo-v0"},
        "deep": {"options": [{"a": {"../evil": 1}}]},
    }
    for name, kwargs in named.items():
        prepare = stranger(run, lambda config, kwargs=kwargs: config["env"].update(kwargs=kwargs))
        yield Attack("A25", f"kwargs_{name}", EVALUATE, prepare, UNSAFE)

    def linked(name: str, to: str) -> Prepare:
        def prepare(folder: Path) -> None:
            stranger(run)(folder)
            (folder / "victim").mkdir()
            (folder / "victim" / "file").write_text("precious")
            path = folder / "sent" / name
            if path.is_dir():
                shutil.rmtree(path)
            path.unlink(missing_ok=True)
            path.symlink_to(folder / "victim" / to)

        return prepare

    for name in ("metrics.csv", "timings.csv", "evaluations.csv", "train.log", "results.json", ".lock", "new.json"):
        for command in (RESUME, EVALUATE):
            yield Attack("A25", f"link_{name}_{command[0]}", command, linked(name, "file"), UNSAFE)
    for name in ("checkpoints", "tensorboard", "videos", "wandb"):
        yield Attack("A25", f"link_{name}", RESUME, linked(name, ""), {4, 5, 7})
    yield from _links(linked)
    for index, name in enumerate(("../../outside/x", "..", "/etc/x", "a/../../x", "..\\x")):
        words = ("train", "algo=ppo", "env=gym", f"env.id={name}", "total_timesteps=64")
        yield Attack("A25", f"env_{index}", words, written({}), {2, 3})
        yield Attack("A25", f"algo_{index}", ("train", f"algo={name}", "env=CartPole"), written({}), WRONG)
        change = put("env", "id", value=name)
        yield Attack("A25", f"run_env_{index}", EVALUATE, stranger(run, change), {2, 3, 4, 7})
