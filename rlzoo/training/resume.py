"""`rlzoo train resume=…`: resume a training in its own directory, from its newest whole checkpoint."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rlzoo import contained
from rlzoo.config import overrides
from rlzoo.config.compose import override
from rlzoo.config.parse import check, dump
from rlzoo.config.quoting import unquoted
from rlzoo.config.schema import CHANGEABLE, WHERE, TrainConfig
from rlzoo.errors import ExitCode, Problem, RlzooError
from rlzoo.loggers import check as check_loggers
from rlzoo.redaction import redact_values, shell
from rlzoo.runs.config import RunConfig, find_problems
from rlzoo.runs.run import Checkpoint, Run, find_runs, folder_name
from rlzoo.training import init_from
from rlzoo.training.preflight import check_stored, secret_problems
from rlzoo.untrusted import signature


def resume_run(run: Run, cfg: TrainConfig, changes: Sequence[str] = ()) -> bool:
    """Train on as `cfg` says; False if the run had finished already.

    Raises:
        RlzooError: if another process trains this run, it has no whole checkpoint at a boundary, its environment cannot
            be made or has other spaces now, or the training fails.
    """
    from rlzoo.algos.memory import require_network
    from rlzoo.console import say
    from rlzoo.runs import checkpoints, lock
    from rlzoo.training.train import require_environment, train

    with lock.held(run):
        checkpoints.recover(run)
        checkpoint = newest_boundary(run)
        manifest = checkpoints.read_manifest(checkpoint)
        weights = manifest["files"].get(f"{checkpoints.ALGORITHM}.safetensors", {}).get("size", 0)
        require_network(cfg.algo, weights, f"checkpoint {checkpoint.path}")
        is_done, is_trained = bool(manifest.get("done")), checkpoint.num_timesteps >= cfg.total_timesteps
        has_played = cfg.stop.episodes is not None and (manifest.get("n_episodes") or 0) >= cfg.stop.episodes
        is_trained = is_trained or is_done or has_played
        if is_trained and run.read_info().get("status") == "finished":
            episodes = f", all of its {cfg.stop.episodes:,} episodes" if has_played else ""
            say(f"{run.path} is finished: {checkpoint.num_timesteps:,} of {cfg.total_timesteps:,} steps{episodes}")
            if is_done:
                say("there is nothing more to learn: a new run with other hyperparameters may go further")
            else:
                key = "stop.episodes" if has_played else "total_timesteps"
                say(f"to train on: rlzoo train {shell(f'resume={run.path}')} {key}=…")
            return False
        require_environment(cfg, run)
        for change in changes:
            say(f"changed: {change}")
        where = f"from step {checkpoint.num_timesteps:,} of {cfg.total_timesteps:,}"
        say(f"resuming {run.path} {'with the evaluation at the end' if is_trained else where}")
        run.write_config(dump(cfg))
        sitting = {"from": checkpoint.num_timesteps, "changes": list(changes)}
        info = {key: value for key, value in run.read_info().items() if key != "finished"}
        run.write_info({**info, "status": "running", "resumed": [*info.get("resumed", []), sitting]})
        train(cfg, run, resume_from=checkpoint)
    return True


def request(words: Sequence[str]) -> tuple[Run, TrainConfig, list[str]]:
    """The run, its configuration with the changes asked for, and these changes as text.

    Raises:
        ConfigError: naming every change that a run cannot be resumed with.
    """
    named = [word for word in words if overrides.key_of(word) in ("resume", "runs_dir", "trust")]
    places = {overrides.key_of(word): unquoted(word.partition("=")[2]) for word in named}
    run = Run.open(places["resume"], places.get("runs_dir", "runs"))
    stored, trust = RunConfig.open(run), places.get("trust") == "true"
    before, _ = check(TrainConfig, override(stored.file, ()).values)
    composition = stored.compose([word for word in words if word not in named], trust=trust, training=True)
    cfg, problems = find_problems(composition)
    problems = [*secret_problems(composition), *problems]
    named_already = {problem.key for problem in problems}
    changes = []
    differences = {} if before is None else _differences(dump(before), composition.values)
    if "algo.name" in differences:  # what another algorithm does not know of this one's keywords follows from that
        problems = [
            problem for problem in problems if not problem.key.startswith("algo.") or problem.key in differences
        ]
        named_already = {problem.key for problem in problems}
    loggers = composition.values.get("logger")
    for problem in check_loggers(loggers) if isinstance(loggers, dict) else ():
        pairs = ((f"{key}.", f"{problem.key}.") for key in differences)  # the run's own may be of elsewhere
        if any(one.startswith(other) or other.startswith(one) for one, other in pairs):
            problems.append(problem)
    for key, (old, new) in differences.items():
        changes.append(f"{key}: {json.dumps(redact_values(old))} -> {json.dumps(redact_values(new))}")
        if key.split(".")[0] not in CHANGEABLE and key not in named_already:
            hint = f"these may change: {', '.join(CHANGEABLE)}; for anything else start a new run"
            problems.append(Problem(key, "cannot change when a run is resumed", hint))
    if cfg is not None and not problems:
        cfg = stored.here(cfg, trust=trust)
        problems += check_stored(cfg)
    return run, composition.settled(cfg, problems), changes


def find_unfinished(cfg: TrainConfig) -> Run | None:
    """The newest run of this configuration that has not finished, is not in use, and has something to resume from.

    A configuration without a seed is that of a run with any seed, and one that begins with the weights of the newest
    run is that of a run that began with any weights. One that somebody else began is named, and left to them: its
    weights and results would be signed as the user's own.
    """
    from rlzoo.console import say
    from rlzoo.runs import lock

    wanted = _training(redact_values(dump(cfg)), cfg)
    folder = Path(cfg.runs_dir) / folder_name(cfg.algo.name) / folder_name(cfg.env.id)
    for run in sorted(find_runs(folder), key=lambda run: run.path.name, reverse=True):
        try:
            unfinished = run.read_info().get("status") != "finished"
            same = _training(run.read_config(), cfg) == wanted
            contained.require_whole(run.path)
            if unfinished and same and not lock.in_use(run):
                newest_boundary(run)
                if run.is_own() or not signature.has_key():  # without one nothing is signed
                    return run
                say(f"resume=auto: {run.path} was not begun here: rlzoo train {shell(f'resume={run.path}')} resumes it")
        except RlzooError:
            continue  # damaged, killed before its first checkpoint, or with links to elsewhere
    return None


def _training(config: dict[str, Any], cfg: TrainConfig) -> dict[str, Any]:
    """A configuration without what two runs of the training `cfg` may differ in."""
    left_out = WHERE if cfg.seed is not None else (*WHERE, "seed")
    found = {key: value for key, value in config.items() if key not in left_out}
    if cfg.init_from is not None and init_from.is_by_age(cfg.init_from):
        found["init_from"] = found.get("init_from") is not None
    return found


def newest_boundary(run: Run) -> Checkpoint:
    """The newest whole checkpoint that was written between two rollouts, where nothing is half-done.

    A newer one that is damaged is named in a warning.

    Raises:
        RlzooError: if there is none.
    """
    from rlzoo.console import warn
    from rlzoo.runs import checkpoints

    damaged: list[RlzooError] = []
    for checkpoint in _boundaries(run, damaged):
        try:
            checkpoints.verify(checkpoint)
        except RlzooError as error:
            damaged.append(error)
            continue
        for damage in damaged:
            warn(f"{damage.message}; going back to step {checkpoint.num_timesteps:,}")
        return checkpoint
    have = ", ".join(checkpoint.name for checkpoint in run.checkpoints())
    hint = f"its checkpoints: {have}; only those written between two rollouts hold all that is needed"
    if not have:
        hint = "it ended before the first was written, or they were removed: start the training again"
    raise RlzooError(
        f"{run.path} has no checkpoint to resume from",
        "\n  ".join([*(error.message for error in damaged), hint]),
        ExitCode.TRAINING_FAILED,
    )


def _boundaries(run: Run, damaged: list[RlzooError]) -> Iterator[Checkpoint]:
    """Checkpoints at a boundary, newest first; what stands in the way of reading a manifest goes to `damaged`."""
    from rlzoo.runs.checkpoints import read_manifest

    found = []
    for checkpoint in run.checkpoints():
        try:
            manifest = read_manifest(checkpoint)
        except RlzooError as error:
            damaged.append(error)
            continue
        if manifest.get("at_boundary") and "environments.json" in manifest["files"]:
            found.append((manifest["num_timesteps"], checkpoint.name.isdigit(), checkpoint))
    yield from (checkpoint for _, _, checkpoint in sorted(found, key=lambda one: one[:2], reverse=True))


def _differences(old: Any, new: Any, key: str = "") -> dict[str, tuple[Any, Any]]:
    """Dotted keys whose values differ."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return {} if old == new else {key: (old, new)}
    found: dict[str, tuple[Any, Any]] = {}
    for name in [*old, *(name for name in new if name not in old)]:
        found |= _differences(old.get(name), new.get(name), f"{key}.{name}" if key else str(name))
    return found
