"""What is installed and what is missing on this machine, each with the one line that fixes it.

Standard library only at import: what is broken may be any of the packages. Child processes (`probe.py`) load them,
which takes a few seconds.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from rlzoo.console import print_lines, print_table
from rlzoo.registry import has_library, version_of

State = Literal["ok", "missing", "broken", "offline"]

CORE = (
    "numpy gymnasium stable_baselines3 sb3_contrib cv2 hydra omegaconf yaml pydantic annotated_types rich safetensors"
    " tensorboard filelock numba psutil optuna pygame"
).split()
"""Modules of every installation, besides torch and ale_py."""

EXTRAS = {
    "box2d": ("LunarLander, BipedalWalker, CarRacing", "Box2D pygame"),
    "mujoco": ("robots: HalfCheetah, Ant, …", "mujoco"),
    "robotics": ("robot arms and hands", "gymnasium_robotics panda_gym"),
    "hub": ("sharing agents", "huggingface_hub huggingface_sb3"),
    "video": ("films", "imageio_ffmpeg"),
    "display": ("windows without a screen", "pyvirtualdisplay"),
    "plot": ("pictures of curves, certificates", "matplotlib"),
    "profile": ("rlzoo profile", "pyinstrument"),
    "wandb": ("logger=wandb", "wandb"),
    "mlflow": ("logger=mlflow", "mlflow"),
    "trackio": ("logger=trackio", "trackio"),
    "ray": ("launcher=ray", "ray"),
    "slurm": ("launcher=submitit_slurm", "submitit"),
    "tune": ("sampler=cmaes, gp or qmc, pruner=wilcoxon", "cmaes scipy"),
    "postgresql": ("storage=postgresql://…", "psycopg"),
    "grpc": ("storage=grpc://…", "grpc"),
    "dashboard": ("studies in the browser", "optuna_dashboard"),
}
"""Every extra: what it is for, and its modules."""

DISTRIBUTIONS = {
    "cv2": "opencv-python-headless",
    "hydra": "hydra-core",
    "yaml": "PyYAML",
    "pygame": "pygame-ce",
    "Box2D": "box2d",
    "huggingface_hub": "huggingface_hub",
    "huggingface_sb3": "sb3-team-hf-integration",
    "pyvirtualdisplay": "PyVirtualDisplay",
    "grpc": "grpcio",
}
"""Modules whose distribution has another name."""

PROBE = Path(__file__).with_name("probe.py")
PROBE_SECONDS = 120.0
"""How long one child may take for all that it loads; a package that hangs is found by it."""

OLDEST, NEWEST = (3, 11), (3, 14)
WITHOUT_PANDA = (3, 12)
WITHOUT_BOX2D = (3, 14)
GIB = 2**30

MANAGERS = ("apt-get install", "dnf install", "pacman -S", "zypper install", "apk add")
PACKAGES = {
    "egl": (
        "libegl1 libgl1-mesa-dri", "mesa-libEGL mesa-dri-drivers", "mesa", "Mesa-libEGL1 Mesa-dri",
        "mesa-egl mesa-dri-gallium",
    ),
    "xvfb": ("xvfb", "xorg-x11-server-Xvfb", "xorg-server-xvfb", "xorg-x11-server-Xvfb", "xvfb"),
    "libGL.so.1": ("libgl1", "mesa-libGL", "libglvnd", "Mesa-libGL1", "mesa-gl"),
    "libgthread-2.0.so.0": ("libglib2.0-0", "glib2", "glib2", "libgthread-2_0-0", "glib"),
}  # fmt: skip
"""What is called how by each package manager."""
LOGIN = "hf auth login"
HUB_SECONDS = 6.0
"""How long the Hub may take: its probe, then the answer who it is."""


@dataclass(frozen=True)
class Check:
    """One row: what was looked at, its state, what was found, and the line that fixes it."""

    name: str
    state: State
    detail: str
    fix: str = ""
    core: bool = False


@dataclass(frozen=True)
class Seen:
    """What the checks are made of: what the child processes said of each name, and where runs are to be written."""

    answers: Mapping[str, dict[str, Any]]
    runs_dir: Path
    hub: Check


def examine(runs_dir: Path | str = "runs") -> list[Check]:
    """Look at everything. Nothing is changed, and no package is loaded into this process.

    Args:
        runs_dir: where runs are to be written.
    """
    extras = [module for extra in EXTRAS for module in _modules(extra) if module not in CORE]
    children = [(["torch", "ale_py", *CORE], {}), (extras, {}), (["ffmpeg", "gl"], gl_variables())]
    answers: dict[str, dict[str, Any]] = {}
    with ThreadPoolExecutor(max_workers=len(children)) as pool:
        hub = pool.submit(hub_login)
        for found in pool.map(lambda child: probe(*child), children):
            answers |= found
        seen = Seen(answers, Path(runs_dir), hub.result())
    return [check for look in CHECKS for check in look(seen)]


def is_broken(checks: Sequence[Check]) -> bool:
    """Whether something is wrong with what every command needs."""
    return any(check.core and check.state in ("missing", "broken") for check in checks)


def show(checks: Sequence[Check]) -> None:
    """Print them as a table, or as plain lines where the package that draws tables is what is broken."""
    rows = [(check.name, check.state, check.detail, check.fix) for check in checks]
    try:
        print_table(("what", "state", "found", "what fixes it"), rows)
    except Exception:
        for name, state, detail, fix in rows:
            print_lines(f"{name}: {state}: {detail}", *([f"    {fix}"] if fix else []))
    bad = sum(check.state == "broken" for check in checks)
    print_lines(f"{bad} broken" if bad else "nothing is broken; what is missing is needed only for what it says")


def probe(names: Sequence[str], variables: Mapping[str, str] | None = None) -> dict[str, dict[str, Any]]:
    """What a child process says of each name; a name that crashes it or hangs gets an answer that says so."""
    left, answers = list(names), {}
    environment = {**os.environ, "PYGAME_HIDE_SUPPORT_PROMPT": "1", **(variables or {})}
    while left:
        command = [sys.executable, "-P", "-W", "ignore", str(PROBE), *left]
        try:
            result = subprocess.run(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
                timeout=PROBE_SECONDS,
                cwd=PROBE.parent,  # some packages read files of the folder they are loaded in
            )
            output, end = result.stdout, f"it ends the process with code {result.returncode}"
        except subprocess.TimeoutExpired as error:
            output, end = error.stdout or b"", f"no answer within {PROBE_SECONDS:.0f} s"
        for line in output.decode("utf-8", errors="replace").splitlines():
            if line.endswith("}"):
                answer = json.loads(line)
                answers[answer["name"]] = answer
        left = [name for name in left if name not in answers]
        if left:
            answers[left[0]] = {"name": left[0], "error": end, "missing": None, "facts": {}}
            del left[0]
    return answers


def _python(seen: Seen) -> Iterator[Check]:
    found = f"{platform.python_version()} ({sys.executable})"
    if OLDEST <= sys.version_info[:2] <= NEWEST:
        yield Check("Python", "ok", found, core=True)
    else:
        yield Check("Python", "broken", f"{found}; rlzoo needs 3.11 to 3.14", "install Python 3.13", core=True)


def _platform(seen: Seen) -> Iterator[Check]:
    """Cores and memory as this process may use them."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    detail = f"{platform.platform()}, {cores} cores"
    with suppress(Exception):
        import psutil

        memory = psutil.virtual_memory()
        detail += f", {memory.available / GIB:.1f} of {memory.total / GIB:.1f} GiB memory free"
    yield Check("platform", "ok", detail)


