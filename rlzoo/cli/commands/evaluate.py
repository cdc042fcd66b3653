"""`rlzoo evaluate`: play whole episodes with a checkpoint of a run, on its own environment or a changed one."""

from __future__ import annotations

from rlzoo.cli.command import Answer, Call, command, is_about_env
from rlzoo.config.schema import EvaluateConfig
from rlzoo.console import print_lines
from rlzoo.evaluation.evaluate import print_results
from rlzoo.play import evaluate_player, open_player
from rlzoo.training.preflight import episode_problems


@command(EvaluateConfig, problems=episode_problems, apart=is_about_env)
def main(call: Call[EvaluateConfig]) -> Answer:
    player = open_player(call.typed("run"), call.options, call.apart)
    entry = evaluate_player(player, call.options).entry

    def show() -> None:
        print_results([entry])
        print_lines("nothing was written" if player.run is None else f"appended to {player.run.results_file}")

    return Answer({**player.about, **entry}, show)
