"""The assignments of the Hugging Face Deep RL Course as plain data: what each asks for, and how it is trained here.

https://huggingface.co/learn/deep-rl-course, "Certification process" and the hands-on of every unit. The number that the
course compares with a bar is the result, mean - std of the evaluation's returns.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil


@dataclass(frozen=True)
class Assignment:
    """One hands-on.

    Attributes:
        unit: as the course counts them.
        name: short and unique; that of the experiment in `conf/experiment` where there is one.
        title: the task, for people.
        algo: the algorithm that the course takes, by its name here where rlzoo has it.
        any_of_sb3: whether any algorithm of Stable-Baselines3 and sb3-contrib counts, or only `algo`.
        env: what `env=` takes; None where rlzoo cannot play it.
        env_ids: today's id first, then the ids of older versions and of the course's own models.
        bar: the least result that passes; None where a trained agent is all that is asked for.
        n_episodes: episodes of the evaluation.
        tags: all that a model on the Hub has to carry, besides one of `env_ids`.
        words: of `rlzoo train`; none where rlzoo cannot train it.
        certified: whether it is one of those that the certificate counts.
    """

    unit: str
    name: str
    title: str
    algo: str
    env: str | None
    env_ids: tuple[str, ...]
    bar: float | None
    n_episodes: int
    tags: tuple[str, ...]
    words: tuple[str, ...] = ()
    any_of_sb3: bool = False
    certified: bool = True

    @property
    def asked_for(self) -> str:
        """The bar in words."""
        return "a trained agent" if self.bar is None else f"mean - std >= {self.bar:g}"


SB3 = ("stable-baselines3",)

ASSIGNMENTS = (
    Assignment(
        unit="1",
        name="unit1_lunarlander",
        title="land on the moon",
        algo="ppo",
        any_of_sb3=True,
        env="LunarLander",
        env_ids=("LunarLander-v3", "LunarLander-v2"),
        bar=200.0,
        n_episodes=10,
        tags=SB3,
        words=("experiment=unit1_lunarlander",),
    ),
    Assignment(
        unit="2",
        name="unit2_frozenlake",
        title="cross the frozen lake",
        algo="q_learning",
        env="FrozenLakeNoSlippery",
        env_ids=("FrozenLake-v1", "FrozenLake-v1-4x4-no_slippery"),
        bar=1.0,  # "usually a mean reward of 1.0": of an agent that never fails, mean - std is the same
        n_episodes=100,
        tags=("q-learning",),
        words=("experiment=unit2_frozenlake",),
        certified=False,
    ),
    Assignment(
        unit="2",
        name="unit2_taxi",
        title="drive a taxi",
        algo="q_learning",
        env="Taxi",
        env_ids=("Taxi-v4", "Taxi-v3"),
        bar=4.5,
        n_episodes=100,
        tags=("q-learning",),
        words=("experiment=unit2_taxi",),
    ),
    Assignment(
        unit="3",
        name="unit3_spaceinvaders",
        title="play Space Invaders",
        algo="dqn",
        any_of_sb3=True,
        env="SpaceInvaders",
        env_ids=("SpaceInvadersNoFrameskip-v4",),
        bar=200.0,
        n_episodes=10,
        tags=SB3,
        words=("experiment=unit3_spaceinvaders",),
    ),
    Assignment(
        unit="4",
        name="unit4_cartpole",
        title="balance a pole",
        algo="reinforce",
        env="CartPole",
        env_ids=("CartPole-v1",),
        bar=350.0,
        n_episodes=10,
        tags=("reinforce",),
        words=("experiment=unit4_cartpole",),
    ),
    Assignment(
        unit="4",
        name="unit4_pixelcopter",
        title="fly through a cave",
        algo="reinforce",
        env="Pixelcopter",
        env_ids=("Pixelcopter-PLE-v0",),
        bar=5.0,
        n_episodes=10,
        tags=("reinforce",),
        words=("experiment=unit4_pixelcopter",),
    ),
    Assignment(
        unit="5",
        name="unit5_snowballtarget",
        title="hit targets with snowballs",
        algo="PPO (ML-Agents)",
        env=None,
        env_ids=("SnowballTarget", "ML-Agents-SnowballTarget"),
        bar=None,
        n_episodes=1,
        tags=("ml-agents-snowballtarget",),
    ),
    Assignment(
        unit="5",
        name="unit5_pyramids",
        title="find the golden brick",
        algo="PPO + RND (ML-Agents)",
        env=None,
        env_ids=("Pyramids", "ML-Agents-Pyramids"),
        bar=None,
        n_episodes=1,
        tags=("ml-agents-pyramids",),
    ),
    Assignment(
        unit="6",
        name="unit6_pandareach",
        title="reach with a robot arm",
        algo="a2c",
        any_of_sb3=True,
        env="gym",
        env_ids=("PandaReachDense-v3", "PandaReachDense-v2"),
        bar=-3.5,
        n_episodes=10,
        tags=SB3,
        words=(
            "algo=a2c",
            "env=gym",
            "env.id=PandaReachDense-v3",
            "env.imports=[panda_gym]",
            "env.extra=robotics",
            "env.n_envs=4",
            "env.normalize=true",
            "total_timesteps=1_000_000",
        ),
    ),
    Assignment(
        unit="7",
        name="unit7_soccertwos",
        title="play football, 2 against 2",
        algo="POCA (ML-Agents)",
        env=None,
        env_ids=("SoccerTwos", "ML-Agents-SoccerTwos"),
        bar=None,
        n_episodes=1,
        tags=("ml-agents-soccertwos",),
    ),
    Assignment(
        unit="8",
        name="unit8_lunarlander",
        title="land on the moon, from scratch",
        algo="ppo_scratch",
        env="LunarLander",
        env_ids=("LunarLander-v3", "LunarLander-v2"),
        bar=None,
        n_episodes=10,
        tags=("ppo", "custom-implementation"),
        words=("experiment=unit8_lunarlander",),
    ),
    Assignment(
        unit="8",
        name="unit8_doom",
        title="gather health in Doom",
        algo="APPO (Sample Factory)",
        env=None,
        env_ids=("doom_health_gathering_supreme",),
        bar=5.0,
        n_episodes=10,
        tags=("sample-factory",),
    ),
)

CERTIFIED = tuple(assignment for assignment in ASSIGNMENTS if assignment.certified)


@dataclass(frozen=True)
class Level:
    """What a share of the certified assignments earns."""

    name: str
    share: float

    @property
    def needed(self) -> int:
        """Assignments that have to be passed."""
        return ceil(self.share * len(CERTIFIED) - 1e-9)


LEVELS = (Level("excellence", 1.0), Level("completion", 0.8))
"""The highest first. The course calls the first one honors too."""


def find(name: str) -> Assignment:
    """The assignment of that name."""
    return next(assignment for assignment in ASSIGNMENTS if assignment.name == name)


def bar(name: str) -> float:
    """The least result that passes an assignment which has one."""
    found = find(name).bar
    assert found is not None
    return found


def level(n_passed: int) -> Level | None:
    """The highest level that so many passed assignments earn, or None."""
    return next((found for found in LEVELS if n_passed >= found.needed), None)
