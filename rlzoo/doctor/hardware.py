"""What this machine offers to `rlzoo doctor`: screen, drawing libraries, memory, room for runs, package manager.

Standard library only, psutil where it is there.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import sys
import tempfile
from contextlib import suppress
from ctypes.util import find_library
from pathlib import Path

GIB = 2**30
PACKAGES = {
    "egl": {
        "apt-get": "libegl1 libgl1-mesa-dri",
        "dnf": "mesa-libEGL mesa-dri-drivers",
        "pacman": "mesa",
        "zypper": "Mesa-libEGL1 Mesa-dri",
        "apk": "mesa-egl mesa-dri-gallium",
    },
    "xvfb": {
        "apt-get": "xvfb",
        "dnf": "xorg-x11-server-Xvfb",
        "pacman": "xorg-server-xvfb",
        "zypper": "xorg-x11-server-Xvfb",
        "apk": "xvfb",
    },
    "libGL.so.1": {
        "apt-get": "libgl1",
        "dnf": "mesa-libGL",
        "pacman": "libglvnd",
        "zypper": "Mesa-libGL1",
        "apk": "mesa-gl",
    },
    "libgthread-2.0.so.0": {
        "apt-get": "libglib2.0-0",
        "dnf": "glib2",
        "pacman": "glib2",
        "zypper": "libgthread-2_0-0",
        "apk": "glib",
    },
}
"""What is called how by which package manager."""
VERBS = {"apt-get": "install", "dnf": "install", "pacman": "-S", "zypper": "install", "apk": "add"}


def install(what: str) -> str:
    """The line that installs a package of the system."""
    for manager, verb in VERBS.items():
        if shutil.which(manager):
            is_root = hasattr(os, "geteuid") and os.geteuid() == 0
            return f"{'' if is_root else 'sudo '}{manager} {verb} {PACKAGES[what][manager]}"
    return f"install {PACKAGES[what]['apt-get']} (its name in Debian and Ubuntu) with your system's packages"


def missing_library(error: str) -> str | None:
    """The line that installs the shared library which an import did not find; None if it is another failure."""
    found = re.search(r"(lib[\w.+-]+\.so[\d.]*): cannot open shared object", error)
    if found is None:
        return None
    return install(found[1]) if found[1] in PACKAGES else f"install the system's package that brings {found[1]}"


def resources() -> str:
    """Cores and memory, as this process may use them."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        import psutil
    except Exception:
        return f"{cores} cores"
    memory = psutil.virtual_memory()
    return f"{cores} cores, {memory.available / GIB:.1f} of {memory.total / GIB:.1f} GiB memory free"


def has_nvidia_gpu() -> bool:
    """Whether the driver of an NVIDIA GPU is loaded."""
    return Path("/proc/driver/nvidia/version").exists()


def write_problem(folder: Path) -> str | None:
    """Why nothing can be written into a folder (or made where it is to lie); None if it can be.

    It is tried with a file that has gone again afterwards; a folder that is not there is not made.
    """
    nearest = folder.absolute()
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    if not nearest.is_dir():
        return f"{nearest} is no folder"
    try:
        with tempfile.TemporaryFile(dir=nearest) as file:
            file.write(b"rlzoo")
    except OSError as error:
        return error.strerror or str(error)
    return None


def free_space(folder: Path) -> str:
    """Free space of the disk that a folder is or will be on."""
    nearest = folder.absolute()
    while not nearest.exists():
        nearest = nearest.parent
    return f"{shutil.disk_usage(nearest).free / GIB:.1f} GiB"


def answers(name: str) -> bool:
    """Whether an X server takes connections at a DISPLAY such as `:0` or `localhost:10.0`."""
    found = re.fullmatch(r"(?P<host>.*?)(?:/unix)?:(?P<number>\d{1,4})(\.\d+)?", name)
    if found is None:
        return False
    number = int(found["number"])
    if found["host"] in ("", "unix"):
        places = (f"/tmp/.X11-unix/X{number}", f"\0/tmp/.X11-unix/X{number}")
        return any(_connects(socket.AF_UNIX, place) for place in places)
    with suppress(OSError):
        socket.create_connection((found["host"], 6000 + number), timeout=1.0).close()
        return True
    return False


def _connects(family: int, address: str) -> bool:
    try:
        with socket.socket(family) as client:
            client.settimeout(1.0)
            client.connect(address)
    except OSError:
        return False
    return True


def gl_libraries() -> list[str]:
    """Those of EGL and OSMesa that are there."""
    return [name for name in ("EGL", "OSMesa") if find_library(name)]


def gl_variables() -> dict[str, str]:
    """How MuJoCo is to draw without a screen: as `envs.display.prepare` chooses."""
    has_screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if sys.platform != "linux" or "MUJOCO_GL" in os.environ or has_screen:
        return {}
    found = gl_libraries()
    return {"MUJOCO_GL": found[0].lower()} if found else {}
