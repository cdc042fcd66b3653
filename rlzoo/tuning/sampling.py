"""The sampler of a study: made anew for every trial, seeded by the study's seed and the trial's place."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.samplers import BaseSampler, CmaEsSampler
from optuna.study import StudyDirection

from rlzoo.tuning import samplers
from rlzoo.tuning.ledger import ATTEMPT, DRAWN, PLACE

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial, TrialState

    from rlzoo.config.tune_schema import Named
    from rlzoo.tuning.space import Space

STRIDE = 1_000_003
"""Between the numbers of a place's attempts."""


class PlacedSampler(BaseSampler):
    """Proposes the same for the same trials before, in whichever process and however often the study was interrupted.

    One study has one: `before_trial` is told which trial it is for.
    """

    def __init__(self, named: Named, space: Space, seed: int) -> None:
        self._named, self._space, self._seed = named, space, seed
        self._sampler: BaseSampler | None = None
        self._number = 0

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        self._number = trial.user_attrs.get(PLACE, trial.number) + STRIDE * trial.user_attrs.get(ATTEMPT, 0)
        self._sampler = samplers.make_sampler(self._named, self._space, seed=self._seed, number=self._number)
        if DRAWN not in trial.user_attrs:
            self._sampler.before_trial(study, trial)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        if DRAWN in trial.user_attrs:  # it is run again: a sequence that counts its draws must not count it twice
            return {}
        return self._inner.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if not search_space:
            return {}
        if samplers.name_of(self._named) == "cmaes":  # it draws by the trial's number, which counts lost ones
            trial = copy(trial)
            trial.number = self._number
        return self._inner.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._inner.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        if self._sampler is not None:  # else another process drew it, and is gone
            self._sampler.after_trial(study, trial, state, values)

    @property
    def _inner(self) -> BaseSampler:
        assert self._sampler is not None, "before_trial comes first"
        return self._sampler


class CmaEsOfTrials(CmaEsSampler):
    """CMA-ES whose state is computed from the trials.

    Optuna keeps it in the storage as a pickle, and opens the one that it finds there. Here none is written or opened:
    the distribution begins as Optuna's, and is told the trials of one generation after another.
    """

    _completed: Sequence[FrozenTrial] = ()

    def _restore_optimizer(self, completed_trials: list[FrozenTrial], *_: Any) -> None:
        self._completed = completed_trials

    def _init_optimizer(self, trans: Any, direction: StudyDirection, *_: Any, **__: Any) -> Any:
        begun = [trial for trial in self._completed if trial.system_attrs.get(self._attr_key_generation, 0) > 0]
        state = self._cma_rng.rng.get_state() if begun else None
        optimizer: Any = super()._init_optimizer(trans, direction)
        if state is not None:  # Optuna draws a seed for a new distribution only
            self._cma_rng.rng.set_state(state)
        sign = 1 if direction == StudyDirection.MINIMIZE else -1
        while len(told := self._first_of(optimizer.generation, optimizer.population_size)) == optimizer.population_size:
            optimizer.tell([(self._point(trial, trans), sign * (trial.value or 0.0)) for trial in told])
        return optimizer

    def _first_of(self, generation: int, n: int) -> list[FrozenTrial]:
        """The n trials of a generation that were complete first: what a single worker would have told it of."""
        found = [t for t in self._completed if t.system_attrs.get(self._attr_key_generation) == generation]
        return sorted(found, key=lambda trial: (trial.datetime_complete or datetime.max, trial.number))[:n]

    def _point(self, trial: FrozenTrial, trans: Any) -> Any:
        """Where the trial was in the space of the distribution, with shape (n_parameters,)."""
        if "x_for_tell" in trial.system_attrs and self._with_margin:
            return np.array(trial.system_attrs["x_for_tell"])
        return trans.transform(trial.params)
