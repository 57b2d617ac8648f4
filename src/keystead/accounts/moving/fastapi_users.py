"""fastapi-users: its table of users, as CSV or JSON."""

import re
from uuid import UUID

import msgspec

from keystead.accounts.moving.fields import (
    Flag,
    Id,
    Moment,
    address,
    flag,
    identifier,
    moment,
    name,
    provenance,
    usable_hash,
    uuid,
)
from keystead.accounts.moving.types import Format, IncomingUser, Reading

# Its GUID column holds the bare digits where the database has no type for a UUID.
_BARE_UUID = re.compile(r"[0-9a-f]{32}")


class Row(msgspec.Struct):
    id: Id
    email: str | None = None
    hashed_password: str | None = None
    is_active: Flag = True
    is_superuser: Flag = False
    is_verified: Flag = False
    full_name: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    created_at: Moment = None
    updated_at: Moment = None


def to_user(row: Row, reading: Reading) -> IncomingUser:
    """Raises BadRow."""
    source_id = identifier(row.id)
    user_id = UUID(source_id) if _BARE_UUID.fullmatch(source_id) else uuid(source_id)
    return IncomingUser(
        source_id=source_id,
        id=user_id,
        email=address(row.email),
        email_verified=flag(row.is_verified, "is_verified"),
        full_name=name(row.full_name) or name(row.first_name, row.last_name),
        password_hash=usable_hash(row.hashed_password, reading),
        is_disabled=not flag(row.is_active, "is_active"),
        created_at=moment(row.created_at, "created_at"),
        updated_at=moment(row.updated_at, "updated_at"),
        preferences={},
        app_metadata=provenance(
            Format.FASTAPI_USERS, source_id, user_id, is_superuser=flag(row.is_superuser, "is_superuser")
        ),
        roles=(),
    )
