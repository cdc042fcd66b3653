"""`rlzoo enjoy`: watch an agent play, in a window or in the terminal."""

from __future__ import annotations

from rlzoo.cli.command import Call, command, is_about_env
from rlzoo.config.schema import EnjoyConfig
from rlzoo.errors import ExitCode
from rlzoo.play import enjoy_player, open_player, watch_problems


@command(EnjoyConfig, problems=watch_problems, apart=is_about_env)
def main(call: Call[EnjoyConfig]) -> int:
    enjoy_player(open_player(call.typed("run"), call.options, call.apart), call.options)
    return ExitCode.DONE
