"""Read the users of a file, whichever system wrote it."""

from collections.abc import Iterator
from datetime import datetime
from itertools import chain, islice
from pathlib import Path

import msgspec

from keystead.accounts.moving import better_auth, keycloak, keystead
from keystead.accounts.moving.fields import require_storable
from keystead.accounts.moving.firebase import records as firebase_records
from keystead.accounts.moving.records import (
    MAX_LINE_BYTES,
    Record,
    csv_records,
    json_records,
    members_of,
    opening,
    read_header,
    unreadable_file,
    without_content,
)
from keystead.accounts.moving.systems import SYSTEMS, System
from keystead.accounts.moving.types import BadRow, Format, IncomingUser, Reading, Unreadable
from keystead.users.foreign_hashes import FirebaseScrypt


def read(
    path: Path,
    format: Format,  # noqa: A002 - what it is called everywhere else
    *,
    now: datetime,
    firebase: FirebaseScrypt | None = None,
    drop_unusable_hashes: bool = False,
) -> Iterator[IncomingUser | Unreadable]:
    """The users of a file, as they come; a row that is none is Unreadable, and reading goes on.

    `now` decides whether a ban still holds. With `drop_unusable_hashes`, a user whose hash is of no known kind or too
    costly comes without a password. Lines are streamed and at most 1 MiB long; a JSON document is held in memory and
    at most 1 GiB. Raises InvalidInput, before it returns, for a file that is not of this format.
    """
    reading = Reading(now, firebase, drop_unusable_hashes)
    users = _users(SYSTEMS[format], _records(path, format, reading), reading)
    # The first is read here, so that what is wrong with the whole file is said to whoever asked for it.
    return chain(list(islice(users, 1)), users)


def _users(
    system: System, records: Iterator[Record], reading: Reading
) -> Iterator[IncomingUser | Unreadable]:
    decode = msgspec.json.Decoder(system.row).decode
    for line, data in records:
        try:
            if isinstance(data, BadRow):
                raise data
            row = msgspec.convert(data, system.row) if isinstance(data, dict) else decode(data)
            user = system.to_user(row, reading)
            if user is None:
                continue
            require_storable(user)
        except (BadRow, msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            yield Unreadable(line, system.find_id(data), without_content(error))
        else:
            yield user


def _records(path: Path, format: Format, reading: Reading) -> Iterator[Record]:  # noqa: A002
    match format:
        case Format.KEYCLOAK:
            return _signed(keycloak.records(path), format)
        case Format.FIREBASE:
            return _signed(firebase_records(path, reading), format)
        case Format.BETTER_AUTH:
            return _of_better_auth(path)
        case Format.KEYSTEAD:
            return _after_header(_of_rows(path, format))
        case Format.SUPABASE | Format.AUTH0 | Format.DJANGO | Format.FASTAPI_USERS:
            return _of_rows(path, format)


def _of_rows(path: Path, format: Format) -> Iterator[Record]:  # noqa: A002
    """The records of a file whose start shows that it is of this format. Raises InvalidInput."""
    system = SYSTEMS[format]
    if opening(path).startswith((b"{", b"[")):
        return _signed(json_records(path, expected=f"JSON of {format}"), format)
    if not system.has_columns(read_header(path)):
        columns = f" Its columns must include {', '.join(system.columns)}." if system.columns else ""
        raise unreadable_file(f"This is no file of {format}. Expected is {system.how}.{columns}")
    return csv_records(path)


def _signed(records: Iterator[Record], format: Format) -> Iterator[Record]:  # noqa: A002
    """The same, if the first of them looks as it should. Raises InvalidInput."""
    first = next(records, None)
    if first is None:
        return records
    system = SYSTEMS[format]
    if not system.is_signed(members_of(first[1])):
        raise unreadable_file(f"This is no file of {format}. Expected is {system.how}.")
    return chain([first], records)


def _after_header(records: Iterator[Record]) -> Iterator[Record]:
    """Raises InvalidInput for a file that a later version wrote."""
    try:
        header = msgspec.convert(members_of(next(records)[1]), keystead.Header)
    except msgspec.ValidationError as error:
        raise unreadable_file(f"The header cannot be read: {error}.") from error
    if (header.format, header.version) != (keystead.FORMAT, keystead.VERSION):
        raise unreadable_file(
            f"The header names {header.format[:40]!r}, version {header.version}. "
            f"Known is {keystead.FORMAT!r}, version {keystead.VERSION}."
        )
    return records


def _of_better_auth(path: Path) -> Iterator[Record]:
    """Raises InvalidInput."""
    start = opening(path, MAX_LINE_BYTES)
    first = members_of(start.partition(b"\n")[0])
    is_document = start.startswith(b"{") and (first is None or not better_auth.TABLES.isdisjoint(first))
    if is_document:
        rows = _signed(better_auth.table_records(path), Format.BETTER_AUTH)
    else:
        rows = _of_rows(path, Format.BETTER_AUTH)
    for line, data in rows:
        members = members_of(data)
        yield line, data if members is None else better_auth.renamed(members)
