"""One environment with all its wrappers: saved, restored and checked, in the process where the environment is."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import gymnasium
import numpy as np

from rlzoo.envs.seeding import isolated
from rlzoo.envs.snapshot import attributes, proven, simulators
from rlzoo.errors import words_of
from rlzoo.protocols import State

if TYPE_CHECKING:
    from rlzoo.envs.monitor import EpisodeMonitor

Level = Literal["exact", "unproven", "restarted"]


@dataclass(frozen=True)
class Restored:
    """How one environment came back.

    Attributes:
        level: `exact`, on an environment for which this was proven; `unproven`, restored and nothing looked wrong;
            `restarted`, a new episode.
        reason: why it is not exact.
        observation: the last one, or the first of the new episode.
    """

    level: Level
    reason: str
    observation: Any


class _NotRestoredError(Exception):
    """Says why."""


def save(outer: gymnasium.Env, monitor: EpisodeMonitor) -> State:
    """The state of an environment; what cannot be stored is said in it, and restarts the episode later."""
    tensors: dict[str, np.ndarray] = {}
    chain = attributes.layers(outer)
    values: dict[str, Any] = {"layers": [attributes.name_of(layer) for layer in chain]}
    values["seconds"] = time.time() - monitor.t_start
    kept = [attributes.save(layer, f"wrappers.{index}", tensors) for index, layer in enumerate(chain[:-1])]
    values["wrappers"] = [saved for saved, _ in kept]
    values["skipped"] = [
        f"{type(layer).__name__}.{key}" for layer, (_, keys) in zip(chain, kept, strict=False) for key in keys
    ]
    values["generators"] = attributes.save_generators(chain, "generators", tensors)
    try:
        if monitor.recording.needed:
            values["recording"] = monitor.recording.save(tensors)
        if simulators.method(chain[-1]) != "replay":
            values["core"] = simulators.save(chain[-1], "core", tensors)
    except Exception as error:  # an environment's own code: it ends no training
        values["missing"] = f"its state could not be stored ({_message(error)})"
    return State(tensors, values)


def load(outer: gymnasium.Env, monitor: EpisodeMonitor, state: State) -> Restored:
    """Put an environment back, or begin a new episode if that fails."""
    chain = attributes.layers(outer)
    with isolated(0):  # an environment that draws from global generators must not move them
        try:
            doubt = _put_back(chain, monitor, state)
        except Exception as error:
            reason = (
                str(error) if isinstance(error, _NotRestoredError) else f"it could not be restored ({_message(error)})"
            )
        else:
            doubt = doubt or _doubt(chain, state)
            return Restored("unproven" if doubt else "exact", doubt, outer.observation)  # type: ignore[attr-defined]
        return Restored("restarted", reason, _restart(chain, monitor, state))


def _put_back(chain: list[gymnasium.Env], monitor: EpisodeMonitor, state: State) -> str:
    """Put everything back and look whether it is the same; answers what could not be looked at."""
    if state.values["layers"] != [attributes.name_of(layer) for layer in chain]:
        raise _NotRestoredError("it has other wrappers now")
    _load_wrappers(chain, state)
    if "missing" in state.values:
        raise _NotRestoredError(state.values["missing"])
    if state.values.get("recording", {}).get("near"):
        try:
            return _put_back_from(chain, monitor, state, near=True)
        except _NotRestoredError:
            pass  # then from the start of the episode
    return _put_back_from(chain, monitor, state, near=False)


def _put_back_from(chain: list[gymnasium.Env], monitor: EpisodeMonitor, state: State, *, near: bool) -> str:
    values, tensors = state.values, state.tensors
    replayed = None
    if "recording" in values:
        replayed = monitor.recording.replay(values["recording"], tensors, near=near)
        _load_wrappers(chain, state)  # replaying moved them
    monitor.t_start = time.time() - values["seconds"]
    if "core" in values:
        simulators.load(chain[-1], values["core"], tensors)
    if not attributes.same_generators(chain, values["generators"], tensors):
        raise _NotRestoredError("its random numbers were not those stored")
    attributes.load_generators(chain, values["generators"], tensors)
    if "recording" in values and not attributes.same(replayed, monitor.observation):
        raise _NotRestoredError("replaying it led to another observation")
    if "core" not in values:
        return ""
    inside = chain[chain.index(monitor) + 1 : -1]
    if unknown := [type(layer).__name__ for layer in inside if not proven.passes_observations(layer)]:
        return f"its observation passes through {unknown[0]}"
    try:
        if not simulators.check(chain[-1], values["core"], tensors, monitor.observation):
            raise _NotRestoredError("its observation was not the one stored")
    except NotImplementedError as error:
        return str(error)
    return ""


def _load_wrappers(chain: list[gymnasium.Env], state: State) -> None:
    for layer, saved in zip(chain[:-1], state.values["wrappers"], strict=True):
        attributes.load(layer, saved, state.tensors)


def _doubt(chain: list[gymnasium.Env], state: State) -> str:
    """Why a restored environment must not be called exact; empty if it may."""
    if state.values["skipped"]:
        return f"{state.values['skipped'][0]} cannot be stored"
    return proven.doubt(chain)


def _restart(chain: list[gymnasium.Env], monitor: EpisodeMonitor, state: State) -> Any:
    """A new episode, drawn from the generators as they were, that no record counts twice."""
    if state.values["layers"] == [attributes.name_of(layer) for layer in chain]:
        attributes.load_generators(chain, state.values["generators"], state.tensors)
    monitor.abandon()
    return chain[0].reset()[0]


def _message(error: Exception) -> str:
    return f"{type(error).__name__}: {words_of(error)}"
