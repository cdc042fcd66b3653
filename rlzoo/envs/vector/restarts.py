"""Environments that fail are recreated: how often, from which seed, and what is said about it.

The episode in which an environment fails is cut: its last step repeats the last observation, with no reward, and is
truncated, so that it is not learned as an end of the task. The monitor is recreated as well: the cut episode appears
in no record of episodes, and an evaluation plays that environment's share again, from the same seeds.
"""

from __future__ import annotations

import logging
import math
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from inspect import ismethod
from typing import Any, Self, SupportsFloat

import gymnasium

from rlzoo import console, errors
from rlzoo.envs import old_gym
from rlzoo.envs.probe import RESET_FACTOR, START_SECONDS
from rlzoo.envs.seeding import episode_seeds
from rlzoo.envs.vector.watchdog import Calls, Hung, author_line, stack_text
from rlzoo.errors import ExitCode, RlzooError, clean

log = logging.getLogger("rlzoo")

CLOSE_SECONDS = 30.0
"""How long one may take to close in this process, in seconds."""

LIMITED = ("action_masks", "compute_reward", "render")
"""Methods that may take as long as a step; others may have to replay a whole episode."""


_CLOSED: gymnasium.Env = gymnasium.Env()
"""In the place of one that was closed."""


@dataclass(frozen=True)
class Fault:
    """What an environment did.

    Attributes:
        what: `died (SIGKILL)`, `raised ValueError`, `did not answer for 120 s`.
        where: `at step 1,203`, of this environment since the command began.
        text: the error's own words, and the line they come from.
        traceback: of the error.
        hint: what may help.
        mends: whether recreating it may.
    """

    what: str
    where: str = ""
    text: str = ""
    traceback: str = ""
    hint: str = ""
    mends: bool = True

    @classmethod
    def of(cls, error: BaseException, where: str = "", *, mends: bool = True) -> Self:
        """An error that an environment raised, sys.exit among them."""
        line = errors.author_line(error)
        words = errors.words_of(error)
        is_exit = isinstance(error, SystemExit)
        return cls(
            what=f"called {errors.exit_function(error)}" if is_exit else f"raised {type(error).__name__}",
            where=where,
            text=f"{words} ({line})" if line and words else line or words,
            traceback="".join(traceback.format_exception(error)),
            mends=mends,
        )


@dataclass(frozen=True)
class Said:
    """What the process of an environment has to say besides its answers."""

    text: str


class Blueprint:
    """How to create one environment, and how often to recreate it.

    Args:
        name: what it is called in messages: `environment 3`.
        build: makes it, with the keywords `seed` and `episode_seeds`.
        seed: the first one is made with it; each later one with its own, so that no episode is repeated.
        max_restarts: how often it is recreated.
    """

    def __init__(self, name: str, build: Callable[..., gymnasium.Env], *, seed: int, max_restarts: int) -> None:
        self.name, self.seed = name, seed
        self._build, self._first_seed = build, seed
        self._n_restarts, self.max_restarts = 0, max_restarts

    @property
    def builder(self) -> Callable[[], gymnasium.Env]:
        """Makes the environment that is due."""
        return partial(self._build, seed=self.seed)

    def set_episode_seeds(self, seeds: Sequence[int]) -> None:
        """Those of the evaluation that begins, for environments made from now on."""
        self._build = partial(self._build, episode_seeds=tuple(seeds))

    def renew(self, fault: Fault) -> None:
        """Allow the environment to be recreated, and say so.

        Raises:
            RlzooError: with exit code 4 if it has been recreated `max_restarts` times.
        """
        if self._n_restarts >= self.max_restarts:
            times = "1 restart" if self._n_restarts == 1 else f"{self._n_restarts} restarts"
            raise self.error(fault, f", after {times}" if self._n_restarts else "")
        self._n_restarts += 1
        self.seed = episode_seeds(self._first_seed, self._n_restarts, 1)[0]
        console.warn(self.described(fault, f", restarted ({self._n_restarts} of {self.max_restarts})"))
        if fault.traceback:
            log.warning("%s", clean(fault.traceback))

    def error(self, fault: Fault, then: str = "") -> RlzooError:
        """The end of the training that comes from a fault; its traceback is logged."""
        if fault.traceback:
            log.error("%s", clean(fault.traceback))
        hints = [fault.hint]
        if fault.mends and self.max_restarts:
            hints.append(f"env.max_restarts={self.max_restarts + 10} recreates it more often")
        return RlzooError(
            self.described(fault, then), "; ".join(hint for hint in hints if hint), ExitCode.TRAINING_FAILED
        )

    def described(self, fault: Fault, then: str = "") -> str:
        """A fault in one line."""
        head = " ".join(part for part in (self.name, fault.what, fault.where) if part)
        return f"{head}{then}: {fault.text}" if fault.text else f"{head}{then}"