def _torch(seen: Seen) -> Iterator[Check]:
    answer = seen.answers["torch"]
    if answer["error"]:
        yield _failed("torch", "torch", answer, core=True)
        return
    facts = answer["facts"]
    devices = [f"CUDA {facts['cuda_version']}: {', '.join(facts['cuda'])}"] if facts["cuda"] else []
    devices += ["Apple GPU (MPS)"] if facts["mps"] else []
    detail = f"{facts['version']}, {'; '.join(devices) or 'no GPU, it computes on the CPU'}, {facts['threads']} threads"
    unused = not facts["cuda"] and Path("/proc/driver/nvidia/version").exists()
    fix = "the line for your driver: https://pytorch.org/get-started/locally" if unused else ""
    yield Check("torch", "ok", detail + ("; the NVIDIA GPU here is not used" if unused else ""), fix, core=True)


def _core_packages(seen: Seen) -> Iterator[Check]:
    broken = [module for module in CORE if seen.answers[module]["error"]]
    yield from (_failed(module, module, seen.answers[module], core=True) for module in broken)
    wrong = list(_wrong_versions(""))
    yield from (Check(name, "broken", detail, fix, core=True) for name, detail, fix in wrong)
    if not broken and not wrong:
        names = ("stable-baselines3", "sb3-contrib", "gymnasium", "numpy")
        versions = ", ".join(f"{name} {version_of(name) or '?'}" for name in names)
        yield Check("packages", "ok", f"all {len(CORE) + 2} load: {versions}", core=True)


