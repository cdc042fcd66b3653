"""Every field of a run's files with values that it cannot have, and everything that reads such files."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

import rlzoo
from rlzoo import agent, checkpoints, plotting, run_lock
from rlzoo.cli import main
from rlzoo.commands import load_from_hub, reproduce, resume
from rlzoo.config import yaml_file
from rlzoo.config.compose import compose
from rlzoo.config.parse import parse
from rlzoo.hub import own_files, zoo_files
from rlzoo.info import collect
from rlzoo.init_from import check as check_init_from
from rlzoo.run_config import RunConfig
from rlzoo.runs import Run

FILES = ("info.json", "results.json", "config.yaml", "checkpoints/last/manifest.json", "evaluations.csv")
ODD: dict[str, Any] = {
    "null": None,
    "truth": True,
    "negative": -5,
    "digits": 10**400,
    "nan": float("nan"),
    "large": 1.5e308,
    "text": "5",
    "half": "\ud800",
    "empty": [],
    "list": [1, {"a": [2]}],
    "mapping": {"a": {"b": 1}},
    "deep": json.loads("[" * 900 + "]" * 900),
}
HUB = {
    **{"repo_id": "a/b", "commit": "0" * 40, "revision": None, "layout": "rlzoo", "file": "x", "published": ""},
    **{"assumed": ["one"], "wishes": {"file": None, "algo": None, "env.id": None}},
    "trusted": [{"file": "x", "size": 1, "sha256": "0" * 64, "source": "y"}],
}


def train(root: Path) -> Run:
    """A short finished run that has everything: evaluations, a table of values, a record of where it comes from."""
    words = (
        "algo=q_learning env=FrozenLake total_timesteps=60 eval.freq=30 eval.n_episodes=1 eval.selection_n_episodes=2"
    )
    run = rlzoo.train(*words.split(), "eval.final_n_episodes=2", "seed=1", "logger=csv", f"runs_dir={root}")
    run.update_info(hub=HUB, resumed=[{"from": 30, "changes": ["logger: 1 -> 2"]}], git={"commit": "a", "dirty": False})
    return run


def fields(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The place of every value; of a list that of its first one."""
    yield path
    below = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for key, child in below:
        yield from fields(child, (*path, key))


def content(run: Run, file: str) -> Any:
    """What a file holds; of a table its cells."""
    text = (run.path / file).read_text()
    if file.endswith(".csv"):
        return [line.split(";") for line in text.splitlines()]
    return yaml.safe_load(text) if file.endswith(".yaml") else json.loads(text)


def put(run: Run, file: str, path: tuple[Any, ...], value: Any, into: Path) -> Run:
    """A copy of the run with one value replaced; a manifest is right about itself, as its author would have it."""
    shutil.copytree(run.path, into)
    whole = replaced(content(run, file), path, value)
    if file.endswith(".csv"):
        text = "\n".join(";".join(map(str, row)) if isinstance(row, list) else str(row) for row in as_list(whole))
        (into / file).write_bytes(text.encode(errors="surrogatepass"))
        return Run(into)
    if file.endswith("manifest.json") and isinstance(whole, dict) and path != ("sha256",):
        whole.pop("sha256", None)
        whole["sha256"] = hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()
    text = yaml_file.dump(whole) if file.endswith(".yaml") else json.dumps(whole)
    (into / file).write_bytes(text.encode(errors="surrogatepass"))
    return Run(into)


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def replaced(whole: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    copy = dict(whole) if isinstance(whole, dict) else list(whole)
    copy[path[0]] = replaced(whole[path[0]], path[1:], value)
    return copy


READERS: dict[str, Callable[[Run], Any]] = {
    "list": lambda run: main(["list", "runs", f"runs_dir={run.path.parent}"]),
    "list_json": lambda run: main(["list", "runs", f"runs_dir={run.path.parent}", "--json"]),
    "leaderboard": lambda run: main(["leaderboard", f"runs_dir={run.path.parent}", "n_episodes=1", "--json"]),
    "by_algo": lambda run: main(["leaderboard", f"runs_dir={run.path.parent}", "n_episodes=1", "by=algo"]),
    "certify": lambda run: main(["certify", f"runs_dir={run.path.parent}"]),
    "show": lambda run: main(["show", f"run={run.path}"]),
    "describe": load_from_hub.describe,
    "print": lambda run: load_from_hub._print(load_from_hub.describe(run)),
    "package": own_files.published_info,
    "evaluations": zoo_files.evaluations,
    "curve": lambda run: plotting.learning_curve(run, run.path / "x.png"),
    "compare": lambda run: (reproduce.compare(run, run), reproduce.curve(run, run)),
    "differences": lambda run: reproduce.differences({**run.read_info(), "git_diff": run.read_git_diff()}, collect()),
    "remarks": lambda run: reproduce._check(run, RunConfig.open(run).read(training=True), run.read_info()),
    "resume": lambda run: resume.newest_boundary(resume.request([f"resume={run.path}"])[0]),
    "owner": run_lock.owner,
    "steps": lambda run: [checkpoint.num_timesteps for checkpoint in run.checkpoints()],
    "verify": lambda run: [checkpoints.verify(checkpoint) for checkpoint in run.checkpoints()],
    "load": agent.load,
    "init_from": lambda run: check_init_from(_beginning_with(run)),
    "unfinished": lambda run: resume.find_unfinished(_beginning_with(run)),
}


def _beginning_with(run: Run) -> Any:
    words = ("algo=q_learning", "env=FrozenLake", f"init_from={run.path}", f"runs_dir={run.path.parent}")
    return parse(compose("train", words).values)
