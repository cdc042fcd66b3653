"""What a study begins with: the tuned set, the defaults, or every point of a grid."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from rlzoo.config.compose import Composition, compose, lay, without
from rlzoo.tuning import engines
from rlzoo.tuning.request import OWN_KEYS, TuneRequest
from rlzoo.tuning.space import Space, look_up

Queue = dict[str, dict[str, Any]]
"""By place: `params`, what is drawn there; `from`, where they come from; `always`, that nothing else may be drawn."""


def queue_of(request: TuneRequest) -> tuple[Queue, list[str]]:
    """What the study begins with, and what of it lies outside of the space."""
    if engines.name_of(request.config.sampler) == "grid":
        points = grid_points(request)
        return {
            str(place): {"params": params, "from": "grid", "always": True} for place, params in enumerate(points)
        }, []
    found: Queue = {}
    notes = []
    for name in dict.fromkeys(request.config.enqueue):
        if name == "tuned" and not request.base.hyperparams:
            continue
        source = request.base if name == "tuned" else defaults(request)
        values, said = request.space.nearest(source.values)
        if said:
            notes.append(f"the {NAMES[name]} lie not wholly in the space; in their trial {'; '.join(said)}")
        params = request.space.raw(values)
        if params and all(params != other["params"] for other in found.values()):
            found[str(len(found))] = {"params": params, "from": name}
    return found, notes


NAMES = {"tuned": "values of the tuned set", "defaults": "defaults"}


def defaults(request: TuneRequest) -> Composition:
    """The request without any tuned set: the same task and budget, judged in the same way."""
    words = [word for word in request.base.words if word.lstrip("+~").partition("=")[0] != "hyperparams"]
    plain = without(compose("tune", [*words, "hyperparams=none"]), OWN_KEYS)
    return lay(plain, {key: look_up(request.base.values, key) for key in SAME})


SAME = ("total_timesteps", "stop", "eval", "env.kwargs", "env.max_steps")
"""What a tuned set may say that is no hyperparameter: other values would be another budget, or another task."""


def grid_points(request: TuneRequest) -> list[dict[str, Any]]:
    """Every combination of the grid that may be tried, without what does not apply, each once."""
    space = request.space
    table = engines.grid(space)
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
