"""Agents in order of their results, from runs on this machine or from the Hub.

The number that counts is the result, mean - std of the returns, as in the Deep RL Course; equal results are ordered by
their means. A run stands in the list with its newest evaluation that counts: by `train` (of `best`, where there is one,
else of `last`), `evaluate` or `package`, whole episodes, at least as many as asked for, on the environment that the run
was trained in (`evaluate env.kwargs.gravity=-5` is no result of the run).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rlzoo import course
from rlzoo.config import files
from rlzoo.config.choices import read_choice
from rlzoo.envs import aliases, shipped
from rlzoo.errors import RlzooError, shorten
from rlzoo.registry import did_you_mean
from rlzoo.runs import Run, find_runs

if TYPE_CHECKING:
    from rlzoo.hub.listing import Model

N_EPISODES = 10
"""Episodes from which an evaluation counts: the course's."""


@dataclass(frozen=True)
class Score:
    """The result of one agent, or of one algorithm over its runs.

    Attributes:
        where: the run's path, or `owner/name` on the Hub.
        env: today's id of its environment.
        variant: how its keywords differ from those that rlzoo ships: `is_slippery=false`.
        mean, std: of the returns of `n_episodes` episodes; of several runs, the averages.
        iqm, ci: interquartile mean of the returns and its 95 % interval over these episodes; or over several runs.
        tags: of a model on the Hub.
        n_runs: how many runs it sums up.
    """

    where: str
    source: Literal["runs", "hub"]
    algo: str
    env: str
    mean: float
    std: float
    variant: str = ""
    n_episodes: int | None = None
    iqm: float | None = None
    ci: tuple[float, float] | None = None
    seed: int | None = None
    steps: int | None = None
    checkpoint: str = ""
    deterministic: bool | None = None
    date: str = ""
    tags: tuple[str, ...] = field(default=(), repr=False)
    n_runs: int = 1

    @property
    def result(self) -> float:
        return self.mean - self.std


@dataclass(frozen=True)
class LeftOut:
    """A run without a result that counts, and why."""

    where: str
    reason: str
    damaged: bool = False


@dataclass(frozen=True)
class Board:
    """The ranked agents of one environment; `rows` are (rank, score), equal ones share a rank."""

    env: str
    variant: str
    title: str
    rows: tuple[tuple[int, Score], ...]


def read_runs(runs: Iterable[Run], n_episodes: int = N_EPISODES) -> tuple[list[Score], list[LeftOut]]:
    """The score of every run that has one; a damaged run is left out and hides no other."""
    scores, left_out = [], []
    for run in runs:
        try:
            found = _read_run(run, n_episodes)
        except RlzooError as error:
            found = LeftOut(str(run.path), error.message, damaged=True)
        except (KeyError, TypeError, ValueError, AttributeError):
            found = LeftOut(str(run.path), "its config.yaml names no algorithm and environment", damaged=True)
        (scores if isinstance(found, Score) else left_out).append(found)  # type: ignore[arg-type]
    return scores, left_out


def runs_below(root: Path | str) -> list[Run]:
    """Every run below a folder, the oldest first."""
    return sorted(find_runs(Path(root)), key=lambda run: (run.path.name, str(run.path)))


def read_models(models: Iterable[Model]) -> tuple[list[Score], list[LeftOut]]:
    """The score of every model of the Hub whose card states mean and standard deviation."""
    names = {old: key for (key, others) in _course_envs() for old in others}
    scores, left_out = [], []
    for model in models:
        if model.mean is None or model.std is None:
            left_out.append(LeftOut(model.id, "its card has no mean_reward of the form 'mean +/- std'"))
            continue
        scores.append(
            Score(
                where=model.id,
                source="hub",
                algo=model.algo,
                env=names.get(model.env, (model.env, ""))[0],
                variant=names.get(model.env, (model.env, ""))[1],
                mean=model.mean,
                std=model.std,
                date=model.date,
                tags=model.tags,
            )
        )
    return scores, left_out


