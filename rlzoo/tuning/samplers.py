"""Samplers and pruners by name, with their options; Optuna's, made from plain data."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import util
from typing import TYPE_CHECKING, Any

from rlzoo.config import fields
from rlzoo.errors import ExitCode, Problem
from rlzoo.redaction import redact
from rlzoo.registry import did_you_mean, load

if TYPE_CHECKING:
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler

    from rlzoo.config.tune_schema import Named
    from rlzoo.tuning.space import Space


@dataclass(frozen=True)
class Engine:
    """A sampler or a pruner.

    Attributes:
        reference: of its class.
        options: given unless the request gives others.
        package: what else has to be installed.
        summary: one line.
        exact: an interrupted study is resumed as if it had not been, with one worker and a fixed seed.
        several: it can search for two objectives at once.
    """

    reference: str
    summary: str
    options: Mapping[str, Any]
    package: str | None = None
    exact: bool = True
    several: bool = True


SAMPLERS: dict[str, Engine] = {
    "tpe": Engine(
        "optuna.samplers:TPESampler", "tree-structured Parzen estimator", {"multivariate": True, "constant_liar": True}
    ),
    "random": Engine("optuna.samplers:RandomSampler", "independent draws", {}),
    "cmaes": Engine(
        "rlzoo.tuning.study:CmaEsOfTrials",
        "evolution of a covariance; choices are drawn independently",
        {"warn_independent_sampling": False},
        "cmaes",
        several=False,
    ),
    "gp": Engine(
        "optuna.samplers:GPSampler", "Gaussian process (needs SciPy)", {"warn_independent_sampling": False}, "scipy"
    ),
    "nsgaii": Engine("optuna.samplers:NSGAIISampler", "genetic algorithm", {}),
    "qmc": Engine(
        "optuna.samplers:QMCSampler",
        "quasi-random sequence (needs SciPy)",
        {"scramble": True, "warn_independent_sampling": False},
        "scipy",
    ),
    "grid": Engine("optuna.samplers:GridSampler", "every combination of choices and whole numbers", {}),
    "auto": Engine(
        "optunahub:load_module", "chosen by the space and the number of trials", {}, "optunahub", exact=False
    ),
}
PRUNERS: dict[str, Engine] = {
    "none": Engine("optuna.pruners:NopPruner", "nothing is pruned", {}),
    "median": Engine(
        "optuna.pruners:MedianPruner", "worse than the median at its step", {"n_startup_trials": 5, "n_warmup_steps": 2}
    ),
    "percentile": Engine(
        "optuna.pruners:PercentilePruner",
        "worse than a percentile at its step",
        {"percentile": 25.0, "n_startup_trials": 5, "n_warmup_steps": 2},
    ),
    "successive_halving": Engine("optuna.pruners:SuccessiveHalvingPruner", "the better part continues", {}),
    "hyperband": Engine("optuna.pruners:HyperbandPruner", "several successive halvings", {}, exact=False),
    "wilcoxon": Engine(
        "optuna.pruners:WilcoxonPruner", "worse than the best over the same seeds (needs SciPy)", {}, "scipy"
    ),
    "threshold": Engine("optuna.pruners:ThresholdPruner", "outside of lower and upper", {}),
}
_AT_LEAST = dict.fromkeys(
    "prior_weight n_startup_trials n_warmup_steps n_startup_steps min_early_stopping_rate bootstrap_count".split(), 0
) | dict.fromkeys(
    "n_ei_candidates popsize inc_popsize interval_steps n_min_trials min_resource max_resource".split(), 1
)
_AT_LEAST |= {"population_size": 2, "reduction_factor": 2}
LIMITS: dict[str, dict[str, Any]] = {
    **{name: {"ge": least} for name, least in _AT_LEAST.items()},
    **{name: {"ge": 0, "le": 1} for name in ("mutation_prob", "crossover_prob", "swapping_prob", "p_threshold")},
    "percentile": {"ge": 0, "le": 100},
    "sigma0": {"gt": 0},
    "lower": {},
    "upper": {},
}
"""The ranges of Optuna's numbers, which it takes as they are; the two without one are scores."""
SEED_OFFSET = 7919
"""Between the seeds of a study's trials, so that neighbouring studies do not share them."""


def name_of(named: Named) -> str:
    """The name in a request's `sampler` or `pruner`, with or without options."""
    return named if isinstance(named, str) else next(iter(named), "")


