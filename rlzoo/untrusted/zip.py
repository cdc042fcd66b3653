"""Untrusted zip files: the table of contents is checked whole before a single byte is unpacked, in memory only."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from rlzoo.errors import ExitCode, RlzooError

END = struct.Struct("<4s4H2LH")
END64_LOCATOR = struct.Struct("<4sLQL")
END64 = struct.Struct("<4sQ2H2L4Q")
LOCAL = struct.Struct("<4s5H3L2H")
ENCRYPTED, SIZES_FOLLOW = 0x1, 0x8
SMALL = 2**20
"""An entry may be compressed as far as it goes up to this size."""


@dataclass(frozen=True)
class Limits:
    """What an archive may hold."""

    entries: int = 64
    total: int = 2 * 2**30
    ratio: int = 100
    methods: tuple[int, ...] = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class Archive:
    """A checked zip file.

    Attributes:
        sizes: the size of every entry, by name.
    """

    def __init__(self, file: io.BufferedIOBase, name: str, is_known: Callable[[str], bool], limits: Limits) -> None:
        """Check a zip file.

        Args:
            file: the file.
            name: what it is called in errors.
            is_known: says which names of entries are expected.
            limits: what it may hold.

        Raises:
            RlzooError: if it holds anything that such a file does not hold.
        """
        self.name = name
        self._file = file
        try:
            _check_end(file, limits)
            self._zip = zipfile.ZipFile(file)
            self._entries = {entry.filename: entry for entry in self._zip.infolist()}
            self._check(is_known, limits)
        except _RefusedError as error:
            raise refused(name, str(error)) from None
        except (zipfile.BadZipFile, struct.error, ValueError, NotImplementedError, EOFError) as error:
            raise refused(name, "it is not a zip file, or is damaged") from error
        self.sizes = {name: entry.file_size for name, entry in self._entries.items()}

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def read(self, name: str, limit: int) -> bytes:
        """The contents of an entry of at most `limit` bytes.

        Raises:
            RlzooError: if there is no such entry, or it is larger or damaged.
        """
        entry = self._entries.get(name)
        if entry is None:
            raise refused(self.name, f"it has no {name}")
        if entry.file_size > limit:
            raise refused(self.name, f"its {name} has {entry.file_size} bytes; at most {limit} are read")
        try:
            with self._zip.open(entry) as file:
                data = file.read(limit + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise refused(self.name, f"its {name} is damaged") from error
        if len(data) != entry.file_size:
            raise refused(self.name, f"its {name} has another size than it says")
        return data

    def _check(self, is_known: Callable[[str], bool], limits: Limits) -> None:
        entries = self._zip.infolist()
        if len(self._entries) != len(entries):
            raise _RefusedError("it has two entries of one name")
        if sum(entry.file_size for entry in entries) > limits.total:
            raise _RefusedError(f"its contents are larger than {limits.total} bytes")
        end = 0
        for entry in sorted(entries, key=lambda entry: entry.header_offset):
            if entry.orig_filename != entry.filename or not is_known(entry.filename):
                raise _RefusedError(f"the entry {entry.orig_filename[:80]!r} does not belong there")
            if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG):
                raise _RefusedError(f"{entry.filename} is a link or no plain file")
            if entry.flag_bits & ENCRYPTED or entry.compress_type not in limits.methods:
                raise _RefusedError(f"{entry.filename} is encrypted, or compressed in another way")
            if entry.file_size > SMALL and entry.file_size > limits.ratio * max(1, entry.compress_size):
                raise _RefusedError(f"{entry.filename} would unpack to more than {limits.ratio} times its size")
            if entry.header_offset < end:
                raise _RefusedError("its entries overlap")
            end = self._check_header(entry)
        if end > self._zip.start_dir:
            raise _RefusedError("its entries overlap")

    def _check_header(self, entry: zipfile.ZipInfo) -> int:
        """Compare an entry's own header with the table of contents; returns where the entry ends."""
        self._file.seek(entry.header_offset)
        header = LOCAL.unpack(self._file.read(LOCAL.size))
        magic, _, flags, method, _, _, crc, packed, size, name_length, extra_length = header
        name = self._file.read(name_length)
        extra = self._file.read(extra_length)
        encoding = "utf-8" if flags & 0x800 else "cp437"
        same = (magic, method, flags) == (b"PK\x03\x04", entry.compress_type, entry.flag_bits)
        if not same or name.decode(encoding) != entry.orig_filename:
            raise _RefusedError(f"the header of {entry.filename} differs from the table of contents")
        if size == packed == 0xFFFFFFFF:
            size, packed = _sizes64(extra)
        expected = (entry.CRC, entry.compress_size, entry.file_size)
        unknown = flags & SIZES_FOLLOW and (crc, packed, size) == (0, 0, 0)
        if (crc, packed, size) != expected and not unknown:
            raise _RefusedError(f"the header of {entry.filename} differs from the table of contents")
        return entry.header_offset + LOCAL.size + name_length + extra_length + entry.compress_size


class _RefusedError(ValueError):
    pass


def refused(name: str, why: str) -> RlzooError:
    """The error about a file that is not opened."""
    return RlzooError(f"{name!r} is not opened: {why}", code=ExitCode.UNSAFE)


def _check_end(file: io.BufferedIOBase, limits: Limits) -> None:
    """Check the end of the file, before the table of contents is read into memory."""
    size = file.seek(0, io.SEEK_END)
    if size < END.size:
        raise _RefusedError("it is not a zip file, or is damaged")
    at = size - END.size
    file.seek(at)
    magic, disk, first_disk, here, count, length, offset, comment = END.unpack(file.read(END.size))
    if magic != b"PK\x05\x06" or comment:
        raise _RefusedError("it is not a zip file, or is damaged")
    if at >= END64_LOCATOR.size + END64.size:
        file.seek(at - END64_LOCATOR.size)
        if file.read(4) == b"PK\x06\x07":
            at -= END64_LOCATOR.size + END64.size
            file.seek(at)
            magic, _, _, _, disk, first_disk, here, count, length, offset = END64.unpack(file.read(END64.size))
            if magic != b"PK\x06\x06":
                raise _RefusedError("it is not a zip file, or is damaged")
    if disk or first_disk or here != count or offset + length != at:
        raise _RefusedError("its table of contents is not where it should be")
    if count > limits.entries or length > 1024 * limits.entries:
        raise _RefusedError(f"it has more than {limits.entries} entries")


def _sizes64(extra: bytes) -> tuple[int, int]:
    while len(extra) >= 4:
        kind, length = struct.unpack("<2H", extra[:4])
        if kind == 1 and length >= 16:
            size, packed = struct.unpack("<2Q", extra[4:20])
            return size, packed
        extra = extra[4 + length :]
    raise _RefusedError("a header has no size")
