"""`rlzoo leaderboard`: agents in order of their results, from runs on this machine or from the Hub."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rlzoo.config import paths
from rlzoo.config.compose import override
from rlzoo.config.parse import check
from rlzoo.config.schema import LeaderboardConfig
from rlzoo.errors import ConfigError, ExitCode

if TYPE_CHECKING:
    from rlzoo.cli import Arguments
    from rlzoo.leaderboard import Board
    from rlzoo.scores import LeftOut, Score

RUN_COLUMNS = (
    *("rank", "algo", "mean - std", "mean ± std", "IQM [95 % CI]", "episodes", "seed", "steps", "checkpoint"),
    *("date", "run"),
)
HUB_COLUMNS = ("rank", "algo", "mean - std", "mean ± std", "date", "model")
ALGO_COLUMNS = ("rank", "algo", "mean - std", "mean ± std", "runs", "IQM over runs [95 % CI]", "episodes", "best")
SPARE = ("date", "checkpoint", "episodes", "seed", "runs", "steps", "IQM [95 % CI]", "IQM over runs [95 % CI]")
"""Columns that a narrow terminal goes without, the first of them first."""
SHOWN = 5
"""Runs without a result that are named; all of them are in --json."""


def main(arguments: Arguments) -> int:
    from rlzoo import leaderboard
    from rlzoo import scores as results

    request = override(paths.root() / "conf" / "leaderboard.yaml", arguments.words, has_groups=False)
    cfg, problems = check(LeaderboardConfig, request.values)
    if request.problems or problems or cfg is None:
        raise ConfigError([request.locate(problem) for problem in (*request.problems, *problems)])
    if cfg.source == "hub" or cfg.user is not None:
        from rlzoo.hub.listing import find_models

        scores, left_out = results.read_models(find_models(user=cfg.user, env=cfg.env, algo=cfg.algo))
    else:
        scores, left_out = results.read_runs(results.runs_below(cfg.runs_dir), cfg.n_episodes)
    if problems := leaderboard.check_names([*scores, *left_out], cfg.env, cfg.algo):
        raise ConfigError([request.locate(problem) for problem in problems])
    scores = leaderboard.select(scores, cfg.env, cfg.algo)
    left_out = leaderboard.select(left_out, cfg.env, cfg.algo)
    if cfg.by == "algo":
        scores = leaderboard.by_algorithm(scores)
    boards = leaderboard.boards(scores)
    if arguments.json:
        print(json.dumps(_json(boards, left_out, cfg.n), allow_nan=False))
        return ExitCode.DONE
    _print(boards, cfg)
    _print_left_out(left_out)
    if not boards:
        where = "on the Hub" if cfg.source == "hub" or cfg.user else f"below {cfg.runs_dir}"
        wanted = " ".join(f"{key}={value}" for key, value in (("algo", cfg.algo), ("env", cfg.env)) if value)
        print(f"no results {where}{f' of {wanted}' if wanted else ''}")
    return ExitCode.DONE


def _print(boards: Sequence[Board], cfg: LeaderboardConfig) -> None:
    from rlzoo.console import print_table

    for board in boards:
        columns: tuple[str, ...] = HUB_COLUMNS if board.rows[0][1].source == "hub" else RUN_COLUMNS
        columns = ALGO_COLUMNS if cfg.by == "algo" else columns
        rows = [_row(rank, score, columns) for rank, score in board.rows[: cfg.n]]
        print_table(columns, rows, title=board.title, spare=SPARE)
        if len(board.rows) > cfg.n:
            print(f"{cfg.n} of {len(board.rows)}; n={len(board.rows)} shows all")
    if boards:
        print(_meaning(cfg))


def _meaning(cfg: LeaderboardConfig) -> str:
    if cfg.by == "algo":
        return "Averages over the runs of each algorithm; the interval is over runs, which are training seeds."
    if cfg.source == "hub" or cfg.user is not None:
        return "What the authors of the models state; nobody has checked it."
    return f"Evaluations of at least {cfg.n_episodes} episodes; the interval is over episodes of that one policy."


def _row(rank: int, score: Score, columns: Sequence[str]) -> list[object]:
    interval = (
        "" if score.iqm is None or score.ci is None else f"{score.iqm:.2f} [{score.ci[0]:.2f}, {score.ci[1]:.2f}]"
    )
    cells: dict[str, object] = {
        "rank": rank,
        "algo": score.algo,
        "mean - std": score.result,
        "mean ± std": f"{score.mean:.2f} ± {score.std:.2f}",
        "IQM [95 % CI]": interval,
        "IQM over runs [95 % CI]": interval,
        "episodes": score.n_episodes,
        "seed": score.seed,
        "steps": None if score.steps is None else f"{score.steps:,}",
        "checkpoint": score.checkpoint,
        "date": score.date[:10],
        "run": score.where,
        "model": score.where,
        "best": score.where,
        "runs": score.n_runs,
    }
    return [cells[column] for column in columns]


def _print_left_out(left_out: Sequence[LeftOut]) -> None:
    from rlzoo.console import say, warn

    for found in left_out:
        if found.damaged:
            warn(f"left out: {found.where}: {found.reason}")
    without = [found for found in left_out if not found.damaged]
    for found in without[:SHOWN]:
        say(f"without a result: {found.where}: {found.reason}")
    if len(without) > SHOWN:
        say(f"and {len(without) - SHOWN} more without a result")


def _json(boards: Sequence[Board], left_out: Sequence[LeftOut], n: int) -> dict[str, Any]:
    return {
        "boards": [
            {
                "env": board.env,
                "variant": board.variant,
                "title": board.title,
                "rows": [{"rank": rank, "result": score.result, **asdict(score)} for rank, score in board.rows[:n]],
            }
            for board in boards
        ],
        "left_out": [asdict(found) for found in left_out],
    }
