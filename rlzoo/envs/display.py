"""Lets simulators draw on a machine without a display."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TypeVar

from rlzoo.errors import ExitCode, RlzooError

SCREEN = (1400, 900)
"""Width and height in pixels of the virtual display, as in the Deep RL Course."""

T = TypeVar("T")


def has_screen() -> bool:
    """Whether windows can be opened."""
    if sys.platform != "linux":
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


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
    from ctypes.util import find_library

    from rlzoo.envs.registration import installed

    if not installed("mujoco"):
        return
    for renderer, library in (("egl", "EGL"), ("osmesa", "OSMesa")):
        if find_library(library):
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
                if has_screen() or not needs_screen(error) or not may_repeat():
                    raise
                stack.enter_context(virtual_screen(str(error).partition("\n")[0]))
            return work()

        yield attempt


def needs_screen(error: BaseException | None) -> bool:
    """Whether something failed for want of a display."""
    while error is not None:
        words = f"{type(error).__module__} {type(error).__name__} {error}"
        if re.search(r"display|X11|X server|glfw|GLX|OpenGL|pyglet|EGL|OSMesa", words, re.IGNORECASE):
            return True
        error = error.__cause__ or error.__context__
    return False


@contextmanager
def virtual_screen(why: str) -> Iterator[None]:
    """A display that nobody sees, for what cannot draw without one.

    Raises:
        RlzooError: with exit code 3 if Xvfb or pyvirtualdisplay is missing.
    """
    import shutil

    from rlzoo.envs.registration import installed

    needs = [] if shutil.which("Xvfb") else ["apt-get install xvfb"]
    needs += [] if installed("pyvirtualdisplay") else ['pip install "hydra-rlzoo[display]"']
    if needs:
        instead = "; MuJoCo needs none with apt-get install libegl1 or libosmesa6" if "mujoco" in sys.modules else ""
        message = f"this environment needs a screen to draw, and there is none: {why}"
        raise RlzooError(message, f"{' and '.join(needs)} gives it a virtual one{instead}", ExitCode.MISSING)
    from pyvirtualdisplay.display import Display

    with Display(visible=False, size=SCREEN):
        yield