def choose(entries: Sequence[Mapping[str, Any]], n_episodes: int) -> Mapping[str, Any] | str:
    """The evaluation that counts among a run's, or why there is none.

    Entries lie in the order in which they were made, `train` writes `last` before `best`: the last one is the newest.
    """
    if not entries:
        return "it has no evaluation"
    own = [entry for entry in entries if not entry.get("env")]
    if not own:
        return "it was evaluated only on a changed environment"
    episodes = [entry for entry in own if _is_count(entry.get("n_episodes")) and entry["n_episodes"] >= n_episodes]
    if not episodes:
        most = max((entry["n_episodes"] for entry in own if _is_count(entry.get("n_episodes"))), default=0)
        return f"it was evaluated on {most} episodes, and {n_episodes} are asked for"
    finite = [e for e in episodes if _is_finite(e.get("mean_reward")) and _is_finite(e.get("std_reward"))]
    return finite[-1] if finite else "its scores are not finite numbers"


def rank(scores: Iterable[Score]) -> list[tuple[int, Score]]:
    """The scores, best first, with their ranks: 1, 2, 2, 4."""
    ordered = sorted(scores, key=lambda score: (-score.result, -score.mean, score.date, score.where))
    ranked: list[tuple[int, Score]] = []
    for index, score in enumerate(ordered):
        before = ranked[-1] if ranked else None
        tied = before is not None and (before[1].result, before[1].mean) == (score.result, score.mean)
        ranked.append((before[0] if before is not None and tied else index + 1, score))
    return ranked


def boards(scores: Iterable[Score]) -> list[Board]:
    """One board for each environment: those of the course first, in the order of its units, then the others."""
    groups: dict[tuple[str, str], list[Score]] = {}
    for score in scores:
        groups.setdefault((score.env, score.variant), []).append(score)
    order = {key: place for place, (key, _) in enumerate(_course_envs())}
    keys = sorted(groups, key=lambda key: (order.get(key, len(order)), key))
    return [Board(*key, _title(*key), tuple(rank(groups[key]))) for key in keys]


def by_algorithm(scores: Iterable[Score]) -> list[Score]:
    """One score for each algorithm on each environment: the averages over its runs, which are over training seeds.

    `iqm` and `ci` are those of the runs' means, of two runs at least.
    """
    from rlzoo.evaluation import bootstrap_iqm

    groups: dict[tuple[str, str, str], list[Score]] = {}
    for score in scores:
        groups.setdefault((score.env, score.variant, score.algo), []).append(score)
    summed = []
    for group in groups.values():
        means = [score.mean for score in group]
        interval = bootstrap_iqm(means) if len(group) > 1 else None
        first = replace(group[0], tags=(), seed=None, steps=None, checkpoint="", deterministic=None)
        summed.append(
            replace(
                first,
                where=max(group, key=lambda score: (score.result, score.mean)).where,
                mean=math.fsum(means) / len(group),
                std=math.fsum(score.std for score in group) / len(group),
                n_episodes=sum(s.n_episodes or 0 for s in group) or None,
                iqm=interval.iqm if interval else None,
                ci=(interval.low, interval.high) if interval else None,
                date=max(score.date for score in group),
                n_runs=len(group),
            )
        )
    return summed


def select(scores: Iterable[Score], env: str | None = None, algo: str | None = None) -> list[Score]:
    """Those of an environment (short name, id or old id) and an algorithm.

    Raises:
        RlzooError: if rlzoo ships no such environment or algorithm and none of the scores is of it either.
    """
    from rlzoo.algos.specs import ALGOS, ALIASES

    found = list(scores)
    if env is not None:
        of_env = [score for score in found if _is_of(score, env)]
        known = {*files.options("env"), *shipped.short_names(), *(score.env for score in found)}
        if not of_env and env not in known and aliases.current(env) not in known:
            raise RlzooError(f"there is no environment {env!r}{did_you_mean(env, known)}", "rlzoo list envs")
        found = of_env
    if algo is not None:
        name = ALIASES.get(algo, algo)
        of_algo = [score for score in found if score.algo == name]
        known = {*ALGOS, *ALIASES, *(score.algo for score in found)}
        if not of_algo and algo not in known:
            raise RlzooError(f"there is no algorithm {algo!r}{did_you_mean(algo, known)}", "rlzoo list algos")
        found = of_algo
    return found


