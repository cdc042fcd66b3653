"""`rlzoo train resume=<run>`: go on with a training in its own directory, from the newest checkpoint at a boundary."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from rlzoo.config import overrides
from rlzoo.config.compose import override
from rlzoo.config.parse import check, dump, parse
from rlzoo.config.schema import TrainConfig
from rlzoo.errors import ConfigError, ExitCode, Problem, RlzooError
from rlzoo.runs import Checkpoint, Run

CHANGEABLE = ("total_timesteps", "eval", "checkpoint", "stop", "logger")
"""Settings that a training may go on with changed; all others are what it was started with."""


def main(words: Sequence[str]) -> int:
    """Go on with the run that `resume=` names; the other words change its settings."""
    from rlzoo.commands.results import print_results
    from rlzoo.console import say
    from rlzoo.training import train

    run, cfg, changes = request(words)
    checkpoint = newest_boundary(run)
    if checkpoint.num_timesteps >= cfg.total_timesteps:
        say(f"{run.path} is finished: {checkpoint.num_timesteps:,} of {cfg.total_timesteps:,} steps")
        say(f"to train on: rlzoo train resume={run.path} total_timesteps=…")
        return ExitCode.DONE
    for change in changes:
        say(f"changed: {change}")
    say(f"going on with {run.path} from step {checkpoint.num_timesteps:,} of {cfg.total_timesteps:,}")
    before = len(run.read_results())
    run.write_config(dump(cfg))
    resumed = [*run.read_info().get("resumed", []), {"from": checkpoint.num_timesteps, "changes": changes}]
    run.update_info(status="running", resumed=resumed)
    train(cfg, run, resume_from=checkpoint)
    print_results(run.read_results()[before:])
    print(f"run: {run.path}")
    return ExitCode.DONE


def request(words: Sequence[str]) -> tuple[Run, TrainConfig, list[str]]:
    """The run, its configuration with the changes asked for, and these changes as text.

    Raises:
        ConfigError: naming every change that a run cannot go on with.
    """
    named = [word for word in words if overrides.key_of(word) in ("resume", "runs_dir")]
    places = {overrides.key_of(word): word.partition("=")[2].strip("'\"") for word in named}
    run = Run.open(places["resume"], places.get("runs_dir", "runs"))
    composition = override(run.config_file, [word for word in words if word not in named])
    before = parse(run.read_config())
    cfg, problems = check(TrainConfig, composition.values)
    problems = [*composition.problems, *problems]
    changes = []
    for key, (old, new) in _differences(dump(before), composition.values).items():
        changes.append(f"{key}: {json.dumps(old)} -> {json.dumps(new)}")
        if key.split(".")[0] not in CHANGEABLE:
            hint = f"these may change: {', '.join(CHANGEABLE)}; for anything else start a new run"
            problems.append(Problem(key, "cannot change in a run that goes on", hint))
    if problems or cfg is None:
        raise ConfigError([composition.locate(problem) for problem in problems])
    return run, cfg, changes


def newest_boundary(run: Run) -> Checkpoint:
    """The newest checkpoint that was written between two rollouts, where nothing is half-done.

    Raises:
        RlzooError: if there is none.
    """
    found = [checkpoint for checkpoint in run.checkpoints() if _at_boundary(checkpoint)]
    if not found:
        have = ", ".join(checkpoint.name for checkpoint in run.checkpoints()) or "none"
        raise RlzooError(
            f"{run.path} has no checkpoint to go on from",
            f"its checkpoints: {have}; only those written between two rollouts hold all that is needed",
            ExitCode.TRAINING_FAILED,
        )
    return max(found, key=lambda checkpoint: (checkpoint.num_timesteps, checkpoint.name.isdigit()))


def _at_boundary(checkpoint: Checkpoint) -> bool:
    manifest: dict[str, Any] = json.loads(checkpoint.manifest.read_text())
    return bool(manifest.get("at_boundary")) and "standing.json" in manifest.get("files", {})


def _differences(old: Any, new: Any, key: str = "") -> dict[str, tuple[Any, Any]]:
    """Dotted keys whose values differ."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return {} if old == new else {key: (old, new)}
    found: dict[str, tuple[Any, Any]] = {}
    for name in [*old, *(name for name in new if name not in old)]:
        found |= _differences(old.get(name), new.get(name), f"{key}.{name}" if key else str(name))
    return found
