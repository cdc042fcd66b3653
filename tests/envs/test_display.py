"""Drawing without a screen: what is chosen, the virtual screen for what needs one, and what to install."""

import ctypes
import ctypes.util
import os
import re
import subprocess
import sys

import pytest

from rlzoo.envs import display
from rlzoo.errors import ExitCode, RlzooError
from tests.system import no_xvfb

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="X11")


@pytest.fixture(autouse=True)
def no_display(monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)


def screen_size():
    """Of the X server that DISPLAY names, as any window would ask for it."""
    library = ctypes.CDLL(ctypes.util.find_library("X11"))
    library.XOpenDisplay.restype = ctypes.c_void_p
    library.XDisplayWidth.argtypes = library.XDisplayHeight.argtypes = (ctypes.c_void_p, ctypes.c_int)
    library.XCloseDisplay.argtypes = (ctypes.c_void_p,)
    server = library.XOpenDisplay(None)
    if not server:
        raise RuntimeError("cannot open display")
    try:
        return library.XDisplayWidth(server, 0), library.XDisplayHeight(server, 0)
    finally:
        library.XCloseDisplay(server)


@pytest.mark.skipif(ctypes.util.find_library("X11") is None, reason="needs libX11")
def test_what_needs_a_screen_gets_a_virtual_one(monkeypatch):
    if no_xvfb():
        pytest.skip(no_xvfb())
    pytest.importorskip("pyvirtualdisplay")
    monkeypatch.delitem(sys.modules, "mujoco", raising=False)  # which has its own way
    attempts = []

    def work():
        attempts.append(os.environ.get("DISPLAY"))
        return screen_size()

    with display.screen_if_needed(lambda: True) as attempt:
        assert attempt(work) == (1400, 900)
        assert attempt(work) == (1400, 900)  # and keeps it
    assert attempts[0] is None
    assert attempts[1] == attempts[2] is not None
    assert "DISPLAY" not in os.environ


def test_other_errors_and_what_has_begun_are_not_repeated(monkeypatch):
    attempts = []

    def work():
        attempts.append(1)
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"), display.screen_if_needed(lambda: True) as attempt:
        attempt(work)
    with pytest.raises(RuntimeError), display.screen_if_needed(lambda: False) as attempt:
        attempt(lambda: (_ for _ in ()).throw(RuntimeError("cannot open display")))
    assert len(attempts) == 1


def test_without_xvfb_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RlzooError, match="needs a screen to draw, and there is none: no display") as caught:
        display.virtual_screen("no display").__enter__()
    assert caught.value.code == ExitCode.MISSING
    assert "apt-get install xvfb" in caught.value.hint


MUJOCO = """
from rlzoo.envs import display
from rlzoo.envs.make import make_raw
with display.screen_if_needed(lambda: True) as attempt:
    def draw():
        env = make_raw("InvertedPendulum-v5", render_mode="rgb_array")
        env.reset(seed=0)
        return env.render()
    attempt(draw)
"""


@pytest.mark.parametrize(
    ("environment", "hint"),
    [
        (
            {"MUJOCO_GL": "egl", "PYOPENGL_PLATFORM": "osmesa"},
            "apt-get install libegl1 libgl1-mesa-dri; or apt-get install libosmesa6, and MUJOCO_GL=osmesa before rlzoo",
        ),
        (
            {"MUJOCO_GL": "osmesa", "PYOPENGL_PLATFORM": "egl"},
            "apt-get install libosmesa6; or apt-get install libegl1 libgl1-mesa-dri, and MUJOCO_GL=egl before rlzoo",
        ),
        ({"MUJOCO_GL": "glfw"}, "apt-get install libegl1 libgl1-mesa-dri, and MUJOCO_GL=egl before rlzoo"),
    ],
)
def test_mujoco_that_cannot_draw_says_what_to_install(environment, hint):
    """In a process of its own: MuJoCo cannot begin again with another library."""
    pytest.importorskip("mujoco")
    done = subprocess.run(
        [sys.executable, "-c", MUJOCO], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert f"MuJoCo cannot draw with MUJOCO_GL={environment['MUJOCO_GL']}" in done.stderr
    assert hint in done.stderr


def test_opencv_is_the_one_without_windows():
    """The other one is imported where the system has libGL alone."""
    import cv2

    assert re.search(r"GUI:\s+NONE", cv2.getBuildInformation())
