"""`rlzoo leaderboard`: agents in order of their results, from runs on this machine or from the Hub."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rlzoo.cli.command import Answer, Call, command
from rlzoo.config.schema import LeaderboardConfig
from rlzoo.console import print_lines, print_table, say, warn
from rlzoo.course import leaderboard
from rlzoo.course import scores as results
from rlzoo.course.leaderboard import Board, Group, GroupBoard
from rlzoo.course.scores import LeftOut, Score
from rlzoo.evaluation.evaluate import MIN_SEEDS, checkpoint_text

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


@command(LeaderboardConfig)
def main(call: Call[LeaderboardConfig]) -> Answer:
    cfg = call.options
    if cfg.source == "hub" or cfg.user is not None:
        from rlzoo.hub.listing import find_models

        scores, left_out = results.read_models(find_models(user=cfg.user, env=cfg.env, algo=cfg.algo))
    else:
        which: results.Which = cfg.checkpoint or ("last" if cfg.by == "algo" else "ships")
        scores, left_out = results.read_runs(results.runs_below(cfg.runs_dir), cfg.n_episodes, which)
    call.settings.settled(cfg, leaderboard.check_names([*scores, *left_out], cfg.env, cfg.algo))
    scores = leaderboard.select(scores, cfg.env, cfg.algo)
    left_out = leaderboard.select(left_out, cfg.env, cfg.algo)
    groups = leaderboard.group_boards(scores) if cfg.by == "algo" else []
    boards = leaderboard.boards(scores) if cfg.by == "run" else []
    shown = [_group_json(board, cfg.n) for board in groups] + [_board_json(board, cfg.n) for board in boards]
    data = {"boards": shown, "left_out": [asdict(found) for found in left_out]}
    return Answer(data, lambda: _print(boards, groups, left_out, cfg))


def _print(
    boards: Sequence[Board], groups: Sequence[GroupBoard], left_out: Sequence[LeftOut], cfg: LeaderboardConfig
) -> None:
    _print_boards(boards, groups, cfg)
    _print_left_out(left_out)
    if not (boards or groups):
        where = "on the Hub" if cfg.source == "hub" or cfg.user else f"below {cfg.runs_dir}"
        wanted = " ".join(f"{key}={value}" for key, value in (("algo", cfg.algo), ("env", cfg.env)) if value)
        print_lines(f"no results {where}{f' of {wanted}' if wanted else ''}")


def _print_boards(boards: Sequence[Board], groups: Sequence[GroupBoard], cfg: LeaderboardConfig) -> None:
    for board in boards:
        columns: tuple[str, ...] = HUB_COLUMNS if board.rows[0][1].source == "hub" else RUN_COLUMNS
        rows = [_row(rank, score, columns) for rank, score in board.rows[: cfg.n]]
        print_table(columns, rows, title=board.title, spare=SPARE)
    for group_board in groups:
        rows = [_group_row(rank, group) for rank, group in group_board.rows[: cfg.n]]
        print_table(ALGO_COLUMNS, rows, title=group_board.title, spare=SPARE)
    for env, n_rows in [(board.env, len(board.rows)) for board in boards] + [(b.env, len(b.rows)) for b in groups]:
        if n_rows > cfg.n:
            print_lines(f"{env}: {cfg.n} of {n_rows}; n={n_rows} shows all")
    if boards or groups:
        print_lines(_meaning(cfg))


def _meaning(cfg: LeaderboardConfig) -> str:
    if cfg.by == "algo":
        which = "the checkpoint that ships" if cfg.checkpoint == "ships" else "the last checkpoint"
        return (
            f"Evaluations of {which}, in order of the mean over training seeds. Runs that differ in more than their "
            f"seeds are kept apart; an interval needs {MIN_SEEDS} seeds."
        )
    if cfg.source == "hub" or cfg.user is not None:
        return "What the authors of the models state; nobody has checked it."
    which = "the last checkpoint" if cfg.checkpoint == "last" else "the checkpoint that ships"
    return (
        f"Evaluations of {which}, of at least {cfg.n_episodes} episodes; spread and interval are over episodes of that "
        "one policy."
    )


def _group_row(rank: int, group: Group) -> list[object]:
    over_seeds, first = group.over_seeds, group.scores[0]
    std = over_seeds.std
    return [
        rank,
        group.algo,
        group.differs,
        ", ".join("?" if score.seed is None else str(score.seed) for score in group.scores),
        over_seeds.mean,
        None if std is None else f"{std:.2f}",
        over_seeds.spread,
        first.n_episodes,
        checkpoint_text(first.checkpoint, first.steps, first.trained),
    ]


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
        "episodes": score.n_episodes,
        "seed": score.seed,
        "checkpoint": checkpoint_text(score.checkpoint, score.steps),
        "trained": None if score.trained is None else f"{score.trained:,}",
        "date": score.date[:10],
        "run": score.where,
        "model": score.where,
    }
    return [cells[column] for column in columns]


def _print_left_out(left_out: Sequence[LeftOut]) -> None:
    for found in left_out:
        if found.damaged:
            warn(f"left out: {found.where}: {found.reason}")
    without = [found for found in left_out if not found.damaged]
    for found in without[:SHOWN]:
        say(f"without a result: {found.where}: {found.reason}")
    if len(without) > SHOWN:
        say(f"and {len(without) - SHOWN} more without a result")


def _board_json(board: Board, n: int) -> dict[str, Any]:
    rows = [{"rank": rank, "result": score.result, **score.to_json()} for rank, score in board.rows[:n]]
    return {"env": board.env, "variant": board.variant, "title": board.title, "rows": rows}


def _group_json(board: GroupBoard, n: int) -> dict[str, Any]:
    rows = []
    for rank, group in board.rows[:n]:
        over_seeds = group.over_seeds
        rows.append(
            {
                "rank": rank,
                "algo": group.algo,
                "differs": group.differs,
                "n_seeds": len(group.scores),
                "mean_over_seeds": over_seeds.mean,
                "std_over_seeds": over_seeds.std,
                "iqm_over_seeds": None if over_seeds.interval is None else list(over_seeds.interval),
                "runs": [score.to_json() for score in group.scores],
            }
        )
    return {"env": board.env, "variant": board.variant, "title": board.title, "rows": rows}
