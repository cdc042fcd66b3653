"""A run whose selection an earlier checkpoint has won, whatever it really played: for tests of what follows from it."""

from __future__ import annotations

from rlzoo.runs import checkpoints
from rlzoo.runs.run import Run


def with_best(run: Run) -> Run:
    """The run, its newest candidate made `best` as `training` does it for a winner."""
    candidate = run.candidates()[-1]
    checkpoints.promote(run, candidate, {"winner": candidate.name})
    return run
