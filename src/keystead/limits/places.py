"""Places: the country and the network (ASN) of an address, from files of the operator's in MaxMind's format."""

import asyncio
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import maxminddb
import structlog

from keystead.kernel.errors import CannotStart
from keystead.limits.networks import pack

log = structlog.get_logger("places")

MAX_FILE_BYTES = 512 << 20
_CACHED = 4096
_COUNTRY = re.compile(r"[A-Z]{2}", re.ASCII)
_ASN = re.compile(r"(?:AS)?([0-9]{1,10})", re.ASCII)
# Where files of different makers have it.
_COUNTRIES = (("country", "iso_code"), ("registered_country", "iso_code"), ("country_code",), ("country",))
_ASNS = (("autonomous_system_number",), ("asn",), ("as_number",))
_SAMPLES = tuple(map(ip_address, ("192.0.2.1", "203.0.113.255", "2001:db8::1")))


Mark: TypeAlias = tuple[int, int, int]


class PlacesUnreadable(Exception):
    """A file that is missing or no database; the text says why."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an address is, as far as a file knows: an ISO 3166 code, and the number of an autonomous system."""

    country: str | None
    asn: int | None


NOWHERE = Place(None, None)


class _File:
    """One file, as it was when it was read."""

    def __init__(self, path: Path) -> None:
        """Raises PlacesUnreadable.

        The whole file is held in memory: one that is mapped, and then written over instead of replaced, takes the
        process with it.
        """
        self.path = path
        try:
            with path.open("rb") as file:
                self._reader, self.mark = _read(file)
            for sample in _SAMPLES:
                self.find(sample)
        except OSError as error:
            raise PlacesUnreadable(f"{path} cannot be read: {error.strerror or error}") from error
        except Exception as error:  # the reader's own, and whatever nonsense in a file makes of it
            raise PlacesUnreadable(f"{path} is no whole database in MaxMind's format") from error

    def find(self, address: IPv4Address | IPv6Address) -> Any:
        """What the file holds about it. Raises whatever a file that is broken here makes of it."""
        if address.version == 6 and self._reader.metadata().ip_version == 4:
            return None
        return self._reader.get(address)

    def is_as_it_was(self) -> bool:
        try:
            return _mark(self.path.stat()) == self.mark
        except OSError:
            return False


class Places:
    """Several files complete one another: of each, what those before it do not know. `refresh` reads again what was
    replaced."""

    def __init__(self, paths: tuple[Path, ...]) -> None:
        """Raises CannotStart."""
        try:
            self._files = tuple(_File(path) for path in paths)
        except PlacesUnreadable as error:
            raise CannotStart(f"limits.places_files: {error}.") from error
        self._find = self._remembering()

    def find(self, address: str) -> Place:
        """Never raises: what no file knows is NOWHERE."""
        return self._find(address) if self._files else NOWHERE

    async def refresh(self) -> None:
        """What cannot be read stays as it was, and the log says so."""
        if all(file.is_as_it_was() for file in self._files):
            return
        self._files = tuple([await self._renew(file) for file in self._files])
        self._find = self._remembering()

    async def _renew(self, file: _File) -> _File:
        if file.is_as_it_was():
            return file
        try:
            renewed = await asyncio.to_thread(_File, file.path)
        except PlacesUnreadable as error:
            log.error("places.not_refreshed", reason=str(error))  # noqa: TRY400 - the text is the whole of it
            return file
        log.info("places.refreshed", file=str(file.path))
        return renewed

    def _remembering(self) -> Callable[[str], Place]:
        return lru_cache(maxsize=_CACHED)(self._look_up)

    def _look_up(self, address: str) -> Place:
        place, packed = NOWHERE, pack(address)
        if packed is None:
            return place
        wanted = ip_address(packed)
        for file in self._files:
            try:
                found = file.find(wanted)
            except Exception:
                log.exception("places.broken", file=str(file.path))
                continue
            place = Place(place.country or _country(found), place.asn or _asn(found))
        return place


def _read(file: BinaryIO) -> tuple[maxminddb.Reader, Mark]:
    mark = _mark(os.fstat(file.fileno()))
    if mark[1] > MAX_FILE_BYTES:
        raise OSError(f"it is larger than {MAX_FILE_BYTES >> 20} MiB")
    reader = maxminddb.open_database(file, maxminddb.MODE_FD)
    if _mark(os.fstat(file.fileno())) != mark:
        raise OSError("it is being written")
    return reader, mark


def _mark(status: os.stat_result) -> Mark:
    return status.st_ino, status.st_size, status.st_mtime_ns


def _country(record: Any) -> str | None:
    for way in _COUNTRIES:
        found = _follow(record, way)
        if isinstance(found, str) and _COUNTRY.fullmatch(found):
            return found
    return None


def _asn(record: Any) -> int | None:
    for way in _ASNS:
        found = _follow(record, way)
        if isinstance(found, str) and (match := _ASN.fullmatch(found)):
            found = int(match[1])
        if isinstance(found, int) and 0 < found < 1 << 32:
            return found
    return None


def _follow(record: Any, way: tuple[str, ...]) -> Any:
    for name in way:
        record = record.get(name) if isinstance(record, dict) else None
    return record
