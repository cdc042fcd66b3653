"""`rlzoo record`: film whole episodes of an agent, or the progress of its training."""

from __future__ import annotations

from rlzoo.cli.command import Answer, Call, command, is_about_env
from rlzoo.config.schema import RecordConfig
from rlzoo.console import print_lines, print_table
from rlzoo.play import open_player, record_player, watch_problems


@command(RecordConfig, problems=watch_problems, apart=is_about_env)
def main(call: Call[RecordConfig]) -> Answer:
    player = open_player(call.typed("run"), call.options, call.apart)
    film = record_player(player, call.options)

    def show() -> None:
        rows = zip(film.checkpoints, film.seeds, film.returns, film.lengths, strict=True)
        if film.returns:
            print_table(("checkpoint", "seed", "return", "steps"), [(a, b, f"{c:.2f}", d) for a, b, c, d in rows])
        length = f"{film.n_frames:,} frames, {film.fps:g} a second: {film.seconds:.1f} s"
        print_lines(f"{film.path}: {length}", *([] if film.gif is None else [film.gif]))

    return Answer({**player.about, "env": list(player.env_words), **film.as_data()}, show)
