"""Trials as files: one JSON each, which outlives every storage, and the checkpoints of the best."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlzoo import contained
from rlzoo.config.records import problem
from rlzoo.config.study_records import Finalist, FreshResult
from rlzoo.redaction import redact_values
from rlzoo.runs.run import write_text
from rlzoo.tuning.ledger import DRAWN, ENQUEUED, ERROR, EXACT, INFEASIBLE, OUTCOME, PLACE, WORKER, Ledger, state
from rlzoo.tuning.queue import values_of

RESULT_BYTES = 2**20

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from rlzoo.tuning.study import Study


def record_of(study: Study, trial: FrozenTrial) -> dict[str, Any]:
    """A trial as plain data: `values` by their names in the space, `settings` by their keys in a configuration."""
    attributes = trial.user_attrs
    outcome = attributes.get(OUTCOME, {})
    space = study.request.space
    values = values_of(space, trial) if DRAWN in attributes else {}
    settings = attributes.get(EXACT) if DRAWN in attributes else None
    return {
        "number": trial.number,
        "place": attributes.get(PLACE),
        "state": state(trial),
        "score": trial.values[0] if trial.values else None,
        "scores": outcome.get("scores", []),
        "second": trial.values[1] if trial.values and len(trial.values) > 1 else None,
        "values": values,
        "settings": space.settings(values) if settings is None else settings,
        "params": trial.params,
        "evaluations": {str(step): value for step, value in trial.intermediate_values.items()},
        "seeds": outcome.get("seeds", []),
        "runs": outcome.get("runs", []),
        "steps": outcome.get("steps", 0),
        "budget": outcome.get("budget"),
        "seconds": outcome.get("seconds"),
        "cpu_seconds": outcome.get("cpu_seconds"),
        "enqueued": attributes.get(ENQUEUED),
        "broken": attributes.get(INFEASIBLE, []),
        "error": attributes.get(ERROR),
        "worker": attributes.get(WORKER),
        "began": trial.datetime_start.isoformat() if trial.datetime_start else None,
        "ended": trial.datetime_complete.isoformat() if trial.datetime_complete else None,
    }


def write_records(study: Study, ledger: Ledger) -> None:
    """Write the JSON of every trial that was tried, has ended and has none."""
    study.trials_dir.mkdir(parents=True, exist_ok=True)
    there = {path.name for path in study.trials_dir.glob("*.json")}
    for trial in ledger.trials:
        name = f"{trial.number:04}.json"
        if trial.state.is_finished() and state(trial) != "infeasible" and name not in there:
            text = json.dumps(redact_values(record_of(study, trial)), indent=2, default=str)
            write_text(study.trials_dir / name, text + "\n")


def drop_checkpoints(study: Study, ledger: Ledger) -> None:
    """Remove the checkpoints of all trials that have ended but the best `keep`."""
    kept = {trial.number for trial in ledger.best(study.request.config.keep)}
    for trial in ledger.trials:
        if trial.state.is_finished() and trial.number not in kept:
            folder = study.trial_dir(trial.number)
            for checkpoints in (folder / "checkpoints", *folder.glob("seed*/checkpoints")):
                shutil.rmtree(checkpoints, ignore_errors=True)


def read_finalist(path: Path, study: Path) -> int | None:
    """The trial that won the race, by its file in the folder of a study; None if there is no such file."""
    try:
        found = json.loads(contained.read(path, study, RESULT_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    return None if problem(Finalist, found) else int(found["trial"])


def read_result(path: Path, study: Path) -> dict[str, Any] | None:
    """What a candidate scored on a fresh seed, by its file in the folder of a study; None if there is no such file."""
    try:
        found: dict[str, Any] = json.loads(contained.read(path, study, RESULT_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    return found if not problem(FreshResult, found) else None