def variant_of(env_id: str, kwargs: Mapping[str, Any]) -> str:
    """How an environment's keywords differ from those that rlzoo ships for its id; "" if they do not."""
    usual = _usual_kwargs(env_id)
    changed = {key: kwargs.get(key, "default") for key in {*kwargs, *usual} if kwargs.get(key) != usual.get(key)}
    return shorten(", ".join(f"{key}={_yaml(changed[key])}" for key in sorted(changed)), 80)


def _read_run(run: Run, n_episodes: int) -> Score | LeftOut:
    config = run.read_config()
    entry = choose(run.read_results(), n_episodes)
    if isinstance(entry, str):
        return LeftOut(str(run.path), entry)
    env_id, kwargs = config["env"]["id"], config["env"].get("kwargs") or {}
    if not isinstance(env_id, str) or not isinstance(config["algo"]["name"], str) or not isinstance(kwargs, dict):
        raise TypeError
    ci = entry.get("iqm_ci")
    steps, seed, deterministic = entry.get("num_timesteps"), config.get("seed"), entry.get("deterministic")
    return Score(
        where=str(run.path),
        source="runs",
        algo=config["algo"]["name"],
        env=aliases.current(env_id),
        variant=variant_of(aliases.current(env_id), kwargs),
        mean=float(entry["mean_reward"]),
        std=float(entry["std_reward"]),
        n_episodes=entry["n_episodes"],
        iqm=float(entry["iqm"]) if _is_finite(entry.get("iqm")) else None,
        ci=(float(ci[0]), float(ci[1])) if isinstance(ci, list) and len(ci) == 2 and all(map(_is_finite, ci)) else None,
        seed=seed if _is_count(seed) else None,
        steps=steps if _is_count(steps) else None,
        checkpoint=str(entry.get("checkpoint", "")),
        deterministic=deterministic if isinstance(deterministic, bool) else None,
        date=str(entry.get("date", "")),
    )


def _is_of(score: Score, env: str) -> bool:
    if files.find(f"env/{env}") is None:
        return score.env == aliases.current(env)
    values = read_choice("env", env)
    env_id = str(values["id"])
    if env_id == "???":  # env=gym, env=atari: any of theirs
        return False
    if score.env != env_id:
        return False
    return score.source == "hub" or score.variant == variant_of(env_id, values.get("kwargs") or {})


@lru_cache(maxsize=256)
def _usual_kwargs(env_id: str) -> Mapping[str, Any]:
    name = shipped.short_names().get(env_id)
    if name is None:
        return read_choice("env", "atari").get("kwargs") or {} if "NoFrameskip" in env_id else {}
    try:
        return read_choice("env", name).get("kwargs") or {}
    except RlzooError:
        return {}


@lru_cache(maxsize=1)
def _course_envs() -> list[tuple[tuple[str, str], tuple[str, ...]]]:
    """The environments of the course's assignments as boards name them, with their older ids, in the units' order."""
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for assignment in course.ASSIGNMENTS:
        env_id = assignment.env_ids[0]
        shipped_here = assignment.env not in (None, "gym")
        kwargs = read_choice("env", str(assignment.env)).get("kwargs") if shipped_here else None
        found.setdefault((env_id, variant_of(env_id, kwargs or {})), assignment.env_ids[1:])
    return list(found.items())


def _title(env: str, variant: str) -> str:
    asked = [
        f"unit {assignment.unit}: {assignment.algo}, {assignment.asked_for}"
        for assignment in course.ASSIGNMENTS
        if assignment.env_ids[0] == env and (env, variant) in dict(_course_envs())
    ]
    name = f"{env} ({variant})" if variant else env or "no environment named"
    return f"{name} | {'; '.join(asked)}" if asked else name


def _yaml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
