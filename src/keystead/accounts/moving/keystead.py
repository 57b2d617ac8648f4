"""Keystead's own export: a header, then one user a line with exactly these members."""

from typing import Any, Literal

import msgspec

from keystead.accounts.moving.fields import address, identifier, moment, usable_hash, uuid
from keystead.accounts.moving.types import BadRow, IncomingUser, Reading

FORMAT, VERSION = "keystead-users", 1


class Header(msgspec.Struct):
    format: str
    version: int


class Row(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    email: str
    email_verified: bool
    full_name: str | None
    status: Literal["pending", "active", "disabled"]
    password_hash: str | None
    preferences: dict[str, Any]
    app_metadata: dict[str, Any]
    roles: tuple[str, ...]
    created_at: str
    updated_at: str


def to_user(row: Row, reading: Reading) -> IncomingUser:
    """Raises BadRow."""
    user_id = uuid(identifier(row.id))
    if user_id is None:
        raise BadRow("its id is no UUID")
    return IncomingUser(
        source_id=row.id,
        id=user_id,
        email=address(row.email),
        email_verified=row.email_verified,
        full_name=row.full_name,
        password_hash=usable_hash(row.password_hash, reading),
        is_disabled=row.status == "disabled",
        created_at=moment(row.created_at, "created_at"),
        updated_at=moment(row.updated_at, "updated_at"),
        preferences=row.preferences,
        app_metadata=row.app_metadata,
        roles=row.roles,
    )
