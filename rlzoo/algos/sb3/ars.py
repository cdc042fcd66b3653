"""Augmented random search that ends when a callback says so; sb3-contrib's ignores the answer."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Self

from sb3_contrib import ARS


class _StopLearning(Exception):  # noqa: N818  a signal, as StopIteration is
    """Leaves the evaluation of a candidate, which has no other way out."""


class StoppableARS(ARS):
    """ARS with its loop written out. Saved models are plain ARS ones.

    An update that is cut short changes nothing: candidates are evaluated on a copy of the policy.
    """

    boundary_before_update = True
    """A rollout starts after its random directions were drawn; nothing is half-done only before that."""

    def learn(  # type: ignore[override]  # sb3-contrib's has one more parameter than its base class's
        self,
        total_timesteps: int,
        callback: Any = None,
        log_interval: int = 1,
        tb_log_name: str = "ARS",
        reset_num_timesteps: bool = True,
        async_eval: Any = None,
        progress_bar: bool = False,
    ) -> Self:
        """Train for `total_timesteps` more environment steps, in whole updates."""
        last, callback = self._setup_learn(total_timesteps, callback, reset_num_timesteps, tb_log_name, progress_bar)
        callback.on_training_start(locals(), globals())
        with suppress(_StopLearning):
            while self.num_timesteps < last:
                # sb3-contrib divides by the steps of this call; schedules run over the whole training
                self._update_current_progress_remaining(self.num_timesteps, last)
                boundary = getattr(callback, "boundary", None)
                if boundary is not None:
                    boundary()
                self._do_one_update(callback, async_eval)
                if self._n_updates % log_interval == 0:
                    self.dump_logs()
        callback.on_training_end()
        return self

    def _trigger_callback(self, _locals: dict[str, Any], _globals: dict[str, Any], callback: Any, n_envs: int) -> None:
        self.num_timesteps += n_envs
        callback.update_locals({**_locals, "infos": [_locals["info"]]})  # this is called once for each environment
        if not callback.on_step():
            raise _StopLearning
