"""Supabase Auth: the table auth.users, as CSV or JSON."""

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
    provenance,
    usable_hash,
    uuid,
)
from keystead.accounts.moving.types import BadRow, Format, IncomingUser, Reading


class Row(msgspec.Struct):
    id: str
    email: str | None = None
    encrypted_password: str | None = None
    email_confirmed_at: Moment = None
    banned_until: Moment = None
    deleted_at: Moment = None
    created_at: Moment = None
    updated_at: Moment = None
    raw_app_meta_data: Mapping = None
    raw_user_meta_data: Mapping = None
    role: str | None = None
    is_super_admin: Flag = None


def to_user(row: Row, reading: Reading) -> IncomingUser:
    """Raises BadRow."""
    if row.deleted_at:
        raise BadRow("it was deleted in Supabase")
    source_id = identifier(row.id)
    user_id = uuid(source_id)
    banned_until = moment(row.banned_until, "banned_until")
    # People may write their user metadata themselves, so it can only become what they may write here too.
    about = mapping(row.raw_user_meta_data, "raw_user_meta_data")
    full_name = about.get("full_name") or about.get("name")
    return IncomingUser(
        source_id=source_id,
        id=user_id,
        email=address(row.email),
        email_verified=bool(row.email_confirmed_at),
        full_name=name(full_name) if isinstance(full_name, str) else None,
        password_hash=usable_hash(row.encrypted_password, reading),
        is_disabled=banned_until is not None and banned_until > reading.now,
        created_at=moment(row.created_at, "created_at"),
        updated_at=moment(row.updated_at, "updated_at"),
        preferences=about,
        app_metadata={
            **mapping(row.raw_app_meta_data, "raw_app_meta_data"),
            **provenance(
                Format.SUPABASE,
                source_id,
                user_id,
                role=row.role if row.role != "authenticated" else None,
                is_super_admin=flag(row.is_super_admin, "is_super_admin"),
            ),
        },
        roles=(),
    )
