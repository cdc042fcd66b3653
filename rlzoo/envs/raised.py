"""What an environment raised instead of returning, in words for its author, and where he can change it."""

from __future__ import annotations

import inspect
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from rlzoo import errors
from rlzoo.envs import old_gym
from rlzoo.registry import nearest

OF_A_LIBRARY = 2
"""`errors.distance` of what the author of an environment has not written."""
_SPACES = ("observation_space", "action_space")


def in_words(what: str, error: BaseException) -> tuple[str, str]:
    """What a method did instead of returning, and what may help."""
    if (misfit := old_gym.explained(error)) is not None:
        return misfit.message if misfit is error else f"{what}: {misfit.message}", misfit.hint
    if isinstance(error, SystemExit):
        hint = "raise an error where something is wrong; the end of an episode is terminated=True"
        return f"{what} ends the process: sys.exit({error.code!r})", hint
    text = _text_of(error)
    if not text and (needed := _unwritten(error)):
        return f"{what} needs {type(needed[0]).__name__}.{needed[1]}(), which is not written", ""
    return f"{what} raises {type(error).__name__}{f': {text}' if text else ''}", ""


def why_not_made(error: BaseException, creator: Any) -> tuple[str, str]:
    """What Gymnasium or Python says of a class that is not an environment, in our words, and what may help."""
    text = _text_of(error)
    if match := re.search(r"^(\w+_space) must be a space", text):
        name = match[1]
        code = getattr(getattr(creator, "__init__", None), "__code__", None)
        near = nearest(name, [each for each in getattr(code, "co_names", ()) if each not in _SPACES], 1)
        instead = f", and sets self.{near[0]}" if near else ""
        return f"__init__() must set self.{name} to one of gymnasium.spaces{instead}", ""
    if match := re.search(r"must inherit from the gymnasium.Env class, actual class: <class '(.*)'>", text):
        return f"{match[1]} must inherit from gymnasium.Env", ""
    if match := re.search(r"missing \d+ required [\w-]+ arguments?: (.*)", text):
        names = re.findall(r"'(\w+)'", match[1])
        return text, " ".join(f"env.kwargs.{name}=…" for name in names) + " says it, or give it a default"
    return re.sub(r"\s*(See )?https?://\S*", "", text) or f"Gymnasium raises {type(error).__name__}", ""


def line_of(error: BaseException) -> str:
    """`file:line` of what was raised, where the author of an environment can change it; empty if it is a library's."""
    where = errors.author_line(error) or ""
    if (needed := _unwritten(error)) is not None:
        return line_of_class(type(needed[0]))
    is_his = where and not where.startswith("<") and errors.distance(str(Path(where).absolute())) < OF_A_LIBRARY
    return where if is_his else ""


def placed(message: str, where: str) -> tuple[str, str]:
    """A message that ends with `(file:line)` without it, and the place: `where`, or else that."""
    found = re.search(r" \(([^()]+:\d+)\)$", message)
    return (message[: found.start()], where or found[1]) if found else (message, where)


def line_of_class(kind: type) -> str:
    """Where the constructor of a class begins, else the class."""
    code = getattr(getattr(kind, "__init__", None), "__code__", None)
    if code is not None and errors.distance(code.co_filename) < OF_A_LIBRARY:
        return errors.line_in(code.co_filename, code.co_firstlineno)
    with suppress(OSError, TypeError):  # it was not written in a file
        return errors.line_in(str(inspect.getsourcefile(kind)), inspect.getsourcelines(kind)[1])
    return ""


def _unwritten(error: BaseException) -> tuple[Any, str] | None:
    """The object of a library's class, and its method that it leaves to be written, whose lack an error is about."""
    if not isinstance(error, NotImplementedError):
        return None
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    frame = trace.tb_frame if trace is not None else None
    if frame is None or errors.distance(frame.f_code.co_filename) < OF_A_LIBRARY or "self" not in frame.f_locals:
        return None
    return frame.f_locals["self"], frame.f_code.co_name


def _text_of(error: BaseException) -> str:
    return errors.words_of(error).partition(" was raised from the environment creator")[0]
