"""Names to objects: look-ups that suggest the nearest name, lazy `"module:Attribute"` references, and what they import.

The current folder is on no search path: what lies in it may be a stranger's, down to files that have the name of an
optional package. Of the user's own modules there, those that a request names are found, and no others. Standard library
only.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.machinery import ModuleSpec, PathFinder
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from rlzoo.errors import RlzooError, distance, relative
from rlzoo.redaction import shell

T = TypeVar("T")

SAFE_PATH, OURS = "PYTHONSAFEPATH", "rlzoo"
"""With the first, `python -c` and `python -m` leave the current folder off their search path; any value is a yes, and
the second is the one that this process has set."""
SEARCHED = ("PATH", "LD_LIBRARY_PATH", "PYTHONPATH")
"""Where programs, libraries and modules are looked for; an empty entry is the current folder."""

LOADER_CACHE = Path("/etc/ld.so.cache")
"""Where ldconfig writes what the loader finds."""

OWN_LOGGERS = ("csv", "monitor", "tensorboard")
"""Loggers that write into the run's folder only."""

KNOWN_PACKAGES = frozenset("ale_py gymnasium gymnasium_robotics minigrid panda_gym vizdoom".split())
"""Packages of environments that are known: where they are installed, a run may name them."""

INSTALLED_AS = {
    **{name: name.replace("_", "-") for name in (*KNOWN_PACKAGES, "dm_control", "gym_super_mario_bros", "highway_env")},
    **{name: name for name in "crafter matplotlib mujoco numba pandas pettingzoo pybullet pygame pymunk scipy".split()},
    "Box2D": "gymnasium[box2d]",
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "sklearn": "scikit-learn",
    "skimage": "scikit-image",
    "yaml": "pyyaml",
}
"""Modules that environments need, and what brings them: of a name that nobody knows, anybody may have made a package.
"""

_OF_PLACES = frozenset(":/\\")
"""Characters of module:Class and of paths."""
_folders: dict[str, str] = {}
"""Each top-level module that may be found, and the folder that it may lie in."""


def has_library(name: str) -> bool:
    """Whether the loader of Linux finds a library; `ctypes.util` would start ldconfig and, in vain, a compiler."""
    file = f"lib{name}.so"
    if not LOADER_CACHE.is_file():
        from ctypes.util import find_library

        return find_library(name) is not None
    folders = filter(None, os.environ.get("LD_LIBRARY_PATH", "").split(":"))
    return file.encode() in LOADER_CACHE.read_bytes() or any(any(Path(each).glob(f"{file}*")) for each in folders)


def load(reference: str) -> Any:
    """Import `"package.module:Attribute"` and return the attribute.

    Raises:
        RlzooError: if the reference is malformed, the module cannot be imported or lacks the attribute.
    """
    from importlib import import_module

    module_name, separator, attribute = reference.partition(":")
    if not (separator and module_name and attribute.isidentifier()):
        raise RlzooError(f"{reference!r} is not of the form package.module:Name")
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        hint = import_hint(str(error.name))
        raise RlzooError(f"cannot import {module_name!r}: no module named {error.name!r}", hint) from error
    try:
        return getattr(module, attribute)
    except AttributeError:
        raise RlzooError(
            f"module {module_name!r} has no {attribute!r}{did_you_mean(attribute, vars(module))}"
        ) from None


def lookup(table: Mapping[str, T], name: str, kind: str) -> T:
    """`table[name]`, or an error that names the nearest entries. `kind` says what the table holds: "algorithm"."""
    try:
        return table[name]
    except KeyError:
        raise RlzooError(f"unknown {kind} {name!r}{did_you_mean(name, table)}") from None


def nearest(name: str, names: Iterable[str], n: int = 3, likeness: float = 0.6) -> list[str]:
    """The up to `n` names most like `name`, ignoring case, best first; `likeness` is at most 1."""
    from difflib import get_close_matches

    by_lower = {candidate.lower(): candidate for candidate in names}
    found = get_close_matches(name.lower(), by_lower, n=n, cutoff=likeness)
    found += [lower for lower in by_lower if name and lower.startswith(name.lower()) and lower not in found]
    return [by_lower[lower] for lower in found[:n]]


