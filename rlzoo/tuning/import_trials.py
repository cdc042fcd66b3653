"""Puts the best trials of another study into the queue of a study: they are run again, and count like every trial."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlzoo.config.compose import lay
from rlzoo.errors import RlzooError
from rlzoo.tuning.claims import QUEUE
from rlzoo.tuning.ledger import PLACE, Ledger
from rlzoo.tuning.queue import Queue
from rlzoo.tuning.request import TuneRequest
from rlzoo.tuning.source import Found, Source
from rlzoo.tuning.space import Space, same
from rlzoo.tuning.storage.store import explained
from rlzoo.tuning.study import begin


@dataclass(frozen=True)
class Taken:
    """A trial to begin with.

    Attributes:
        found: in the other study.
        params: what the sampler would have had to draw for it.
        values: by the parameters' names.
        notes: what became of values that cannot be drawn.
        place: in the study; None if the study has these parameters already, or is not made yet.
    """

    found: Found
    params: Mapping[str, Any]
    values: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    place: int | None = None


@dataclass(frozen=True)
class Chosen:
    """What of another study can be tried in this one.

    Attributes:
        taken: the best first.
        left_out: trials that may not be tried, by number, and why.
        not_searched: settings of the other study that this one holds fixed.
        not_given: parameters of this one that the other study says nothing of: the sampler draws them.
    """

    taken: tuple[Taken, ...]
    left_out: Mapping[int, str]
    not_searched: tuple[str, ...]
    not_given: tuple[str, ...]


def choose(source: Source, request: TuneRequest, n_best: int) -> Chosen:
    """The best trials that may be tried in the request's space.

    Raises:
        RlzooError: if there is none.
    """
    keys = {parameter.key for parameter in request.space.parameters}
    given = {key for found in source.trials for key in found.settings}
    taken: list[Taken] = []
    left_out: dict[int, str] = {}
    for found in source.trials:
        if len(taken) == n_best:
            break
        one = _fitted(found, request)
        if broken := _broken(one, request):
            left_out[found.number] = "; ".join(broken)
        elif one.params and all(one.params != other.params for other in taken):
            taken.append(one)
    if not taken:
        reason = "; ".join(f"trial {number}: {why}" for number, why in list(left_out.items())[:3])
        message = f"no trial of {source.name} can be tried in this space" + (f": {reason}" if reason else "")
        raise RlzooError(message, "" if given & keys else f"it searched {', '.join(sorted(given)) or 'nothing known'}")
    return Chosen(tuple(taken), left_out, tuple(sorted(given - keys)), tuple(sorted(keys - given)))


def append(request: TuneRequest, source: Source, chosen: Chosen) -> tuple[Path, list[Taken], list[str]]:
    """Make the study, or take the one that is there, and put the trials behind what it begins with.

    Returns:
        Its folder, the trials with their places, and what the user should hear about.

    Raises:
        RlzooError: if the study has another request, or its storage fails.
    """
    with closing(begin(request)) as study:
        claims = study.claims
        with claims.store.lock(), explained(claims.store):
            queue: Queue = dict(claims.user_attrs[QUEUE])
            ledger = claims.ledger()
            free = _free(queue, ledger)
            there = [*(each["params"] for each in queue.values()), *(trial.params for trial in ledger.trials)]
            placed = []
            for one in chosen.taken:
                place = None if _is_there(one.params, there) else next(free)
                if place is not None:
                    queue[str(place)] = {"params": dict(one.params), "from": f"{source.name} trial {one.found.number}"}
                placed.append(Taken(one.found, one.params, one.values, one.notes, place))
            claims.set_user_attr(QUEUE, queue)
        return study.folder, placed, list(study.notes)


def _fitted(found: Found, request: TuneRequest) -> Taken:
    """The trial as the space can draw it."""
    parameters = tuple(each for each in request.space.parameters if each.key in found.settings)
    values, notes = Space(parameters).nearest(lay(request.base, found.settings).values)
    return Taken(found, request.space.raw(values), values, tuple(notes))


def _broken(one: Taken, request: TuneRequest) -> list[str]:
    """The constraints that it does not meet, of those that say nothing of what the sampler is to draw."""
    drawn = {parameter.name for parameter in request.space.parameters} - set(one.values)
    decided = tuple(each for each in request.space.constraints if not each.names & drawn)
    laid = lay(request.base, request.space.settings(one.values)).values
    return Space(request.space.parameters, decided).broken(one.values, laid)


def _free(queue: Queue, ledger: Ledger) -> Iterator[int]:
    """Places that nothing was put in and no trial was begun in, the lowest first."""
    begun = {trial.user_attrs.get(PLACE) for trial in ledger.trials}
    place = 0
    while True:
        if str(place) not in queue and place not in begun:
            yield place
        place += 1


def _is_there(params: Mapping[str, Any], there: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a trial has these parameters, but for rounding; it may have drawn others besides."""
    return any(all(name in other and same(params[name], other[name]) for name in params) for other in there)
