"""Firebase Authentication: the JSON of `firebase auth:export`."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from keystead.accounts.moving.fields import (
    Flag,
    Mapping,
    Moment,
    address,
    flag,
    identifier,
    mapping,
    moment,
    name,
    no_hash,
    provenance,
    usable_hash,
    uuid,
)
from keystead.accounts.moving.records import Record, load_document, unreadable_file
from keystead.accounts.moving.types import Format, IncomingUser, Reading


class Row(msgspec.Struct, rename="camel"):
    local_id: str
    email: str | None = None
    email_verified: Flag = False
    password_hash: str | None = None
    salt: str | None = None
    display_name: str | None = None
    disabled: Flag = False
    custom_attributes: Mapping = None
    created_at: Moment = None


class Export(msgspec.Struct):
    users: list[msgspec.Raw]


def records(path: Path, reading: Reading) -> Iterator[Record]:
    """Raises InvalidInput."""
    export = load_document(path, Export, expected="an export of Firebase, an object with the list `users`")
    needs_parameters = reading.firebase is None and not reading.drop_unusable_hashes
    if needs_parameters and any(b'"passwordHash"' in bytes(user) for user in export.users):
        raise unreadable_file(
            "The passwords of Firebase need the project's hash parameters. They are in the console under "
            "Authentication, Users, the menu above the list, Password hash parameters."
        )
    yield from enumerate(export.users, 1)


def to_user(row: Row, reading: Reading) -> IncomingUser:
    """Raises BadRow."""
    source_id = identifier(row.local_id)
    user_id = uuid(source_id)
    return IncomingUser(
        source_id=source_id,
        id=user_id,
        email=address(row.email),
        email_verified=flag(row.email_verified, "emailVerified"),
        full_name=name(row.display_name),
        password_hash=_hash(row, reading),
        is_disabled=flag(row.disabled, "disabled"),
        created_at=moment(row.created_at, "createdAt"),
        updated_at=None,
        preferences={},
        app_metadata={
            **mapping(row.custom_attributes, "customAttributes"),
            **provenance(Format.FIREBASE, source_id, user_id),
        },
        roles=(),
    )


def _hash(row: Row, reading: Reading) -> str | None:
    if not row.password_hash:
        return None
    if reading.firebase is None or not row.salt:
        return no_hash("its password hash has no salt, or no parameters", reading)
    return usable_hash(reading.firebase.stored(salt=row.salt, password_hash=row.password_hash), reading)