def top_of(entry: Any) -> str:
    """The top-level module of a class or a function, of `"package.module:Class"`, or of a module's name."""
    name = entry if isinstance(entry, str) else str(getattr(entry, "__module__", ""))
    return name.partition(":")[0].partition(".")[0]


def version_of(distribution: str) -> str | None:
    """The version of an installed package; None if it is not installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def did_you_mean(name: str, names: Iterable[str], likeness: float = 0.6) -> str:
    """A phrase to append to an error: `"; did you mean 'ppo'?"`, or nothing if no name is near."""
    found = nearest(name, names, likeness=likeness)
    return f"; did you mean {' or '.join(repr(near) for near in found)}?" if found else ""


class _Finder:
    """Finds these modules where nobody else does: it stands last. What is below a package is found by the package."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        folder = _folders.get(name) if path is None else None
        found = None if folder is None else PathFinder.find_spec(name, [folder])
        if found is not None and os.environ.get(SAFE_PATH) == OURS:
            del os.environ[SAFE_PATH]  # the folder is the user's: programs of theirs find their modules as ever
        return found


def modules_named(values: Mapping[str, Any]) -> list[str]:
    """What a configuration has imported, checked or not, apart from known packages of environments.

    These are all places where a configuration can name a module: `"module"`, `"package.module"`, `"module:Class"`.
    """
    env, algo = (section if isinstance(section := values.get(key), Mapping) else {} for key in ("env", "algo"))
    prefix = str(env.get("id")).rpartition(":")[0]
    imports, wrappers = env.get("imports"), env.get("wrappers")
    references = [*(imports if isinstance(imports, list | tuple) else [imports]), prefix]
    unknown = [str(name) for name in references if name and str(name).partition(".")[0] not in KNOWN_PACKAGES]
    classes = [str(algo.get("name")), *(map(str, wrappers) if isinstance(wrappers, Mapping) else ())]
    return [*unknown, *(name for name in classes if ":" in name)]


def places_named(values: Mapping[str, Any]) -> list[str]:
    """Keys of an environment's keywords with a text that names a file or a module.

    An environment opens the files that it is told to: a model in which more are named, or settings that name a program.
    A mere word names one if there is something of that name in the current folder.
    """
    env = values.get("env")
    kwargs = env.get("kwargs") if isinstance(env, Mapping) else None
    return [
        f"env.kwargs.{key}"
        for key, value in (kwargs.items() if isinstance(kwargs, Mapping) else ())
        if _names_place(value)
    ]


def _names_place(value: Any) -> bool:
    return any(
        text.startswith((".", "~")) or _OF_PLACES.intersection(text) or os.path.lexists(text)
        for text in leaves(value)
        if isinstance(text, str)
    )


def leaves(value: Any) -> Iterator[Any]:
    """Keys and values that hold no others."""
    if isinstance(value, Mapping):
        yield from leaves([*value, *value.values()])
    elif isinstance(value, list | tuple):
        for child in value:
            yield from leaves(child)
    else:
        yield value


def allow_imports(references: Iterable[str]) -> None:
    """Let the modules that `modules_named` gives be imported from the current folder, unless they are installed."""
    names = {reference.partition(":")[0].partition(".")[0] for reference in references}
    if names:
        _find(dict.fromkeys(names, str(Path.cwd())))


def _find(folders: Mapping[str, str]) -> None:
    _folders.update(folders)
    if _Finder in sys.meta_path:
        sys.meta_path.remove(_Finder)
    sys.meta_path.append(_Finder)