def _roms(seen: Seen) -> Iterator[Check]:
    answer = seen.answers["ale_py"]
    if answer["error"]:
        yield _failed("Atari", "ale_py", answer, core=True)
        return
    facts = answer["facts"]
    detail = f"ale-py {facts['version']}, {facts['roms']} ROMs"
    if facts["space_invaders"]:
        yield Check("Atari", "ok", detail, core=True)
    else:
        yield Check("Atari", "broken", f"{detail}: Space Invaders is not among them", _reinstall("ale_py"), core=True)


def _runs(seen: Seen) -> Iterator[Check]:
    where, problem = seen.runs_dir.absolute(), write_problem(seen.runs_dir)
    if problem is None:
        free = shutil.disk_usage(_nearest(seen.runs_dir)).free / GIB
        yield Check("runs", "ok", f"{where}, {free:.1f} GiB free", core=True)
    else:
        yield Check("runs", "broken", f"{where}: {problem}", "another place: rlzoo train … runs_dir=~/runs", core=True)


def _extras(seen: Seen) -> Iterator[Check]:
    for extra, (purpose, _) in EXTRAS.items():
        name, modules = f"[{extra}]", _modules(extra)
        wrong = list(_wrong_versions(extra))
        absent = [module for module in modules if _is_absent(module, seen.answers[module])]
        broken = [module for module in modules if seen.answers[module]["error"] and module not in absent]
        if broken:
            yield _failed(name, broken[0], seen.answers[broken[0]])
        elif absent:
            detail = f"{purpose}: {', '.join(map(distribution, absent))} not installed"
            if extra == "box2d" and sys.version_info >= WITHOUT_BOX2D:
                yield Check(name, "missing", f"{detail}; there are wheels up to Python 3.13", "use Python 3.13")
            else:
                yield Check(name, "missing", detail, f'pip install "hydra-rlzoo[{extra}]"')
        elif wrong:
            yield Check(name, "broken", wrong[0][1], wrong[0][2])
        else:
            own = {module: seen.answers[module]["facts"].get("version", "") for module in modules}
            versions = (f"{distribution(m)} {version_of(distribution(m)) or own[m]}".strip() for m in modules)
            yield Check(name, "ok", f"{purpose}: {', '.join(versions)}")


def _ffmpeg(seen: Seen) -> Iterator[Check]:
    answer = seen.answers["ffmpeg"]
    if seen.answers["imageio_ffmpeg"]["missing"]:
        yield Check("ffmpeg", "missing", "comes with [video]", 'pip install "hydra-rlzoo[video]"')
    elif answer["error"]:
        yield Check("ffmpeg", "broken", answer["error"], _reinstall("imageio_ffmpeg"))
    elif not answer["facts"]["h264"]:
        yield Check("ffmpeg", "broken", f"{answer['facts']['path']} has no H.264", "unset IMAGEIO_FFMPEG_EXE")
    else:
        yield Check("ffmpeg", "ok", f"runs, with H.264: {answer['facts']['path']}")


def _display(seen: Seen) -> Iterator[Check]:
    """The screen, and on Linux the virtual one."""
    if sys.platform != "linux":
        yield Check("display", "ok", "the system's own windows")
        return
    name = os.environ.get("DISPLAY")
    if os.environ.get("WAYLAND_DISPLAY"):
        yield Check("display", "ok", f"Wayland ({os.environ['WAYLAND_DISPLAY']})")
    elif not name:
        detail = "no screen: films are drawn off-screen, rlzoo enjoy draws in the terminal"
        yield Check("display", "missing", detail, "for windows from a far machine: ssh -X")
    elif screen_answers(name):
        yield Check("display", "ok", f"X11 ({name})")
    else:
        yield Check("display", "broken", f"DISPLAY={name} is set, but no screen answers there", "unset DISPLAY")
    found = shutil.which("Xvfb")
    lacking = "no Xvfb: environments that draw only on a screen cannot be filmed without one"
    yield Check("virtual display", "ok" if found else "missing", found or lacking, "" if found else install("xvfb"))


