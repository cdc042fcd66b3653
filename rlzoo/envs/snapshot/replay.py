"""What it takes to run an environment to where it is once more: generators, a reset, and every action since."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np

from rlzoo.envs.snapshot import attributes, simulators
from rlzoo.envs.snapshot.encoding import decode, encode

MAX_STEPS = 200_000
"""Longer episodes are not recorded: replaying them would take longer than anybody waits."""

N_FRAMES = 128
"""An emulator is replayed for once to twice as many steps."""


@dataclass(frozen=True)
class Mark:
    """Where actions were taken from: the generators there, and of an emulator its clone.

    Attributes:
        at: how many actions came before.
        emulator: (n_bytes,) uint8, or None for other environments.
    """

    at: int
    generators: list[dict[str, Any]]
    tensors: dict[str, np.ndarray]
    emulator: np.ndarray | None


class Recording:
    """The running episode of an environment that is restored by replay; of others nothing is kept.

    Emulators are replayed as well, because a clone lacks the screen, parts of which stay from earlier frames: from a
    clone not long ago (`near`), or, where that was not all there is to a game, from the reset.

    Args:
        env: the environment below the monitor, whose resets and steps are recorded.
    """

    def __init__(self, env: gymnasium.Env) -> None:
        self._env, self._chain = env, attributes.layers(env)
        method = simulators.method(env.unwrapped)
        self._is_emulator = method == "ale"
        self.needed = method in ("replay", "ale")
        self._reset: dict[str, Any] = {}
        self._start: Mark | None = None
        self._near: list[Mark] = []  # the older is the one to go from, the newer becomes it
        self._actions: list[Any] = []

    def reset(self, kwargs: Mapping[str, Any]) -> None:
        """To be called before every reset."""
        renew_world(self._chain[-1])
        if not self.needed:
            return
        if kwargs.get("seed") is None:
            _ = getattr(self._chain[-1], "np_random", None)  # an unseeded generator comes to be now, not in the reset
        self._reset, self._near, self._actions = dict(kwargs), [], []
        self._start = self._mark()

    def step(self, action: Any) -> None:
        """To be called before every step."""
        if not self.needed or len(self._actions) > MAX_STEPS:
            return
        if self._is_emulator and len(self._actions) - (self._near[-1].at if self._near else 0) >= N_FRAMES:
            self._near = [*self._near[-1:], self._mark()]
        self._actions.append(action.copy() if isinstance(action, np.ndarray) else action)

    def save(self, tensors: dict[str, np.ndarray]) -> dict[str, Any]:
        """The recording as JSON and tensors.

        Raises:
            ValueError: if there is none, or the episode is too long.
            CannotEncodeError: if an action or an option of the reset cannot be stored.
        """
        if self._start is None:
            raise ValueError("it was never reset")
        if len(self._actions) > MAX_STEPS:
            raise ValueError(f"its episode is longer than {MAX_STEPS} steps")
        near = self._near[0] if len(self._near) > 1 else None
        return {
            "reset": encode(self._reset, "recording.reset", tensors),
            "actions": _save_actions(self._actions, "recording.actions", tensors),
            "start": _save_mark(self._start, "recording.start", tensors),
            "near": _save_mark(near, "recording.near", tensors) if near else None,
        }

    def replay(self, saved: Mapping[str, Any], tensors: Mapping[str, np.ndarray], *, near: bool) -> Any:
        """Do again what was recorded; afterwards this is the recording.

        Returns:
            The last observation.
        """
        env = self._env
        self._reset = decode(saved["reset"], tensors)
        self._actions = _load_actions(saved["actions"], tensors)
        self._start = _load_mark(saved["start"], "recording.start", tensors)
        self._near = [_load_mark(saved["near"], "recording.near", tensors)] if saved["near"] else []
        mark = self._near[0] if near else self._start
        attributes.load_generators(self._chain, mark.generators, mark.tensors)
        if mark.emulator is not None:
            simulators.load_clone(self._chain[-1], mark.emulator)
        actions = self._actions[mark.at :]
        observation = None
        with _undrawn(self._chain[-1]) if actions else nullcontext():
            if not near:
                renew_world(self._chain[-1])
                observation = env.reset(**self._reset)[0]
            for action in actions[:-1]:
                env.step(action)
        for action in actions[-1:]:
            observation = env.step(action)[0]
        return observation

    def _mark(self) -> Mark:
        tensors: dict[str, np.ndarray] = {}
        generators = attributes.save_generators(self._chain, "", tensors)
        emulator = simulators.clone(self._chain[-1]) if self._is_emulator else None
        return Mark(len(self._actions), generators, tensors, emulator)


def renew_world(base: Any) -> None:
    """Give BipedalWalker and CarRacing an empty world for the episode to come, as LunarLander gives itself.

    They make their world once. What earlier episodes left in it (the order of its collision tree) changes the last
    digits of later ones, so that an episode would depend on more than its seed and actions.
    """
    if type(base).__module__ == "gymnasium.envs.box2d.bipedal_walker":
        base._destroy()
        base.world = type(base.world)()
    elif type(base).__module__ == "gymnasium.envs.box2d.car_racing":
        base._destroy()
        base.world = type(base.world)((0, 0))


@contextmanager
def _undrawn(base: Any) -> Iterator[None]:
    """Inside, CarRacing shows black images: drawing them takes most of its time."""
    if type(base).__module__ != "gymnasium.envs.box2d.car_racing":
        yield
        return
    space = base.observation_space
    base._render = lambda mode: np.zeros(space.shape, space.dtype)
    try:
        yield
    finally:
        del base._render


def _save_actions(actions: list[Any], name: str, tensors: dict[str, np.ndarray]) -> dict[str, Any]:
    kinds = {(type(action), getattr(action, "dtype", None), getattr(action, "shape", None)) for action in actions}
    if len(kinds) == 1 and isinstance(actions[0], np.ndarray | np.generic):
        encode(np.stack(actions), name, tensors)
        return {"rows": name}
    return {"each": encode(actions, name, tensors)}


def _load_actions(saved: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> list[Any]:
    if "rows" in saved:
        return [row.copy() for row in np.asarray(tensors[saved["rows"]])]
    return list(decode(saved["each"], tensors))


def _save_mark(mark: Mark, name: str, tensors: dict[str, np.ndarray]) -> dict[str, Any]:
    tensors.update({f"{name}{key}": tensor for key, tensor in mark.tensors.items()})
    emulator = encode(mark.emulator, f"{name}.emulator", tensors)
    return {"at": mark.at, "generators": mark.generators, "emulator": emulator}


def _load_mark(saved: Mapping[str, Any], name: str, tensors: Mapping[str, np.ndarray]) -> Mark:
    own = {key.removeprefix(name): np.asarray(tensor) for key, tensor in tensors.items() if key.startswith(name)}
    return Mark(saved["at"], saved["generators"], own, decode(saved["emulator"], tensors))
