"""For which environments it is proven that they continue exactly as they would have: a test runs over this table."""

from __future__ import annotations

from functools import lru_cache

import gymnasium

from rlzoo.envs.snapshot.attributes import name_of
from rlzoo.registry import version_of

VERSIONS = {
    "gymnasium": ("1.4.0",),
    "stable_baselines3": ("2.9.2",),
    "Box2D": ("2.3.10",),
    "mujoco": ("3.11.0",),
    "ale-py": ("0.12.1",),
}
"""The versions it was proven with."""

CLASSIC = (
    "Acrobot-v1 CartPole-v1 MountainCar-v0 MountainCarContinuous-v0 Pendulum-v1 Blackjack-v1 CliffWalking-v1 "
    "FrozenLake-v1 FrozenLake8x8-v1 Taxi-v4"
).split()
BOX2D = "BipedalWalker-v3 BipedalWalkerHardcore-v3 CarRacing-v3 LunarLander-v3 LunarLanderContinuous-v3".split()
MUJOCO = (
    "Ant-v5 HalfCheetah-v5 Hopper-v5 Humanoid-v5 HumanoidStandup-v5 InvertedDoublePendulum-v5 InvertedPendulum-v5 "
    "Pusher-v5 Reacher-v5 Swimmer-v5 Walker2d-v5"
).split()
ATARI = (
    "ALE/Breakout-v5 AsteroidsNoFrameskip-v4 BeamRiderNoFrameskip-v4 BreakoutNoFrameskip-v4 EnduroNoFrameskip-v4 "
    "MsPacmanNoFrameskip-v4 PongNoFrameskip-v4 QbertNoFrameskip-v4 RoadRunnerNoFrameskip-v4 SeaquestNoFrameskip-v4 "
    "SpaceInvadersNoFrameskip-v4"
).split()
OWN = "AliasedGridworld-v0 BitFlipping-v0 CheeseMaze-v0 Pixelcopter-PLE-v0 TaxiMasked-v0".split()
IDS = frozenset([*CLASSIC, *BOX2D, *MUJOCO, *ATARI, *OWN])

_PACKAGES = {"gymnasium.envs.box2d": "Box2D", "gymnasium.envs.mujoco": "mujoco", "ale_py": "ale-py"}
_WRAPPERS = ("gymnasium.wrappers.", "stable_baselines3.common.", "sb3_contrib.common.wrappers.", "rlzoo.envs.")
_PASSING = (
    "gymnasium.wrappers.common.TimeLimit",
    "gymnasium.wrappers.common.OrderEnforcing",
    "gymnasium.wrappers.common.PassiveEnvChecker",
    "rlzoo.envs.adapters.ActionMasks",
    "rlzoo.envs.old_gym.OldGym",
)


def passes_observations(layer: gymnasium.Env) -> bool:
    """Whether a wrapper shows observations as they are."""
    return name_of(layer) in _PASSING


def doubt(chain: list[gymnasium.Env]) -> str:
    """Why an environment that was restored must not be called exact; empty if it may.

    Args:
        chain: from the outermost wrapper to the core.
    """
    spec = getattr(chain[-1], "spec", None)
    if spec is None or spec.id not in IDS:
        return f"{spec.id if spec else name_of(chain[-1])} is not among the environments proven"
    if "xml_file" in spec.kwargs:
        return f"{spec.id} was not proven with an xml_file of one's own"
    if unknown := [layer for layer in chain[:-1] if not name_of(layer).startswith(_WRAPPERS)]:
        return f"the wrapper {type(unknown[0]).__name__} was not proven"
    needed = ["gymnasium", "stable_baselines3"]
    needed += [package for prefix, package in _PACKAGES.items() if type(chain[-1]).__module__.startswith(prefix)]
    for package in needed:
        if (found := _version(package) or "of unknown version") not in VERSIONS[package]:
            return f"{spec.id} was not proven with {package} {found}"
    return ""


_version = lru_cache(maxsize=8)(version_of)
