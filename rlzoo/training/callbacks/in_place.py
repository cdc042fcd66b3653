"""Notices that a run's folder was moved or deleted while it is trained into: what is written then is lost."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from rlzoo.errors import ExitCode, RlzooError
from rlzoo.protocols import Algorithm, Callback
from rlzoo.runs.run import Run

PAUSE = 1.0
"""Seconds between two looks."""


class InPlace(Callback):
    """Ends a training whose folder has gone. It is held open meanwhile, so that it is known again where it is now."""

    def __init__(self, run: Run) -> None:
        self.run, self._path = run, run.path.absolute()
        self._handle: int | None = None
        self._looked_at = time.monotonic()
        with suppress(OSError):  # Windows opens no folders, and moves none that is in use
            self._handle = os.open(self._path, os.O_RDONLY)

    def on_boundary(self, algorithm: Algorithm) -> None:
        now = time.monotonic()
        if now - self._looked_at >= PAUSE:
            self._looked_at = now
            self.require()

    def require(self) -> None:
        """Make sure that the folder is where it was.

        Raises:
            RlzooError: with exit code 5.
        """
        if lost := self.lost():
            raise RlzooError(lost, code=ExitCode.STORAGE)

    def lost(self) -> str:
        """What became of the folder; nothing if it is where it was."""
        there = self.now()
        if there is not None and there.path == self._path:
            return ""
        where = "is not there any more" if there is None else f"was moved to {there.path}"
        return f"the folder of this run, {self.run.path}, {where}"

    def now(self) -> Run | None:
        """The run where it is now; None if it is nowhere."""
        if self._is_here():
            return Run(self._path)
        found = None if self._handle is None else _path_of(self._handle)
        return None if found is None else Run(found)

    def close(self) -> None:
        if self._handle is not None:
            with suppress(OSError):
                os.close(self._handle)
            self._handle = None

    def _is_here(self) -> bool:
        """Another folder of its name is not it; there are file systems on which a folder changes its number."""
        try:
            here = self._path.stat()
        except OSError:
            return False
        with suppress(OSError):  # code of others has closed it
            if self._handle is None or os.path.samestat(here, os.fstat(self._handle)):
                return True
        return Run(self._path).log_file.is_file()


def _path_of(handle: int) -> Path | None:
    """Where an open folder lies."""
    with suppress(OSError, ImportError, AttributeError):
        if (link := Path(f"/proc/self/fd/{handle}")).exists():
            path = link.readlink()
        else:
            import fcntl

            found = fcntl.fcntl(handle, fcntl.F_GETPATH, bytes(1024))  # type: ignore[attr-defined]  # macOS
            path = Path(os.fsdecode(found.rstrip(b"\0")))
        if path.is_dir() and os.path.samestat(path.stat(), os.fstat(handle)):
            return path
    return None
