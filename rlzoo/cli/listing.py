"""The rows of `rlzoo list`: algorithms, environments, tuned sets, experiments and runs, and agents on the Hub."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlzoo.console import print_lines, print_table, say
from rlzoo.errors import RlzooError
from rlzoo.evaluation.evaluate import checkpoint_text

if TYPE_CHECKING:
    from rlzoo.runs.run import Run

Rows = list[dict[str, Any]]

N_MODELS = 20
SPARE = {"hub": ("likes", "downloads", "date", "std", "mean"), "runs": ("random play",)}
"""Columns that a narrow terminal goes without."""


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


def envs() -> Rows:
    """Every named environment: its id, spaces, the extra it needs, and the algorithms with a tuned set for it."""
    from rlzoo.config import files
    from rlzoo.config.files import read_choice

    tuned: dict[str, list[str]] = {}
    for name in files.options("hyperparams"):
        algo, _, env = name.partition("/")
        tuned.setdefault(env, []).append(algo)
    rows = []
    for name in files.options("env"):
        values = read_choice("env", name)
        family = "atari" if "atari" in (values.get("wrappers") or {}) else ""
        rows.append(
            {
                "env": name,
                "id": "any: env.id=…" if values["id"] == "???" else values["id"],
                "observation": values["observation_space"],
                "action": values["action_space"],
                "extra": values["extra"] or "",
                "tuned for": sorted({*tuned.get(name, ()), *tuned.get(family, ())}),
                "summary": values["summary"],
            }
        )
    return rows


def hyperparams() -> Rows:
    """Every tuned set, with where it comes from."""
    from rlzoo.config import files
    from rlzoo.config.files import header

    rows = []
    for name in files.options("hyperparams"):
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


def runs(runs_dir: str = "runs") -> Rows:
    """Every run below a folder, newest first, with its last evaluation; what cannot be read is listed as damaged."""
    from rlzoo.runs.run import find_runs

    return [_run_row(run) for run in sorted(find_runs(Path(runs_dir)), key=lambda run: run.path.name, reverse=True)]


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


def _run_row(run: Run) -> dict[str, Any]:
    from rlzoo.runs import lock

    about, scored = ("run", "algo", "env", "seed", "status", "trained"), ("mean", "std", "mean - std", "random play")
    row: dict[str, Any] = dict.fromkeys((*about, "checkpoint", *scored))
    row |= {"run": str(run.path), "status": "damaged"}
    try:
        config, info, results = run.read_config(), run.read_info(), run.read_results()
        row |= {"algo": config["algo"]["name"], "env": config["env"]["id"], "seed": config["seed"]}
    except (RlzooError, KeyError, TypeError):
        return row
    status = lock.status(run, info)
    row |= {"status": status, "trained": run.trained_timesteps() or None}
    entry = next((entry for entry in reversed(results) if entry.get("checkpoint") == "last"), None)
    entry = entry or (results[-1] if results else None)
    if entry is None:
        return row | {"checkpoint": "no evaluation at the end" if status == "finished" else "not evaluated"}
    steps = entry.get("num_timesteps")
    scores = {"mean": "mean_reward", "std": "std_reward", "mean - std": "result"}
    name = checkpoint_text(str(entry.get("checkpoint")), steps if isinstance(steps, int) else None)
    row |= {"checkpoint": name, "random play": (entry.get("random") or {}).get("mean_reward")}
    return row | {column: entry.get(key) for column, key in scores.items()}


KINDS: dict[str, Callable[..., Rows]] = {
    each.__name__: each for each in (algos, envs, hyperparams, experiments, runs, hub)
}
"""What makes the rows behind each word; its parameters are what can be set."""


def show(kind: str, rows: Rows) -> None:
    """Print rows for people."""
    columns = list(rows[0]) if rows else []
    print_table(columns, [[_cell(row[column]) for column in columns] for row in rows], spare=SPARE.get(kind, ()))
    print_lines(f"{len(rows)} {'models' if kind == 'hub' else kind}")
    if kind == "runs" and rows:
        print("The newest evaluation of each last checkpoint; std is over the episodes of that one policy.")
    if kind == "hub":
        print("The scores are what the authors state; nobody has checked them. rlzoo load-from-hub repo_id=… gets one.")


def _cell(value: Any) -> Any:
    return ", ".join(map(str, value)) if isinstance(value, Sequence) and not isinstance(value, str) else value
