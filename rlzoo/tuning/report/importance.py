"""Which parameters mattered for the best scores: PED-ANOVA over the complete trials (arXiv:2304.10255), by Optuna."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from rlzoo.tuning.report.data import Report

MIN_TRIALS = 10
"""Complete trials below which a ranking would be noise."""
TOP_TRIALS, TOP_SHARE = 5, 0.1
"""What counts as the best: this share of the trials, and at least this many, as the method's authors advise."""


@dataclass(frozen=True)
class Importance:
    """Shares of the parameters, which sum to 1, by objective: `score`, or the second one's name.

    Attributes:
        shares: the largest first.
        n_trials: complete trials that they were computed from.
        top: how many of them count as the best.
        reason: why there are none, by objective.
    """

    shares: dict[str, dict[str, float]] = field(default_factory=dict)
    n_trials: int = 0
    top: int = 0
    reason: dict[str, str] = field(default_factory=dict)

    @property
    def method(self) -> str:
        return f"PED-ANOVA: what the best {self.top} of {self.n_trials} complete trials have in common"

    def as_data(self) -> dict[str, Any]:
        method = self.method if self.shares else None
        return {"method": method, "shares": self.shares, "not_computed": self.reason}


def importance(report: Report) -> Importance:
    """The importance of every parameter that was drawn with more than one value."""
    numbers = {each.number for each in report.complete}
    trials = [each for each in report.optuna if each.number in numbers]
    objectives = ["score", *([report.second] if report.second else [])]
    if len(trials) < MIN_TRIALS:
        reason = f"it takes {MIN_TRIALS} complete trials, and there are {len(trials)}"
        return Importance(reason=dict.fromkeys(objectives, reason))
    top = max(TOP_TRIALS, round(TOP_SHARE * len(trials)))
    found = Importance(n_trials=len(trials), top=top)
    names = {axis.raw_name: axis.name for axis in report.axes}
    for index, objective in enumerate(objectives):
        sign = -1.0 if index == 0 else 1.0
        losses = [sign * trial.values[index] for trial in trials]
        if len(set(losses)) == 1:
            found.reason[objective] = "all complete trials have the same"
            continue
        shares = _shares(trials, losses, top / len(trials), sorted(names))
        if not shares:
            found.reason[objective] = f"{losses.count(min(losses))} of {len(losses)} trials share the best"
            continue
        ranked = sorted(shares.items(), key=lambda item: (-item[1], names[item[0]]))
        found.shares[objective] = {names[raw]: share for raw, share in ranked}
    return found


def _shares(
    trials: Sequence[FrozenTrial], losses: Sequence[float], quantile: float, names: Sequence[str]
) -> dict[str, float]:
    """Shares by raw names; none where the best cannot be told from the others."""
    import optuna
    from optuna.trial import TrialState, create_trial

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of every parameter that few trials have
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        study = optuna.create_study(storage=optuna.storages.InMemoryStorage())
        study.add_trials(
            create_trial(state=TrialState.COMPLETE, value=loss, params=each.params, distributions=each.distributions)
            for each, loss in zip(trials, losses, strict=True)
        )
        evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=quantile)
        varied = [name for name in names if len({each.params[name] for each in trials if name in each.params}) > 1]
        found = {**dict.fromkeys(names, 0.0), **evaluator.evaluate(study, varied)}  # it would rank constants too
    total = sum(found.values())
    return {name: value / total for name, value in found.items()} if total > 0 else {}