def _gl(seen: Seen) -> Iterator[Check]:
    answer, libraries = seen.answers["gl"], gl_libraries()
    way = gl_variables().get("MUJOCO_GL") or os.environ.get("MUJOCO_GL") or "the system's own"
    if answer["missing"] == "mujoco":
        if libraries or sys.platform != "linux":
            found = ", ".join(libraries) or "the system has its own"
            yield Check("GL", "ok", f"{found} (tried only with [mujoco])")
        else:
            yield Check("GL", "missing", "neither EGL nor OSMesa: MuJoCo cannot draw", install("egl"))
    elif answer["error"] is None:
        yield Check("GL", "ok", f"MuJoCo draws off-screen with {way}")
    else:
        screen = os.environ.get("DISPLAY")
        fix = "export MUJOCO_GL=osmesa" if way == "egl" and "OSMesa" in libraries else install("egl")
        if "MUJOCO_GL" in os.environ:
            fix = "unset MUJOCO_GL"
        elif screen and not screen_answers(screen):
            fix = "unset DISPLAY"
        yield Check("GL", "broken", f"MuJoCo cannot draw with {way}: {answer['error']}", fix)


def _hub_login(seen: Seen) -> Iterator[Check]:
    yield seen.hub


CHECKS: tuple[Callable[[Seen], Iterator[Check]], ...] = (
    _python, _platform, _torch, _core_packages, _roms, _runs, _extras, _ffmpeg, _display, _gl, _hub_login,
)  # fmt: skip
"""What is looked at, in the order of the rows."""


def hub_login() -> Check:
    """Who is logged in to the Hub, found out within seconds. The token itself is never shown."""
    try:
        from huggingface_hub import get_token

        try:
            token = get_token()
        except OSError as error:
            return Check("Hub login", "broken", f"the token cannot be read: {error.strerror}", LOGIN)
        if not token:
            return Check("Hub login", "missing", "no token: agents can be loaded, none can be pushed", LOGIN)
        answers: list[Check] = []
        thread = threading.Thread(target=lambda: answers.append(_who()), daemon=True)
        thread.start()
        thread.join(HUB_SECONDS)
        late = f"a token is there; the Hub did not answer within {HUB_SECONDS:.0f} s"
        return answers[0] if answers else Check("Hub login", "offline", late)
    except ImportError:
        return Check("Hub login", "missing", "comes with [hub]", 'pip install "hydra-rlzoo[hub]"')
    except Exception as error:
        return Check("Hub login", "broken", f"{type(error).__name__}: {error}", _reinstall("huggingface_hub"))


def _who() -> Check:
    from rlzoo.errors import RlzooError, clean
    from rlzoo.hub.client import connect, explained
    from rlzoo.hub.failures import status_of

    try:
        api = connect()
        with explained():
            who: Any = api.whoami()
    except RlzooError as error:
        status = status_of(error)
        if status in (401, 403):
            return Check("Hub login", "broken", f"the Hub does not take the token ({status})", LOGIN)
        return Check("Hub login", "offline", f"a token is there; {error.message.splitlines()[0]}")
    name = who.get("name") if isinstance(who, Mapping) else None
    for key in ("auth", "accessToken", "role"):
        who = who.get(key) if isinstance(who, Mapping) else None
    fix = f"{LOGIN}, with a token of the kind Write" if who == "read" else ""
    return Check("Hub login", "ok", f"{clean(name)}, with a token of the role {clean(who)}", fix)


def distribution(module: str) -> str:
    """The distribution that a module is of."""
    return DISTRIBUTIONS.get(module, module.replace("_", "-"))


def _modules(extra: str) -> list[str]:
    return [m for m in EXTRAS[extra][1].split() if m != "panda_gym" or sys.version_info < WITHOUT_PANDA]


