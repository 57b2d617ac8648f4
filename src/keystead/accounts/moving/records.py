"""Files as records: one a line, one a CSV row, or one a member of a JSON document. Bounded in every direction."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, TypeVar

import msgspec

from keystead.accounts.moving.types import BadRow
from keystead.kernel.errors import FieldError, InvalidInput

T = TypeVar("T")

MAX_LINE_BYTES = 1024 * 1024
MAX_DOCUMENT_BYTES = 1024 * 1024 * 1024  # a document is held in memory while it is read
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_OTHER_ENCODINGS = (b"\xff\xfe", b"\xfe\xff", b"\x00")
_COMPRESSED = (b"\x1f\x8b", b"PK\x03\x04", b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ")

# A line or record number with its JSON, its CSV row, or why there is neither.
Record: TypeAlias = tuple[int, "bytes | msgspec.Raw | dict[str, Any] | BadRow"]


def unreadable_file(why: str) -> InvalidInput:
    return InvalidInput(FieldError("/file", "file_unreadable", why))


def opening(path: Path, size: int = 65536) -> bytes:
    """The first bytes, without a byte order mark and leading space. Raises InvalidInput."""
    try:
        with path.open("rb") as file:
            start = file.read(size)
    except OSError as error:
        raise unreadable_file(f"The file cannot be opened: {error.strerror}.") from error
    if start.startswith(_COMPRESSED):
        raise unreadable_file("The file is compressed. Unpack it first.")
    if start.startswith(_OTHER_ENCODINGS):
        raise unreadable_file("The file is not in UTF-8. Save it as UTF-8.")
    start = start.removeprefix(_BYTE_ORDER_MARK).lstrip()
    if not start:
        raise unreadable_file("The file is empty.")
    return start


def load_document(path: Path, kind: type[T], *, expected: str) -> T:
    """The whole file as one JSON text. Raises InvalidInput."""
    opening(path)
    if path.stat().st_size > MAX_DOCUMENT_BYTES:
        raise unreadable_file("The file is larger than 1 GiB. Export fewer users a file.")
    data = path.read_bytes().removeprefix(_BYTE_ORDER_MARK)
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise unreadable_file(f"The file is not {expected}: {without_content(error)}.") from error


def json_records(path: Path, *, expected: str) -> Iterator[Record]:
    """The objects of a JSON array, or one a line. Raises InvalidInput."""
    if opening(path).startswith(b"["):
        yield from enumerate(load_document(path, list[msgspec.Raw], expected=expected), 1)
        return
    with path.open("rb") as file:
        for number, line in _lines(file):
            if isinstance(line, BadRow) or line.strip():
                yield number, line


def csv_records(path: Path) -> Iterator[Record]:
    """The rows of a CSV file with a header, each with its columns that are not empty."""
    with path.open("rb") as file:
        too_long: list[int] = []
        rows = csv.reader(_texts(file, too_long), strict=True)
        header = next((row for row in rows if "".join(row).strip()), [])
        while True:
            number = rows.line_num + 1
            try:
                row = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                yield number, BadRow(f"the row is no CSV: {error}")
                continue
            if too_long and too_long[-1] >= number:
                yield number, BadRow("the line is longer than 1 MiB")
            elif row:
                yield number, _named(header, row)


def read_header(path: Path) -> list[str]:
    """The columns of a CSV file. Raises InvalidInput."""
    first = opening(path, MAX_LINE_BYTES).partition(b"\n")[0]
    try:
        return next(csv.reader([first.decode()], strict=True), [])
    except (UnicodeDecodeError, csv.Error):
        return []


def members_of(data: object) -> dict[str, Any] | None:
    """The object that a record is, where it is one."""
    if isinstance(data, dict):
        return data
    if not isinstance(data, bytes | msgspec.Raw):
        return None
    try:
        found = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def without_content(error: Exception) -> str:
    """What is wrong with JSON; msgspec names places and types, and no values."""
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return str(error)


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes | BadRow]]:
    number = 0
    while line := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if number == 1:
            line = line.removeprefix(_BYTE_ORDER_MARK)
        if len(line) > MAX_LINE_BYTES:
            while line and not line.endswith(b"\n"):
                line = file.readline(MAX_LINE_BYTES)
            yield number, BadRow("the line is longer than 1 MiB")
        else:
            yield number, line


def _texts(file: BinaryIO, too_long: list[int]) -> Iterator[str]:
    # What is not UTF-8 comes through as half surrogate pairs, so that one bad row does not end the reading.
    for number, line in _lines(file):
        if isinstance(line, BadRow):
            too_long.append(number)
            yield "\n"
        else:
            yield line.decode("utf-8", "surrogateescape")


def _named(header: list[str], row: list[str]) -> dict[str, Any] | BadRow:
    if len(row) != len(header):
        return BadRow(f"the row has {len(row)} columns and the header {len(header)}")
    try:
        "".join(row).encode()
    except UnicodeEncodeError:
        return BadRow("it is not UTF-8")
    return {name: value for name, value in zip(header, row, strict=True) if value}
