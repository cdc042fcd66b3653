"""Agents in order of their results, one board for each environment; equal results are ordered by their means."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, TypeVar

from rlzoo.algos.specs import ALGOS, ALIASES
from rlzoo.config import aliases, assignments, env_names, files
from rlzoo.config.files import read_choice
from rlzoo.config.schema import LeaderboardConfig
from rlzoo.console import print_lines, print_table, say, warn
from rlzoo.course.scores import LeftOut, Score, course_envs, variant_of
from rlzoo.envs import baseline
from rlzoo.errors import Problem
from rlzoo.evaluation.evaluate import MIN_SEEDS, OverSeeds, checkpoint_text
from rlzoo.registry import did_you_mean

RUN_COLUMNS = (
    *("rank", "algo", "mean - std", "mean ± std", "IQM [95 % CI]", "episodes", "seed", "checkpoint", "trained"),
    *("date", "run"),
)
HUB_COLUMNS = ("rank", "algo", "mean - std", "mean ± std", "date", "model")
ALGO_COLUMNS = (
    *("rank", "algo", "differs in", "seeds", "mean over seeds", "std over seeds", "seeds' means, or IQM [95 % CI]"),
    *("episodes", "checkpoint"),
)
SPARE = ("date", "episodes", "seed", "trained", "IQM [95 % CI]", "checkpoint")
"""Columns that a narrow terminal goes without, the first of them first."""
SHOWN = 5
"""Runs without a result that are named; all of them are in --json."""
S = TypeVar("S", Score, LeftOut)
R = TypeVar("R")


@dataclass(frozen=True)
class Group:
    """The runs of one algorithm on one environment that differ in nothing but their seeds.

    Attributes:
        differs: settings in which they differ from the algorithm's other groups there: `total_timesteps=6000`.
        scores: one for each seed, in their order: that of the newest run of the seed.
    """

    env: str
    variant: str
    algo: str
    differs: str
    scores: tuple[Score, ...]

    @property
    def over_seeds(self) -> OverSeeds:
        return OverSeeds(tuple(score.mean for score in self.scores))

    def as_data(self) -> dict[str, Any]:
        """For programs."""
        over_seeds = self.over_seeds
        return {
            "algo": self.algo,
            "differs": self.differs,
            "n_seeds": len(self.scores),
            "mean_over_seeds": over_seeds.mean,
            "std_over_seeds": over_seeds.std,
            "iqm_over_seeds": None if over_seeds.interval is None else list(over_seeds.interval),
            "runs": [score.to_json() for score in self.scores],
        }

    def cells(self) -> list[object]:
        """For people, in the order of `ALGO_COLUMNS` without the rank."""
        over_seeds, first = self.over_seeds, self.scores[0]
        steps = sorted({score.steps for score in self.scores if score.steps is not None})
        return [
            self.algo,
            self.differs,
            ", ".join("?" if score.seed is None else str(score.seed) for score in self.scores),
            over_seeds.mean,
            None if over_seeds.std is None else f"{over_seeds.std:.2f}",
            over_seeds.spread,
            first.n_episodes,
            f"{first.checkpoint} ({steps[0]:,} to {steps[-1]:,} steps)"
            if len(steps) > 1
            else checkpoint_text(first.checkpoint, first.steps, first.trained),
        ]


@dataclass(frozen=True)
class Board:
    """The ranked agents of one environment; `rows` are (rank, score), equal ones share a rank."""

    env: str
    variant: str
    title: str
    rows: tuple[tuple[int, Score], ...]

    def as_data(self, n: int) -> dict[str, Any]:
        """The first `n` rows for programs."""
        rows = [{"rank": rank, "result": score.result, **score.to_json()} for rank, score in self.rows[:n]]
        return {"env": self.env, "variant": self.variant, "title": self.title, "rows": rows}

    def table(self, n: int) -> tuple[tuple[str, ...], list[list[object]]]:
        """Columns, and the first `n` rows for people."""
        columns = HUB_COLUMNS if self.rows[0][1].source == "hub" else RUN_COLUMNS
        return columns, [[_cells(rank, score)[column] for column in columns] for rank, score in self.rows[:n]]


@dataclass(frozen=True)
class GroupBoard:
    """The algorithms on one environment in the order of their means over seeds, equal ones share a rank."""

    env: str
    variant: str
    title: str
    rows: tuple[tuple[int, Group], ...]

    def as_data(self, n: int) -> dict[str, Any]:
        """The first `n` rows for programs."""
        rows = [{"rank": rank, **group.as_data()} for rank, group in self.rows[:n]]
        return {"env": self.env, "variant": self.variant, "title": self.title, "rows": rows}

    def table(self, n: int) -> tuple[tuple[str, ...], list[list[object]]]:
        """Columns, and the first `n` rows for people."""
        return ALGO_COLUMNS, [[rank, *group.cells()] for rank, group in self.rows[:n]]


def _cells(rank: int, score: Score) -> dict[str, object]:
    """Every column of an agent."""
    interval = (
        "" if score.iqm is None or score.ci is None else f"{score.iqm:.2f} [{score.ci[0]:.2f}, {score.ci[1]:.2f}]"
    )
    return {
        "rank": rank,
        "algo": score.algo,
        "mean - std": score.result,
        "mean ± std": f"{score.mean:.2f} ± {score.std:.2f}",
        "IQM [95 % CI]": interval,
        "episodes": score.n_episodes,
        "seed": score.seed,
        "checkpoint": checkpoint_text(score.checkpoint, score.steps),
        "trained": None if score.trained is None else f"{score.trained:,}",
        "date": score.date[:10],
        "run": score.where,
        "model": score.where,
    }


def rank(scores: Iterable[Score]) -> list[tuple[int, Score]]:
    """The scores, best first, with their ranks: 1, 2, 2, 4."""
    ordered = sorted(scores, key=lambda score: (-score.result, -score.mean, score.date, score.where))
    return _ranked(ordered, lambda score: (score.result, score.mean))


def boards(scores: Iterable[Score]) -> list[Board]:
    """One board for each environment: those of the course first, in the order of its units, then the others."""
    return [Board(*key, _title(*key), tuple(rank(found))) for key, found in _by_env(scores)]


def group_boards(scores: Iterable[Score]) -> list[GroupBoard]:
    """One board of algorithms for each environment; runs that differ in more than their seeds are kept apart."""
    found = []
    for key, of_env in _by_env(scores):
        groups = [group for algo in dict.fromkeys(score.algo for score in of_env) for group in _groups(algo, of_env)]
        ordered = sorted(groups, key=lambda group: (-group.over_seeds.mean, group.algo, group.differs))
        found.append(GroupBoard(*key, _title(*key), tuple(_ranked(ordered, lambda group: group.over_seeds.mean))))
    return found


def _groups(algo: str, scores: Sequence[Score]) -> list[Group]:
    """The runs of an algorithm by what may change their numbers: the checkpoint, and the steps of a training too.

    Where a training ends by itself (`stop.reward`), runs of one configuration have trained for unlike numbers of steps.
    """
    by_settings: dict[tuple[tuple[str, str], ...], list[Score]] = {}
    for score in scores:
        if score.algo == algo:
            own = {**score.settings, "checkpoint": score.checkpoint, "episodes": str(score.n_episodes)}
            if _is_cut_short(score):
                own["trained"] = str(score.trained)
            if score.deterministic is not None:
                own["actions"] = "deterministic" if score.deterministic else "sampled"
            by_settings.setdefault(tuple(sorted(own.items())), []).append(score)
    all_settings = [dict(key) for key in by_settings]
    keys = sorted({key for one in all_settings for key in one})
    differing = [key for key in keys if len({one.get(key) for one in all_settings}) > 1]
    return [
        Group(
            found[0].env,
            found[0].variant,
            algo,
            ", ".join(f"{key}={one.get(key, 'not set')}" for key in differing),
            tuple(sorted(_newest(found), key=lambda score: (score.seed is None, score.seed or 0, score.where))),
        )
        for one, found in zip(all_settings, by_settings.values(), strict=True)
    ]


def _is_cut_short(score: Score) -> bool:
    """Whether its training has not had its budget, and was not to end by itself."""
    budget = score.settings.get("total_timesteps", "")
    stops = any(key.startswith("stop.") for key in score.settings)
    return not stops and score.trained is not None and budget.isdecimal() and score.trained < int(budget)


def _newest(scores: Sequence[Score]) -> list[Score]:
    """One score for each seed: seeds are what is counted, and a training that was repeated is no other one."""
    by_start = sorted(scores, key=lambda score: score.where.rpartition("/")[2])
    return list({(score.where if score.seed is None else "", score.seed): score for score in by_start}.values())


def _by_env(scores: Iterable[Score]) -> list[tuple[tuple[str, str], list[Score]]]:
    groups: dict[tuple[str, str], list[Score]] = {}
    for score in scores:
        groups.setdefault((score.env, score.variant), []).append(score)
    order = {key: place for place, (key, _) in enumerate(course_envs())}
    return [(key, groups[key]) for key in sorted(groups, key=lambda key: (order.get(key, len(order)), key))]


def _ranked(ordered: Sequence[R], value: Callable[[R], Any]) -> list[tuple[int, R]]:
    ranks: list[int] = []
    for index, row in enumerate(ordered):
        tied = index > 0 and value(ordered[index - 1]) == value(row)
        ranks.append(ranks[-1] if tied else index + 1)
    return list(zip(ranks, ordered, strict=True))


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
    return score.source == "hub" or score.variant == variant_of(env_id, values)


def _title(env: str, variant: str) -> str:
    asked = [
        f"unit {assignment.unit}: {assignment.algo}, {assignment.asked_for}"
        for assignment in assignments.assignments()
        if assignment.env_ids[0] == env and (env, variant) in dict(course_envs())
    ]
    name = f"{env} ({variant})" if variant else env or "no environment named"
    random = next((play for shape, play in baseline.table() if _is_shape(shape, env, variant)), None)
    played = f"random play: {fmean(random['returns']):.2f}" if random else ""
    return " | ".join(part for part in (name, "; ".join(asked), played) if part)


def _is_shape(shape: Mapping[str, Any], env: str, variant: str) -> bool:
    return bool(shape["id"] == env and variant_of(env, shape) == variant)


def show(boards: Sequence[Board | GroupBoard], left_out: Sequence[LeftOut], cfg: LeaderboardConfig) -> None:
    """Print them for people, and below them what has no result."""
    for board in boards:
        print_table(*board.table(cfg.n), title=board.title, spare=SPARE)
    for board in boards:
        if len(board.rows) > cfg.n:
            print_lines(f"{board.env}: {cfg.n} of {len(board.rows)}; n={len(board.rows)} shows all")
    if boards:
        print_lines(_meaning(cfg))
    for found in left_out:
        if found.damaged:
            warn(f"left out: {found.where}: {found.reason}")
    without = [found for found in left_out if not found.damaged]
    for found in without[:SHOWN]:
        say(f"without a result: {found.where}: {found.reason}")
    if len(without) > SHOWN:
        say(f"and {len(without) - SHOWN} more without a result")
    if not boards:
        where = "on the Hub" if cfg.source == "hub" or cfg.user else f"below {cfg.runs_dir}"
        wanted = " ".join(f"{key}={value}" for key, value in (("algo", cfg.algo), ("env", cfg.env)) if value)
        print_lines(f"no results {where}{f' of {wanted}' if wanted else ''}")


def _meaning(cfg: LeaderboardConfig) -> str:
    if cfg.by == "algo":
        which = "the checkpoint that ships" if cfg.checkpoint == "ships" else "the last checkpoint"
        return (
            f"Evaluations of {which}, in order of the mean over training seeds. Runs that differ in more than their "
            f"seeds are kept apart, of one seed the newest counts; an interval needs {MIN_SEEDS} seeds."
        )
    if cfg.source == "hub" or cfg.user is not None:
        return "What the authors of the models state; nobody has checked it."
    which = "the last checkpoint" if cfg.checkpoint == "last" else "the checkpoint that ships"
    return (
        f"Evaluations of {which}, of at least {cfg.n_episodes} episodes; spread and interval are over episodes of that "
        "one policy."
    )
