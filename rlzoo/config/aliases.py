"""Environment ids of older recipes, and the id that each of them means today."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Alias:
    """An id that no longer exists, or that has a successor.

    `same` says whether `id` is the same environment, so that it may stand in: same observations, actions, rewards and
    dynamics with the default keywords. `note` says what changed.
    """

    id: str
    same: bool
    note: str

    def differs(self, env_id: str) -> str:
        """Why `id` does not stand in for the old one."""
        return f"{env_id} is an old version, and {self.id} differs: {self.note}"


SAME = {
    "LunarLander-v2": ("LunarLander-v3", "only the stated bounds of the observation and the wind's reset changed"),
    "LunarLanderContinuous-v2": (
        "LunarLanderContinuous-v3",
        "only the stated bounds of the observation and the wind's reset changed",
    ),
    "Taxi-v3": ("Taxi-v4", "only the rainy and fickle variants changed"),
    "CliffWalking-v0": ("CliffWalking-v1", "only a slippery variant was added"),
    "CarRacing-v2": ("CarRacing-v3", "a finished lap now counts as terminated, no longer as truncated"),
    "Pendulum-v0": ("Pendulum-v1", "only the equations were simplified"),
    "HalfCheetah-v4": ("HalfCheetah-v5", "only keywords and info entries were added"),
    "Swimmer-v4": ("Swimmer-v5", "only keywords and info entries were added"),
    "SpacesInvadersNoFrameskip-v4": ("SpaceInvadersNoFrameskip-v4", "a misspelling"),
    "QBertNoFrameskip-v4": ("QbertNoFrameskip-v4", "a misspelling"),
    "Cartpole-v1": ("CartPole-v1", "a misspelling"),
    "Frozen-Lake-v1": ("FrozenLake-v1", "a misspelling"),
}
"""Old id to today's id of the same environment and what differs. The v4 robots were stepped beside their v5."""

CHANGED = {
    "CarRacing-v0": ("CarRacing-v3", "what completes a lap changed"),
    "CarRacing-v1": ("CarRacing-v3", "how an episode ends changed"),
    "FrozenLake-v0": ("FrozenLake-v1", "its rewards were corrected"),
    "Taxi-v2": ("Taxi-v4", "its map was corrected"),
    "Blackjack-v0": ("Blackjack-v1", "how a natural counts changed"),
    "BipedalWalker-v2": ("BipedalWalker-v3", "its lidar was corrected"),
    "BipedalWalkerHardcore-v2": ("BipedalWalkerHardcore-v3", "its lidar was corrected"),
    "PandaPickAndPlace-v1": ("PandaPickAndPlace-v3", "its interface changed"),
}
"""Old id to the id to use instead of it, and what is different there."""

_OBSERVATION_CHANGED = "it observes other numbers, so agents do not carry over"
_REWARD_CHANGED = "its rewards at the end of an episode changed"
_ROBOTS = {
    "Ant": _OBSERVATION_CHANGED,
    "HalfCheetah": "it ran on another simulator",
    "Hopper": _REWARD_CHANGED,
    "Humanoid": _OBSERVATION_CHANGED,
    "HumanoidStandup": _OBSERVATION_CHANGED,
    "InvertedDoublePendulum": _OBSERVATION_CHANGED,
    "InvertedPendulum": _REWARD_CHANGED,
    "Pusher": "the mass of its object and its rewards changed",
    "Reacher": _OBSERVATION_CHANGED,
    "Swimmer": "it ran on another simulator",
    "Walker2d": "the friction of its feet and its rewards changed",
}

_PATTERNS = (
    (re.compile(r"(?P<name>Panda\w+)-v[12]"), "{name}-v3", "its interface and the end of its episodes changed"),
    (re.compile(r"(?P<name>Vizdoom\w+)-v0"), "{name}-v1", "its interface changed"),
    (
        re.compile(r"(?P<name>\w+?)Deterministic-v[04]"),
        "{name}NoFrameskip-v4",
        "frames are skipped by the atari wrapper: env=atari",
    ),
)


def resolve(env_id: str) -> Alias | None:
    """What an old id means today; None if the id is not a known old one. A `package:` prefix is not one."""
    if env_id in SAME:
        return Alias(SAME[env_id][0], True, SAME[env_id][1])
    if env_id in CHANGED:
        return Alias(CHANGED[env_id][0], False, CHANGED[env_id][1])
    robot = re.fullmatch(r"(\w+)-v[1234]", env_id)
    if robot and robot[1] in _ROBOTS:
        return Alias(f"{robot[1]}-v5", False, _ROBOTS[robot[1]])
    for pattern, new_id, note in _PATTERNS:
        if match := pattern.fullmatch(env_id):
            return Alias(new_id.format(**match.groupdict()), False, note)
    return None


def older(env_id: str) -> list[str]:
    """Ids of older versions that are the same environment with its default keywords: `LunarLander-v2` of v3."""
    name = env_id.rpartition("-v")[0]
    return [old for old, (new, _) in SAME.items() if new == env_id and old.rpartition("-v")[0] == name]


def current(env_id: str) -> str:
    """The id itself, or today's id of the same environment."""
    alias = resolve(env_id)
    return alias.id if alias is not None and alias.same else env_id
