"""Building a filter from lists of any size: bounded memory, and what is killed goes on where it was.

First the keys of all lists are spilled, in sections that each have the keys of one first byte together. Then, for one
first byte after the other, the keys are gathered from the sections, sorted, and written without repetitions. All of it
is beside the file to be, in a folder of its own; the file takes its place when it is whole.
"""

import fcntl
import os
import shutil
import struct
import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby, pairwise
from pathlib import Path
from typing import BinaryIO

import msgspec

from keystead.users.known_passwords.filter_file import ENTRIES_AT, KEY_BYTES, FilterFile, complete
from keystead.users.known_passwords.lists import ListForm, count_left_out, digests, form_of, read_lines

PARTS = 256
KEYS_IN_MEMORY = 4_000_000  # then a section is written: 32 MB, and as much again where arrays have grown
_SPILLED_KEY_BYTES = 8
_SECTION_HEADER = struct.Struct(f"<{PARTS}Q")
_PART_COUNTS = struct.Struct("<256Q")  # entries for each second byte


class BuildRefused(Exception):
    """It cannot be built like this; the text says why, and what helps."""


class Source(msgspec.Struct, frozen=True):
    """A list, as it was when the build began."""

    path: str
    size: int
    changed_ns: int
    form: ListForm


class Progress(msgspec.Struct):
    """How far the lists have been spilled."""

    sources: list[Source]
    number: int = 0  # the list that is being read
    offset: int = 0
    lines_left_out: int = 0
    spilled_bytes: int = 0


