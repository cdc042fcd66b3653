"""What is installed and what is missing, each with the one line that mends it.

Standard library only at import: what is broken may be any of the packages. Child processes (`probe`) load them,
which takes a few seconds.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from rlzoo.doctor import hardware as machine
from rlzoo.registry import version_of

State = Literal["ok", "missing", "broken", "offline"]

CORE = {
    "numpy": "numpy",
    "gymnasium": "gymnasium",
    "stable_baselines3": "stable-baselines3",
    "sb3_contrib": "sb3-contrib",
    "cv2": "opencv-python",
    "hydra": "hydra-core",
    "omegaconf": "omegaconf",
    "yaml": "PyYAML",
    "pydantic": "pydantic",
    "annotated_types": "annotated-types",
    "rich": "rich",
    "safetensors": "safetensors",
    "tensorboard": "tensorboard",
    "filelock": "filelock",
    "numba": "numba",
    "psutil": "psutil",
    "optuna": "optuna",
    "pygame": "pygame-ce",
}
"""Modules of every installation to their distributions, besides torch and ale-py."""

EXTRAS: dict[str, tuple[str, dict[str, str]]] = {
    "box2d": ("LunarLander, BipedalWalker, CarRacing", {"Box2D": "box2d", "pygame": "pygame-ce"}),
    "mujoco": ("robots: HalfCheetah, Ant, …", {"mujoco": "mujoco"}),
    "robotics": ("robot arms and hands", {"gymnasium_robotics": "gymnasium-robotics", "panda_gym": "panda-gym"}),
    "hub": ("sharing agents", {"huggingface_hub": "huggingface_hub", "huggingface_sb3": "sb3-team-hf-integration"}),
    "video": ("films", {"imageio_ffmpeg": "imageio-ffmpeg"}),
    "display": ("windows without a screen", {"pyvirtualdisplay": "PyVirtualDisplay"}),
    "plot": ("pictures of curves, certificates", {"matplotlib": "matplotlib"}),
    "wandb": ("logger=wandb", {"wandb": "wandb"}),
    "mlflow": ("logger=mlflow", {"mlflow": "mlflow"}),
    "trackio": ("logger=trackio", {"trackio": "trackio"}),
    "ray": ("launcher=ray", {"ray": "ray"}),
    "slurm": ("launcher=submitit_slurm", {"submitit": "submitit"}),
    "tune": ("sampler=cmaes, gp or qmc, pruner=wilcoxon", {"cmaes": "cmaes", "scipy": "scipy"}),
    "postgresql": ("storage=postgresql://…", {"psycopg": "psycopg"}),
    "grpc": ("storage=grpc://…", {"grpc": "grpcio"}),
    "dashboard": ("studies in the browser", {"optuna_dashboard": "optuna-dashboard"}),
}
"""Every extra: what it is for, and its modules with their distributions."""

PROBE = Path(__file__).with_name("probe.py")
PROBE_SECONDS = 120.0
"""How long one child may take for all that it loads; a package that hangs is found by it."""

OLDEST, NEWEST = (3, 11), (3, 14)
WITHOUT_PANDA = (3, 12)
WITHOUT_BOX2D = (3, 14)


@dataclass(frozen=True)
class Check:
    """One row: what was looked at, its state, what was found, and the line that mends it."""

    name: str
    state: State
    detail: str
    fix: str = ""
    core: bool = False


def examine(runs_dir: Path | str = "runs") -> list[Check]:
    """Look at everything. Nothing is changed, and no package is loaded into this process.

    Args:
        runs_dir: where runs are to be written.
    """
    core = ["torch", "ale_py", *CORE]
    extras = [module for extra in EXTRAS for module in _modules(extra) if module not in CORE]
    children = [(core, {}), (extras, {}), (["ffmpeg", "gl"], machine.gl_variables())]
    with ThreadPoolExecutor(max_workers=len(children)) as pool:
        hub = pool.submit(_hub)
        answers: dict[str, dict[str, Any]] = {}
        for found in pool.map(lambda child: probe(*child), children):
            answers |= found
        return [
            _python(),
            Check("platform", "ok", f"{platform.platform()}, {machine.resources()}"),
            _torch(answers["torch"]),
            *_core_packages(answers),
            _roms(answers["ale_py"]),
            _runs(Path(runs_dir)),
            *(_extra(extra, answers) for extra in EXTRAS),
            _ffmpeg(answers["ffmpeg"], answers["imageio_ffmpeg"]),
            *_display(),
            _gl(answers["gl"]),
            hub.result(),
        ]


def is_broken(checks: Sequence[Check]) -> bool:
    """Whether something is wrong with what every command needs."""
    return any(check.core and check.state in ("missing", "broken") for check in checks)


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


def _python() -> Check:
    found = f"{platform.python_version()} ({sys.executable})"
    if OLDEST <= sys.version_info[:2] <= NEWEST:
        return Check("Python", "ok", found, core=True)
    return Check("Python", "broken", f"{found}; rlzoo needs 3.11 to 3.14", "install Python 3.13", core=True)


def _torch(answer: dict[str, Any]) -> Check:
    if answer["error"]:
        return _failed("torch", "torch", "torch", answer, core=True)
    facts = answer["facts"]
    devices = [f"CUDA {facts['cuda_version']}: {', '.join(facts['cuda'])}"] if facts["cuda"] else []
    devices += ["Apple GPU (MPS)"] if facts["mps"] else []
    detail = f"{facts['version']}, {'; '.join(devices) or 'no GPU, it computes on the CPU'}, {facts['threads']} threads"
    unused = not facts["cuda"] and machine.has_nvidia_gpu()
    fix = "the line for your driver: https://pytorch.org/get-started/locally" if unused else ""
    return Check("torch", "ok", detail + ("; the NVIDIA GPU here is not used" if unused else ""), fix, core=True)


def _core_packages(answers: Mapping[str, dict[str, Any]]) -> Iterator[Check]:
    broken = [module for module in CORE if answers[module]["error"]]
    for module in broken:
        yield _failed(module, module, CORE[module], answers[module], core=True)
    wrong = list(_wrong_versions(""))
    yield from (Check(name, "broken", detail, fix, core=True) for name, detail, fix in wrong)
    if not broken and not wrong:
        names = ("stable-baselines3", "sb3-contrib", "gymnasium", "numpy")
        versions = ", ".join(f"{name} {version_of(name) or '?'}" for name in names)
        yield Check("packages", "ok", f"all {len(CORE) + 2} load: {versions}", core=True)


def _roms(answer: dict[str, Any]) -> Check:
    if answer["error"]:
        return _failed("Atari", "ale_py", "ale-py", answer, core=True)
    facts = answer["facts"]
    detail = f"ale-py {facts['version']}, {facts['roms']} ROMs"
    if facts["space_invaders"]:
        return Check("Atari", "ok", detail, core=True)
    return Check("Atari", "broken", f"{detail}: Space Invaders is not among them", _reinstall("ale-py"), core=True)


def _runs(folder: Path) -> Check:
    problem = machine.write_problem(folder)
    where = folder.absolute()
    if problem is None:
        return Check("runs", "ok", f"{where}, {machine.free_space(folder)} free", core=True)
    return Check("runs", "broken", f"{where}: {problem}", "another place: rlzoo train … runs_dir=~/runs", core=True)


def _modules(extra: str) -> dict[str, str]:
    modules = EXTRAS[extra][1]
    return {m: d for m, d in modules.items() if m != "panda_gym" or sys.version_info < WITHOUT_PANDA}


def _extra(extra: str, answers: Mapping[str, dict[str, Any]]) -> Check:
    name, (purpose, _), modules = f"[{extra}]", EXTRAS[extra], _modules(extra)
    wrong = list(_wrong_versions(extra))
    absent = [module for module in modules if _is_absent(module, modules[module], answers[module])]
    broken = [module for module in modules if answers[module]["error"] and module not in absent]
    if broken:
        return _failed(name, broken[0], modules[broken[0]], answers[broken[0]])
    if absent:
        detail = f"{purpose}: {', '.join(modules[module] for module in absent)} not installed"
        if extra == "box2d" and sys.version_info >= WITHOUT_BOX2D:
            return Check(name, "missing", f"{detail}; there are wheels up to Python 3.13", "use Python 3.13")
        return Check(name, "missing", detail, f'pip install "hydra-rlzoo[{extra}]"')
    if wrong:
        return Check(name, "broken", wrong[0][1], wrong[0][2])
    versions = (f"{modules[m]} {version_of(modules[m]) or answers[m]['facts'].get('version', '')}" for m in modules)
    return Check(name, "ok", f"{purpose}: {', '.join(version.strip() for version in versions)}")


def _ffmpeg(answer: dict[str, Any], package: dict[str, Any]) -> Check:
    if package["missing"]:
        return Check("ffmpeg", "missing", "comes with [video]", 'pip install "hydra-rlzoo[video]"')
    if answer["error"]:
        return Check("ffmpeg", "broken", answer["error"], _reinstall("imageio-ffmpeg"))
    facts = answer["facts"]
    if not facts["h264"]:
        return Check("ffmpeg", "broken", f"{facts['path']} has no H.264", "unset IMAGEIO_FFMPEG_EXE")
    return Check("ffmpeg", "ok", f"runs, with H.264: {facts['path']}")


def _display() -> Iterator[Check]:
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
    elif machine.answers(name):
        yield Check("display", "ok", f"X11 ({name})")
    else:
        yield Check("display", "broken", f"DISPLAY={name} is set, but no screen answers there", "unset DISPLAY")
    found = shutil.which("Xvfb")
    if found:
        yield Check("virtual display", "ok", found)
    else:
        detail = "no Xvfb: environments that draw only on a screen cannot be filmed without one"
        yield Check("virtual display", "missing", detail, machine.install("xvfb"))


def _gl(answer: dict[str, Any]) -> Check:
    if answer["missing"] == "mujoco":
        found = machine.gl_libraries()
        if found or sys.platform != "linux":
            return Check("GL", "ok", f"{', '.join(found) or 'the system has its own'} (tried only with [mujoco])")
        return Check("GL", "missing", "neither EGL nor OSMesa: MuJoCo cannot draw", machine.install("egl"))
    way = machine.gl_variables().get("MUJOCO_GL") or os.environ.get("MUJOCO_GL") or "the system's own"
    if answer["error"] is None:
        return Check("GL", "ok", f"MuJoCo draws off-screen with {way}")
    return Check("GL", "broken", f"MuJoCo cannot draw with {way}: {answer['error']}", _gl_fix(way))


def _gl_fix(way: str) -> str:
    screen = os.environ.get("DISPLAY")
    if "MUJOCO_GL" in os.environ:
        return "unset MUJOCO_GL"
    if screen and not machine.answers(screen):
        return "unset DISPLAY"
    return "export MUJOCO_GL=osmesa" if way == "egl" and "OSMesa" in machine.gl_libraries() else machine.install("egl")


def _hub() -> Check:
    try:
        from rlzoo.doctor.login import look

        found = look()
    except ImportError:
        return Check("Hub login", "missing", "comes with [hub]", 'pip install "hydra-rlzoo[hub]"')
    except Exception as error:
        return Check("Hub login", "broken", f"{type(error).__name__}: {error}", _reinstall("huggingface_hub"))
    return Check("Hub login", found.state, found.detail, found.fix)


def _is_absent(module: str, distribution: str, answer: dict[str, Any]) -> bool:
    return answer["missing"] == module and version_of(distribution) is None


def _failed(name: str, module: str, distribution: str, answer: dict[str, Any], *, core: bool = False) -> Check:
    if _is_absent(module, distribution, answer):
        return Check(name, "missing", f"{distribution} is not installed", "pip install hydra-rlzoo", core=core)
    text = f"{module} does not load: {answer['error']}"
    library = machine.missing_library(answer["error"])
    return Check(name, "broken", text, library or _reinstall(distribution), core=core)


def _reinstall(distribution: str) -> str:
    return f"pip install --force-reinstall --no-deps {distribution}"


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
        found = version_of(requirement.name)
        if found is not None and not requirement.specifier.contains(found, prereleases=True):
            wanted = f"{requirement.name}{requirement.specifier}"
            yield (
                requirement.name,
                f"{requirement.name} {found} is installed, {wanted} is needed",
                f'pip install "{wanted}"',
            )
