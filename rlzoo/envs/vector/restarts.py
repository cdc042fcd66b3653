"""Environments that fail are made anew: how often, from which seed, and what is said about it.

The episode in which an environment fails is cut: its last step has the last observation once more, no reward, and is
truncated, so that nothing is learned as an end of the task. The monitor is made anew as well: the cut episode appears
in no record of episodes, and an evaluation plays that environment's share again, from the same seeds.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Self, SupportsFloat

import gymnasium

from rlzoo import console, errors
from rlzoo.envs import old_gym
from rlzoo.errors import ExitCode, RlzooError, clean
from rlzoo.seeding import episode_seeds

log = logging.getLogger("rlzoo")


@dataclass(frozen=True)
class Fault:
    """What an environment did.

    Attributes:
        what: `died (SIGKILL)`, `raised ValueError`, `did not answer for 120 s`.
        where: `at step 1,203`, of this environment since the command began.
        text: the error's own words, and the line they come from.
        traceback: of the error.
        hint: what may help.
    """

    what: str
    where: str = ""
    text: str = ""
    traceback: str = ""
    hint: str = ""

    @classmethod
    def of(cls, error: BaseException, where: str = "") -> Self:
        """An error that an environment raised."""
        line = errors.author_line(error)
        return cls(
            what=f"raised {type(error).__name__}",
            where=where,
            text=" ".join(f"{error} ({line})".split()) if line else " ".join(str(error).split()),
            traceback="".join(traceback.format_exception(error)),
        )


class Blueprint:
    """How to make one environment, and how often again.

    Args:
        name: what it is called in messages: `environment 3`.
        build: makes it, with the keywords `seed` and `episode_seeds`.
        seed: the first one is made with it; each later one with its own, so that no episode is repeated.
        max_restarts: how often it is made anew.
    """

    def __init__(self, name: str, build: Callable[..., gymnasium.Env], *, seed: int, max_restarts: int) -> None:
        self.name, self.seed = name, seed
        self._build, self._first_seed = build, seed
        self._n_restarts, self._max_restarts = 0, max_restarts

    @property
    def builder(self) -> Callable[[], gymnasium.Env]:
        """Makes the environment that is due."""
        return partial(self._build, seed=self.seed)

    def set_episode_seeds(self, seeds: Sequence[int]) -> None:
        """Those of the evaluation that begins, for environments made from now on."""
        self._build = partial(self._build, episode_seeds=tuple(seeds))

    def renew(self, fault: Fault) -> None:
        """Allow the environment to be made once more, and say so.

        Raises:
            RlzooError: with exit code 4 if it has been made anew often enough.
        """
        if self._n_restarts >= self._max_restarts:
            times = "1 restart" if self._n_restarts == 1 else f"{self._n_restarts} restarts"
            raise self.error(fault, f", after {times}" if self._n_restarts else "")
        self._n_restarts += 1
        self.seed = episode_seeds(self._first_seed, self._n_restarts, 1)[0]
        console.warn(self._message(fault, f", restarted ({self._n_restarts} of {self._max_restarts})"))
        if fault.traceback:
            log.warning("%s", clean(fault.traceback))

    def error(self, fault: Fault, then: str = "") -> RlzooError:
        """The end of the training that comes from a fault; its traceback is logged."""
        if fault.traceback:
            log.error("%s", clean(fault.traceback))
        hints = [fault.hint, f"env.max_restarts={self._max_restarts + 10} makes it anew more often"]
        return RlzooError(
            self._message(fault, then), "; ".join(hint for hint in hints if hint), ExitCode.TRAINING_FAILED
        )

    def _message(self, fault: Fault, then: str) -> str:
        head = " ".join(part for part in (self.name, fault.what, fault.where) if part)
        return f"{head}{then}: {fault.text}" if fault.text else f"{head}{then}"


class Restarting(gymnasium.Wrapper):
    """Outermost, in this very process: an environment that raises is made anew. One that hangs or dies is not."""

    transparent = True
    """What it wraps is played as it is."""

    def __init__(self, blueprint: Blueprint) -> None:
        super().__init__(blueprint.builder())
        self._blueprint = blueprint
        self._seed: int | None = None  # of the first reset of an environment made anew
        self._n_steps = 0

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        self._n_steps += 1
        try:
            return self.env.step(action)
        except Exception as error:
            _refuse_misfit(error)
            observation = self.env.get_wrapper_attr("observation")
            self._renew(Fault.of(error, f"at step {self._n_steps:,}"))
            return observation, 0.0, False, True, {}

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        while True:
            if self._seed is not None:
                kwargs["seed"], self._seed = self._seed, None
            try:
                return self.env.reset(**kwargs)
            except Exception as error:
                _refuse_misfit(error)
                self._renew(Fault.of(error, f"in reset after step {self._n_steps:,}"))

    def set_episode_seeds(self, seeds: Sequence[int]) -> None:
        """As the monitor's, and for environments made anew."""
        self._blueprint.set_episode_seeds(seeds)
        self.env.get_wrapper_attr("set_episode_seeds")(seeds)

    def _renew(self, fault: Fault) -> None:
        with suppress(Exception):  # it is broken already
            self.env.close()
        while True:
            self._blueprint.renew(fault)
            try:
                self.env, self._seed = self._blueprint.builder(), self._blueprint.seed
                return
            except Exception as error:
                fault = Fault.of(error, "while restarting")


def _refuse_misfit(error: Exception) -> None:
    """An environment of another API is the same made anew."""
    misfit = old_gym.explained(error)
    if misfit is not None:
        raise misfit from error
