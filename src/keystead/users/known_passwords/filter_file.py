"""A file of known passwords: 48 bits of each one's SHA-1, sorted, found with a dozen small reads.

Header (64 bytes): magic, version, CRC-32 of all that follows the header, number of entries. Index: for each value of
the first two bytes, and one more, the number of entries before it (8 bytes each). Entries: the next four bytes each.
All numbers are big-endian. Of n entries, a password that is not among them is taken for one with probability n/2^48.

It is read, and not mapped: a mapped file that somebody truncates kills its reader, and the page cache is shared anyway.
"""

import os
import struct
import weakref
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

MAGIC = b"keystdpw"
VERSION = 1
BUCKETS = 1 << 16
ENTRY_BYTES = 4
KEY_BYTES = 2 + ENTRY_BYTES
HEADER = struct.Struct(">8sIIQ40x")
INDEX_BYTES = (BUCKETS + 1) * 8
ENTRIES_AT = HEADER.size + INDEX_BYTES

_CHUNK_BYTES = 4 * 1024 * 1024
_BOUNDS = struct.Struct(">QQ")


class FilterUnusable(Exception):
    """No such file, no filter, or not all of one; the text says which."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What changes when a file is replaced or written to."""

    device: int
    inode: int
    size: int
    changed_ns: int


class FilterFile:
    """An open one. It stays what it is when another takes its name; safe to ask in several threads."""

    def __init__(self, path: Path) -> None:
        """Judges the header and the size, which takes no time. Raises FilterUnusable."""
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise FilterUnusable(error.strerror or "it cannot be opened") from error
        # Closed with the last reference: a thread may be asking while another file takes its place.
        weakref.finalize(self, os.close, self._descriptor)
        self.identity = _identity(os.fstat(self._descriptor))
        self.count, self._checksum = self._read_header()

    def has(self, sha1: bytes) -> bool:
        """Raises FilterUnusable where somebody has written to it meanwhile."""
        wanted = sha1[2:KEY_BYTES]
        bucket = HEADER.size + 8 * int.from_bytes(sha1[:2], "big")
        low, high = _BOUNDS.unpack(self._read(_BOUNDS.size, bucket))
        while low < high:
            middle = (low + high) // 2
            found = self._read(ENTRY_BYTES, ENTRIES_AT + ENTRY_BYTES * middle)
            if found == wanted:
                return True
            if found < wanted:
                low = middle + 1
            else:
                high = middle
        return False

    def verify(self) -> None:
        """Read all of it: a second or so for each gigabyte. Raises FilterUnusable."""
        checksum, at = 0, HEADER.size
        end = self.identity.size
        while at < end:
            chunk = self._read(min(_CHUNK_BYTES, end - at), at)
            checksum = zlib.crc32(chunk, checksum)
            at += len(chunk)
        if checksum != self._checksum:
            raise FilterUnusable("its checksum is wrong: it is damaged")

    def _read_header(self) -> tuple[int, int]:
        head = self._read(HEADER.size, 0) if self.identity.size >= HEADER.size else bytes(HEADER.size)
        magic, version, checksum, count = HEADER.unpack(head)
        if magic != MAGIC:
            raise FilterUnusable("it is no filter: make one with `keystead passwords build`")
        if version != VERSION:
            raise FilterUnusable(f"it is of version {version}, and this Keystead reads version {VERSION}")
        if self.identity.size != ENTRIES_AT + ENTRY_BYTES * count:
            raise FilterUnusable("its size is not what its header says: it is not all there")
        return count, checksum

    def _read(self, size: int, at: int) -> bytes:
        try:
            data = os.pread(self._descriptor, size, at)
        except OSError as error:
            raise FilterUnusable(error.strerror or "it cannot be read") from error
        if len(data) != size:
            raise FilterUnusable("it was truncated")
        return data


def identity_of(path: Path) -> Identity | None:
    """None where there is nothing to look at."""
    try:
        return _identity(path.stat())
    except OSError:
        return None


def complete(file: BinaryIO, counts: Iterable[int]) -> None:
    """Writes header and index of a file that has its entries; `counts` is how many there are in each bucket."""
    total, before = 0, [0]
    for count in counts:
        total += count
        before.append(total)
    index = struct.pack(f">{len(before)}Q", *before)
    checksum = zlib.crc32(index)
    file.seek(ENTRIES_AT)
    while chunk := file.read(_CHUNK_BYTES):
        checksum = zlib.crc32(chunk, checksum)
    file.seek(0)
    file.write(HEADER.pack(MAGIC, VERSION, checksum, total))
    file.write(index)


def _identity(found: os.stat_result) -> Identity:
    return Identity(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
