"""The core of an environment: which way its state can be saved and restored, and that way.

`own`         its own `get_state()` and `set_state(state)`
`mujoco`      the state that MuJoCo integrates, and what it derived on the last step
`ale`         the emulator's clone of a while ago, its random numbers included, and the actions since (see `recording`)
`attributes`  the attributes are all there is
`replay`      everything else: the actions since the last reset, run again (see `recording`)
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np

from rlzoo.envs.old_gym import Foreign
from rlzoo.envs.snapshot import attributes
from rlzoo.envs.snapshot.encoding import decode, encode

_PLAIN = (
    "gymnasium.envs.classic_control.",
    "gymnasium.envs.toy_text.",
    "stable_baselines3.common.envs.",
    "rlzoo.envs.",
)
"""Where environments come from whose attributes are all of their state."""

_DERIVED = (
    "qacc act_dot xpos xquat xmat xipos ximat xanchor xaxis geom_xpos geom_xmat site_xpos site_xmat cam_xpos cam_xmat "
    "light_xpos light_xdir subtree_com subtree_linvel subtree_angmom cdof cdof_dot cinert cvel cacc cfrc_int cfrc_ext "
    "ten_length ten_velocity actuator_length actuator_velocity actuator_force actuator_moment qfrc_bias qfrc_passive "
    "qfrc_actuator qfrc_smooth qfrc_constraint qfrc_inverse sensordata energy"
).split()
"""What MuJoCo computed on the way to its state, from the state before: environments observe and reward by it."""


def method(base: gymnasium.Env) -> str:
    """How the state of this environment, without wrappers, is kept."""
    if isinstance(base, Foreign):
        return "replay"
    if all(callable(getattr(type(base), name, None)) for name in ("get_state", "set_state")):
        return "own"
    if _is_mujoco(base):
        return "mujoco"
    if type(base).__module__.startswith("ale_py"):
        return "ale"
    return "attributes" if type(base).__module__.startswith(_PLAIN) else "replay"


def save(base: gymnasium.Env, name: str, tensors: dict[str, np.ndarray]) -> dict[str, Any]:
    """The state of an environment that is not replayed."""
    how = method(base)
    if how == "own":
        return {
            "own": encode(base.get_state(), f"{name}.own", tensors),  # type: ignore[attr-defined]
            "generators": attributes.save_generators([base], f"{name}.generators", tensors),
        }
    saved: dict[str, Any] = {"attributes": attributes.save(base, name, tensors)[0]}
    if how == "mujoco":
        saved["simulation"] = encode(_save_mujoco(base), f"{name}.simulation", tensors)
    if how == "ale":
        saved["emulator"] = encode(clone(base), f"{name}.emulator", tensors)
    return saved


def clone(base: Any) -> np.ndarray:
    """Everything in an emulator but its screen, (n_bytes,) uint8."""
    return np.frombuffer(base.ale.cloneState(include_rng=True).serialize(), np.uint8)


def load_clone(base: Any, state: np.ndarray) -> None:
    """Put an emulator back. Its screen stays, and some games draw only every other line, or not at all, for a while."""
    import ale_py

    base.ale.restoreState(ale_py.ALEState(state.tobytes()))


def load(base: gymnasium.Env, saved: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> None:
    """Put the state back; the environment need not have been reset, an emulator must have been replayed."""
    how = method(base)
    if how == "own":
        attributes.load_generators([base], saved["generators"], tensors)
        base.set_state(decode(saved["own"], tensors))  # type: ignore[attr-defined]
        return
    attributes.load(base, saved["attributes"], tensors)
    if how == "mujoco":
        _load_mujoco(base, decode(saved["simulation"], tensors))


def check(base: gymnasium.Env, saved: Mapping[str, Any], tensors: Mapping[str, np.ndarray], observation: Any) -> bool:
    """Whether the environment is now where it was, as far as can be seen.

    Raises:
        NotImplementedError: if nothing can be compared.
    """
    how = method(base)
    if how == "ale" and not attributes.same(clone(base), decode(saved["emulator"], tensors)):
        return False
    if how == "own" and not attributes.same(base.get_state(), decode(saved["own"], tensors)):  # type: ignore[attr-defined]
        return False
    again = _observe(base)
    if isinstance(again, np.ndarray) and isinstance(observation, np.ndarray):
        again = again.astype(observation.dtype)
    return attributes.same(again, observation)


def _observe(base: Any) -> Any:
    for name in ("_get_obs", "_get_ob"):
        if callable(getattr(type(base), name, None)):
            return getattr(base, name)()
    if isinstance(base.observation_space, gymnasium.spaces.Discrete) and hasattr(base, "s"):
        return int(base.s)
    if isinstance(base.observation_space, gymnasium.spaces.Box) and getattr(base, "state", None) is not None:
        return np.array(base.state, dtype=base.observation_space.dtype)
    raise NotImplementedError("its observation cannot be made again")


def _is_mujoco(base: Any) -> bool:
    mujoco: Any = sys.modules.get("mujoco")  # an environment that simulates with it has imported it
    return mujoco is not None and isinstance(getattr(base, "data", None), mujoco.MjData)


def _save_mujoco(base: Any) -> dict[str, np.ndarray]:
    mujoco: Any = sys.modules["mujoco"]
    kind = mujoco.mjtState.mjSTATE_INTEGRATION
    state = np.empty(mujoco.mj_stateSize(base.model, kind))
    mujoco.mj_getState(base.model, base.data, state, kind)
    derived = {name: getattr(base.data, name) for name in _DERIVED if hasattr(base.data, name)}
    return {"integration": state} | {name: array for name, array in derived.items() if array.size}


def _load_mujoco(base: Any, saved: Mapping[str, np.ndarray]) -> None:
    mujoco: Any = sys.modules["mujoco"]
    kind = mujoco.mjtState.mjSTATE_INTEGRATION
    mujoco.mj_setState(base.model, base.data, saved["integration"], kind)
    mujoco.mj_forward(base.model, base.data)
    mujoco.mj_setState(base.model, base.data, saved["integration"], kind)  # the forward pass moved the warm start
    for name, array in saved.items():
        if name != "integration":
            getattr(base.data, name)[...] = array
