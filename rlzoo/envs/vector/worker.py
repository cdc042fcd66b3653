"""One environment in its own process, seen from the training: it answers, or is recreated and then answers."""

from __future__ import annotations

import math
import os
import select
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from typing import Any

import gymnasium
import psutil
from stable_baselines3.common.vec_env.base_vec_env import CloudpickleWrapper

from rlzoo import console, errors
from rlzoo.envs.contract import ContractError
from rlzoo.envs.probe import RESET_FACTOR, START_SECONDS, place_in
from rlzoo.envs.vector.restarts import LIMITED, Blueprint, Fault, Said
from rlzoo.envs.vector.worker_process import SHOW, work
from rlzoo.errors import ExitCode, RlzooError
from rlzoo.processes import engines
from rlzoo.registry import Imports, outside_the_folder

LOOK_SECONDS = 1.0
"""How often the others are looked at while one is waited for."""

CLOSE_SECONDS = 3.0
"""How long an environment may take to close; then it is killed."""

BUSY_SECONDS = 0.5
"""How long one that is busy may take to finish before it closes."""

_OTHERWISE = "env.vec_env=dummy runs it in the command's own process, for a debugger"


class Worker:
    """One environment in its own process, used like the pipe to it: each `send` is followed by one `recv`."""

    def __init__(self, context: Any, blueprint: Blueprint, step_timeout: float, meanwhile: Callable[[], None]) -> None:
        self.blueprint = blueprint
        self.observation: Any = None  # the last one that was handed out
        self._context, self._step_timeout, self._meanwhile = context, step_timeout, meanwhile
        self._n_steps = 0
        self._request: Any = None  # sent, and not asked about yet
        self._kept: tuple[Any, ...] = ()  # the answer to it, if it had to be received early
        self._busy = False  # the process owes an answer
        self._next: tuple[Any, dict[str, Any]] | None = None  # what begins the episode after one that was cut
        self._reset_info: dict[str, Any] = {}
        self._doing, self._seconds, self._deadline = "starting", math.inf, math.inf
        self._start()

    @property
    def is_cut(self) -> bool:
        """Whether the episode was cut between two steps."""
        return self._next is not None

    def spaces(self) -> tuple[gymnasium.Space, gymnasium.Space]:
        """Observation and action space, once the environment has been made."""
        self._expect("starting", max(START_SECONDS, RESET_FACTOR * self._step_timeout))
        self._write(("get_spaces", None))
        try:
            return self._read()
        except _FaultError as error:
            raise self.blueprint.error(replace(error.fault, mends=False)) from None

    def send(self, request: tuple[str, Any]) -> None:
        """Hand over a command, to a process that may have died: `recv` finds out."""
        self._request, (command, data) = request, request
        if command == "step":
            self._n_steps += 1
            self._expect(command, self._step_timeout)
            if self._next is not None:  # there is nothing this action could belong to
                return
        elif command == "reset":
            self._expect(command, RESET_FACTOR * self._step_timeout)
        else:
            name = data[0] if command == "env_method" else command
            self._expect(name, self._step_timeout if name in LIMITED else math.inf)
        self._write(request)

    def recv(self) -> Any:
        """The answer to the last command: of the environment, or of the one that had to be made in its place.

        Raises:
            RlzooError: if it has failed too often.
        """
        if self._kept:
            (answer,), self._kept = self._kept, ()
            return answer
        request, self._request = self._request, None
        if request[0] == "step":
            return self._end_step()
        if request[0] == "reset":
            return self._end_reset(request[1][1])
        return self._end_call(request)

    def notice(self) -> None:
        """Recreate the environment now if its process has died while others are waited for."""
        if self._request is not None and not self._kept and self.process.exitcode is not None:
            self._kept = (self.recv(),)

    def ask_to_close(self) -> None:
        """Begin to close."""
        self._deadline = time.monotonic() + (BUSY_SECONDS if self._busy else CLOSE_SECONDS)
        with suppress(OSError):
            self._connection.send(("close", None))

    def end(self) -> None:
        """Wait until it is closed, or see to it."""
        self.process.join(max(0.0, self._deadline - time.monotonic()))
        with suppress(Exception, SystemExit):
            while self._connection.poll():
                if isinstance(message := self._connection.recv(), Fault):
                    console.warn(self.blueprint.described(message))
        if not self._busy and self.process.is_alive():
            console.warn(self.blueprint.described(Fault(f"did not close within {CLOSE_SECONDS:g} s", "and was killed")))
        self._kill()
        with suppress(ValueError):
            self.process.close()

    def _end_step(self) -> tuple[Any, Any, Any, dict[str, Any], dict[str, Any]]:
        ended = None if self._next is None else self._cut()
        if ended is None:
            try:
                observation, reward, done, info = self._read()
                if not done:
                    self.observation = observation
                    return observation, reward, done, info, self._reset_info
                ended = reward, done, info
                self._expect("reset", RESET_FACTOR * self._step_timeout)
                self._next = self._read()
            except _FaultError as error:
                ended = ended or self._cut()
                self._next = self._renew(error.fault)
        assert self._next is not None
        (self.observation, self._reset_info), self._next = self._next, None
        return self.observation, *ended, self._reset_info

    def _cut(self) -> tuple[float, bool, dict[str, Any]]:
        return 0.0, True, {"TimeLimit.truncated": True, "terminal_observation": self.observation}

    def _end_reset(self, options: dict[str, Any] | None) -> tuple[Any, dict[str, Any]]:
        self._next = None
        try:
            first = self._read()
        except _FaultError as error:
            first = self._renew(error.fault, options)
        self.observation, self._reset_info = first
        return first

    def _end_call(self, request: tuple[str, Any]) -> Any:
        while True:
            try:
                return self._read()
            except _FaultError as error:
                if error.is_alive:
                    if error.fault.what == "raised AttributeError":
                        raise AttributeError(error.fault.text) from None
                    raise self.blueprint.error(replace(error.fault, mends=False)) from None
                first = self._renew(error.fault)
                if self.observation is not None:
                    self._next = first
                self.send(request)
                self._request = None

    def _renew(self, fault: Fault, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Recreate the environment until it can be reset; answers its first observation and info."""
        while True:
            self._kill()
            engines.end({self.mark}, patience=0)
            self.blueprint.renew(fault)
            self._start()
            try:
                self._expect("restarting", max(START_SECONDS, RESET_FACTOR * self._step_timeout))
                self._write(("get_spaces", None))
                self._read()
                self._expect("reset", RESET_FACTOR * self._step_timeout)
                self._write(("reset", (self.blueprint.seed, options)))
                return self._read()
            except _FaultError as error:
                fault = error.fault
            except RlzooError as error:
                if error.code is ExitCode.TRAINING_FAILED:
                    raise
                # its module has gone meanwhile, say, and may be back the next time
                fault = Fault("cannot be made", self._where, error.message, hint=error.hint)

    def _start(self) -> None:
        ours, theirs = self._context.Pipe()
        builder = CloudpickleWrapper(self.blueprint.builder)
        self._connection: Connection = ours
        self.mark = engines.new_mark()
        self._trace, trace = self._context.Pipe(duplex=False)
        given = (theirs, trace, builder, self.blueprint.seed, Imports.here(), self.mark)
        self.process = self._context.Process(target=work, args=given, daemon=True)
        with outside_the_folder():
            self.process.start()
        theirs.close()
        trace.close()
        self._poll = select.poll() if hasattr(select, "poll") else None
        if self._poll:
            self._poll.register(ours, select.POLLIN)
            self._poll.register(self.process.sentinel, select.POLLIN)

    def _kill(self) -> None:
        if self.process.is_alive():
            with suppress(OSError, AttributeError):  # what it has started goes with it
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.kill()
        self.process.join(CLOSE_SECONDS)
        self._connection.close()
        self._trace.close()

    def _expect(self, doing: str, seconds: float) -> None:
        self._doing, self._seconds, self._deadline = doing, seconds, time.monotonic() + seconds

    @property
    def _where(self) -> str:
        if self._doing in ("starting", "restarting"):
            return f"while {self._doing}"
        if self._doing == "step":
            return f"at step {self._n_steps:,}"
        return f"in {self._doing} after step {self._n_steps:,}"

    def _write(self, request: tuple[str, Any]) -> None:
        self._busy = True
        with suppress(OSError):
            self._connection.send(request)

    def _read(self) -> Any:
        """The next message of the process.

        Raises:
            _FaultError: if it says that the environment has raised, or if none comes.
            RlzooError: if the environment cannot be made.
        """
        while not self._ready():
            if time.monotonic() >= self._deadline:
                hint = f"env.step_timeout={10 * self._step_timeout:g} waits longer"
                with suppress(OSError, AttributeError):
                    os.kill(self.process.pid, SHOW)
                what = f"did not answer for {self._seconds:g} s"
                raise _FaultError(Fault(what, self._where, self._place(), hint=hint))
            self._meanwhile()
        try:
            message = self._connection.recv()
        except (EOFError, OSError):
            end = self._last_words()
            hint = ("was the memory full? " if end == "SIGKILL" else "") + _OTHERWISE
            raise _FaultError(Fault(f"died ({end})", self._where, self._place(), hint=hint)) from None
        except BaseException as error:  # of a class that is not to be found here, or whose own code raises
            if not errors.is_foreign(error):
                raise
            what = f"{self.blueprint.name} put into its info what cannot be read outside of its process"
            raise ContractError(f"{what}: {errors.said(error)}", code=ExitCode.TRAINING_FAILED) from error
        if isinstance(message, Said):
            console.warn_once(message.text)
            return self._read()
        self._busy = False
        if isinstance(message, RlzooError):
            raise message
        if isinstance(message, Fault):
            raise _FaultError(replace(message, where=self._where), is_alive=True)
        return message

    def _ready(self) -> bool:
        """Wait a while for a message or for the end of the process."""
        seconds = max(0.0, min(LOOK_SECONDS, self._deadline - time.monotonic()))
        if self._poll is None:
            return bool(wait([self._connection, self.process.sentinel], seconds))
        found = self._poll.poll(1000 * seconds)  # [(file, event)]
        if len(found) == 1 and found[0][0] == self.process.sentinel and self._is_there():
            self._poll.unregister(self.process.sentinel)  # the fork server has died, not this process
            return False
        return bool(found)

    def _is_there(self) -> bool:
        self.process.join(0)  # of a process that has died nothing stays
        return psutil.pid_exists(self.process.pid)

    def _place(self) -> str:
        """The author's line where the process is, or was when it died, if it could say so."""
        text = b""
        with suppress(OSError):
            while self._trace.poll(LOOK_SECONDS / 2 if not text else 0.0):
                if not (data := os.read(self._trace.fileno(), 1 << 16)):
                    break
                text += data
        place = place_in(text.decode(errors="replace"))
        return f"it is in {place}" if place else ""

    def _last_words(self) -> str:
        self.process.join(LOOK_SECONDS)
        code = self.process.exitcode
        if code is None or code >= 0:
            return f"exit code {code}"
        return signal.Signals(-code).name


class _FaultError(Exception):
    """There is no answer but this."""

    def __init__(self, fault: Fault, *, is_alive: bool = False) -> None:
        super().__init__(fault)
        self.fault, self.is_alive = fault, is_alive
