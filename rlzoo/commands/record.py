"""`rlzoo record`: film whole episodes of an agent, or the progress of its training."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rlzoo.commands.playing import changed_config, checkpoints, explained
from rlzoo.config import overrides, paths
from rlzoo.config.compose import override
from rlzoo.config.parse import check
from rlzoo.config.schema import RecordConfig
from rlzoo.console import print_lines
from rlzoo.errors import ConfigError, ExitCode, Problem
from rlzoo.preflight import device_problems
from rlzoo.runs import Run

if TYPE_CHECKING:
    from rlzoo.agent import Agent
    from rlzoo.cli import Arguments
    from rlzoo.recording import Recording

FEW = 3
"""So many checkpoints, and fewer, show little of a training."""


def main(arguments: Arguments) -> int:
    from rlzoo.console import print_table
    from rlzoo.evaluation import finite

    env_words = [word for word in arguments.words if overrides.key_of(word).startswith("env.")]
    request = override(paths.root() / "conf" / "record.yaml", [w for w in arguments.words if w not in env_words])
    cfg, problems = _checked(request.values)
    if request.problems or problems or cfg is None:
        raise ConfigError([request.locate(problem) for problem in (*request.problems, *problems)])
    run = Run.open(cfg.run, cfg.runs_dir)
    options = {key: value for key, value in asdict(cfg).items() if key not in ("run", "runs_dir")}
    recording = record(run, *env_words, **options)
    if arguments.json:
        files = {"path": str(recording.path), "gif": None if recording.gif is None else str(recording.gif)}
        numbers = {"seconds": recording.seconds, "returns": [finite(value) for value in recording.returns]}
        entry = {"run": str(run.path), "env": env_words, **asdict(recording), **numbers, **files}
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
    run: Run | Path | str,
    *env_words: str,
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
        run: a run, its directory, `"latest"` or `"algo/env"`.
        env_words: changes to the run's environment: `"env.kwargs.gravity=-5"`.
        checkpoint: `"best"`, `"last"`, a step, or `"all"`: one film of the whole training, with the steps so far above
            the pictures; by default the last, or `best` if that was shown to be better.
        n_episodes: whole episodes to film, of each checkpoint.
        n_timesteps: film this many steps instead, however many episodes they are.
        seeds: one seed for each episode; by default those of the final evaluation.
        deterministic: greedy or sampled actions; `"auto"` follows the environment.
        fps: frames per second; by default 1 for toy texts, 15 for Atari, else what the environment says.
        overlay: write step, reward and return above the pictures.
        gif: also make a GIF.
        path: the film, an `.mp4`; by default `videos/<checkpoint>.mp4` in the run, or `videos/progress.mp4`.
        device: where the policy runs.
        trust: use a run that was not made here although it names modules to import.

    Raises:
        RlzooError: if the run or checkpoint does not exist or is damaged, the environment gives no pictures or fails, a
            package or library is missing, or the film cannot be written.
    """
    import numpy as np

    from rlzoo.callbacks.interrupt import leaving_at_once
    from rlzoo.console import say
    from rlzoo.envs import frames
    from rlzoo.film import ffmpeg

    run = run if isinstance(run, Run) else Run.open(run)
    run.find_checkpoint()
    cfg = changed_config(run, env_words, trust)
    seeds = None if seeds is None else np.asarray(seeds).tolist()
    playing: dict[str, Any] = {"n_episodes": n_episodes, "n_timesteps": n_timesteps, "seeds": seeds}
    playing |= {"deterministic": deterministic}
    drawing: dict[str, Any] = {"fps": fps, "overlay": overlay, "gif": gif}
    others = {"checkpoint": checkpoint, "path": None if path is None else str(path), "device": device, "trust": trust}
    _, problems = _checked({"run": str(run.path), "runs_dir": "", **playing, **drawing, **others})
    if problems:
        raise ConfigError(problems)
    found = checkpoints(run, checkpoint)
    ffmpeg()
    name = "progress" if checkpoint == "all" else found[0].name
    target = Path(path) if path is not None else run.videos_dir / f"{name}.mp4"
    with leaving_at_once("nothing was recorded"), explained("recording"):
        from rlzoo.agent import load
        from rlzoo.recording import record_progress

        frames.require(cfg.env, "rgb_array")

        def agents() -> Iterator[Agent]:
            for one in found:
                agent = load(run, one.name, device=device, config=cfg)
                greedy = agent.is_deterministic(deterministic)
                say(f"run {run.path}, checkpoint {one.name}, {'deterministic' if greedy else 'sampled'} actions")
                yield agent

        captions: list[str] = []
        if checkpoint == "all":
            captions = [f"trained for {one.num_timesteps:,} steps" for one in found]
            if len(found) <= FEW:
                say(f"this run kept {len(found)} moments of its training; checkpoint.keep=20 keeps more")
        return record_progress(agents(), target, captions=captions, **drawing, **playing)


def _checked(values: dict[str, Any]) -> tuple[RecordConfig | None, list[Problem]]:
    cfg, problems = check(RecordConfig, values)
    if isinstance(values["device"], str):
        problems += device_problems(values["device"])
    if values["seeds"] == []:
        problems.append(Problem("seeds", "is empty", "null takes those of the final evaluation"))
    if isinstance(values["path"], str) and not values["path"].endswith(".mp4"):
        problems.append(Problem("path", f"must end in .mp4, not {values['path']!r}", "gif=true also makes a GIF"))
    return cfg, problems
