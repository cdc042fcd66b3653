"""`rlzoo leaderboard`: agents in order of their results, from runs on this machine or from the Hub."""

from __future__ import annotations

from dataclasses import asdict

from rlzoo.cli.command import Answer, Call, command
from rlzoo.config.schema import LeaderboardConfig
from rlzoo.course import leaderboard
from rlzoo.course import scores as results


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
    return Answer(data, lambda: leaderboard.show(boards, left_out, cfg))
