"""Every field of a run's files with values that it cannot have, and everything that reads such files."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

import rlzoo
from rlzoo.cli.main import main
from rlzoo.config import yaml_file
from rlzoo.config.compose import compose
from rlzoo.config.parse import parse
from rlzoo.evaluation import agent, plot
from rlzoo.hub import pull
from rlzoo.hub.formats import rl_zoo3
from rlzoo.hub.formats.rlzoo import published_info
from rlzoo.hub.pull import describe
from rlzoo.runs import checkpoints, lock
from rlzoo.runs.config import RunConfig
from rlzoo.runs.info import collect
from rlzoo.runs.run import Run
from rlzoo.training import reproduce, resume
from rlzoo.training.init_from import check as check_init_from

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
    "deep": json.loads("[" * 100 + "]" * 100),
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
    if isinstance(value, list) and len(value) > 1 and isinstance(value[1], list):
        yield from fields(value[1], (*path, 1))  # a table's first row is below its columns


def content(run: Run, file: str) -> Any:
    """What a file holds; of a table its cells."""
    text = (run.path / file).read_text()
    if file.endswith(".csv"):
        return list(csv.reader(text.splitlines()))
    return yaml.safe_load(text) if file.endswith(".yaml") else json.loads(text)


def put(run: Run, file: str, path: tuple[Any, ...], value: Any, into: Path) -> Run:
    """A copy of the run with one value replaced; a manifest is right about itself, as its author would have it."""
    shutil.copytree(run.path, into)
    whole = replaced(content(run, file), path, value)
    if file.endswith(".csv"):
        table = io.StringIO()
        csv.writer(table).writerows(map(as_list, as_list(whole)))
        (into / file).write_bytes(table.getvalue().encode(errors="surrogatepass"))
        return Run(into)
    if file.endswith("manifest.json") and isinstance(whole, dict) and path != ("sha256",):
        whole.pop("sha256", None)
        whole["sha256"] = hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()
    text = yaml_file.dump(whole) if file.endswith(".yaml") else json.dumps(whole)
    (into / file).write_bytes(text.encode(errors="surrogatepass"))
    return Run(into)


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [_as_text(value)]


def _as_text(value: Any) -> str:
    return hex(value) if isinstance(value, int) else str(value)  # Python writes no 10^400


def replaced(whole: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    copy = dict(whole) if isinstance(whole, dict) else list(whole)
    copy[path[0]] = replaced(whole[path[0]], path[1:], value)
    return copy


def _load(run: Run) -> None:
    with agent.explained("loading"):
        agent.load(run)


READERS: dict[str, Callable[[Run], Any]] = {
    "list": lambda run: main(["list", "runs", f"runs_dir={run.path.parent}"]),
    "list_json": lambda run: main(["list", "runs", f"runs_dir={run.path.parent}", "--json"]),
    "leaderboard": lambda run: main(["leaderboard", f"runs_dir={run.path.parent}", "n_episodes=1", "--json"]),
    "by_algo": lambda run: main(["leaderboard", f"runs_dir={run.path.parent}", "n_episodes=1", "by=algo"]),
    "certify": lambda run: main(["certify", f"runs_dir={run.path.parent}"]),
    "show": lambda run: main(["show", f"run={run.path}"]),
    "describe": lambda run: "hub" in run.read_info() and describe(run),
    "print": lambda run: "hub" in run.read_info() and pull.show(describe(run)),
    "package": published_info,
    "evaluations": rl_zoo3.evaluations,
    "curve": lambda run: (plot.training_curve(run), plot.evaluation_curve(run)),
    "compare": lambda run: (reproduce.compare(run, run), reproduce.curve(run, run)),
    "differences": lambda run: reproduce.differences({**run.read_info(), "git_diff": run.read_git_diff()}, collect()),
    "remarks": lambda run: reproduce._check(run, RunConfig.open(run).read(training=True), run.read_info()),
    "resume": lambda run: resume.newest_boundary(resume.request([f"resume={run.path}"])[0]),
    "owner": lock.owner,
    "steps": lambda run: [checkpoint.num_timesteps for checkpoint in run.checkpoints()],
    "verify": lambda run: [checkpoints.verify(checkpoint) for checkpoint in run.checkpoints()],
    "load": _load,
    "init_from": lambda run: check_init_from(_beginning_with(run)),
    "unfinished": lambda run: resume.find_unfinished(_beginning_with(run)),
}


def _beginning_with(run: Run) -> Any:
    return replace(_request(), init_from=str(run.path), runs_dir=str(run.path.parent))


@cache
def _request() -> Any:
    return parse(compose("train", ("algo=q_learning", "env=FrozenLake")).values)
