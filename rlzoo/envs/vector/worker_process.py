"""What runs in the process of one environment: it does what it is told, and says what went wrong.

A finished episode is told before its reset, so that a reset that fails takes nothing of it away.
"""

from __future__ import annotations

import faulthandler
import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import Any

import gymnasium
from stable_baselines3.common.env_util import is_wrapped
from stable_baselines3.common.vec_env.base_vec_env import CloudpickleWrapper

from rlzoo import console
from rlzoo.envs.contract import left_out
from rlzoo.envs.old_gym import explained
from rlzoo.envs.seeding import seed_everything
from rlzoo.envs.vector.restarts import Fault, Said
from rlzoo.errors import RlzooError
from rlzoo.processes import engines
from rlzoo.processes.leaving import plain_forks
from rlzoo.registry import Imports

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGXCPU", "SIGUSR1", "SIGUSR2")
"""What schedulers and terminals send to every process of a training: its main process decides."""


SHOW: Any = getattr(signal, "SIGURG", None)
"""Asks the process where it is; nobody else uses it."""


def work(
    connection: Connection,
    trace: Connection,
    builder: CloudpickleWrapper,
    seed: int,
    imports: Imports,
    mark: int | None,
) -> None:
    """The life of the process: make the environment, then answer each command, until the pipe closes.

    An error in the environment's constructor, step or reset is the last answer; one in another method is its answer.
    """
    _shield()
    _leave_word(trace)
    engines.enter(mark)
    console.log.addHandler(_Tell(connection))
    imports.apply()
    seed_everything(seed)  # environments that draw from global generators: each its own numbers
    env: gymnasium.Env | None = None
    with suppress(BrokenPipeError), console.quietly():  # nobody is there any more to be told
        try:
            env = builder.var()
            for command, data in _commands(connection):
                if command == "step":
                    _step(connection, env, data)
                elif command == "reset":
                    seed_of_reset, options = data
                    _send(connection, env.reset(seed=seed_of_reset, **({"options": options} if options else {})))
                else:
                    connection.send(_call(env, command, data))
        except RlzooError as error:
            connection.send(error if env is None else explained(error) or Fault.of(error))
        except BaseException as error:
            connection.send(explained(error) or Fault.of(error))
            return  # an environment that raised may raise again when it is closed
        if env is not None:
            try:
                env.close()
            except BaseException as error:
                connection.send(Fault.of(error, "in close"))


def _commands(connection: Connection) -> Iterator[tuple[str, Any]]:
    while True:
        try:
            command, data = connection.recv()
        except (EOFError, OSError):
            return
        if command == "close":
            return
        yield command, data


def _step(connection: Connection, env: gymnasium.Env, action: Any) -> None:
    observation, reward, terminated, truncated, info = env.step(action)
    info["TimeLimit.truncated"] = truncated and not terminated
    done = terminated or truncated
    if not done:
        _send(connection, (observation, reward, done, info))
        return
    info["terminal_observation"] = observation
    _send(connection, (None, reward, done, info))
    _send(connection, env.reset())


def _send(connection: Connection, answer: tuple[Any, ...]) -> None:
    """Send an answer, whose last part is an `info`, without the entries that cannot be sent."""
    try:
        connection.send(answer)
    except OSError:
        raise
    except Exception:
        *others, info = answer
        connection.send((*others, {key: value for key, value in info.items() if _can_be_sent(key, value)}))


def _can_be_sent(key: Any, value: Any) -> bool:
    try:
        ForkingPickler.dumps((key, value))
    except Exception as error:
        console.warn_once(left_out(key, error))
        return False
    return True


class _Tell(logging.Handler):
    """Lets the training say what rlzoo says in this process."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(logging.WARNING)
        self._connection = connection

    def emit(self, record: logging.LogRecord) -> None:
        self._connection.send(Said(record.getMessage()))


def _call(env: gymnasium.Env, command: str, data: Any) -> Any:
    try:
        if command == "env_method":
            name, arguments, keywords = data
            return env.get_wrapper_attr(name)(*arguments, **keywords)
        if command == "get_attr":
            return env.get_wrapper_attr(data)
        if command == "has_attr":
            return env.has_wrapper_attr(data)
        if command == "set_attr":
            return setattr(env, *data)
        if command == "is_wrapped":
            return is_wrapped(env, data)
        if command == "render":
            return env.render()
        return env.observation_space, env.action_space
    except Exception as error:
        return explained(error) or Fault.of(error)


def _shield() -> None:
    """Leave signals to the parent, and end with it, whatever the environment is doing then."""
    multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined] # it may start some itself
    plain_forks()
    for name in SIGNALS:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _ignore)  # SIG_IGN would also hold in programs that it starts
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)  # these programs can be killed with it
    parent = multiprocessing.parent_process()
    assert parent is not None
    if sys.platform == "linux":  # the kernel does it: a library may be holding the interpreter
        import fcntl

        fcntl.fcntl(parent.sentinel, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(parent.sentinel, fcntl.F_SETSIG, signal.SIGKILL)
        flags = fcntl.fcntl(parent.sentinel, fcntl.F_GETFL)
        fcntl.fcntl(parent.sentinel, fcntl.F_SETFL, flags | os.O_ASYNC)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _leave_word(trace: Connection) -> None:
    """Write where this process is to `trace`: where it crashes, calls `os._exit`, or is asked."""
    os.set_blocking(trace.fileno(), False)  # nobody reads it meanwhile
    faulthandler.enable(trace.fileno())
    if SHOW is not None:
        faulthandler.register(SHOW, trace.fileno())
    leave, own = os._exit, os.getpid()

    def leave_word(status: int) -> None:
        if os.getpid() == own:
            faulthandler.dump_traceback(trace.fileno())
        leave(status)

    os._exit = leave_word  # type: ignore[assignment]


def _ignore(number: int, frame: Any) -> None:
    pass


_ignore.tells = True  # type: ignore[attr-defined]


def _end_with(parent: Any) -> None:
    parent.join()
    if hasattr(os, "killpg"):
        os.killpg(0, signal.SIGKILL)
    os._exit(1)
