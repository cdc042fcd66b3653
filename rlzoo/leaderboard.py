"""Agents in order of their results, one board for each environment; equal results are ordered by their means."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TypeVar

from rlzoo import course
from rlzoo.algos.specs import ALGOS, ALIASES
from rlzoo.config import aliases, env_names, files
from rlzoo.config.choices import read_choice
from rlzoo.errors import Problem
from rlzoo.registry import did_you_mean
from rlzoo.scores import LeftOut, Score, course_envs, variant_of

S = TypeVar("S", Score, LeftOut)


@dataclass(frozen=True)
class Board:
    """The ranked agents of one environment; `rows` are (rank, score), equal ones share a rank."""

    env: str
    variant: str
    title: str
    rows: tuple[tuple[int, Score], ...]


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
    order = {key: place for place, (key, _) in enumerate(course_envs())}
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


def select(scores: Iterable[S], env: str | None = None, algo: str | None = None) -> list[S]:
    """Those of an environment (short name, id or old id) and an algorithm; a damaged run may be any."""
    wanted = ALIASES.get(algo, algo) if algo else None
    return [
        score
        for score in scores
        if (isinstance(score, LeftOut) and score.damaged)
        or ((env is None or _is_of(score, env)) and wanted in (None, score.algo))
    ]


def check_names(scores: Iterable[Score | LeftOut], env: str | None, algo: str | None) -> list[Problem]:
    """What is wrong with the names of an environment and an algorithm: neither rlzoo nor any of the scores has them."""
    found = list(scores)
    problems = []
    if env is not None:
        known = {*files.options("env"), *env_names.short_names(), *(score.env for score in found if score.env)}
        if not {env, aliases.current(env), env_names.name_of(env)} & known:
            problems.append(Problem("env", f"there is no {env!r}{did_you_mean(env, known)}", "rlzoo list envs"))
    if algo is not None:
        known = {*ALGOS, *ALIASES, *(score.algo for score in found if score.algo)}
        if algo not in known:
            problems.append(Problem("algo", f"there is no {algo!r}{did_you_mean(algo, known)}", "rlzoo list algos"))
    return problems


def _is_of(score: Score | LeftOut, env: str) -> bool:
    name = env_names.name_of(env)
    if aliases.current(env) in env_names.short_names() or files.find(f"env/{name}") is None:
        return score.env == aliases.current(env)  # an id is that of every variant
    values = read_choice("env", name)
    env_id = str(values["id"])
    if env_id == "???":  # env=gym, env=atari: any of theirs
        return False
    if score.env != env_id:
        return False
    return score.source == "hub" or score.variant == variant_of(env_id, values.get("kwargs") or {})


def _title(env: str, variant: str) -> str:
    asked = [
        f"unit {assignment.unit}: {assignment.algo}, {assignment.asked_for}"
        for assignment in course.ASSIGNMENTS
        if assignment.env_ids[0] == env and (env, variant) in dict(course_envs())
    ]
    name = f"{env} ({variant})" if variant else env or "no environment named"
    return f"{name} | {'; '.join(asked)}" if asked else name
