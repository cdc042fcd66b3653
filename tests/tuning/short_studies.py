"""Short searches: Q-learning on FrozenLake, which trains for a few hundred steps in a moment."""

from __future__ import annotations

import optuna

from rlzoo.errors import ExitCode, RlzooError
from rlzoo.tuning.progress import DRAWN, ERROR
from rlzoo.tuning.request import plan
from rlzoo.tuning.study import Study, begin
from rlzoo.tuning.trial import TrialFailed

SHORT = (
    "algo=q_learning", "env=FrozenLake", "hyperparams=none", "total_timesteps=200", "logger=csv", "eval.n_episodes=2",
    "eval.final_n_episodes=1", "seed=1", "top_k=0", "study=s",
)  # fmt: skip

OPEN: list[Study] = []
"""What a test has opened, and its fixture closes."""


def started(*words: str) -> Study:
    """A study in the current directory, begun or gone on with."""
    found = begin(plan([*SHORT, *words]))
    OPEN.append(found)
    return found


class Toy:
    """Stands in for the training of a trial: its score follows from its values, and it fails or stops when told to.

    Attributes:
        done: the numbers of the trials that were run.
        stop_at: calls (from 1) at which a signal comes.
    """

    def __init__(self) -> None:
        self.done: list[int] = []
        self.stop_at: set[int] = set()
        self.fail = lambda values: False
        self._calls = 0

    def __call__(self, study, trial, name):
        self._calls += 1
        values = study.request.space.draw(trial)
        trial.set_user_attr(DRAWN, True)
        if self._calls in self.stop_at:
            raise RlzooError("interrupted", code=ExitCode.INTERRUPTED)
        if self.fail(values):
            trial.set_user_attr(ERROR, "it cannot be")
            raise TrialFailed("it cannot be")
        self.done.append(trial.number)
        for step in range(2):
            trial.report(values["learning_rate"] * (step + 1), step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return values["learning_rate"] - values["min_epsilon"]
