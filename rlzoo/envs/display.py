"""Lets simulators draw on a machine without a display."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TypeVar

from rlzoo.errors import ExitCode, RlzooError, words_of
from rlzoo.processes import engines
from rlzoo.registry import has_library

SCREEN = (1400, 900)
"""Width and height in pixels of the virtual display, as in the Deep RL Course."""

PACKAGES = {"egl": "libegl1 libgl1-mesa-dri", "osmesa": "libosmesa6"}
"""Of Debian and Ubuntu: what MuJoCo draws with where there is no screen; the second needs no graphics driver at all."""

OFF_SCREEN = r"\bEGL|eglQuery|OSMesa|OpenGL\.platform"
WINDOWS = r"\bdisplay\b|X11|X server|glfw|\bGLX\b|gladLoadGL|OpenGL|pyglet"
"""What errors speak of that an off-screen renderer, or a window, comes to grief with."""

T = TypeVar("T")


def has_screen() -> bool:
    """Whether windows can be opened."""
    if sys.platform != "linux":
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def has_xvfb() -> bool:
    """Whether a display that nobody sees can be had."""
    from shutil import which

    return which("Xvfb") is not None


@lru_cache(maxsize=1)
def prepare() -> None:
    """Choose off-screen drawing where there is no display and none was chosen.

    It has to happen before mujoco is imported, whether or not anything will be drawn. EGL first, which needs no
    package besides the graphics driver's; OSMesa if only that is there. Pygame draws pictures without a window.
    """
    if sys.platform != "linux" or has_screen():
        return
    for name in ("SDL_VIDEODRIVER", "SDL_AUDIODRIVER"):
        os.environ.setdefault(name, "dummy")
    if "MUJOCO_GL" in os.environ:
        return
    from rlzoo.envs.registration import installed

    if not installed("mujoco"):
        return
    for renderer, library in (("egl", "EGL"), ("osmesa", "OSMesa")):
        if has_library(library):
            os.environ["MUJOCO_GL"] = renderer
            return


@contextmanager
def screen_if_needed(may_repeat: Callable[[], bool]) -> Iterator[Callable[[Callable[[], T]], T]]:
    """Within it work can be done that turns out to need a screen: it is then done again on a virtual one.

    Args:
        may_repeat: asked before it is done again.

    Yields:
        What does the work and gives its result.

    Raises:
        RlzooError: with exit code 3 if a screen is needed and none can be had, with what to install.
    """
    from contextlib import ExitStack

    with ExitStack() as stack:

        def attempt(work: Callable[[], T]) -> T:
            try:
                return work()
            except Exception as error:
                if not may_repeat():
                    raise
                if "mujoco" in sys.modules and _needs(error, rf"{OFF_SCREEN}|{WINDOWS}"):
                    raise _no_library(error) from error
                if has_screen() or not _needs(error, WINDOWS):
                    raise
                stack.enter_context(virtual_screen(_reason(error)))
            return work()

        yield attempt


def is_about_screens(error: BaseException) -> bool:
    """Whether an error may come from there being no screen, which a virtual one mends."""
    return _needs(error, rf"{OFF_SCREEN}|{WINDOWS}")


def _needs(error: BaseException | None, words: str) -> bool:
    """Whether an error, or one that it comes from, speaks of this."""
    while error is not None:
        if re.search(words, f"{type(error).__module__} {type(error).__name__} {words_of(error)}", re.IGNORECASE):
            return True
        error = error.__cause__ or error.__context__
    return False


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".partition("\n")[0]


def _no_library(error: BaseException) -> RlzooError:
    """MuJoCo does not draw; it cannot begin again with another library, or a screen, in the same process."""
    chosen = os.environ.get("MUJOCO_GL", "")
    other = "osmesa" if chosen == "egl" else "egl"
    ways = [f"apt-get install {PACKAGES[chosen]}"] if chosen in PACKAGES else []
    ways.append(f"apt-get install {PACKAGES[other]}, and MUJOCO_GL={other} before rlzoo")
    message = f"MuJoCo cannot draw{f' with MUJOCO_GL={chosen}' if chosen else ''}: {_reason(error)}"
    return RlzooError(message, "; or ".join(ways), ExitCode.MISSING)


@contextmanager
def virtual_screen(why: str) -> Iterator[None]:
    """A display that nobody sees, for what cannot draw without one.

    Raises:
        RlzooError: with exit code 3 if Xvfb or pyvirtualdisplay is missing.
    """
    from rlzoo.envs.registration import installed

    needs = [] if has_xvfb() else ["apt-get install xvfb"]
    needs += [] if installed("pyvirtualdisplay") else ['pip install "hydra-rlzoo[display]"']
    if needs:
        message = f"this environment needs a screen to draw, and there is none: {why}"
        raise RlzooError(message, f"a virtual one: {' and '.join(needs)}", ExitCode.MISSING)
    from pyvirtualdisplay.display import Display

    with engines.held(), Display(visible=False, size=SCREEN):
        yield
