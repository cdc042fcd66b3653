"""How much memory a process may still have, by the machine, its container or job, and its shell."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HEADROOM = 0.1
"""The share of the free memory that is left for all else: networks, batches, environments."""

TORCH = 1 << 30
"""Address space that importing torch takes, about."""


@dataclass(frozen=True)
class Memory:
    """Bytes that a process may have.

    Attributes:
        free: that it may fill, with the headroom left out.
        allocatable: that it may ask for at all.
    """

    free: int
    allocatable: int


def available() -> Memory:
    """The memory there is, within the limits of the container or job (cgroup) and of the shell (`ulimit -v`)."""
    import psutil

    machine = psutil.virtual_memory()
    free, allocatable = machine.available, machine.total + psutil.swap_memory().total
    group = cgroup_available()
    if group is not None:
        free = min(free, group)
    space = _address_space()
    if space is not None:
        free, allocatable = min(free, space), min(allocatable, space)
    return Memory(max(0, int(free * (1 - HEADROOM))), max(0, allocatable))


def cgroup_available(of: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Bytes that the control groups of a process, version 2 or 1, leave it; None where there is no limit.

    Args:
        of: the file that lists its groups.
        root: where they are mounted.
    """
    try:
        lines = of.read_text().splitlines()
    except OSError:
        return None
    found = [left for line in lines for left in _left_in_group(line, root)]
    return min(found, default=None)


def size(n_bytes: float) -> str:
    """Bytes in words: `10.9 TiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if n_bytes < 1024:
            return f"{n_bytes:.1f} {unit}"
        n_bytes /= 1024
    return f"{n_bytes:,.1f} TiB"


def _left_in_group(line: str, root: Path) -> Iterator[int]:
    """What a line of /proc/self/cgroup, `number:controllers:path`, leaves in its group and in those around it."""
    _, controllers, path = line.split(":", 2)
    if controllers not in ("", "memory"):
        return
    mount = root / "memory" if controllers else root
    limit, used, cache = (
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        if controllers
        else ("memory.max", "memory.current", "inactive_file")
    )
    inside = mount / path.lstrip("/")  # in a container it may be the path outside, which is not there
    for group in (inside, *inside.parents):
        if not group.is_relative_to(mount):
            return
        try:
            bound = int((group / limit).read_text())  # "max" is not a number: no limit
            stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
            yield max(0, bound - int((group / used).read_text()) + int(stat.get(cache, 0)))
        except (OSError, ValueError):
            continue


def _address_space() -> int | None:
    """What is left of the address space (`ulimit -v`), None without a limit."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    import psutil

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return None
    taken: int = psutil.Process().memory_info().vms + (0 if "torch" in sys.modules else TORCH)
    return max(0, limit - taken)