class Restarting(gymnasium.Wrapper):
    """Outermost, in this process: an environment that raises is recreated.

    One that hangs ends the training, and one that crashes takes the process with it: `vec_env=subproc` is for those.

    Raises:
        RlzooError: if it cannot be made, fails after its last restart or in a method that Gymnasium does not define,
            or does not answer within `step_timeout` seconds.
    """

    transparent = True
    """What it wraps is played as it is."""

    def __init__(self, blueprint: Blueprint, step_timeout: float = math.inf) -> None:
        self._blueprint, self._step_timeout = blueprint, step_timeout
        self._calls = Calls(step_timeout)
        self._seed: int | None = None  # of the first reset of a recreated environment
        self._n_steps = 0
        try:
            made = self._made("starting")
        except RlzooError:
            raise
        except BaseException as error:
            fault = self._fault(error, "while starting", mends=False)
            raise blueprint.error(fault) from error
        super().__init__(made)

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        self._n_steps += 1
        calls = self._calls
        calls.count += 1
        try:
            return self.env.step(action)
        except BaseException as error:
            fault = self._fault(error, f"at step {self._n_steps:,}")
        finally:
            calls.count += 1
        observation = self.env.get_wrapper_attr("observation")
        self._renew(fault)
        return observation, 0.0, False, True, {}

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        while True:
            if self._seed is not None:
                kwargs["seed"], self._seed = self._seed, None
            try:
                with self._calls.of("reset", RESET_FACTOR * self._step_timeout):
                    return self.env.reset(**kwargs)
            except BaseException as error:
                fault = self._fault(error, f"in reset after step {self._n_steps:,}")
            self._renew(fault)

    def render(self) -> Any:
        return self._call("render", self.env.render)

    def close(self) -> None:
        try:
            with self._calls.of("close", min(CLOSE_SECONDS, self._step_timeout)):
                env, self.env = self.env, _CLOSED
                env.close()
                del env  # its destructor has the same limit
        except BaseException as error:
            if not (isinstance(error, Hung) or errors.is_foreign(error)):
                raise
            fault = self._hang("in close") if isinstance(error, Hung) else Fault.of(error, "in close")
            console.warn(self._blueprint.described(fault))

    def get_wrapper_attr(self, name: str) -> Any:
        found = super().get_wrapper_attr(name)
        return partial(self._call, name, found) if ismethod(found) or isinstance(found, partial) else found

    def set_episode_seeds(self, seeds: Sequence[int]) -> None:
        """As the monitor's, and for recreated environments."""
        self._blueprint.set_episode_seeds(seeds)
        self.env.get_wrapper_attr("set_episode_seeds")(seeds)

    def _call(self, name: str, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call another method, which costs the environment nothing if it raises."""
        try:
            with self._calls.of(name, self._step_timeout if name in LIMITED else math.inf):
                return method(*args, **kwargs)
        except BaseException as error:
            if isinstance(error, RlzooError):
                raise
            fault = self._fault(error, f"in {name} after step {self._n_steps:,}", mends=False)
            raise self._blueprint.error(fault) from error

    def _fault(self, error: BaseException, where: str, *, mends: bool = True) -> Fault:
        """What an error says of the environment.

        Raises:
            RlzooError: if recreating it would not help.
            BaseException: `error`, if it is not the environment's.
        """
        if isinstance(error, Hung):
            raise self._blueprint.error(self._hang(where)) from None
        if not errors.is_foreign(error):
            raise error
        misfit = old_gym.explained(error)
        if misfit is not None:
            raise misfit from (None if misfit is error else error)  # an error that is its own cause has no end
        return Fault.of(error, where, mends=mends)

    def _hang(self, where: str) -> Fault:
        line = author_line(self._calls)
        hint = f"env.step_timeout={10 * self._step_timeout:g} waits longer"
        if self._blueprint.max_restarts:
            hint = f"env.vec_env=subproc recreates it; {hint}"
        text, trace = "" if line is None else f"it is in {line}", stack_text(self._calls)
        return Fault(f"did not answer for {self._calls.took:g} s", where, text, trace, hint, mends=False)

    def _made(self, doing: str) -> gymnasium.Env:
        with self._calls.of(doing, max(START_SECONDS, RESET_FACTOR * self._step_timeout)):
            return self._blueprint.builder()

    def _renew(self, fault: Fault) -> None:
        with suppress(Exception, SystemExit, Hung), self._calls.of("close", CLOSE_SECONDS):  # it is broken already
            self.env.close()
        while True:
            self._blueprint.renew(fault)
            try:
                self.env, self._seed = self._made("restarting"), self._blueprint.seed
                return
            except BaseException as error:
                fault = self._fault(error, "while restarting")