def _is_absent(module: str, answer: Mapping[str, Any]) -> bool:
    return answer["missing"] == module and version_of(distribution(module)) is None


def _failed(name: str, module: str, answer: Mapping[str, Any], *, core: bool = False) -> Check:
    if _is_absent(module, answer):
        return Check(name, "missing", f"{distribution(module)} is not installed", "pip install hydra-rlzoo", core=core)
    fix = missing_library(answer["error"]) or _reinstall(module)
    return Check(name, "broken", f"{module} does not load: {answer['error']}", fix, core=core)


def _reinstall(module: str) -> str:
    return f"pip install --force-reinstall --no-deps {distribution(module)}"


def _wrong_versions(extra: str) -> Iterator[tuple[str, str, str]]:
    """Distributions whose version is not in the range that an extra (or "", every installation) asks for."""
    try:
        from packaging.requirements import Requirement

        required = [Requirement(line) for line in metadata.requires("hydra-rlzoo") or ()]
    except (ImportError, metadata.PackageNotFoundError, ValueError):
        return
    for requirement in required:
        marker = requirement.marker
        everywhere = marker is None or marker.evaluate({"extra": ""})
        if everywhere != (extra == "") or not (marker is None or marker.evaluate({"extra": extra})):
            continue
        found, wanted = version_of(requirement.name), f"{requirement.name}{requirement.specifier}"
        if found is not None and not requirement.specifier.contains(found, prereleases=True):
            detail = f"{requirement.name} {found} is installed, {wanted} is needed"
            yield requirement.name, detail, f'pip install "{wanted}"'


def install(what: str) -> str:
    """The line that installs a package of the system."""
    for manager, package in zip(MANAGERS, PACKAGES[what], strict=True):
        if shutil.which(manager.split()[0]):
            is_root = hasattr(os, "geteuid") and os.geteuid() == 0
            return f"{'' if is_root else 'sudo '}{manager} {package}"
    return f"install {PACKAGES[what][0]} (its name in Debian and Ubuntu) with your system's packages"


def missing_library(error: str) -> str | None:
    """The line that installs the shared library which an import did not find; None if it is another failure."""
    found = re.search(r"(lib[\w.+-]+\.so[\d.]*): cannot open shared object", error)
    if found is None:
        return None
    return install(found[1]) if found[1] in PACKAGES else f"install the system's package that brings {found[1]}"


def _nearest(folder: Path) -> Path:
    """The folder itself, or the nearest above it that is there."""
    found = folder.absolute()
    while not found.exists() and found != found.parent:
        found = found.parent
    return found


def write_problem(folder: Path) -> str | None:
    """Why nothing can be written into a folder (or made where it is to lie); None if it can be.

    It is tried with a file that has gone again afterwards; a folder that is not there is not made.
    """
    nearest = _nearest(folder)
    if not nearest.is_dir():
        return f"{nearest} is not a folder"
    try:
        with tempfile.TemporaryFile(dir=nearest) as file:
            file.write(b"rlzoo")
    except OSError as error:
        return error.strerror or str(error)
    return None


def screen_answers(name: str) -> bool:
    """Whether an X server takes connections at a DISPLAY such as `:0` or `localhost:10.0`."""
    found = re.fullmatch(r"(?P<host>.*?)(?:/unix)?:(?P<number>\d{1,4})(\.\d+)?", name)
    if found is None:
        return False
    number = int(found["number"])
    with suppress(OSError):
        if found["host"] not in ("", "unix"):
            socket.create_connection((found["host"], 6000 + number), timeout=1.0).close()
            return True
        for address in (f"/tmp/.X11-unix/X{number}", f"\0/tmp/.X11-unix/X{number}"):
            with suppress(OSError), socket.socket(socket.AF_UNIX) as client:
                client.settimeout(1.0)
                client.connect(address)
                return True
    return False


def gl_libraries() -> list[str]:
    """Those of EGL and OSMesa that are there."""
    return [name for name in ("EGL", "OSMesa") if has_library(name)]


def gl_variables() -> dict[str, str]:
    """How MuJoCo is to draw without a screen: as `envs.render` chooses."""
    has_screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if sys.platform != "linux" or "MUJOCO_GL" in os.environ or has_screen:
        return {}
    found = gl_libraries()
    return {"MUJOCO_GL": found[0].lower()} if found else {}