def problems(key: str, named: Named, table: Mapping[str, Engine]) -> list[Problem]:
    """What is wrong with a sampler or a pruner of a request; `key` is `sampler` or `pruner`."""
    if not isinstance(named, str) and len(named) != 1:
        return [Problem(key, f"takes one name with its options, not {len(named)}", f"{key}={{tpe: {{…}}}}")]
    name = name_of(named)
    if name not in table:
        return [Problem(key, f"unknown {key} {name!r}{did_you_mean(name, table)}", f"one of: {', '.join(table)}")]
    engine = table[name]
    if engine.package and util.find_spec(engine.package) is None:
        message = f"{name} needs {engine.package}, which is not installed"
        command = "pip install optunahub" if name == "auto" else 'pip install "hydra-rlzoo[tune]"'
        return [Problem(key, message, command, code=ExitCode.MISSING)]
    given = _given(named)
    if not isinstance(given, Mapping):
        return [Problem(f"{key}.{name}", f"takes options by name, not {given!r}", f"{key}={name} takes none")]
    try:
        known = _known(name, engine)
    except Exception as error:  # AutoSampler is fetched: whatever its code and the network raise
        hint = "it is fetched from OptunaHub once; is the network there? sampler=tpe needs none"
        return [Problem(key, f"{name} cannot be loaded: {redact(str(error)) or type(error).__name__}", hint)]
    return fields.problems(known, {**engine.options, **given}, f"{key}.{name}") or _refused(key, name, engine, given)


def _given(named: Named) -> Any:
    """The options of a request's sampler or pruner; none are an empty mapping, however that is written."""
    given = None if isinstance(named, str) else named[name_of(named)]
    return {} if given is None else given


def _known(name: str, engine: Engine) -> fields.Fields:
    """What the options of a sampler or a pruner are."""
    found = fields.read(make_of(name, engine), without=("seed",))
    return {option: replace(field, **LIMITS.get(option, {})) for option, field in found.items()}


def notices(key: str, named: Named) -> list[str]:
    """What the user should hear about a sampler or a pruner of a request."""
    name = name_of(named)
    engine = {"sampler": SAMPLERS, "pruner": PRUNERS}[key].get(name)
    if engine is None or engine.exact:
        return []
    fetched = "its code is fetched from OptunaHub; " if name == "auto" else ""
    return [f"{key}={name}: {fetched}an interrupted study is resumed, but with other values than without"]


def _refused(key: str, name: str, engine: Engine, given: Mapping[str, Any]) -> list[Problem]:
    """What the sampler or the pruner itself says of its options."""
    if name == "grid":
        return []
    try:
        with _stable_enough(), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # an option that will go works until then
            make_of(name, engine)(**_options(name, engine, given), **({"seed": 0} if key == "sampler" else {}))
    except Exception as error:
        return [Problem(f"{key}.{name}", " ".join(str(error).split()))]
    return []


def _options(name: str, engine: Engine, given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a sampler or a pruner, those of the request first."""
    known = _known(name, engine)
    return {option: known[option].plain(value) for option, value in {**engine.options, **given}.items()}


def make_of(name: str, engine: Engine) -> Callable[..., Any]:
    """The class of a sampler or a pruner."""
    return _auto() if name == "auto" else load(engine.reference)


@functools.cache
def _auto() -> Callable[..., Any]:
    """AutoSampler, whose code is fetched."""
    with _stable_enough():
        return load(SAMPLERS["auto"].reference)("samplers/auto_sampler").AutoSampler


def make_pruner(named: Named) -> BasePruner:
    """The pruner of a request."""
    engine = PRUNERS[name_of(named)]
    with _stable_enough():
        return load(engine.reference)(**_options(name_of(named), engine, _given(named)))


def make_sampler(named: Named, space: Space, *, seed: int, number: int) -> BaseSampler:
    """The sampler of a request for one trial.

    Seeded by the study's seed and the trial's number, it proposes the same whether or not the study was interrupted.
    """
    name = name_of(named)
    engine = SAMPLERS[name]
    options = _options(name, engine, _given(named))
    drawn = (seed * SEED_OFFSET + number) % 2**31
    make = make_of(name, engine)
    if name == "grid":
        return make(grid(space), seed=seed, **options)
    with _stable_enough():
        return make(seed=seed if name == "qmc" else drawn, **options)  # one sequence: the trial's number is its place


@contextmanager
def _stable_enough() -> Iterator[None]:
    """What Optuna calls experimental has not changed for years, and whoever asks for it by name has chosen it."""
    from optuna.exceptions import ExperimentalWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield


def grid(space: Space) -> dict[str, list[Any]]:
    """Every value that each parameter can be drawn as.

    Raises:
        ValueError: naming the parameters that have no end of them.
    """
    from optuna.distributions import CategoricalDistribution, IntDistribution

    found: dict[str, list[Any]] = {}
    endless = []
    for parameter in space.parameters:
        distribution = parameter.transform.distribution()
        if isinstance(distribution, CategoricalDistribution):
            found[parameter.raw_name] = list(distribution.choices)
        elif isinstance(distribution, IntDistribution):
            found[parameter.raw_name] = list(range(distribution.low, distribution.high + 1, distribution.step))
        else:
            endless.append(parameter.name)
    if endless:
        raise ValueError(f"{', '.join(endless)}: a grid needs choices or whole numbers")
    return found