def import_hint(name: str) -> str:
    """What helps where the module `name` is not found. Only what is known is told to be installed."""
    import pkgutil

    above, _, last = name.rpartition(".")
    if not name.replace(".", "_").isidentifier():
        return ""
    if name in INSTALLED_AS:
        return f"pip install {shell(INSTALLED_AS[name])}"
    here = str(Path.cwd())
    if not above and name not in _folders and PathFinder.find_spec(name, [here]) is not None:
        only = "only modules that the request names are imported from the current folder"
        return f"{only}: env.imports=[{name}] names it too, or make a package of them"
    folders = (
        _inside(above) if above else [here, *(folder for folder in sys.path if _is_own(folder) and folder != here)]
    )
    if not folders:
        return f"{above} is one file, and no package"
    names = {module.name for module in pkgutil.iter_modules(folders)}.union([] if above else INSTALLED_AS)
    places = ["the current folder" if folder == here else relative(folder) for folder in folders if relative(folder)]
    near = did_you_mean(last, names, 0.66)
    return f"looked in {', '.join(places)}{near or ('' if above else '; a package of others is installed as they say')}"


def _inside(package: str) -> list[str]:
    """The folders of a package, which may fail on import; none of a module that is one file."""
    folders = [*sys.path, str(Path.cwd())]
    for name in accumulate(package.split("."), "{}.{}".format):
        spec = PathFinder.find_spec(name, folders)
        folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    return folders


def _is_own(folder: str) -> bool:
    """Whether a folder of the search path is the user's, and not Python's, that of its commands, or rlzoo's."""
    path = Path(folder)
    others = (Path(__file__).parents[1], Path(sys.executable).parent)
    return distance(f"{folder}/") == 0 and path not in others and path.is_dir()


class Imports(NamedTuple):
    """Where a process finds modules, for another one that it starts."""

    folders: tuple[str, ...]
    own: Mapping[str, str]
    safe_path: str | None

    @classmethod
    def here(cls) -> Imports:
        """Where this process finds them."""
        folders = tuple(folder or str(Path.cwd()) for folder in sys.path)
        return cls(folders, dict(_folders), os.environ.get(SAFE_PATH))

    def apply(self) -> None:
        """Find them there in this process too."""
        here = ("", str(Path.cwd()))  # where `python -m` begins to look
        kept = [folder for folder in sys.path if folder in self.folders or folder not in here]
        sys.path[:] = [*kept, *(folder for folder in self.folders if folder not in kept)]
        _restore_safe_path(self.safe_path)
        if self.own:
            _find(self.own)


def leave_the_folder() -> None:
    """Have nobody look in the current folder for modules, libraries and programs: this process, and those it starts.

    Libraries start Python and others too, such as `uname` or `fc-list`. The folder is the user's once a module that the
    request names is found there.
    """
    entries = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if len(entries) > 1 and "" in entries:
        with suppress(OSError, ValueError):  # it is gone, or is not there
            here = str(Path.cwd())
            sys.path.remove("" if here in entries else here)
    skip_empty_entries()
    if not os.environ.get("LD_LIBRARY_PATH"):
        os.environ["LD_LIBRARY_PATH"] = os.devnull  # OpenCV puts a colon before what is there, and nothing is there
    if not os.environ.get(SAFE_PATH):
        os.environ[SAFE_PATH] = OURS


def skip_empty_entries() -> None:
    """Look for nothing in the current folder that an empty entry means and nobody meant."""
    for name in SEARCHED:
        if name in os.environ:
            os.environ[name] = os.pathsep.join(filter(None, os.environ[name].split(os.pathsep)))


@contextmanager
def outside_the_folder() -> Iterator[None]:
    """What is started within it finds neither modules nor libraries nor programs in the current folder.

    It is rlzoo's own, and none of an environment's processes. In a Python that is started so, `Imports.apply` makes the
    variables those of this process again.
    """
    from rlzoo.processes.engines import unmarked

    skip_empty_entries()
    before = os.environ.get(SAFE_PATH)
    os.environ[SAFE_PATH] = "1"
    try:
        with unmarked():
            yield
    finally:
        _restore_safe_path(before)


def _restore_safe_path(value: str | None) -> None:
    if value is None:
        os.environ.pop(SAFE_PATH, None)
    else:
        os.environ[SAFE_PATH] = value
