"""`rlzoo record`: film whole episodes of an agent, or the progress of its training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rlzoo.cli.commands.playing import KNOWN, WHO, Player, explained, player, split, who
from rlzoo.config.compose import parse_words
from rlzoo.config.parse import check
from rlzoo.config.schema import RecordConfig
from rlzoo.console import print_lines
from rlzoo.errors import ConfigError, ExitCode, Problem
from rlzoo.runs.run import Run
from rlzoo.training.preflight import episode_problems

if TYPE_CHECKING:
    from rlzoo.cli.main import Arguments
    from rlzoo.evaluation.record import Recording

FEW = 3
"""So many checkpoints, and fewer, show little of a training."""


def main(arguments: Arguments) -> int:
    from rlzoo.console import print_table
    from rlzoo.evaluation.evaluate import finite

    env_words, others = split(arguments.words)
    cfg = parse_words("record", others, RecordConfig, _problems)
    asked = {key: value for key, value in asdict(cfg).items() if key not in WHO}
    found = player(env_words=env_words, **who(cfg, arguments.words))
    recording = record(found, checkpoint=cfg.checkpoint, trust=cfg.trust, **asked)
    if arguments.json:
        files = {"path": str(recording.path), "gif": None if recording.gif is None else str(recording.gif)}
        numbers = {"seconds": recording.seconds, "returns": [finite(value) for value in recording.returns]}
        by = {"run": str(found.run.path)} if found.run is not None else {"policy": cfg.policy}
        entry = {**by, "env": list(found.env_words), **asdict(recording), **numbers, **files}
        print(json.dumps(entry, allow_nan=False))
        return ExitCode.DONE
    rows = zip(recording.checkpoints, recording.seeds, recording.returns, recording.lengths, strict=True)
    if recording.returns:
        print_table(("checkpoint", "seed", "return", "steps"), [(a, b, f"{c:.2f}", d) for a, b, c, d in rows])
    length = f"{recording.n_frames:,} frames, {recording.fps:g} a second: {recording.seconds:.1f} s"
    print_lines(f"{recording.path}: {length}")
    if recording.gif is not None:
        print_lines(recording.gif)
    return ExitCode.DONE


def record(  # noqa: PLR0913 - the keys of conf/record.yaml
    run: Run | Player | Path | str | None = None,
    *env_words: str,
    policy: Literal["random"] | None = None,
    env: str | None = None,
    algo: str | None = None,
    file: str | None = None,
    checkpoint: str | None = None,
    n_episodes: int = 1,
    n_timesteps: int | None = None,
    seeds: Sequence[int] | None = None,
    deterministic: bool | Literal["auto"] = "auto",
    fps: float | None = None,
    overlay: bool = False,
    gif: bool = False,
    path: Path | str | None = None,
    device: str = "auto",
    trust: bool = False,
) -> Recording:
    """Film an agent; the film is there once it is whole, and never in part.

    Args:
        run: a run, its directory, `"latest"` or `"algo/env"`; a package's folder or a file of weights, which becomes a
            run below `hub/local`. By default the newest run.
        env_words: changes to the run's environment: `"env.kwargs.gravity=-5"`.
        policy: `"random"` instead of a run: every action is equally likely.
        env: where that acts; or the environment of a package or a file that does not say it.
        algo: the algorithm of a file that does not say it.
        file: the file with the weights, in a package of several.
        checkpoint: `"best"`, `"last"`, a step, or `"all"`: one film of the whole training, with the steps so far above
            the pictures; by default the last, or `best` if that was shown to be better.
        n_episodes: whole episodes to film, of each checkpoint.
        n_timesteps: film this many steps instead, however many episodes they are.
        seeds: one seed for each episode; by default those of the final evaluation.
        deterministic: greedy or sampled actions; `"auto"` follows the environment.
        fps: frames per second; by default 1 for toy texts, 15 for Atari, else what the environment says.
        overlay: write step, reward and return above the pictures.
        gif: also make a GIF.
        path: the film, an `.mp4`; by default `videos/<checkpoint>.mp4` in the run, or `videos/progress.mp4`; of random
            actions `videos/random-<environment>.mp4` here.
        device: where the policy runs.
        trust: use a run that was not made here although it names modules to import.

    Raises:
        RlzooError: if the run or checkpoint does not exist or is damaged, the environment gives no pictures or fails, a
            package or library is missing, or the film cannot be written.
    """
    import numpy as np

    from rlzoo.console import say
    from rlzoo.envs import render as frames
    from rlzoo.evaluation.film import ffmpeg
    from rlzoo.training.callbacks.interrupt import leaving_at_once

    said: dict[str, Any] = {"policy": policy, "env": env, "algo": algo, "file": file}
    found = player(run, env_words, checkpoint=checkpoint, trust=trust, **said)
    seeds = None if seeds is None else np.asarray(seeds).tolist()
    playing: dict[str, Any] = {"n_episodes": n_episodes, "n_timesteps": n_timesteps, "seeds": seeds}
    playing |= {"deterministic": deterministic}
    drawing: dict[str, Any] = {"fps": fps, "overlay": overlay, "gif": gif}
    others = {"checkpoint": checkpoint, "path": None if path is None else str(path), "device": device, "trust": trust}
    values = {**KNOWN, **playing, **drawing, **others}
    if problems := [*check(RecordConfig, values)[1], *_problems(values)]:
        raise ConfigError(problems)
    checkpoints = found.checkpoints(checkpoint)
    ffmpeg()
    name = "progress" if checkpoint == "all" or checkpoints[0] is None else checkpoints[0].name
    target = Path(path) if path is not None else found.film(name)
    with leaving_at_once("nothing was recorded"), explained("recording"):
        from rlzoo.evaluation.record import record_progress

        frames.require(found.config.env, "rgb_array")
        actors = (found.actor(one, device, deterministic) for one in checkpoints)
        captions: list[str] = []
        if checkpoint == "all":
            captions = [f"trained for {one.num_timesteps:,} steps" for one in checkpoints if one is not None]
            if len(checkpoints) <= FEW:
                say(f"this run kept {len(checkpoints)} moments of its training; checkpoint.keep=20 keeps more")
        return record_progress(actors, target, captions=captions, **drawing, **playing)


def _problems(values: dict[str, Any]) -> list[Problem]:
    """What is wrong with a request beyond its types."""
    problems = episode_problems({**values, "n_episodes": None})
    if isinstance(values["path"], str) and not values["path"].endswith(".mp4"):
        problems.append(Problem("path", f"must end in .mp4, not {values['path']!r}", "gif=true also makes a GIF"))
    return problems