class Build:
    """One build, or the rest of one. `opened` holds the folder, so that no two work in it."""

    def __init__(self, out: Path, folder: Path, progress: Progress) -> None:
        self.progress = progress
        self.was_begun = progress.spilled_bytes > 0
        self._out = out
        self._folder = folder
        self._parts = [array("Q") for _ in range(PARTS)]
        self._held = 0

    @classmethod
    @contextmanager
    def opened(cls, lists: Sequence[Path], out: Path) -> Iterator["Build"]:
        """Raises BuildRefused, ListRejected, OSError."""
        sources = [_source(path) for path in lists]
        folder = out.with_name(f"{out.name}.building")
        folder.mkdir(exist_ok=True)
        with (folder / "lock").open("wb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise BuildRefused(f"another build is at work in {folder}") from error
            yield cls(out, folder, _progress(folder, sources))

    @property
    def total_bytes(self) -> int:
        return sum(source.size for source in self.progress.sources)

    @property
    def bytes_read(self) -> int:
        before = self.progress.sources[: self.progress.number]
        return sum(source.size for source in before) + self.progress.offset

    @property
    def parts_merged(self) -> int:
        index = self._folder / "index"
        return index.stat().st_size // _PART_COUNTS.size if index.exists() else 0

    def spill(self) -> Iterator[int]:
        """Read the lists, with the bytes read at each step."""
        with (self._folder / "spill").open("ab") as spill:
            spill.truncate(self.progress.spilled_bytes)
            while self.progress.number < len(self.progress.sources):
                source = self.progress.sources[self.progress.number]
                yield from self._spill_one(source, spill)
                self.progress.number += 1
                self.progress.offset = 0
            self._write_section(spill)

    def merge(self) -> Iterator[int]:
        """Sort and write part after part, with 1 for each."""
        with (
            (self._folder / "spill").open("rb") as spill,
            (self._folder / "index").open("a+b") as index,
            (self._folder / "filter").open("r+b" if (self._folder / "filter").exists() else "w+b") as file,
        ):
            done = index.seek(0, os.SEEK_END) // _PART_COUNTS.size
            index.truncate(done * _PART_COUNTS.size)
            file.seek(ENTRIES_AT + 4 * sum(_read_counts(index)))
            sections = _find_sections(spill)
            for part in range(done, PARTS):
                keys = [key for key, _ in groupby(sorted(_gather(spill, sections, part)))]
                file.write(_entries(keys))
                file.flush()
                os.fsync(file.fileno())  # before the index says that they are there
                index.write(_PART_COUNTS.pack(*_count_by_second_byte(keys)))
                index.flush()
                yield 1

    def finish(self) -> FilterFile:
        """The whole file in its place. Raises FilterUnusable if what was written is not what is there."""
        made = self._folder / "filter"
        with made.open("r+b") as file, (self._folder / "index").open("rb") as index:
            counts = _read_counts(index)
            file.truncate(ENTRIES_AT + 4 * sum(counts))
            complete(file, counts)
            file.flush()
            os.fsync(file.fileno())
        FilterFile(made).verify()
        made.chmod(0o644)
        made.replace(self._out)
        _sync_folder(self._out.parent)
        shutil.rmtree(self._folder)
        return FilterFile(self._out)

    def _spill_one(self, source: Source, spill: BinaryIO) -> Iterator[int]:
        with Path(source.path).open("rb") as file:
            for lines, offset in read_lines(file, self.progress.offset):
                self._take(lines, source.form)
                read, self.progress.offset = offset - self.progress.offset, offset
                if self._held >= KEYS_IN_MEMORY:
                    self._write_section(spill)
                yield read

    def _take(self, lines: list[bytes], form: ListForm) -> None:
        parts, held = self._parts, 0
        for digest in digests(lines, form):
            parts[digest[0]].append(int.from_bytes(digest[:KEY_BYTES], "big"))
            held += 1
        self._held += held
        self.progress.lines_left_out += count_left_out(lines, form, held)

    def _write_section(self, spill: BinaryIO) -> None:
        """What is in memory, and then how far we are: a section that is cut short was never counted."""
        spill.write(_SECTION_HEADER.pack(*map(len, self._parts)))
        spill.writelines(memoryview(part) for part in self._parts)
        spill.flush()
        os.fsync(spill.fileno())
        self._parts = [array("Q") for _ in range(PARTS)]
        self._held = 0
        self.progress.spilled_bytes = spill.tell()
        _write(self._folder / "progress.json", msgspec.json.encode(self.progress))


def _source(path: Path) -> Source:
    try:
        found = path.stat()
        return Source(str(path.resolve()), found.st_size, found.st_mtime_ns, form_of(path))
    except OSError as error:
        raise BuildRefused(f"{path} cannot be read: {error.strerror}") from error


def _progress(folder: Path, sources: list[Source]) -> Progress:
    try:
        earlier = msgspec.json.decode((folder / "progress.json").read_bytes(), type=Progress)
    except FileNotFoundError:
        return Progress(sources)
    except msgspec.MsgspecError as error:
        raise BuildRefused(f"{folder} is of another version: remove it, and begin anew") from error
    if earlier.sources != sources:
        raise BuildRefused(
            f"{folder} is of a build from other lists, or these have changed: give the same ones, or remove it"
        )
    return earlier


def _find_sections(spill: BinaryIO) -> list[tuple[int, tuple[int, ...]]]:
    """Of each: where its keys begin, and how many there are for each first byte."""
    sections, at, end = [], 0, spill.seek(0, os.SEEK_END)
    while at < end:
        spill.seek(at)
        counts = _SECTION_HEADER.unpack(spill.read(_SECTION_HEADER.size))
        sections.append((at + _SECTION_HEADER.size, counts))
        at += _SECTION_HEADER.size + _SPILLED_KEY_BYTES * sum(counts)
    return sections


def _gather(spill: BinaryIO, sections: list[tuple[int, tuple[int, ...]]], part: int) -> "array[int]":
    keys = array("Q")
    for begin, counts in sections:
        spill.seek(begin + _SPILLED_KEY_BYTES * sum(counts[:part]))
        keys.frombytes(spill.read(_SPILLED_KEY_BYTES * counts[part]))
    return keys


def _entries(keys: list[int]) -> "array[int]":
    entries = array("I", (key & 0xFFFFFFFF for key in keys))
    if sys.byteorder == "little":
        entries.byteswap()
    return entries


def _count_by_second_byte(keys: list[int]) -> Iterator[int]:
    above = keys[0] >> 40 << 40 if keys else 0
    bounds = [bisect_left(keys, above + (second << 32)) for second in range(PARTS + 1)]
    return (high - low for low, high in pairwise(bounds))


def _read_counts(index: BinaryIO) -> list[int]:
    index.seek(0)
    return [count for counts in _PART_COUNTS.iter_unpack(index.read()) for count in counts]


def _write(path: Path, data: bytes) -> None:
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
