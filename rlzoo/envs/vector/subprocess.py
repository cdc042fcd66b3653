"""Environments in their own processes that may die, hang or raise: each is recreated and the training continues.

Stable-Baselines3's vectorised environment, with workers that take commands as its pipes do but survive their process.
What a fault means for the episode is in `restarts`.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import sys
from collections.abc import Sequence
from typing import Any
from weakref import WeakSet

from stable_baselines3.common.vec_env import SubprocVecEnv, VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices

from rlzoo.envs.vector.restarts import Blueprint
from rlzoo.envs.vector.worker import Worker
from rlzoo.envs.vector.worker_process import work
from rlzoo.processes import engines

_open: WeakSet[RestartingSubprocVecEnv] = WeakSet()


class RestartingSubprocVecEnv(SubprocVecEnv):
    """`SubprocVecEnv` in which an environment that fails is recreated, in a new process and with a new seed.

    It fails if it raises in a step or a reset, if its process dies, or if it does not answer a step within
    `step_timeout` seconds, or a reset within three times that. Calls of its methods have no limit: restoring a state
    may replay a whole episode. The steps are bit for bit those of `SubprocVecEnv` as long as nothing fails.

    Closing takes at most `CLOSE_SECONDS`, whatever the processes do, and none outlives this one, even if it is killed;
    nor does what they start.

    Raises:
        RlzooError: if an environment cannot be made, or fails after its last restart.
    """

    def __init__(self, blueprints: Sequence[Blueprint], *, step_timeout: float) -> None:
        self.waiting = False
        self.closed = False
        self._pid = os.getpid()
        self.remotes: tuple[Worker, ...] = ()
        context = _context()
        try:
            for blueprint in blueprints:
                self.remotes += (Worker(context, blueprint, step_timeout, self._look_at_others),)
            _open.add(self)
            spaces = [worker.spaces() for worker in self.remotes]
            VecEnv.__init__(self, len(self.remotes), *spaces[0])
        except BaseException:
            self.close()
            raise

    def env_method(self, method_name: str, *args: Any, indices: VecEnvIndices = None, **kwargs: Any) -> list[Any]:
        """Call a method of the environments; one that raises keeps its environment and its process."""
        if method_name == "set_episode_seeds":
            for worker in self._get_target_remotes(indices):
                worker.blueprint.set_episode_seeds(*args)
        return super().env_method(method_name, *args, indices=indices, **kwargs)

    def set_observations(self, observations: Sequence[Any]) -> None:
        """The last observations (n_envs,) of environments that were restored."""
        for worker, observation in zip(self.remotes, observations, strict=True):
            worker.observation = observation

    @property
    def just_cut(self) -> list[int]:
        """The environments whose episode was cut between two steps, which the next step will report."""
        return [index for index, worker in enumerate(self.remotes) if worker.is_cut]

    def close(self) -> None:
        """Close all environments; those that do not finish are killed."""
        if self.closed or self._pid != os.getpid():
            return
        self.closed = True
        _open.discard(self)
        for worker in self.remotes:
            worker.ask_to_close()
        for worker in self.remotes:
            worker.end()
        engines.end({worker.mark for worker in self.remotes})

    def _look_at_others(self) -> None:
        for worker in self.remotes:
            worker.notice()


def _context() -> Any:
    """Where the system has a fork server, it imports once what every environment needs."""
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([work.__module__, "rlzoo.envs.monitor"])
    return context


@atexit.register
def _close_all() -> None:
    """Before multiprocessing waits for their processes."""
    for env in list(_open):
        env.close()
