"""The rows of `rlzoo list`: algorithms, environments, tuned sets, experiments and runs, and agents on the Hub."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from rlzoo.cli.columns import Screen, print_records, width
from rlzoo.console import print_lines, say
from rlzoo.errors import ConfigError, RlzooError
from rlzoo.evaluation.evaluate import checkpoint_text
from rlzoo.registry import lookup

if TYPE_CHECKING:
    from rlzoo.runs.index import Known
    from rlzoo.runs.run import Run

Rows = list[dict[str, Any]]

N_MODELS = 20
SCREENS = {
    "algos": Screen(["algo"], ["summary", "actions", "from", "aliases", "paper"], "summary"),
    "envs": Screen(["env"], ["summary", "action", "id", "extra", "observation", "tuned for"], "summary"),
    "hyperparams": Screen(["set"], ["total_timesteps", "score", "date", "source"], "score", 24),
    "experiments": Screen(["experiment"], ["env", "algo", "total_timesteps", "about"], "about"),
    "runs": Screen(
        ["run", "mean - std"],
        ["status", "trained", "checkpoint", "mean", "std", "episodes", "cut", "random play", "algo", "env", "seed"],
    ),
    "hub": Screen(["model", "mean - std"], ["env", "algo", "mean", "std", "date", "downloads", "likes"]),
}


def algos() -> Rows:
    """Every algorithm: what it is, the action spaces it takes, its paper."""
    from rlzoo.algos.specs import all_specs

    return [
        {
            "algo": spec.name,
            "summary": spec.summary,
            "from": spec.backend,
            "actions": list(spec.action_spaces),
            "aliases": list(spec.aliases),
            "paper": spec.paper,
        }
        for spec in all_specs()
    ]


def envs(algo: str = "", family: str = "") -> Rows:
    """Every named environment: its id, spaces, the extra it needs, and the algorithms with a tuned set for it."""
    from rlzoo.config import files
    from rlzoo.config.files import read_choice

    algo = _algo(algo)
    lookup(dict.fromkeys(["", *files.options("family")]), family, "family")
    tuned: dict[str, list[str]] = {}
    for name in files.options("hyperparams"):
        of_algo, _, of_env = name.partition("/")
        tuned.setdefault(of_env, []).append(of_algo)
    rows = []
    for name in files.options("env"):
        values = read_choice("env", name)
        own = _family(values)
        tuned_for = sorted({*tuned.get(name, ()), *tuned.get(own, ())})
        if algo not in ("", *tuned_for) or family not in ("", own or "none"):
            continue
        rows.append(
            {
                "env": name,
                "id": "any: env.id=…" if values["id"] == "???" else values["id"],
                "observation": values["observation_space"],
                "action": values["action_space"],
                "extra": values["extra"] or "",
                "tuned for": tuned_for,
                "summary": values["summary"],
            }
        )
    return rows


def hyperparams(algo: str = "", env: str = "") -> Rows:
    """Every tuned set, with where it comes from; that of a family is one of all its environments."""
    from rlzoo.config import env_names, files
    from rlzoo.config.files import header, read_choice

    algo, names, shipped = _algo(algo), files.options("hyperparams"), files.options("env")
    env = env_names.name_of(env) if env else ""
    lookup(dict.fromkeys(["", *shipped, *(name.partition("/")[2] for name in names)]), env, "environment")
    wanted = (env, _family(read_choice("env", env))) if env in shipped else (env,)
    rows = []
    for name in names:
        of_algo, _, of_env = name.partition("/")
        if algo not in ("", of_algo) or (env and of_env not in wanted):
            continue
        about = header("hyperparams", name)
        found = files.find(f"hyperparams/{name}")
        steps = found.read().values.get("total_timesteps") if found else None
        about = {key: about.get(key, "") for key in ("score", "source", "date")}
        rows.append({"set": name, "total_timesteps": steps, **about})
    return rows


def experiments() -> Rows:
    """Every experiment: what it is, with which algorithm on which environment, for how long."""
    from rlzoo.config import files

    rows = []
    for name in files.options("experiment"):
        found = files.find(f"experiment/{name}")
        content = found.read() if found else None
        values = content.values if content else {}
        defaults = [entry for entry in values.get("defaults") or () if isinstance(entry, dict)]
        chosen = {key.removeprefix("override /"): value for entry in defaults for key, value in entry.items()}
        about = [line.lstrip("# ") for line in content.header if "@package" not in line] if content else []
        rows.append(
            {
                "experiment": name,
                "algo": chosen.get("algo", ""),
                "env": chosen.get("env", ""),
                "total_timesteps": values.get("total_timesteps"),
                "about": about[0] if about else "",
            }
        )
    return rows


def _family(env: dict[str, Any]) -> str:
    return "atari" if "atari" in (env.get("wrappers") or {}) else ""


def _algo(name: str) -> str:
    from rlzoo.algos.specs import ALGOS, ALIASES

    return lookup({"": "", **{algo: algo for algo in ALGOS}, **ALIASES}, name, "algorithm")


def runs(runs_dir: str = "runs", status: str = "", algo: str = "", env: str = "") -> Rows:
    """Every run below a folder, newest first, with its last evaluation; what cannot be read is listed as damaged."""
    from rlzoo.runs.index import summaries
    from rlzoo.runs.run import STATUSES, find_runs

    lookup(dict.fromkeys(("", *STATUSES, "killed", "damaged")), status, "status")
    found = sorted(find_runs(Path(runs_dir)), key=lambda run: run.path.name, reverse=True)
    known = summaries(found, runs_dir)
    if algo or env:
        found = _of(found, known, algo or None, env or None)
    rows = [_run_row(run, known) for run in found]
    return [row for row in rows if status in ("", row["status"])]


def _of(found: list[Run], known: Known, algo: str | None, env: str | None) -> list[Run]:
    """The runs of an algorithm and an environment, by whatever name."""
    from rlzoo.course.leaderboard import check_names, select
    from rlzoo.course.scores import read_runs

    scores, left_out = read_runs(found, 1, known=known)
    left_out = [left for left in left_out if not left.damaged]
    if problems := check_names([*scores, *left_out], env, algo):
        raise ConfigError(problems)
    chosen = {one.where for one in select(scores, env, algo)} | {one.where for one in select(left_out, env, algo)}
    return [run for run in found if str(run.path) in chosen]


def hub(user: str = "", tag: str = "", env: str = "", algo: str = "", n: str = str(N_MODELS)) -> Rows:
    """Agents on the Hugging Face Hub with the scores that their cards state, the best of each environment first."""
    from rlzoo.hub.listing import find_models, unknown_algo

    if not (n.isascii() and n.isdigit() and int(n[:9]) >= 1):
        raise RlzooError(f"n={n} is not a number of models", "n=20")
    if algo and (near := unknown_algo(algo)):
        raise RlzooError(near, "rlzoo list algos")
    found = find_models(user or None, tag or None, env or None, algo or None)
    limit = int(n[:9])
    if len(found) > limit:
        which = "the best" if env else "the most downloaded"  # results of several environments do not compare
        kept = found[:limit] if env else sorted(found, key=lambda model: -model.downloads)[:limit]
        say(f"{which} {limit} of {len(found)} models; n={len(found)} shows all")
        found = [model for model in found if model in kept]
    return [
        {
            "model": model.id,
            "algo": model.algo,
            "env": model.env,
            "mean - std": model.result,
            "mean": model.mean,
            "std": model.std,
            "downloads": model.downloads,
            "likes": model.likes,
            "date": model.date[:10],
        }
        for model in found
    ]


def _run_row(run: Run, known: Known) -> dict[str, Any]:
    from rlzoo.course.scores import played_alike, plays_deterministically
    from rlzoo.runs import lock

    about = ("run", "algo", "env", "seed", "status", "trained")
    scored = ("checkpoint", "episodes", "cut", "mean", "std", "mean - std", "random play")
    row: dict[str, Any] = dict.fromkeys((*about, *scored))
    row |= {"run": str(run.path), "status": "damaged"}
    found = known[run.path]
    if isinstance(found, RlzooError) or "seed" not in found.config:
        return row
    config, results, status = found.config, found.entries, lock.status(run, found.info)
    row |= {"algo": config["algo"]["name"], "env": config["env"]["id"], "seed": config["seed"]}
    row |= {"status": status, "trained": found.trained or None}
    alike = played_alike(results, plays_deterministically(config))
    own = [] if isinstance(alike, str) else alike
    entry = next((entry for entry in reversed(own) if entry.get("checkpoint") == "last"), None)
    entry = entry or (own[-1] if own else None)
    if entry is None and results:
        return row | {"checkpoint": "evaluated otherwise only"}
    if entry is None:
        return row | {"checkpoint": "no evaluation at the end" if status == "finished" else "not evaluated"}
    steps = entry.get("num_timesteps")
    scores = {"episodes": "n_episodes", "mean": "mean_reward", "std": "std_reward", "mean - std": "result"}
    name = checkpoint_text(str(entry.get("checkpoint")), steps if isinstance(steps, int) else None)
    row |= {"checkpoint": name, "random play": (entry.get("random") or {}).get("mean_reward")}
    row["cut"] = entry.get("n_cut") or None
    return row | {column: entry.get(key) for column, key in scores.items()}


KINDS: dict[str, Callable[..., Rows]] = {
    each.__name__: each for each in (algos, envs, hyperparams, experiments, runs, hub)
}
"""What makes the rows behind each word; its parameters are what can be set."""


def show(kind: str, rows: Rows, *, runs_dir: str = "runs", wide: bool = False) -> None:
    """Print rows for people, the names of runs as `run=` takes them; on a pipe, all that there is of each."""
    screen, room = SCREENS[kind], width()
    columns = list(rows[0]) if rows else [*screen.names, *screen.more]
    shorter = kind == "runs" and room is not None and not wide
    shown = [{**row, "run": _below(Path(row["run"]), runs_dir)} for row in rows] if shorter else rows
    left_out = print_records(columns, [[row[column] for column in columns] for row in shown], screen, wide=wide)
    unchecked = "The scores are what the authors state; nobody has checked them."
    if room is None:
        if kind == "hub":
            say(unchecked)
        return
    noun = "models" if kind == "hub" else kind
    notes = [f"{len(rows)} {noun[:-1] if len(rows) == 1 and noun != 'hyperparams' else noun}"]
    if left_out and rows:
        notes.append(f"wide=true shows {', '.join(left_out)} too")
    if kind == "runs" and rows:
        notes.append(
            "The newest evaluation of each last checkpoint in the run's own environment; "
            "std is over the episodes of that one policy."
        )
    if kind == "hub":
        notes += [unchecked, "rlzoo load-from-hub repo_id=… gets one."]
    print_lines(*(line for note in notes for line in wrap(note, room)))


def _below(path: Path, runs_dir: str) -> str:
    """The name of a run below `runs_dir`, unless that is another file or folder here."""
    name = str(path.relative_to(runs_dir)) if path.is_relative_to(runs_dir) else "."
    return str(path) if os.path.lexists(name) else name
