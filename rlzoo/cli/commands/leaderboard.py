"""`rlzoo leaderboard`: agents in order of their results, from runs on this machine or from the Hub."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from rlzoo.cli.command import Answer, Call, command
from rlzoo.config.schema import LeaderboardConfig
from rlzoo.console import print_lines, print_table, say, warn
from rlzoo.course import leaderboard
from rlzoo.course import scores as results
from rlzoo.course.leaderboard import Board, GroupBoard
from rlzoo.course.scores import LeftOut
from rlzoo.evaluation.evaluate import MIN_SEEDS

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
    boards = leaderboard.boards(scores) if cfg.by == "run" else leaderboard.group_boards(scores)
    shown = [board.as_data(cfg.n) for board in boards]
    data = {"boards": shown, "left_out": [asdict(found) for found in left_out]}
    return Answer(data, lambda: _print(boards, left_out, cfg))


def _print(boards: Sequence[Board | GroupBoard], left_out: Sequence[LeftOut], cfg: LeaderboardConfig) -> None:
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
            f"seeds are kept apart; an interval needs {MIN_SEEDS} seeds."
        )
    if cfg.source == "hub" or cfg.user is not None:
        return "What the authors of the models state; nobody has checked it."
    which = "the last checkpoint" if cfg.checkpoint == "last" else "the checkpoint that ships"
    return (
        f"Evaluations of {which}, of at least {cfg.n_episodes} episodes; spread and interval are over episodes of that "
        "one policy."
    )
