"""Django: what `dumpdata` writes of auth.user, or of a user model of one's own."""

from typing import Any

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


class Fields(msgspec.Struct):
    password: str | None = None
    email: str | None = None
    username: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    name: str | None = None
    is_active: Flag = True
    is_staff: Flag = False
    is_superuser: Flag = False
    groups: list[Any] = []
    date_joined: Moment = None


class Row(msgspec.Struct):
    model: str
    fields: msgspec.Raw
    pk: Id | None = None


_FIELDS = msgspec.json.Decoder(Fields)


def to_user(row: Row, reading: Reading) -> IncomingUser | None:
    """None for a row of another model. Raises BadRow."""
    # Whatever it is called, a model of users has these two (AbstractBaseUser).
    if not all(column in bytes(row.fields) for column in (b'"password"', b'"last_login"')):
        return None
    fields = _FIELDS.decode(row.fields)
    # Exported with natural keys, a row has none of its own.
    source_id = identifier(row.pk if row.pk is not None else fields.username or fields.email)
    user_id = uuid(source_id)
    return IncomingUser(
        source_id=source_id,
        id=user_id,
        email=address(fields.email or _username_that_is_an_address(fields)),
        email_verified=False,  # Django does not know
        full_name=name(fields.first_name, fields.last_name) or name(fields.name),
        password_hash=usable_hash(fields.password, reading),
        is_disabled=not flag(fields.is_active, "is_active"),
        created_at=moment(fields.date_joined, "date_joined"),
        updated_at=None,
        preferences={},
        app_metadata=provenance(
            Format.DJANGO,
            source_id,
            user_id,
            username=fields.username,
            is_staff=flag(fields.is_staff, "is_staff"),
            is_superuser=flag(fields.is_superuser, "is_superuser"),
            groups=fields.groups,
        ),
        roles=(),
    )


def _username_that_is_an_address(fields: Fields) -> str | None:
    return fields.username if fields.username and "@" in fields.username else None
