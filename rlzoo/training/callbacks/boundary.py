"""The last boundary in memory, for a training that has to end too far from the next one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rlzoo.envs.vector.normalization import load_statistics, statistics
from rlzoo.protocols import Algorithm, State
from rlzoo.training.callbacks.resume import Standing

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv


@dataclass(frozen=True)
class Boundary:
    """All that a checkpoint of this moment would hold; of the replay buffer only what is overwritten later.

    Attributes:
        step: environment steps taken by then.
        algorithm: what was learned by then.
        normalization: the environment's statistics, None without them.
        others: the other parts by name, without the replay buffer.
    """

    step: int
    algorithm: State
    normalization: State | None
    others: Mapping[str, State]

    @classmethod
    def take(cls, algorithm: Algorithm, env: VecEnv, standing: Standing, others: Mapping[str, State]) -> Boundary:
        """Keep this moment; the one kept before is gone."""
        standing.mark_buffer()
        return cls(algorithm.num_timesteps, algorithm.state(), statistics(env), {**others, **standing.parts()})

    def put_back(self, algorithm: Algorithm, env: VecEnv, standing: Standing) -> None:
        """Make the algorithm, the statistics and the replay buffer what they were; the others are in `others`."""
        algorithm.restore(self.algorithm)
        if self.normalization is not None:
            load_statistics(env, self.normalization)
        standing.roll_back_buffer()
