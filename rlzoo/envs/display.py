"""Lets simulators draw on a machine without a display."""

from __future__ import annotations

import os
import sys
from functools import lru_cache


@lru_cache(maxsize=1)
def prepare() -> None:
    """Choose an off-screen renderer for MuJoCo where there is no display and none was chosen.

    It has to happen before mujoco is imported, whether or not anything will be drawn. EGL first, which needs no
    package besides the graphics driver's; OSMesa if only that is there.
    """
    if sys.platform != "linux" or "MUJOCO_GL" in os.environ or "DISPLAY" in os.environ:
        return
    from ctypes.util import find_library

    from rlzoo.envs.registration import installed

    if not installed("mujoco"):
        return
    for renderer, library in (("egl", "EGL"), ("osmesa", "OSMesa")):
        if find_library(library):
            os.environ["MUJOCO_GL"] = renderer
            return
