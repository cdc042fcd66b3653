"""What a study begins with: the tuned set, the defaults, or every point of a grid."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rlzoo.config import tuned_set
from rlzoo.config.compose import Composition, compose, lay, without
from rlzoo.errors import ExitCode, RlzooError, show
from rlzoo.tuning import samplers
from rlzoo.tuning.ledger import EXACT
from rlzoo.tuning.request import OWN_KEYS, TuneRequest
from rlzoo.tuning.space import Space, at_path, look_up
from rlzoo.tuning.space_file import SECTIONS

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial, Trial

Queue = dict[str, dict[str, Any]]
"""By place: `params`, what is drawn there; `from`, where they come from; `exact`, whole settings of the trial, of which
`params` is what the sampler takes them for; `always`, that nothing else may be drawn."""


def queue_of(request: TuneRequest) -> tuple[Queue, list[str]]:
    """What the study begins with, and what of it lies outside of the space."""
    if samplers.name_of(request.config.sampler) == "grid":
        points = grid_points(request)
        return {
            str(place): {"params": params, "from": "grid", "always": True} for place, params in enumerate(points)
        }, []
    found: Queue = {}
    notes = []
    for name in dict.fromkeys(request.config.enqueue):
        if name == "tuned" and not request.base.hyperparams:
            continue
        source = request.base if name == "tuned" else defaults(request.base)
        exact = exact_settings(request.space, request.base, source)
        if any(exact == other[EXACT] for other in found.values()):
            continue
        values, said = request.space.nearest(source.values)
        if said:
            notes.append(f"the {NAMES[name]} are tried as they are; to the sampler {'; '.join(said)}")
        if broken := request.space.broken({}, source.values):
            notes.append(f"the {NAMES[name]} are tried though they do not meet {'; '.join(broken)}")
        found[str(len(found))] = {"params": request.space.raw(values), "from": name, EXACT: exact}
    return found, notes


NAMES = {"tuned": "values of the tuned set", "defaults": "defaults"}


def exact_settings(space: Space, base: Composition, source: Composition) -> dict[str, Any]:
    """What makes `source` of `base`, with every setting that is searched: to be laid over it whole."""
    searched = {tuple(parameter.key.split(".")[:2]) for parameter in space.parameters}
    found: dict[str, Any] = {}
    for section in SECTIONS:
        old, wanted = base.values[section], source.values[section]
        if old.keys() - wanted.keys():
            found[section] = wanted
            continue
        changed = [key for key in wanted if wanted[key] != old.get(key) or (section, key) in searched]
        found |= {f"{section}.{key}": wanted[key] for key in changed}
    return found


def settings_of(request: TuneRequest, trial: FrozenTrial | Trial) -> tuple[dict[str, Any], bool]:
    """What a trial changes in the request, by dotted key, and whether that is exact.

    Raises:
        RlzooError: if its exact settings, which come out of a storage that others may write to, name a module, a place
            or anything else that is not a value, and the request does not.
    """
    exact = trial.user_attrs.get(EXACT)
    if exact is None:
        return request.space.settings(drawn(request.space, trial.params)), False
    config = nested(exact)
    for path in tuned_set.split(config)[1]:
        if at_path(config, path) != at_path(request.base.values, path):
            message = (
                f"trial {trial.number} sets {'.'.join(path)} to {show(at_path(config, path))}, and the request does not"
            )
            raise RlzooError(message, "who else writes to the study's storage?", ExitCode.UNSAFE)
    return exact, True


def values_of(space: Space, trial: FrozenTrial) -> dict[str, Any]:
    """The values that a trial has, by the parameters' names."""
    exact = trial.user_attrs.get(EXACT)
    if exact is None:
        return drawn(space, trial.params)
    config = nested(exact)
    values: dict[str, Any] = {}
    for parameter in space.parameters:
        if parameter.applies(values):
            value = parameter.value_of(look_up(config, parameter.key))
            values[parameter.name] = parameter.default if value is None else value
    return values


def nested(exact: Mapping[str, Any]) -> dict[str, Any]:
    """Exact settings by section: `{algo.gamma: 0.9}` as `{algo: {gamma: 0.9}}`."""
    found: dict[str, Any] = {}
    for key, value in exact.items():
        section, _, name = key.partition(".")
        found[section] = {**found.get(section, {}), name: value} if name else value
    return found


def defaults(base: Composition) -> Composition:
    """A request without its tuned set: the same task and budget, judged in the same way."""
    words = [word for word in base.words if word.lstrip("+~").partition("=")[0] != "hyperparams"]
    plain = without(compose("tune", [*words, "hyperparams=none"]), OWN_KEYS)
    return lay(plain, {key: look_up(base.values, key) for key in SAME})


SAME = ("total_timesteps", "stop", "eval", "env.kwargs", "env.max_steps")
"""What a tuned set may say that is no hyperparameter: other values would be another budget, or another task."""


def grid_points(request: TuneRequest) -> list[dict[str, Any]]:
    """Every combination of the grid that may be tried, without what does not apply, each once."""
    space = request.space
    table = samplers.grid(space)
    found: dict[str, dict[str, Any]] = {}
    for combination in itertools.product(*table.values()):
        raw = dict(zip(table, combination, strict=True))
        values = drawn(space, raw)
        if not space.broken(values, lay(request.base, space.settings(values)).values):
            point = space.raw(values)
            found[repr(point)] = point
    return list(found.values())


def drawn(space: Space, raw: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a trial with these parameters."""
    values: dict[str, Any] = {}
    for parameter in space.parameters:
        if parameter.applies(values):
            values[parameter.name] = parameter.transform.value(raw[parameter.raw_name])
    return values
