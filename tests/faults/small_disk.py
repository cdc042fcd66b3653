"""A real disk of a few MiB that can be full, out of inodes or read-only: tmpfs in a mount namespace of its own.

Nobody else sees it: it lies under `/proc/<pid>/root`, as the one process in that namespace has it.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

BALLAST = "ballast"


class SmallDisk:
    """Such a disk, mounted on an existing folder; `root` is where it lies for everybody else."""

    def __init__(self, folder: Path, size: str = "4m", inodes: int = 1000) -> None:
        try:
            self._shell = subprocess.Popen(
                ["unshare", "-rm", "sh"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        except OSError as error:
            pytest.skip(f"needs unshare: {error}")
        self._folder = folder
        said = self._do(f"mount -t tmpfs -o size={size},nr_inodes={inodes} tmpfs '{folder}'")
        self.root = Path(f"/proc/{self._shell.pid}/root{folder}")
        if said or not os.path.ismount(self.root):
            self.close()
            pytest.skip(f"needs a mount namespace: {said}")

    def leave_pages(self, n: int) -> None:
        """Fill the disk up to `n` pages, what files are written in."""
        (self.root / BALLAST).unlink(missing_ok=True)
        disk = os.statvfs(self.root)
        size = (disk.f_bavail - n) * disk.f_bsize
        if size > 0:
            with (self.root / BALLAST).open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, size)

    def leave_inodes(self, n: int) -> None:
        """Make files until only `n` more can be made, directories and links included."""
        folder = self.root / BALLAST
        folder.mkdir()
        for number in range(os.statvfs(self.root).f_ffree - n):
            (folder / str(number)).touch()

    def set_read_only(self, on: bool) -> None:
        """Only while no file is open for writing."""
        said = self._do(f"mount -o remount,{'ro' if on else 'rw'} '{self._folder}'")
        assert not said, said

    def clear(self) -> None:
        said = self._do(f"rm -rf '{self._folder}'/*")
        assert not said, said

    def close(self) -> None:
        self._shell.communicate()

    def _do(self, command: str) -> str:
        assert self._shell.stdin is not None and self._shell.stdout is not None
        try:
            self._shell.stdin.write(f"{command}; echo .\n")
            self._shell.stdin.flush()
        except OSError as error:
            return str(error)
        said = []
        while (line := self._shell.stdout.readline()) not in (".\n", ""):
            said.append(line)
        return "".join(said)
